/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file in a guest, by QEMU's guest agent: guest-file-open, -write, -read and -close. The agent
 * makes a new file that everybody in the guest may write to (QEMU 7.2, qga/commands-posix.c,
 * DEFAULT_NEW_FILE_MODE), so the caller names a folder that only root may enter.
 */
#pragma once

#include "qemu_agent/guest_agent.h"

/* Bytes that one command carries. */
#define GUEST_FILE_CHUNK (48 * 1024)

/* Outcome of guest_file_compare(). */
enum { GUEST_FILE_DIFFERS = 1 };

/* How far it has come, for whoever waits. May be NULL. */
typedef void guest_file_tell(void *ctx, size_t done, size_t all);

int guest_file_write(struct guest_agent *agent, const char *path, const void *data, size_t len,
		     guest_file_tell *tell, void *ctx);
int guest_file_compare(struct guest_agent *agent, const char *path, const void *data, size_t len);
