/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of this room share: a device's route, whole. Others are told of it by route_status().
 *
 * Invariants: state is ROUTE_HELD just while there are placements; at most one step is under way in each, and at most one of
 * control's own where there are none.
 */
#pragma once

#include "base/loop.h"
#include "daemon/broker/broker.h"
#include "daemon/routing/placement.h"
#include "daemon/routing/route.h"

struct route {
	struct device *device;
	struct routing *routing;
	enum route_state state; /* what control does with it; ROUTE_HELD: what its placements do */
	struct list placements; /* of struct placement: the VMs that it is in */
	struct route_let_go let_go; /* in one of them */
	struct route_before before; /* where the last control had it, until it is taken up */
	int guard;		    /* while open, the broker lets nobody mount its disks */
	bool gone;		    /* libusb says so; udev will */
	int failure;		    /* the errno of the last failure */
	char reason[160];	    /* why it is not where it should be */
	unsigned failures;
	struct loop_watch retry;
	struct loop_watch lost; /* until its drivers are looked at: route_lost.c */
	struct broker_request req;
	route_reset_done reset_done; /* RESETTING: who hears of its end; or NULL */
	void *reset_ctx;
	struct route_decision decision; /* the last one; holds where @basis is core's */
	uint64_t basis;
	char aimed[32]; /* where it was wanted when last looked at */
};

/* Which VM should have a device, and what for. */
struct route_aim {
	struct vm *vm; /* NULL: the host's drivers should have it */
	enum placement_role role;
	bool spared; /* a rule would take it, and it is the host's last keyboard */
	bool coming; /* its VM has no process yet: until then a device that is ours stays so */
};

void route_lan_words(const struct device *device, char *text, size_t size);
void route_lan_leaves(const struct placement *placement, const struct route_aim *aim);
const struct route_decision *route_decision(const struct device *device);
struct route_aim route_aim(const struct device *device);
enum route_state route_state(const struct route *route);
void route_reconcile(struct device *device);
void route_try_again(struct device *device);
void route_was_reset(void *ctx, int r, const char *reason);
