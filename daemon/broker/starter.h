/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The starter: a process that starts the VMs' processes, and control's end of the line to it.
 *
 * It is forked beside the broker, before anything else. It runs `usbrouted-vm NAME` (`--lan` for the LAN export), found in
 * usbrouted's own folder, with one end of a new line as descriptor 3, and hands out the other end.
 * The broker can't do that: what confines the broker would confine its children, too, and they have
 * to shut themselves in differently (dataplane/enclose.h).
 *
 * It also kills one for control. It is the user "usbrouted-vm", as they are, so that it can kill
 * nobody else's process. It ends with control; the processes that it has started go on.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "daemon/broker/helper_line.h"

#define STARTER_NAME_SIZE 48
/* The LAN export's process; no VM and no uplink is called so. */
#define STARTER_LAN "lan.export"

struct sandbox_user;
struct starter;
struct starter_request;

/**
 * typedef starter_done - an answer has come
 * @req:	the request, free to be used again
 * @r:		0 or a negative errno
 * @line:	the callee's end of the line to the process, or -1
 * @process:	its pidfd, the callee's, or -1
 * @text:	what went wrong, for a person; "" on success
 */
typedef void (*starter_done)(struct starter_request *req, int r, int line, int process,
			     const char *text);

struct starter_request {
	struct helper_request line;
	starter_done done;
};

bool starter_vm_user(struct sandbox_user *ret_user);
int starter_start(int *ret_line);

int starter_new(struct starter **ret_starter, struct loop *loop, int line, void (*lost)(void *ctx),
		void *ctx);
struct starter *starter_free(struct starter *starter);
int starter_run(struct starter *starter, struct starter_request *req, const char *name,
		starter_done done);
void starter_forget(struct starter_request *req);
int starter_kill(struct starter *starter, const char *name, int process);
