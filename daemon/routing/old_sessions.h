/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * USB/IP connections whose process may die under them. A guest's kernel waits for a key on such a one for
 * ever, so the VM's next process tells the guest that it is dead.
 *
 *   up (struct route) --its process dies; control does, and the process too--> dead --told--> told
 *   told --LASTS, or the guest can't believe in it any more--> forgotten; --this process dies, too--> dead
 *
 * All of them are in the runtime directory, so that a start after a crash knows of them. One connection a
 * line: VM, the guest's address, its port, and where it is dead: "dead".
 *
 * What a connection is called a guest's own process says: so there are PER_VM of a VM at the most, the
 * oldest makes room for a newer one, and they concern that guest alone.
 */
#pragma once

struct guest_peer;
struct routing;
struct vm;

void old_sessions_load(struct routing *routing);
void old_sessions_save(struct routing *routing);
void old_sessions_lost(struct routing *routing, struct vm *vm, const struct guest_peer *peer);
void old_sessions_hang_up(struct routing *routing, struct vm *vm);
void old_sessions_forget(struct routing *routing, struct vm *vm);
void old_sessions_free(struct routing *routing);
