/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unix sockets that strangers may connect to.
 *
 * A stranger may send descriptors beside its bytes. Whoever takes such a message out of the queue,
 * or throws the queue away, may be the last one to close them. That may take as long as the
 * stranger likes: SO_LINGER on a TCP socket whose peer does not read is enough. So such a socket is
 *
 *   read by stranger_receive(), which leaves a message with descriptors in the queue and says so;
 *   closed by stranger_close(), which looks first, and hands a socket with such a queue to the closer.
 *
 * The closer is a process that only closes what it is handed, each in a child of its own. It is
 * started once, before any thread, and ends with the process that started it. It has its own stage
 * of the sandbox. From Linux 6.16 on a listener itself refuses descriptors (SO_PASSRIGHTS), and the
 * closer has nothing to do.
 */
#pragma once

#include <sys/types.h>

#include "base/mem.h"
#include "base/sandbox.h"

int strangers_start(const struct sandbox_user *user);

void stranger_listener(int listener);
int stranger_accept(int listener);
ssize_t stranger_receive(int sock, void *buf, size_t size);
int stranger_close(int sock);
int stranger_listener_close(int listener);

static inline void stranger_closep(int *sock)
{
	*sock = stranger_close(*sock);
}

#define _cleanup_stranger_ _cleanup_(stranger_closep)
