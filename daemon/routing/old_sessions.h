/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The USB/IP connections that are up, kept in the runtime directory, so that a start after a crash
 * can tell the guests that theirs are dead: a guest's kernel waits for a key on a connection for
 * ever.
 *
 * One connection a line: VM, the guest's address, its port.
 */
#pragma once

struct routing;
struct vm;

void old_sessions_load(struct routing *routing);
void old_sessions_save(struct routing *routing);
void old_sessions_hang_up(struct routing *routing, struct vm *vm);
void old_sessions_forget(struct routing *routing, struct vm *vm);
void old_sessions_free(struct routing *routing);
