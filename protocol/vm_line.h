/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One end of the line between control and a VM's process: messages of vm_wire.h over a SOCK_SEQPACKET
 * socket. One thread's.
 *
 * Nobody waits here: a message that the socket has no room for is kept, and sent when it has. If
 * the other side does not read for so long that too much is kept, the line is lost.
 *
 * Control never takes a descriptor out of the queue (VM_WIRE_CONTROL receives none): a process that
 * sends one all the same loses its line. See base/stranger.h for why.
 */
#pragma once

#include <stdbool.h>

#include "base/list.h"
#include "base/log.h"
#include "base/loop.h"
#include "protocol/vm_wire.h"

#define VM_LINE_KEPT_MAX 256 /* messages that wait for room in the socket */

struct vm_line;

/* All are called in the line's thread. @ctx is as given to vm_line_open(). */
struct vm_line_ops {
	/*
	 * A message has come; it is there for the length of the call. @fds, as many as its kind has,
	 * are the callee's. Return: NULL, or what is wrong with it here, and the line is lost.
	 */
	const char *(*message)(void *ctx, const union vm_wire_message *message, int *fds);
	/* The other side has gone, or said what it may not. Nothing is called afterwards; the line
	 * may be freed within. */
	void (*lost)(void *ctx, const char *why);
};

int vm_line_open(struct vm_line **ret_line, struct loop *loop, int sock, enum vm_wire_side side,
		 const struct vm_line_ops *ops, void *ctx);
struct vm_line *vm_line_free(struct vm_line *line);
int vm_line_socket(const struct vm_line *line);
void vm_line_agree(struct vm_line *line, uint32_t version);
void vm_line_send(struct vm_line *line, const void *message, const int *fds, unsigned n_fds);
