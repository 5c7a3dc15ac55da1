/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device that is reset where it is: the one step that ends where it began.
 *
 *   HELD ----> RESETTING ----> HELD              by its thread: the session ends, worker resets
 *   HOST, FAILED ----> RESETTING ----> HOST      by the broker
 *
 * USB/IP has no message for a reset. A guest that kept its session would go on with drivers that
 * have set the device up once (a serial line's speed, a card's filter, a keyboard's lights), and a
 * device that has forgotten all of it. So the session ends, and the guest imports the device again;
 * its drivers begin from the start. Route and wishes stay.
 */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "daemon/routing/route_private.h"

static void tell_end(struct device *device, int r, const char *reason)
{
	route_reset_done done = device->route->reset_done;

	device->route->reset_done = NULL;
	if (done)
		done(device->route->reset_ctx, device, r, reason);
}

/**
 * route_was_reset() - a VM's process has reset a device, or could not
 * @ctx:	the device
 * @r:		0 or a negative errno; -ENODEV: it has gone, or came back as another one
 * @reason:	what went wrong
 */
void route_was_reset(void *ctx, int r, const char *reason)
{
	struct placement *placement = ctx;
	struct device *device = placement->device;
	struct route *route = device->route;

	if (placement->state != PLACEMENT_RESETTING)
		return;
	if (r < 0) {
		route->failure = r;
		snprintf(route->reason, sizeof(route->reason), "%s",
			 *reason ? reason : errno_text(r));
		tell_end(device, r, route->reason);
		placement_take(placement, true);
		return;
	}
	placement->state = PLACEMENT_HELD;
	log_info("%s: reset", device->tag);
	tell_end(device, 0, "");
	placement_held(placement);
	route_reconcile(device);
}

static void broker_was_reset(struct broker_request *req, int r, int *fds _unused_, const char *text)
{
	struct device *device = container_of(req, struct route, req)->device;
	char reason[200];

	/* If the host uses it, the broker's text says it all. */
	snprintf(reason, sizeof(reason), "%s%s%s", text, r == -EBUSY || r == 0 ? "" : ": ",
		 r == -EBUSY || r == 0 ? "" : errno_text(r));
	if (r == 0)
		log_info("%s: reset", device->tag);
	device->route->state = ROUTE_HOST;
	tell_end(device, r, reason);
	route_reconcile(device);
}

/**
 * route_reset() - begin to reset a device where it is
 * @device:	the device
 * @force:	where the host has it: also where the host uses a disk of it
 * @done:	called with @ctx when it has ended, unless it is unplugged meanwhile
 * @ret_text:	where it can't be reset now: why; static
 *
 * Return: 0; -EBUSY where it is on its way; or another negative errno.
 */
int route_reset(struct device *device, bool force, route_reset_done done, void *ctx,
		const char **ret_text)
{
	struct route *route = device->route;
	struct broker_device identity = route_identity(device);
	struct placement *placement;
	int r;

	switch (route_state(route)) {
	case ROUTE_HELD:
		placement = placement_first(device);
		placement->state = PLACEMENT_RESETTING;
		route->reset_done = done;
		route->reset_ctx = ctx;
		vm_raise(placement->vm, EVENT_EXPORTS_CHANGED);
		guest_reset(placement->vm->guest, placement->gd);
		return 0;
	case ROUTE_HOST:
	case ROUTE_FAILED:
		*ret_text = "asking the broker for it failed";
		r = broker_reset(device->route->routing->broker, &route->req, &identity, force,
				 broker_was_reset);
		if (r < 0)
			return r;
		loop_cancel(device->devices->core->loop, &route->retry);
		route->state = ROUTE_RESETTING;
		route->reset_done = done;
		route->reset_ctx = ctx;
		return 0;
	case ROUTE_OPENING:
	case ROUTE_GIVING:
		*ret_text = "it is being claimed just now; try again in a moment";
		break;
	case ROUTE_TAKING:
	case ROUTE_REBINDING:
		*ret_text = "it is on its way back just now; try again in a moment";
		break;
	case ROUTE_RESETTING:
		*ret_text = "it is being reset already";
		break;
	}
	return -EBUSY;
}
