/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What virt_link.c (the socket, and the domains) and virt_way.c (what guests are asked) share.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/log.h"
#include "base/listener.h"
#include "base/loop.h"
#include "protocol/virt_wire.h"
#include "daemon/guests/virt_link.h"

struct virt_domain {
	struct list link;
	char name[VIRT_DOMAIN_MAX + 1];
	enum virt_state state;
	bool agent;
};

struct virt_link {
	struct guests *guests;
	int listener, sock;
	struct listener door;
	struct loop_watch watch;
	struct virt_reader reader;
	bool libvirt; /* it has libvirt */
	struct list domains, asks;
	unsigned n_domains, last_id;
	gid_t group; /* or -1 */
	struct log_limit limit;
};

void virt_say(struct virt_link *link, const struct virt_line *line);
struct virt_domain *virt_domain_find(const struct vm *vm);

void virt_asks_forget(struct virt_link *link, const struct vm *vm);
void virt_asks_answered(struct virt_link *link, const struct virt_line *line);
