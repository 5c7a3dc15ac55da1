/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of this room share: a device's route, whole. Others are told of it by route_status().
 *
 * Invariants: gd is there in GIVING, HELD and TAKING, perhaps in RESETTING, and only there; at is the VM whose thread has
 * it; at most one step is under way.
 */
#pragma once

#include "base/loop.h"
#include "daemon/broker/broker.h"
#include "daemon/routing/route.h"

struct route {
	struct device *device;
	struct routing *routing;
	enum route_state state;
	struct vm *at; /* whose thread has it: GIVING, HELD, TAKING, perhaps RESETTING */
	struct guest_device *gd;
	bool importing, session;    /* handed to the thread with a client; the client has it */
	bool guest_has;		    /* and its kernel has set the device's configuration */
	char guest_text[120];	    /* else, why it has not, where it says so */
	struct route_let_go let_go; /* that VM is @at */
	struct route_before before; /* where the last control had it, until it is taken up */
	struct guest_peer peer;	    /* session: the client's connection */
	int guard;		    /* while open, the broker lets nobody mount its disks */
	bool gone;		    /* libusb says so; udev will */
	int failure;		    /* the errno of the last failure */
	char reason[160];	    /* why it is not where it should be */
	unsigned failures;
	struct loop_watch retry;
	struct broker_request req;
	route_reset_done reset_done; /* RESETTING: who hears of its end; or NULL */
	void *reset_ctx;
	struct route_decision decision; /* the last one; holds where @basis is core's */
	uint64_t basis;
	bool exported;	    /* @at may import it; else it is only kept from the host */
	bool told_exported; /* HELD: what its thread was told */
	char aimed[32];	    /* where it was wanted when last looked at */
	uint64_t held_ns, session_ns, guest_ns; /* since when: held, in a session, guest_has */
};

/* Whose thread should have a device, and whether its VM may import it. */
struct route_aim {
	struct vm *vm; /* NULL: the host's drivers should have it */
	bool exported; /* else: kept from the host's drivers, and in no guest */
	bool spared;   /* a rule would take it, and it is the host's last keyboard */
	bool coming;   /* its VM has no thread yet: what is ours stays so until then */
};

const struct route_decision *route_decision(const struct device *device);
struct route_aim route_aim(const struct device *device);
void route_reconcile(struct device *device);
void route_held(struct device *device);
void route_at(struct route *route, struct vm *vm);
void route_take(struct device *device, bool close_it);
void route_was_reset(void *ctx, int r, const char *reason);
void route_let_go(struct device *device);
