/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device that a VM's process holds, and that the host's drivers take all the same.
 *
 * It happens where a device has lost its power, or was reset, under its drivers: when the host has slept
 * (S3), or a hub has stumbled. usbfs has no reset_resume, so the kernel unbinds it from all interfaces,
 * and then probes its own drivers (Linux, core/driver.c: usb_resume_interface(),
 * unbind_marked_interfaces(), rebind_marked_interfaces()). Where URBs were in flight, they come back as
 * of a device that is gone, the process closes it, and it is claimed anew (route.c). Without any, such as a
 * disk's between two writes, nobody hears of it: the host would have the guest's disk. So each bind
 * of a driver of the host's is a reason to look.
 *
 *   HELD --the host's driver has it, and still has it a moment later--> RESETTING --> HELD
 *
 * A reset is what ends the session, takes all interfaces back, and has the guest import the device anew: its
 * drivers there have set up a device that has forgotten it (route_reset.c).
 *
 * The moment: a guest that sets another configuration has the kernel probe its drivers, too, before
 * the process claims what that has.
 */
#include <errno.h>

#include "base/log.h"
#include "daemon/devices/host_driver.h"
#include "daemon/routing/route_private.h"

#define MOMENT_NS 100000000ull

static void take_back(void *ctx, int res _unused_)
{
	struct device *device = ctx;
	struct host_driver driver = device_host_driver(device);
	const char *text;
	int r;

	/* Whatever else is under way ends in another claim, or with the host. */
	if (route_state(device->route) != ROUTE_HELD || !driver.name[0])
		return;
	log_warning("%s: the host's driver %s has taken it, as after a sleep or a loss of its "
		    "power: it is taken back",
		    device->tag, driver.name);
	r = route_reset(device, true, NULL, NULL, &text);
	if (r < 0)
		log_err("%s: taking it back: %s", device->tag, errno_text(r));
}

/**
 * route_host_bound() - a driver of the host's has taken an interface of a device
 * @device:	the device, wherever it is
 */
void route_host_bound(struct device *device)
{
	struct route *route = device->route;
	struct loop *loop = device->devices->core->loop;

	if (device->devices->core->stopping)
		return;
	/* It was gone, as its process saw it, and is back: no need to wait for the next try. */
	if (route->state == ROUTE_FAILED && route->failure == -ENODEV)
		route_try_again(device);
	else if (placement_first(device) && !loop_watching(&route->lost) &&
		 loop_watch_time(loop, &route->lost, MOMENT_NS, take_back, device) < 0)
		log_err("%s: no room to look at its drivers", device->tag);
}
