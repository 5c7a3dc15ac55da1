/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports that were switched off by command, by the devices that were in them.
 *
 * A device whose port is off is unplugged to everybody else. It is remembered here, so that `list`
 * says why it is not there, and `power on` finds it by the words that meant it before; and in a
 * file of the runtime directory, so that the next start of the daemon knows it, too (a reboot
 * switches all ports on). It is forgotten when its port is switched on again, when something comes
 * into it all the same, or when the hub goes.
 */
#pragma once

#include "daemon/devices/device.h"

#define PORT_PEER_SIZE 36

struct port_off {
	struct device device; /* in devices->off; in no step, and never routed */
	char peer
		[PORT_PEER_SIZE]; /* what is in the other half of its connector is called so, or "" */
	bool off;		  /* else: about to be */
	bool cycling;		  /* it is to be switched on again by whoever finds it */
};

int port_off_add(const struct device *device, bool cycling, char *error, size_t size);
int port_off_confirm(struct devices *devices, const char *busid);
void port_off_forget(struct devices *devices, const char *busid);
struct port_off *port_off_find(const struct devices *devices, const char *busid);
int port_off_resolve(struct devices *devices, const char *text, struct device **ret_device);
bool port_off_shown(const struct port_off *off);

void port_off_returned(const struct device *device);
void port_off_hub_gone(struct devices *devices, const char *hub);

int ports_off_load(struct devices *devices);
void ports_off_free(struct devices *devices);
