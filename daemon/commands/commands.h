/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What somebody's word starts: commands that move devices (route_call.c), jobs on ports
 * (port_job.c), hot keys, names, another configuration.
 *
 * A command that moves a device is a transaction: its wish is written before anything is done, and
 * if the new guest can't have the device, wish and device go back to where they were. Control
 * thread only.
 */
#pragma once

#include <stdbool.h>

#include "daemon/routing/route.h"

struct config_errors;
struct policy_caller;
struct route_call;

/* Who hears of what nobody waits for an answer to. */
struct commands_ops {
	/* A hot key's command was refused. @vm: where to, NULL: to the next one. @reason is lent. */
	void (*refused)(void *ctx, const struct device *device, const char *vm, const char *reason);
};

struct commands {
	struct core *core;
	struct wish_books *books;
	struct devices *devices;
	struct vms *vms;
	struct routing *routing;
	struct list calls;     /* of struct route_call: commands that wait */
	struct list port_jobs; /* of struct port_job: resets, and ports' power */
	const struct commands_ops *ops;
	void *ops_ctx;
};

void commands_init(struct commands *commands, struct routing *routing,
		   const struct commands_ops *ops, void *ctx);
void commands_started(struct commands *commands);
void commands_stop(struct commands *commands);

/* What is heard of devices and VMs meanwhile. */
void commands_moved(struct commands *commands, struct device *device);
void commands_judge(struct commands *commands, struct device *device);
void commands_removed(struct commands *commands, struct device *device);
void route_calls_named(struct commands *commands, struct device *device);
void port_jobs_check(struct commands *commands);

int commands_reload(struct commands *commands, struct config_errors *errors);

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
	 * Without a device and a name: what a wish for a device that is not there hangs on. It can
	 * only be taken back. Else "".
	 */
	char wish_on[WISH_TEXT_MAX];
};

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
	/*
	 * The caller whose right comes from a rule, for the length of the call; NULL: one who may
	 * do all.
	 */
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

void route_command(struct commands *commands, const struct route_ask *ask, route_done done,
		   void *ctx, struct route_call **ret_call);
void route_calls_vm_left(struct commands *commands, struct vm *vm);
void route_call_cancel(struct route_call *call);
struct vm *route_next_vm(struct commands *commands, const struct route_subject *subjects, size_t n,
			 bool backwards);
void route_switch_next(struct commands *commands, struct device *device, const char *who);
