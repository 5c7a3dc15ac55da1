/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest sees exported, or a machine on the LAN, and which client in it gets what it asks for. A VM's process answers
 * lists by itself, from what it is told here; it asks about each import.
 *
 * Control thread only.
 */
#pragma once

#include <stdint.h>

struct guest_peer;
struct routing;
struct vm;

void exports_tell(struct routing *routing, struct vm *vm);
void exports_import_asked(struct routing *routing, struct vm *vm, uint32_t client,
			  const char *busid);
void exports_lan_asked(struct routing *routing, struct vm *lan, uint32_t client, const char *busid,
		       const struct guest_peer *peer);
