/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What makes a guest take the devices that are routed to it.
 *
 * There may be several ways to the inside of a guest: usbroute-agent, a program in it, is one.
 * guest_side.c keeps the table of them, the best first; the first that is there for a VM is used.
 * Where none is, a person types the line that a command prints.
 *
 * Control thread only. Nothing is done within guest_side_changed(): it raises EVENT_EXPORTS_CHANGED.
 */
#pragma once

#include <stdbool.h>

struct vm;

/* What a way has found out of a guest; numbers are < 0 where they are not known. */
struct guest_ports {
	int high, super; /* free ports of its virtual USB host controllers */
};

/* One way. All but there() are asked of a VM only while the way is there for that VM. */
struct guest_way {
	bool (*there)(const struct vm *vm);
	void (*changed)(struct vm *vm); /* what is exported to it, or a session there */
	const char *(*version)(const struct vm *vm);
	struct guest_ports (*ports)(const struct vm *vm);
};

void guest_side_changed(struct vm *vm);
void guest_side_tell(struct vm *vm);
void guest_side_stop(struct vm *vm);

bool guest_side_takes(const struct vm *vm);
const char *guest_side_version(const struct vm *vm);
struct guest_ports guest_side_ports(const struct vm *vm);
