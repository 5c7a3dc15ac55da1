/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a device is wanted and where it is, in the contract's words; see route.h. Changes nothing.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/route.h"
#include "daemon/route_call.h"

/**
 * route_wanted() - where a device is wished to be, whether that can be or not
 * @device:	the device
 * @ret_by:	"default" or "command"
 *
 * Return: a VM's name or "host".
 */
const char *route_wanted(const struct device *device, const char **ret_by)
{
	struct device_facts facts = device_facts_of(device);
	const struct wish *w =
		wish_find(&device->daemon->wishes, &facts, device_pair_is_unique(device));

	*ret_by = w ? "command" : "default";
	return w ? w->target : "host";
}

/**
 * route_actual() - where a device is
 * @device:	the device
 *
 * Return: the name of the VM that it is exported to or attached in, else "host": also where it is
 * claimed for a VM that is away.
 */
const char *route_actual(const struct device *device)
{
	const struct route *route = &device->route;

	return route->state == ROUTE_HELD && route->at->connected ? route->at->name : "host";
}

/**
 * route_state_name() - a device's state, as the contract names it
 * @device:	the device
 * @reason:	why it is not where it is wanted; "" where it is
 * @size:	room there
 */
const char *route_state_name(const struct device *device, char *reason, size_t size)
{
	const struct route *route = &device->route;
	const char *by, *wish = route_wanted(device, &by);
	char by_text[200];
	const struct vm *vm = vm_find(device->daemon, wish);

	*reason = 0;
	if (device->broken[0]) {
		snprintf(reason, size, "%s", device->broken);
		return "broken";
	}
	switch (route->state) {
	case ROUTE_HOST:
		if (!strcmp(wish, "host"))
			return "present";
		if (!route_permits(device->daemon, device, device->alias, wish, by_text,
				   sizeof(by_text))) {
			snprintf(reason, size, "%s may not have it: %s", wish, by_text);
			return "denied";
		}
		snprintf(reason, size, vm ? "%s is not connected" : "%s is not configured", wish);
		return "pending";
	case ROUTE_OPENING:
	case ROUTE_GIVING:
		snprintf(reason, size, "it is being claimed");
		return "pending";
	case ROUTE_HELD:
		if (route->session)
			return "attached";
		if (route->at->connected)
			return "exported";
		snprintf(reason, size, "%s is not connected", route->at->name);
		return "claimed";
	case ROUTE_TAKING:
	case ROUTE_REBINDING:
		return "draining";
	case ROUTE_FAILED:
		break;
	}
	snprintf(reason, size, "%s", route->reason);
	return "failed";
}
