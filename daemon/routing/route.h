/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where each device should be, where it is, and how it gets there.
 *
 * *Wanted* is decided from the wishes and the policy, once after each change of what it hangs on (struct
 * route_decision); *actual* is the route's state. route_reconcile() takes the one next step that leads from actual to wanted, if none is
 * under way; whatever ends a step calls it again. Each device has its own: one that fails, or
 * waits, holds up no other. What failed is tried again after 1, 2, 4 … 60 s, or when it is wished
 * elsewhere.
 *
 * A command that moves a device is a transaction: its wish is written before anything is done, and
 * where the device can't be had for the new guest, wish and device go back to where they were.
 */
#pragma once

#include <stdbool.h>

#include "base/hotkey.h"
#include "daemon/broker/broker.h"
#include "daemon/devices/device.h"
#include "daemon/vms/vm.h"
#include "protocol/agent_wire.h"
#include "protocol/device_state.h"

struct policy_caller;
struct route_call;

/* What the rooms above know. What happens to routes is told by events (core/events.h). @ctx is the routing's. */
struct routing_ops {
	/* Whether something in a guest takes what is routed to it. */
	bool (*takes)(void *ctx, const struct vm *vm);
};

/* Where devices should be, and are. */
struct routing {
	struct core *core;
	struct wish_books *books;
	struct devices *devices;
	struct vms *vms;
	struct broker *broker;
	const struct routing_ops *ops;
	void *ctx;
	struct list claimed_before; /* of struct claim: of the last run, not seen yet */
	struct list old_sessions;   /* of struct old_session: whose processes have died */
};

void routing_init(struct routing *routing, struct devices *devices, struct vms *vms,
		  const struct routing_ops *ops, void *ctx);

enum route_state {
	ROUTE_HOST,	 /* the host's drivers have it */
	ROUTE_OPENING,	 /* the broker opens it */
	ROUTE_GIVING,	 /* its VM's process claims it */
	ROUTE_HELD,	 /* a VM's process has it, claimed; exported if its VM is connected */
	ROUTE_TAKING,	 /* its session ends, and the process closes it */
	ROUTE_REBINDING, /* the host's drivers probe it */
	ROUTE_RESETTING, /* its process, or without one the broker, resets it */
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

/* Where a device is, for readers. Its texts are good until the loop goes on. */
struct route_status {
	enum route_state state;
	struct vm *at; /* whose process has it, or is to have it */
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

/* Members of a group, and what rules put there. */
#define ROUTE_SUBJECTS_MAX 128

int routes_load(struct routing *routing);
void routes_review(struct routing *routing);
void routes_started(struct routing *routing);
void routes_take_up(struct routing *routing, struct vm *vm);
void routes_stop(struct routing *routing);

int route_prepare(struct routing *routing, struct device *device);
void route_added(struct device *device);
void route_review(struct device *device);
void route_removed(struct device *device);
void route_host_bound(struct device *device);
void route_vm_changed(struct routing *routing, struct vm *vm);

/* A reset has ended; @r is 0 or a negative errno, and @reason says why. */
typedef void (*route_reset_done)(void *ctx, struct device *device, int r, const char *reason);

int route_reset(struct device *device, bool force, route_reset_done done, void *ctx,
		const char **ret_text);
void route_guest_says(struct device *device, const struct vm *vm, bool has, const char *text);
void route_guest_lets_go(struct device *device, const struct vm *vm, const char *boot);
void route_give_again(struct device *device);

struct urb_stats;
bool route_stats(const struct device *device, struct urb_stats *ret_stats);

bool route_exported_to(const struct device *device, const struct vm *vm);
int route_import(struct device *device, struct vm *vm, uint32_t client);

/* What says where a device should be; the first that exists decides. */
enum wanted_by { WANTED_BY_COMMAND, WANTED_BY_ASSIGNMENT, WANTED_BY_RULE, WANTED_BY_DEFAULT };

/* Where a device should be. */
struct route_want {
	char target[32]; /* a VM's name or "host" */
	enum wanted_by by;
	char rule[256];		     /* the rule, or what keeps a rule from being followed; "" */
	char wish_on[WISH_TEXT_MAX]; /* command, assignment: what that hangs on, for people */
};

/*
 * Where a device should be, and whether it may be there. Decided once, when something that it hangs on has changed, and
 * passed on: who asks twice could be told two things.
 */
struct route_decision {
	struct route_want want;
	bool reserved; /* it is kept from the host's drivers */
	bool may;      /* policy and configuration let @want.target have it */
	bool lan;      /* nobody has said anything, and an [export] section names it */
	char by[256];  /* what lets it, or does not; "" where nobody had to be asked */
};

struct route_decision route_decide(const struct device *device, const struct wish_book *book);
void route_decided(struct device *device, const struct route_decision *decision);

const char *wanted_by_name(enum wanted_by by);
struct route_want route_wanted(const struct device *device);
const struct wish *route_wish(const struct device *device, const struct wish_book *book,
			      enum wish_list list);
struct route_want route_wanted_absent(const struct routing *routing, const char *alias);
struct route_want route_wanted_on(const struct wish_book *book, const char *wish_on);
bool route_reserved(const struct device *device);
bool route_permits(const struct device *device, const char *vm, char *by, size_t size);
bool route_permits_absent(const struct routing *routing, const char *alias, const char *vm,
			  char *by, size_t size);
bool route_asker_may(const struct device *device, char *by, size_t size);
bool route_consents(const struct device *device, const char *vm);

/* What else commands ask of a route. */
struct broker_device route_identity(const struct device *device);
void route_wish_changed(struct device *device);
size_t route_leaving(const struct routing *routing, const char *paths[ROUTE_SUBJECTS_MAX]);
const char *route_import_line(const struct device *device, const struct vm *vm, char *text,
			      size_t size);

/* Over the LAN (route_lan.c). */
struct guest_peer;
struct ip_prefix;
#define ROUTE_LAN_TO   32
#define ROUTE_LAN_TEXT 46
size_t route_lan_to(const struct device *device, struct ip_prefix to[ROUTE_LAN_TO]);
bool route_lan_may(const struct device *device, const struct guest_peer *peer);
bool route_for_lan(const struct device *device);
const char *route_lan_by(const struct device *device, char text[ROUTE_LAN_TEXT]);

/* For people. */
const char *route_actual(const struct device *device);
const struct vm *route_stranger(const struct device *device);
enum device_state route_shown(const struct device *device, char *reason, size_t size);
