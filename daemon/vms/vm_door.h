/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * NAME.line in the runtime directory: the door of a VM's process, by which the next control finds it.
 *
 * Control makes a listener for the next control, and the process gets it with START. It is made as
 * NAME.line.new, and becomes NAME.line when the process has it (or when no process is at the old
 * one). So NAME.line leads to the process whenever control dies. The process serves the door by
 * which its control came until another control comes by the new one.
 */
#pragma once

#include <stdbool.h>

#define VM_DOOR_NAME_SIZE 48

bool vm_door_is(const char *file, char ret_name[VM_DOOR_NAME_SIZE]);
int vm_door_connect(const char *folder, const char *name);
int vm_door_process(int line);
int vm_door_tell_end(int line);
int vm_door_make(const char *folder, const char *name);
int vm_door_open(const char *folder, const char *name);
void vm_door_forget(const char *folder, const char *name);
