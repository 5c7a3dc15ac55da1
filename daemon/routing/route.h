/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where each device should be, where it is, and the way from the one to the other.
 *
 * *Wanted* is decided anew at every step from the wishes and the policy; *actual* is the route's
 * state. route_reconcile() takes the one next step that leads from actual to wanted, if none is
 * under way; whatever ends a step calls it again. Each device has its own: one that fails, or
 * waits, holds up no other. What failed is tried again after 1, 2, 4 … 60 s, or when it is wished
 * elsewhere.
 *
 * A command that moves a device is a transaction: its wish is written before anything is done, and
 * where the device can't be had for the new guest, wish and device go back to where they were.
 */
#pragma once

#include <stdbool.h>

#include "daemon/daemon.h"

struct policy_caller;
struct route_call;

enum route_state {
	ROUTE_HOST,	 /* the host's drivers have it */
	ROUTE_OPENING,	 /* the broker opens it */
	ROUTE_GIVING,	 /* a guest's thread claims it */
	ROUTE_HELD,	 /* a guest's thread has it, claimed: exported, where its VM is connected */
	ROUTE_TAKING,	 /* its session ends, and the thread hands it back or closes it */
	ROUTE_REBINDING, /* the host's drivers probe it */
	ROUTE_RESETTING, /* its thread, or where it has none the broker, resets it */
	ROUTE_FAILED,	 /* could not be had; tried again later */
};

/*
 * Somebody in a guest has detached a device, as its agent says. It stays exported to that VM, and is
 * not told to the agent of that boot until a command names it, or it is imported again by hand.
 */
struct route_let_go {
	char vm[32];		    /* "": nobody has */
	char boot[AGENT_BOOT_SIZE]; /* of the guest */
};

/* Which process the last control had given a device to, and by which number. */
struct route_before {
	char vm[32]; /* "": none */
	uint32_t number;
};

/* Where a device is, for who only looks. Its texts are good until the loop goes on. */
struct route_status {
	enum route_state state;
	struct vm *at; /* whose thread has it, or is to have it */
	bool exported; /* @at may import it; else it is only kept from the host */
	bool importing, session, guest_has;
	int failure; /* the errno of the last one */
	const char *reason, *guest_text, *aimed;
	struct route_let_go let_go;
	uint64_t held_ns, session_ns, guest_ns;
};

struct route_status route_status(const struct device *device);

/* A client has it, or is just about to. */
static inline bool route_is_taken(const struct device *device)
{
	const struct route_status status = route_status(device);

	return status.session || status.importing;
}

/* What a command asks for. */
enum route_verb {
	ROUTE_ATTACH,	 /* at a VM or the host, until the next command */
	ROUTE_ASSIGN,	 /* the same for good */
	ROUTE_UNASSIGN,	 /* not for good any more; no command's wish either */
	ROUTE_RELEASE,	 /* no command's wish: assignment and rules decide */
	ROUTE_RESERVE,	 /* the host's drivers don't get it */
	ROUTE_UNRESERVE, /* they do again */
	ROUTE_UNDO,	 /* all as before the last change */
};

/* One device that a command is about. */
struct route_subject {
	struct device *device; /* NULL: not plugged in */
	char alias[32];	       /* "" where it has none */
	enum device_by by;     /* how it was named */
	/*
	 * Without a device and a name: what something was said of that is not there. Such a one
	 * is only taken back. Else "".
	 */
	char wish_on[WISH_TEXT_MAX];
};

/* Members of a group, and what rules put there. */
#define ROUTE_SUBJECTS_MAX 128

struct route_ask {
	enum route_verb verb;
	const struct route_subject *subjects; /* copied */
	size_t n_subjects;
	struct vm *vm; /* attach, assign: NULL is the host */
	bool has_wait; /* else: until the device is exported, or something in the guest has it */
	double wait_seconds; /* 0: not at all; else until the guest has it */
	bool force;	     /* the host's last keyboard too */
	bool dry_run;	     /* only say what would be done */
	double for_seconds;  /* attach: how long; 0: without an end */
	bool until_unplug;   /* attach: ends with the unplugging */
	char who[64];	     /* for the log: "uid 0 (pid 123)" */
	/* Whose right to this a rule gives, for the length of the call; NULL: who may do all. */
	const struct policy_caller *caller;
};

/* How a command ended. */
enum route_outcome {
	ROUTE_DONE,
	ROUTE_PENDING,	  /* the wish stands; not there within the wait */
	ROUTE_NOT_DONE,	  /* failed, and all is as before */
	ROUTE_BUSY,	  /* in use by another program, or needed by the host; all is as before */
	ROUTE_SUPERSEDED, /* a newer command has overtaken it */
	ROUTE_DENIED,	  /* policy; the wish is not stored */
	ROUTE_UNPLUGGED,  /* it went meanwhile; the wish stands */
};

/* What took how long until the guest had a device, in milliseconds. */
struct route_times {
	double total;  /* < 0: it is not known, and the others say nothing */
	double daemon; /* the command, until the device was exported to the new guest */
	double wire;   /* until the guest's import was answered */
	double guest;  /* until its kernel had enumerated it; < 0: it doesn't tell */
};

struct route_result {
	enum route_outcome outcome;
	const char *text; /* a message for a person, a line a device, or the reason */
	const struct route_subject *subjects; /* with those gone that were unplugged */
	size_t n_subjects;
	struct route_times times; /* of the slowest */
};

/* A command has ended; all of @result is there for the length of the call. */
typedef void (*route_done)(void *ctx, const struct route_result *result);

void route_command(struct daemon *daemon, const struct route_ask *ask, route_done done, void *ctx,
		   struct route_call **ret_call);
void route_calls_vm_left(struct vm *vm);
void route_call_cancel(struct route_call *call);
struct vm *route_next_vm(struct daemon *daemon, const struct route_subject *subjects, size_t n,
			 bool backwards);
void route_switch_next(struct daemon *daemon, struct device *device, const char *who);

int routes_load(struct daemon *daemon);
void routes_review(struct daemon *daemon);
void routes_started(struct daemon *daemon);
void routes_take_up(struct vm *vm);
void routes_stop(struct daemon *daemon);

int route_prepare(struct device *device);
void route_added(struct device *device);
void route_changed(struct device *device);
void route_removed(struct device *device);
void route_vm_changed(struct vm *vm);

/* A reset has ended; @r is 0 or a negative errno, and @reason says why. */
typedef void (*route_reset_done)(struct device *device, int r, const char *reason);

int route_reset(struct device *device, bool force, route_reset_done done, const char **ret_text);
void route_guest_says(struct device *device, bool has, const char *text);
void route_guest_lets_go(struct device *device, const char *boot);
void route_give_again(struct device *device);

bool route_exported_to(const struct device *device, const struct vm *vm);
int route_import(struct device *device, struct vm *vm, uint32_t client);

/* Where a device should be. */
struct route_want {
	char target[32];	     /* a VM's name or "host" */
	const char *by;		     /* "command", "assignment", "rule" or "default" */
	char rule[256];		     /* the rule, or what keeps a rule from being followed; "" */
	char wish_on[WISH_TEXT_MAX]; /* command, assignment: what that hangs on, for people */
};

struct route_want route_wanted(const struct device *device);
struct route_want route_wanted_in(const struct device *device, const struct wish_book *book);
const struct wish *route_wish(const struct device *device, const struct wish_book *book,
			      enum wish_list list);
struct route_want route_wanted_absent(const struct daemon *daemon, const char *alias);
struct route_want route_wanted_on(const struct wish_book *book, const char *wish_on);
bool route_reserved(const struct device *device);
bool route_permits(const struct device *device, const char *vm, char *by, size_t size);
bool route_permits_absent(const struct daemon *daemon, const char *alias, const char *vm, char *by,
			  size_t size);
bool route_asker_may(const struct device *device, char *by, size_t size);
bool route_consents(const struct device *device, const char *vm);

/* What else commands ask of a route. */
struct broker_device route_identity(const struct device *device);
void route_wish_changed(struct device *device);
size_t route_leaving(const struct daemon *daemon, const char *paths[ROUTE_SUBJECTS_MAX]);
const char *route_import_line(const struct device *device, const struct vm *vm, char *text,
			      size_t size);

/* For people. */
const char *route_actual(const struct device *device);
const char *route_state_name(const struct device *device, char *reason, size_t size);
