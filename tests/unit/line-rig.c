/* SPDX-License-Identifier: BSD-2-Clause */
/* See line-rig.h. */
#include "tests/unit/line-rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

void turns(struct rig *rig)
{
	bool more = true;

	/* The loop would wait: there is always a turn to make. */
	for (unsigned i = 0; i < 30 && rig->serves; i++) {
		more = true;
		rig->serves = control_line_serve(rig->line, &more);
	}
}

void asks_with(struct rig *rig, const void *message, const int *fds, unsigned n)
{
	uint32_t kind;

	memcpy(&kind, message, sizeof(kind));
	assert_int_equal(fd_send(rig->control, message, vm_wire_size(kind), fds, n), 0);
	turns(rig);
}

void asks(struct rig *rig, const void *message)
{
	asks_with(rig, message, NULL, 0);
}

union vm_wire_message hears(struct rig *rig, uint32_t kind)
{
	union vm_wire_message m;
	const char *fault;
	ssize_t len;

	memset(&m, 0, sizeof(m));
	turns(rig);
	len = recv(rig->control, &m, sizeof(m), MSG_DONTWAIT);
	assert_true(len > 0);
	assert_int_equal(m.kind, kind);
	assert_int_equal(vm_wire_check(&m, (size_t)len, 0, VM_WIRE_VM, &fault), 0);
	return m;
}

void hears_nothing(struct rig *rig)
{
	char byte;

	turns(rig);
	assert_true(recv(rig->control, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN);
}

void line_is_over(struct rig *rig)
{
	union vm_wire_message m;

	turns(rig);
	while (recv(rig->control, &m, sizeof(m), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(recv(rig->control, &m, sizeof(m), MSG_DONTWAIT), 0);
}

int listens(struct rig *rig, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/test-line-%d-%s", getpid(),
		 name);
	snprintf(rig->door, sizeof(rig->door), "%s", address.sun_path);
	unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

void greet(struct rig *rig, bool serves)
{
	struct vm_wire_hello hello = vm_wire_hello(VM_ASK_HELLO, false);

	asks(rig, &hello);
	assert_int_equal(hears(rig, VM_SAY_HELLO).hello.serves, serves);
	hears(rig, VM_SAY_PROGRAM);
}

/* A process that has been greeted, and is nothing yet. */
struct rig *begin_line(bool for_lan)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(loop_new(&rig->loop), 0);
	assert_int_equal(control_line_new(&rig->line, rig->loop, pair[0], for_lan), 0);
	rig->control = pair[1];
	rig->serves = true;
	greet(rig, false);
	return rig;
}

void end_line(struct rig *rig)
{
	control_line_free(rig->line);
	loop_free(rig->loop);
	close(rig->control);
	unlink(rig->door);
	free(rig);
}

/* The last control dies, and another one comes by the door. */
void next_control(struct rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	close(rig->control);
	turns(rig);
	assert_true(rig->serves);
	rig->control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	memcpy(address.sun_path, rig->door, sizeof(address.sun_path));
	assert_int_equal(connect(rig->control, (struct sockaddr *)&address, sizeof(address)), 0);
	turns(rig);
	greet(rig, true);
}
