/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest sees exported, and who in it gets what; see exports.h. */
#include "daemon/routing/exports.h"

#include <errno.h>
#include <string.h>

#include "base/ip.h"
#include "base/log.h"
#include "daemon/routing/route.h"
#include "daemon/routing/route_private.h"
#include "daemon/vms/vm_process.h"

/**
 * exports_tell() - tell a VM's process what its guest sees now
 * @routing:	the routing
 * @vm:		the VM
 */
void exports_tell(struct routing *routing, struct vm *vm)
{
	/* When control ends, processes end one by one. */
	if (!vm->guest || vm->vms->core->stopping)
		return;
	list_for_each(it, &routing->devices->all) {
		struct device *d = list_entry(it, struct device, link);
		struct placement *placement = placement_in(d, vm);
		bool exported;

		if (!placement || placement->state != PLACEMENT_HELD)
			continue;
		exported = route_exported_to(d, vm);
		if (vm->is_lan) {
			struct ip_prefix to[ROUTE_LAN_TO];

			guest_may(vm->guest, placement->gd, to, route_lan_to(d, to));
		}
		if (exported == placement->told_exported)
			continue;
		placement->told_exported = exported;
		guest_export(vm->guest, placement->gd, exported);
	}
}

/* By the kernel's port name, or by its alias. */
static struct device *exported_as(struct routing *routing, struct vm *vm, const char *name)
{
	list_for_each(it, &routing->devices->all) {
		struct device *d = list_entry(it, struct device, link);
		const char *alias = device_alias(d);

		if (route_exported_to(d, vm) &&
		    (!strcmp(d->busid, name) || (alias && !strcmp(alias, name))))
			return d;
	}
	return NULL;
}

static void import_or_refuse(struct device *d, struct vm *vm, uint32_t client)
{
	int r = route_import(d, vm, client);

	if (r == -EBUSY)
		guest_probe(vm->guest, placement_in(d, vm)->gd, client);
	else if (r < 0)
		guest_refuse(vm->guest, client, USBIP_ST_NODEV);
}

/**
 * exports_lan_asked() - a USB/IP client on the LAN asks for a device
 * @routing:	the routing
 * @lan:	of lan_vm(), or what it was
 * @client:	its number
 * @busid:	what it asks for
 * @peer:	who asks. One that may not have it is told the same as of a device that is not there
 */
void exports_lan_asked(struct routing *routing, struct vm *lan, uint32_t client, const char *busid,
		       const struct guest_peer *peer)
{
	struct device *d = exported_as(routing, lan, busid);
	struct ip_endpoint who = {.v6 = peer->v6, .port = peer->port};
	char text[IP_TEXT_SIZE];

	if (d && route_lan_may(d, peer)) {
		import_or_refuse(d, lan, client);
		return;
	}
	memcpy(who.address, peer->address, sizeof(who.address));
	log_limited(&lan->limit, LOG_LEVEL_INFO,
		    "LAN export: %s asked for \"%s\", which is not exported to it",
		    ip_endpoint_text(&who, text), busid);
	guest_refuse(lan->guest, client, USBIP_ST_NODEV);
}

/**
 * exports_import_asked() - a USB/IP client asks for a device
 * @routing:	the routing
 * @vm:		the VM that it is in
 * @client:	its number
 * @busid:	what it asks for
 */
void exports_import_asked(struct routing *routing, struct vm *vm, uint32_t client,
			  const char *busid)
{
	struct device *d = exported_as(routing, vm, busid);

	if (!d) {
		log_limited(&vm->limit, LOG_LEVEL_INFO,
			    "%s: asked for \"%s\", which is not routed to it", vm->name, busid);
		guest_refuse(vm->guest, client, USBIP_ST_NODEV);
		return;
	}
	import_or_refuse(d, vm, client);
}
