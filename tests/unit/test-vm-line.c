/* SPDX-License-Identifier: BSD-2-Clause */
/* Both ends of a line, in one loop. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "protocol/vm_line.h"

struct end {
	struct vm_line *line;
	unsigned n, n_lost;
	uint32_t last; /* number of the last message */
	bool in_order, free_it;
	const char *refuse; /* what the next message is answered with */
	char why[100];
	int fd; /* the last one that came, or -1 */
};

struct pair {
	struct loop *loop;
	struct end control, vm;
	int raw; /* of the side that has no line */
};

static const char *on_message(void *ctx, const union vm_wire_message *m, int *fds)
{
	struct end *e = ctx;
	uint32_t number = m->kind == VM_ASK_GIVE ? m->give.device : m->number.number;

	e->n++;
	e->in_order = e->in_order && (number == e->last + 1 || e->n == 1);
	e->last = number;
	if (m->kind == VM_ASK_GIVE) {
		fd_close(e->fd);
		e->fd = fds[0];
	}
	if (e->free_it)
		e->line = vm_line_free(e->line);
	return e->refuse;
}

static void on_lost(void *ctx, const char *why)
{
	struct end *e = ctx;

	e->n_lost++;
	snprintf(e->why, sizeof(e->why), "%s", why);
	e->line = vm_line_free(e->line);
}

static const struct vm_line_ops ops = {.message = on_message, .lost = on_lost};

static struct pair *pair_new(bool control, bool vm)
{
	struct pair *p = calloc(1, sizeof(*p));
	int socks[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks), 0);
	assert_int_equal(loop_new(&p->loop), 0);
	p->raw = control ? socks[1] : socks[0];
	p->control.fd = p->vm.fd = -1;
	p->control.in_order = p->vm.in_order = true;
	if (control)
		assert_int_equal(vm_line_open(&p->control.line, p->loop, socks[0], VM_WIRE_CONTROL,
					      &ops, &p->control),
				 0);
	if (vm)
		assert_int_equal(
			vm_line_open(&p->vm.line, p->loop, socks[1], VM_WIRE_VM, &ops, &p->vm), 0);
	if (control && vm)
		p->raw = -1;
	return p;
}

static void pair_free(struct pair *p)
{
	vm_line_free(p->control.line);
	vm_line_free(p->vm.line);
	fd_close(p->control.fd);
	fd_close(p->vm.fd);
	fd_close(p->raw);
	loop_free(p->loop);
	free(p);
}

static void turns(struct pair *p)
{
	for (unsigned i = 0; i < 100; i++)
		loop_turn(p->loop, false);
}

static void say(struct end *e, uint32_t kind, uint32_t number)
{
	vm_line_send(e->line, &(struct vm_wire_number){.kind = kind, .number = number}, NULL, 0);
}

static void test_both_ways(void **state)
{
	struct pair *p = pair_new(true, true);
	struct vm_wire_give give = {.kind = VM_ASK_GIVE, .device = 2};
	int pipe_fds[2];
	char byte;

	assert_int_equal(pipe(pipe_fds), 0);
	say(&p->control, VM_ASK_PEER_GONE, 1);
	vm_line_send(p->control.line, &give, &pipe_fds[1], 1);
	say(&p->vm, VM_SAY_LINK_WANTED, 1);
	turns(p);
	assert_int_equal(p->vm.n, 2);
	assert_true(p->vm.in_order);
	assert_int_equal(p->control.n, 1);
	/* It is the pipe, and the sender has kept its own. */
	assert_int_equal(write(p->vm.fd, "x", 1), 1);
	assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	pair_free(p);
}

/* What the socket has no room for comes later, in order, and with its descriptors. */
static void test_waits_for_room(void **state)
{
	struct pair *p = pair_new(true, true);
	struct vm_wire_give give = {.kind = VM_ASK_GIVE};
	int little = 4096, pipe_fds[2];
	char byte;

	assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);
	assert_int_equal(setsockopt(vm_line_socket(p->control.line), SOL_SOCKET, SO_SNDBUF, &little,
				    sizeof(little)),
			 0);
	for (give.device = 1; give.device <= 100; give.device++)
		vm_line_send(p->control.line, &give, &pipe_fds[1], 1);
	close(pipe_fds[1]);
	for (unsigned i = 0; i < 20; i++)
		turns(p);
	assert_int_equal(p->vm.n, 100);
	assert_int_equal(p->vm.last, 100);
	assert_true(p->vm.in_order);
	assert_int_equal(p->control.n_lost, 0);
	/* No copy of the descriptor is left behind. */
	assert_true(read(pipe_fds[0], &byte, 1) < 0 && errno == EAGAIN);
	p->vm.fd = fd_close(p->vm.fd);
	assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
	close(pipe_fds[0]);
	pair_free(p);
}

/* Who never reads is lost; and the sender is not called back while it sends. */
static void test_who_does_not_read_is_lost(void **state)
{
	struct pair *p = pair_new(true, false);

	for (unsigned i = 0; i < 100000; i++)
		say(&p->control, VM_ASK_PEER_GONE, i);
	assert_int_equal(p->control.n_lost, 0);
	turns(p);
	assert_int_equal(p->control.n_lost, 1);
	assert_string_equal(p->control.why, "it does not read what it is told");
	pair_free(p);
}

static void test_the_other_side_ends(void **state)
{
	struct pair *p = pair_new(true, false);

	p->raw = fd_close(p->raw);
	say(&p->control, VM_ASK_PEER_GONE, 1);
	say(&p->control, VM_ASK_PEER_GONE, 2);
	turns(p);
	assert_int_equal(p->control.n_lost, 1);
	/* Nobody hears, and nothing happens. */
	say(&p->control, VM_ASK_PEER_GONE, 3);
	pair_free(p);
}

/* What the last one said before its end is heard. */
static void test_last_words(void **state)
{
	struct pair *p = pair_new(true, true);

	say(&p->vm, VM_SAY_LINK_WANTED, 1);
	say(&p->vm, VM_SAY_LINK_WANTED, 2);
	p->vm.line = vm_line_free(p->vm.line);
	turns(p);
	assert_int_equal(p->control.n, 2);
	assert_int_equal(p->control.n_lost, 1);
	assert_string_equal(p->control.why, "it has ended");
	pair_free(p);
}

static void test_freed_within_a_message(void **state)
{
	struct pair *p = pair_new(true, true);

	p->control.free_it = true;
	say(&p->vm, VM_SAY_LINK_WANTED, 1);
	say(&p->vm, VM_SAY_LINK_WANTED, 2);
	turns(p);
	assert_int_equal(p->control.n, 1);
	assert_int_equal(p->control.n_lost, 0);
	pair_free(p);
}

/* Nobody reads this socket: closing it lasts for as long as its sender likes. Here it is a pipe. */
static void test_control_takes_no_descriptor(void **state)
{
	struct pair *p = pair_new(true, false);
	struct vm_wire_number m = {.kind = VM_SAY_LINK_WANTED};
	int pipe_fds[2];

	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(fd_send(p->raw, &m, sizeof(m), NULL, 0), 0);
	assert_int_equal(fd_send(p->raw, &m, sizeof(m), &pipe_fds[0], 1), 0);
	turns(p);
	assert_int_equal(p->control.n, 1);
	assert_int_equal(p->control.n_lost, 1);
	assert_string_equal(p->control.why, "it sent a descriptor");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	pair_free(p);
}

/* A process closes what it was not promised, and lets go of such a control. */
static void test_descriptors_too_many(void **state)
{
	static const unsigned sent[] = {0, 2, 3, 4, 16};

	for (size_t i = 0; i < ARRAY_SIZE(sent); i++) {
		struct pair *p = pair_new(false, true);
		struct vm_wire_give give = {.kind = VM_ASK_GIVE};
		int pipe_fds[2], fds[16];
		char byte;

		assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);
		for (unsigned n = 0; n < 16; n++)
			fds[n] = pipe_fds[1];
		/* The raw end is the process's in pair_new()'s eyes only where there is no control. */
		assert_int_equal(fd_send(p->raw, &give, sizeof(give), fds, sent[i]), 0);
		close(pipe_fds[1]);
		turns(p);
		assert_int_equal(p->vm.n, 0);
		assert_int_equal(p->vm.n_lost, 1);
		assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
		close(pipe_fds[0]);
		pair_free(p);
	}
}

static void test_a_newer_control_is_told(void **state)
{
	struct pair *p = pair_new(false, true);
	uint32_t later[100] = {64};
	struct vm_wire_refused refused = {0};

	assert_int_equal(fd_send(p->raw, later, sizeof(later), NULL, 0), 0);
	assert_int_equal(fd_send(p->raw,
				 &(struct vm_wire_number){.kind = VM_ASK_PEER_GONE, .number = 7},
				 sizeof(struct vm_wire_number), NULL, 0),
			 0);
	turns(p);
	assert_int_equal(recv(p->raw, &refused, sizeof(refused), MSG_DONTWAIT), sizeof(refused));
	assert_int_equal(refused.kind, VM_SAY_REFUSED);
	assert_int_equal(refused.refused, 64);
	assert_int_equal(p->vm.last, 7);
	assert_int_equal(p->vm.n_lost, 0);
	pair_free(p);
}

static void test_nonsense_costs_the_line(void **state)
{
	uint8_t longer[sizeof(union vm_wire_message) + 100] = {VM_SAY_HID};

	for (unsigned i = 0; i < 4; i++) {
		struct pair *p = pair_new(true, false);
		size_t len = i == 0 ? 1 : i == 1 ? 8 : sizeof(longer) - (i == 2 ? 0 : 99);

		assert_int_equal(send(p->raw, longer, len, 0), len);
		turns(p);
		assert_int_equal(p->control.n, 0);
		assert_int_equal(p->control.n_lost, 1);
		pair_free(p);
	}
}

static void test_what_is_wrong_here(void **state)
{
	struct pair *p = pair_new(true, true);

	p->control.refuse = "no such device";
	say(&p->vm, VM_SAY_LINK_WANTED, 1);
	say(&p->vm, VM_SAY_LINK_WANTED, 2);
	turns(p);
	assert_int_equal(p->control.n, 1);
	assert_string_equal(p->control.why, "no such device");
	pair_free(p);
}

/* More than a turn takes, and no event for the rest. */
static void test_a_flood_is_read_to_its_end(void **state)
{
	struct pair *p = pair_new(true, false);
	unsigned n = 0;

	while (n < 200 &&
	       fd_send(p->raw, &(struct vm_wire_number){.kind = VM_SAY_LINK_WANTED, .number = n},
		       sizeof(struct vm_wire_number), NULL, 0) == 0)
		n++;
	assert_int_equal(n, 200);
	turns(p);
	assert_int_equal(p->control.n, n);
	pair_free(p);
}

/* Nobody says what the other one does not know, and who does so all the same is found out. */
static void test_a_version_is_agreed_on(void **state)
{
	const struct vm_wire_program program = {.kind = VM_SAY_PROGRAM, .name = "x"};
	struct pair *p = pair_new(true, true);

	vm_line_send(p->vm.line, &program, NULL, 0);
	turns(p);
	assert_int_equal(p->control.n, 1);
	vm_line_agree(p->vm.line, vm_wire_since(VM_SAY_PROGRAM) - 1);
	vm_line_send(p->vm.line, &program, NULL, 0);
	say(&p->vm, VM_SAY_LINK_WANTED, 1);
	turns(p);
	assert_int_equal(p->control.n, 2);
	vm_line_agree(p->control.line, vm_wire_since(VM_SAY_PROGRAM) - 1);
	vm_line_agree(p->vm.line, vm_wire_since(VM_SAY_PROGRAM));
	vm_line_send(p->vm.line, &program, NULL, 0);
	turns(p);
	assert_int_equal(p->control.n, 2);
	assert_string_equal(p->control.why, "it said what this version does not know");
	pair_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_waits_for_room),
		cmocka_unit_test(test_who_does_not_read_is_lost),
		cmocka_unit_test(test_the_other_side_ends),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_freed_within_a_message),
		cmocka_unit_test(test_control_takes_no_descriptor),
		cmocka_unit_test(test_descriptors_too_many),
		cmocka_unit_test(test_a_newer_control_is_told),
		cmocka_unit_test(test_nonsense_costs_the_line),
		cmocka_unit_test(test_what_is_wrong_here),
		cmocka_unit_test(test_a_flood_is_read_to_its_end),
		cmocka_unit_test(test_a_version_is_agreed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
