/* SPDX-License-Identifier: BSD-2-Clause */
/* A kernel's socket as a stream: what is shown, what comes back, its ends; and a USB/IP session on it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/socket_stream.h"
#include "script-backend.h"
#include "usbip/usbip_session.h"

struct rig {
	struct stream stream;
	struct loop *loop;
	int other; /* the other end's socket */
	uint8_t got[256];
	size_t n_got, takes; /* at most so many a call; 0: all */
	unsigned n_ended, n_released, n_closed;
	int why;
	bool ends; /* from within receive() */
	struct stream_buffer *released[8];
	struct usbip_session *session;
	struct script script;
};

static size_t on_receive(struct stream *stream, const struct iovec *parts,
			 unsigned n_parts _unused_, size_t len)
{
	struct rig *g = container_of(stream, struct rig, stream);
	size_t taken = g->takes ? min_t(size_t, g->takes, len) : len;

	if (g->session) {
		assert_int_equal(usbip_session_take(g->session, parts, len, &taken), 0);
		stream_set_room(stream, usbip_session_takes(g->session));
		return taken;
	}
	memcpy(g->got + g->n_got, parts->iov_base, taken);
	g->n_got += taken;
	if (g->ends)
		stream_end(stream);
	return taken;
}

static void on_ended(struct stream *stream)
{
	container_of(stream, struct rig, stream)->n_ended++;
}

static void on_released(struct stream *stream, struct stream_buffer *buffer)
{
	struct rig *g = container_of(stream, struct rig, stream);

	if (g->session)
		usbip_session_sent(g->session, buffer);
	else
		g->released[g->n_released] = buffer;
	g->n_released++;
}

static void on_closed(struct stream *stream, int why)
{
	struct rig *g = container_of(stream, struct rig, stream);

	g->n_closed++;
	g->why = why;
}

static const struct stream_ops ops = {
	.receive = on_receive,
	.ended = on_ended,
	.released = on_released,
	.closed = on_closed,
};

static void turns(struct rig *g)
{
	for (unsigned i = 0; i < 8; i++)
		loop_turn(g->loop, false);
}

static int set_up(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(loop_new(&g->loop), 0);
	assert_int_equal(socket_stream_begin(&g->stream, &ops, g->loop, sv[0]), 0);
	g->other = sv[1];
	*state = g;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *g = *state;

	stream_end(&g->stream);
	fd_close(g->other);
	loop_free(g->loop);
	free(g);
	return 0;
}

static void says(struct rig *g, const char *text)
{
	assert_int_equal(send(g->other, text, strlen(text), 0), strlen(text));
	turns(g);
}

static void what_was_not_taken_comes_again(void **state)
{
	struct rig *g = *state;

	g->takes = 2;
	says(g, "hello");
	says(g, "you");
	assert_int_equal(g->n_got, 2);
	stream_resume(&g->stream);
	turns(g);
	assert_int_equal(g->n_got, 4);
	g->takes = 0;
	stream_resume(&g->stream);
	turns(g);
	assert_int_equal(g->n_got, 8);
	assert_memory_equal(g->got, "helloyou", 8);
}

static void no_more_than_there_is_room_for(void **state)
{
	struct rig *g = *state;

	stream_set_room(&g->stream, 3);
	says(g, "hello");
	assert_int_equal(g->n_got, 3);
	stream_set_room(&g->stream, 10);
	turns(g);
	assert_memory_equal(g->got, "hello", 5);
}

static void buffers_come_back_in_order(void **state)
{
	static uint8_t much[1 << 20];
	struct stream_buffer a = {.data = "ab", .len = 2}, b = {.data = much, .len = sizeof(much)},
			     c = {.data = "c", .len = 1};
	struct rig *g = *state;
	uint8_t got[4096];
	size_t n = 0;

	assert_int_equal(stream_send(&g->stream, &a), 0);
	assert_int_equal(stream_send(&g->stream, &b), 0);
	assert_int_equal(stream_send(&g->stream, &c), 0);
	assert_int_equal(g->n_released, 0);
	turns(g);
	assert_true(g->n_released >= 1);
	stream_shutdown(&g->stream);
	assert_int_equal(stream_send(&g->stream, &a), -EPIPE);
	for (ssize_t r = 1; r; n += (size_t)r) {
		r = recv(g->other, got, sizeof(got), 0);
		assert_true(r >= 0);
		turns(g);
	}
	assert_int_equal(n, sizeof(much) + 3);
	assert_true(g->released[0] == &a && g->released[1] == &b && g->released[2] == &c);
}

static void its_ends(void **state)
{
	struct stream_buffer a = {.data = "ab", .len = 2};
	struct rig *g = *state;
	struct stream next = {0};

	shutdown(g->other, SHUT_WR);
	turns(g);
	assert_true(g->n_ended == 1 && g->n_closed == 0 && stream_open(&g->stream));
	/* Another one may have it. */
	stream_move(&next, &ops, &g->stream);
	assert_false(stream_open(&g->stream));
	stream_move(&g->stream, &ops, &next);
	g->other = fd_close(g->other);
	assert_int_equal(stream_send(&g->stream, &a), 0);
	turns(g);
	assert_true(g->n_closed == 1 && g->why == -EPIPE && !stream_open(&g->stream));
	assert_int_equal(g->n_released, 1);
	assert_int_equal(stream_send(&g->stream, &a), -EPIPE);
}

static void ended_from_within(void **state)
{
	struct stream_buffer a = {.data = "ab", .len = 2};
	struct rig *g = *state;
	char byte;

	g->ends = true;
	assert_int_equal(stream_send(&g->stream, &a), 0);
	says(g, "hello");
	assert_true(!stream_open(&g->stream) && g->n_closed == 0 && g->n_released == 1);
	while (recv(g->other, &byte, 1, MSG_DONTWAIT) > 0)
		;
	assert_int_not_equal(errno, EAGAIN);
}

static int put(void *ctx, struct stream_buffer *buffer)
{
	return stream_send(ctx, buffer);
}

static void a_session_on_it(void **state)
{
	struct pdu_submit out = {.seqnum = 7, .ep = 2, .length = 5};
	struct rig *g = *state;
	uint8_t pdu[64];

	script_init(&g->script);
	assert_int_equal(
		usbip_session_new_on(&g->session, "vm1", &g->script.carrier, SCRIPT_DEVID, NULL, 0),
		0);
	stream_set_room(&g->stream, usbip_session_takes(g->session));
	pdu_submit(pdu, &out);
	memcpy(pdu + 48, "hello", 5);
	/* In two pieces. */
	assert_int_equal(send(g->other, pdu, 20, 0), 20);
	turns(g);
	assert_int_equal(send(g->other, pdu + 20, 33, 0), 33);
	turns(g);
	assert_memory_equal(script_find(&g->script, 7)->data, "hello", 5);
	assert_true(script_complete(&g->script, 7, 0, 5, false));
	script_settle(&g->script);
	assert_int_equal(usbip_session_answer(g->session, put, &g->stream), 0);
	turns(g);
	assert_int_equal(g->n_released, 1);
	assert_false(usbip_session_has_answers(g->session));
	assert_int_equal(recv(g->other, pdu, sizeof(pdu), MSG_DONTWAIT), 48);
	assert_int_equal(pdu_u32(pdu), 3);
	assert_int_equal(pdu_u32(pdu + 4), 7);
	stream_end(&g->stream);
	g->session = usbip_session_free(g->session);
}

#define G(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		G(what_was_not_taken_comes_again),
		G(no_more_than_there_is_room_for),
		G(buffers_come_back_in_order),
		G(its_ends),
		G(ended_from_within),
		G(a_session_on_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
