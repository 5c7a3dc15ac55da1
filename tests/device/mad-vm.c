/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In the place of usbrouted-vm: a VM's process that was taken over, or is broken. It never ends by itself,
 * whatever becomes of its line. It has a VM's process's name once it has begun. What it does wrong is
 * its VM's name. The list of system calls of its starter holds for it:
 *
 *   nonsense  says what answers nothing, when a front-end connects
 *   leaver    closes its line, when a front-end connects
 *   mute      says nothing at all
 *   undying   does all as it should, until it is to end
 */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "protocol/vm_wire.h"

#define LINE_FD 3

struct mad {
	const char *name;
	int line, door; /* control; where the next one connects */
	int front;	/* where a front-end does */
	bool serves;
};

static void say(const struct mad *mad, const void *message)
{
	uint32_t kind;

	memcpy(&kind, message, sizeof(kind));
	fd_send(mad->line, message, vm_wire_size(kind), NULL, 0);
}

static void connected(struct mad *mad)
{
	fd_close(accept4(mad->front, NULL, NULL, SOCK_CLOEXEC));
	if (!strcmp(mad->name, "nonsense"))
		say(mad, &(struct vm_wire_device_result){
				 .kind = VM_SAY_TAKEN, .device = 77, .closed = 1});
	else if (!strcmp(mad->name, "leaver"))
		mad->line = fd_close(mad->line);
}

static void hears(struct mad *mad)
{
	union vm_wire_message m = {.kind = 0};
	int fds[VM_WIRE_FDS] = {-1, -1, -1};
	unsigned n_fds;
	char name[16];

	if (fd_receive(mad->line, &m, sizeof(m), fds, VM_WIRE_FDS, &n_fds, 0) <= 0) {
		mad->line = fd_close(mad->line);
		return;
	}
	switch (m.kind) {
	case VM_ASK_HELLO:
		say(mad, &(struct vm_wire_hello){.kind = VM_SAY_HELLO,
						 .version = VM_WIRE_VERSION,
						 .least = VM_WIRE_LEAST,
						 .serves = mad->serves});
		break;
	case VM_ASK_START:
		fd_close(mad->front);
		fd_close(mad->door);
		mad->front = take_fd(&fds[0]);
		mad->door = take_fd(&fds[1]);
		listen(mad->door, 4);
		mad->serves = true;
		snprintf(name, sizeof(name), "vm:%.12s", mad->name);
		prctl(PR_SET_NAME, name);
		say(mad, &(struct vm_wire_started){.kind = VM_SAY_STARTED});
		break;
	case VM_ASK_HELD:
		say(mad, &(struct vm_wire_plain){.kind = VM_SAY_HELD_ALL});
		break;
	default:
		break;
	}
	for (unsigned i = 0; i < VM_WIRE_FDS; i++)
		fd_close(fds[i]);
}

int main(int argc, char **argv)
{
	struct mad mad = {
		.name = argc > 1 ? argv[argc - 1] : "", .line = LINE_FD, .door = -1, .front = -1};
	while (!strcmp(mad.name, "mute"))
		poll(NULL, 0, -1);
	for (;;) {
		struct pollfd wait[] = {{.fd = mad.line, .events = POLLIN},
					{.fd = mad.door, .events = POLLIN},
					{.fd = mad.front, .events = POLLIN}};

		poll(wait, 3, -1);
		if (wait[2].revents) {
			connected(&mad);
		} else if (wait[1].revents) {
			fd_close(mad.line);
			mad.line = accept4(mad.door, NULL, NULL, SOCK_CLOEXEC);
		} else if (wait[0].revents) {
			hears(&mad);
		}
	}
}
