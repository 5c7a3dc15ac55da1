/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The domains that libvirt has, by name: what state each is in, and whether its guest agent
 * answers. Fed by libvirt's list and events; what changes is told at once, in lines for the daemon.
 * Pure: the connection is the caller's.
 */
#pragma once

#include "base/list.h"
#include "protocol/virt_wire.h"

#define DOMAINS_MAX 1024

struct domains {
	struct list all; /* of struct domain */
	unsigned n;
	void (*tell)(void *ctx, const struct virt_line *line);
	void *ctx;
};

void domains_init(struct domains *domains, void (*tell)(void *ctx, const struct virt_line *line),
		  void *ctx);
void domains_clear(struct domains *domains);
void domains_tell_all(const struct domains *domains);
void domains_set_state(struct domains *domains, const char *name, enum virt_state state);
void domains_set_agent(struct domains *domains, const char *name, bool yes);
void domains_lifecycle(struct domains *domains, const char *name, int event, int detail);
enum virt_state domains_state_of(int state, int reason);
