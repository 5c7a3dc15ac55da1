/* SPDX-License-Identifier: BSD-2-Clause */
/* What the conversations don't reach: the hash, the tables' bounds, states that lie. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/tcp-wire.h"
#include "vhost_user_net/tcp_isn.h"
#include "vhost_user_net/tcp_private.h"
#include "vhost_user_net/tcp_state.h"

/* ------------------------------------------------------------- numbers */

/* The paper's appendix A, and the reference's first vectors: key 00 … 0f, message 00, 01 … */
static void siphash_is_the_papers(void **state)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} cases[] = {{0, 0x726fdb47dd0e0e31},
		     {1, 0x74f839c593dc67fd},
		     {7, 0xab0200f58b01d137},
		     {8, 0x93f5f5799a932462},
		     {15, 0xa129ca6149be45e5}};
	uint8_t key[16], message[16];

	for (unsigned i = 0; i < 16; i++)
		key[i] = message[i] = (uint8_t)i;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		assert_true(tcp_siphash(key, message, cases[i].len) == cases[i].hash);
}

static void first_numbers_hang_on_the_path_the_key_and_the_clock(void **state)
{
	struct tcp_path a = {.peer = {10, 77, 0, 11}, .peer_port = 1000, .port = 3240}, b = a;
	uint8_t key[16] = {1}, other[16] = {2};
	uint32_t n = tcp_isn(key, &a, 0);

	assert_int_equal(tcp_isn(key, &a, 0), n);
	assert_int_equal(tcp_isn(key, &a, 4000), n + 1);
	assert_true(tcp_isn(other, &a, 0) != n);
	b.peer_port++;
	assert_true(tcp_isn(key, &b, 0) != n);
	b = a;
	b.peer[3]++;
	assert_true(tcp_isn(key, &b, 0) != n);
	b = a;
	b.port++;
	assert_true(tcp_isn(key, &b, 0) != n);
	b = a;
	b.v6 = true;
	assert_true(tcp_isn(key, &b, 0) != n);
}

static void comparing_wraps(void **state)
{
	assert_true(seq_before(0xfffffff0, 5) && seq_after(5, 0xfffffff0));
	assert_false(seq_before(7, 7) || seq_after(7, 7));
}

/* ------------------------------------------------------------- a guest with many connections */

static unsigned n_frames, n_resets, n_accepted, n_closed, n_released;
static struct tcp_connection *accepted[TCP_CONNECTIONS + 1];
static uint32_t last_seq;

static int on_frame(void *ctx, const struct net_offload *o, const struct iovec *parts,
		    unsigned n_parts, size_t len)
{
	const struct tcp_header *tcp = (void *)((uint8_t *)parts[0].iov_base + 34);

	n_frames++;
	n_resets += (tcp->flags & TCP_RST) != 0;
	last_seq = be32_get(tcp->sequence);
	return TCP_FRAME_SENT;
}

static void on_accept(void *ctx, struct tcp_connection *c)
{
	accepted[n_accepted++] = c;
}

static size_t on_receive(void *ctx, struct tcp_connection *c, const struct iovec *parts,
			 unsigned n_parts, size_t len)
{
	/* More than there is: taken as all of it. */
	return len + 5;
}

static void on_ended(void *ctx, struct tcp_connection *c)
{
}

static void on_release(void *ctx, struct tcp_connection *c, struct stream_buffer *buffer)
{
	n_released++;
}

static void on_closed(void *ctx, struct tcp_connection *c, int why)
{
	n_closed++;
	/* A user that is told may say whatever it likes. */
	tcp_resume(c);
	tcp_set_room(c, 5000);
	tcp_shutdown(c);
	tcp_close(c);
	tcp_abort(c);
	tcp_drop(c);
}

static const struct tcp_ops ops = {
	.frame = on_frame,
	.accept = on_accept,
	.receive = on_receive,
	.ended = on_ended,
	.release = on_release,
	.closed = on_closed,
};

static const struct tcp_config config = {.mac = {2, 0, 0, 0, 0, 1}, .address4 = {10, 77, 0, 1}};

static struct tcp *new_tcp(void)
{
	struct tcp *tcp;

	assert_int_equal(tcp_new(&tcp, &config, &ops, NULL), 0);
	assert_int_equal(tcp_listen(tcp, 3240), 0);
	tcp_set_offloads(tcp, true, true, true);
	n_frames = n_resets = n_accepted = n_closed = n_released = 0;
	return tcp;
}

static void segment(struct tcp *tcp, uint16_t from, uint8_t flags, uint32_t seq, uint32_t ack,
		    uint64_t now)
{
	static struct wire_frame frame;
	static const struct net_rules rules = {.address = {10, 77, 0, 11}};
	struct tcp_config guest = {.mac = {2, 0, 0, 0, 0, 11}, .address4 = {10, 77, 0, 11}};
	struct tcp_path path = {.peer = {10, 77, 0, 1}, .peer_port = 3240, .port = from};
	struct tcp_said said = {
		.seq = seq, .ack = ack, .flags = flags, .window = 512, .wscale = -1};
	uint8_t bytes[TCP_HEAD_MAX + TCP_OPTIONS_MAX];
	struct net_offload offload;
	struct wire_packet *p;
	struct tcp_head head;
	struct iovec part;

	memcpy(path.mac, config.mac, 6);
	tcp_head_init(&head, &guest, &path);
	part = (struct iovec){bytes, tcp_head_write(&head, &said, NULL, 0, 0, bytes, &offload)};
	p = wire_pack(&offload, &part, 1, part.iov_len);
	assert_true(wire_unpack(&frame, &rules, p, 1));
	tcp_input(tcp, &frame.frame, now);
	tcp_flush(tcp, now);
	free(p);
}

static void open_from(struct tcp *tcp, uint16_t from)
{
	segment(tcp, from, TCP_SYN, 100, 0, MS);
	segment(tcp, from, TCP_ACK, 101, last_seq + 1, MS);
}

static void the_connection_above_the_bound_is_reset(void **state)
{
	struct tcp *tcp = new_tcp();
	struct tcp_peer peer;

	for (unsigned i = 0; i < TCP_CONNECTIONS; i++)
		open_from(tcp, (uint16_t)(1000 + i));
	assert_int_equal(n_accepted, TCP_CONNECTIONS);
	assert_int_equal(n_resets, 0);
	segment(tcp, 999, TCP_SYN, 100, 0, MS);
	assert_int_equal(n_resets, 1);
	tcp_peer(accepted[5], &peer);
	assert_int_equal(peer.port, 1005);
	assert_int_equal(peer.local_port, 3240);
	/* One that ends makes room. */
	tcp_abort(accepted[17]);
	open_from(tcp, 999);
	assert_int_equal(n_accepted, TCP_CONNECTIONS + 1);
	/* All the others are still found. */
	for (unsigned i = 0; i < TCP_CONNECTIONS; i++)
		if (i != 17)
			segment(tcp, (uint16_t)(1000 + i), TCP_RST, 101, 0, MS);
	assert_int_equal(n_closed, TCP_CONNECTIONS - 1);
	tcp_free(tcp);
}

static void ports_are_few(void **state)
{
	struct tcp *tcp = new_tcp();

	for (unsigned i = 1; i < TCP_PORTS; i++)
		assert_int_equal(tcp_listen(tcp, (uint16_t)i), 0);
	assert_int_equal(tcp_listen(tcp, 99), -ENOSPC);
	assert_null(tcp_free(tcp));
	assert_null(tcp_free(NULL));
}

static void what_is_queued_has_a_bound(void **state)
{
	static const uint8_t byte;
	struct stream_buffer big = {.data = &byte, .len = TCP_QUEUE_MAX},
			     more = {.data = &byte, .len = 1};
	struct tcp *tcp = new_tcp();

	open_from(tcp, 1000);
	/* Nothing of it is read: nothing is flushed. */
	assert_int_equal(tcp_send(accepted[0], &big), 0);
	assert_int_equal(tcp_send(accepted[0], &more), -ENOBUFS);
	assert_int_equal(tcp_unacknowledged(accepted[0]), TCP_QUEUE_MAX);
	tcp_set_user(accepted[0], &more);
	assert_ptr_equal(tcp_user(accepted[0]), &more);
	tcp_free(tcp);
	assert_int_equal(n_released, 1);
}

static void nothing_to_do_has_no_deadline(void **state)
{
	struct tcp *tcp = new_tcp();

	assert_true(tcp_deadline(tcp) == TCP_NEVER);
	open_from(tcp, 1000);
	/* The handshake's own does not stand any more. */
	assert_true(tcp_deadline(tcp) == TCP_NEVER);
	tcp_flush(tcp, 3600 * 1000 * MS);
	assert_true(tcp_deadline(tcp) == TCP_NEVER);
	assert_int_equal(n_frames, 1);
	tcp_free(tcp);
}

static void a_flood_of_resets_and_of_everything_answers_one_frame_each(void **state)
{
	struct tcp *tcp = new_tcp();

	for (unsigned i = 0; i < 10000; i++)
		segment(tcp, (uint16_t)(i * 7), (uint8_t)i, i * 12345, i * 999, MS);
	assert_true(n_frames <= 10000);
	tcp_free(tcp);
}

/* ------------------------------------------------------------- states */

static struct tcp_state good(void)
{
	struct tcp_state s = {.version = TCP_STATE_VERSION,
			      .size = sizeof(s),
			      .taken_bytes = 1000,
			      .queued = 10,
			      .snd_una = 5000,
			      .snd_max = 5005,
			      .snd_wnd = 1000,
			      .max_wnd = 2000,
			      .rcv_nxt = 9000,
			      .rcv_final = 9000,
			      .rcv_adv = 9500,
			      .room = 500,
			      .peer_port = 1000,
			      .port = 3240,
			      .mss = 1460,
			      .peer = {10, 77, 0, 11},
			      .state = TCP_STATE_ESTABLISHED,
			      .snd_wscale = 7,
			      .rcv_wscale = TCP_WSCALE};

	return s;
}

static int take_up(const struct tcp_state *s, uint32_t len)
{
	static struct stream_buffer buffer, *list[] = {&buffer};
	struct tcp *tcp = new_tcp();
	struct tcp_connection *c;
	int r;

	buffer = (struct stream_buffer){.data = "0123456789", .len = len};
	r = tcp_import(tcp, s, list, len ? 1 : 0, NULL, MS, &c);
	if (r == 0) {
		struct tcp_state again;

		assert_int_equal(tcp_export(c, &again), 0);
		/* What follows is padding, which nobody sets. */
		assert_memory_equal(
			&again, s, offsetof(struct tcp_state, reserved2) + sizeof(again.reserved2));
		assert_int_equal(tcp_import(tcp, s, list, 0, NULL, MS, &c),
				 s->queued ? -EINVAL : -EEXIST);
	}
	tcp_free(tcp);
	return r;
}

static void a_state_comes_back_as_it_was(void **state)
{
	struct tcp_state s = good();

	assert_int_equal(take_up(&s, 10), 0);
	s.queued = 0;
	s.snd_max = s.snd_una;
	assert_int_equal(take_up(&s, 0), 0);
	s.holds_final = 1;
	s.rcv_final = 8500;
	assert_int_equal(take_up(&s, 0), 0);
	s.state = TCP_STATE_FIN_WAIT_2;
	s.orphan = 1;
	assert_int_equal(take_up(&s, 0), 0);
}

static void a_state_that_lies_is_refused(void **state)
{
#define LIE(field, value)                                     \
	do {                                                  \
		struct tcp_state lie = good();                \
		lie.field = value;                            \
		assert_int_equal(take_up(&lie, 10), -EINVAL); \
	} while (0)
	struct tcp_state s = good();

	LIE(version, 2);
	LIE(size, 4);
	LIE(state, TCP_STATE_CLOSED);
	LIE(state, TCP_STATE_SYN_RECEIVED);
	LIE(state, TCP_STATE_TIME_WAIT);
	LIE(state, 200);
	LIE(state, TCP_STATE_FIN_WAIT_2); /* with bytes queued */
	LIE(queued, TCP_QUEUE_MAX + 1);
	LIE(snd_max, 5011);
	LIE(snd_max, 4999);
	LIE(mss, 1);
	LIE(mss, 0);
	LIE(mss, 9000);
	LIE(snd_wnd, 0xffffffff);
	LIE(snd_wnd, 2001);
	LIE(max_wnd, 0xffffffff);
	LIE(snd_wscale, 15);
	LIE(rcv_wscale, 15);
	LIE(rcv_wscale, 3);
	LIE(rcv_final, 8999); /* and holds nothing back */
	LIE(rcv_final, 9001);
	LIE(rcv_adv, 8999);
	LIE(rcv_adv, 9000 + TCP_WINDOW_MAX + 1);
	LIE(room, TCP_WINDOW_MAX + 1);
	LIE(orphan, 1); /* and its FIN is not queued */
	LIE(orphan, 2);
	LIE(holds_final, 2);
	LIE(refused, 77);
	LIE(v6, 2);
	LIE(port, 0);
	LIE(peer[9], 1);
	LIE(mac[0], 1);
	/* The buffers are not what it says. */
	assert_int_equal(take_up(&s, 9), -EINVAL);
	assert_int_equal(take_up(&s, 0), -EINVAL);
}

static void a_half_open_connection_is_not_written_down(void **state)
{
	struct tcp *tcp = new_tcp();
	struct tcp_state s;

	segment(tcp, 1000, TCP_SYN, 100, 0, MS);
	assert_int_equal(tcp_export(&tcp->slot[0], &s), -EAGAIN);
	tcp_free(tcp);
}

static void a_full_table_takes_nothing_up(void **state)
{
	struct tcp *tcp = new_tcp();
	struct tcp_state s = good();
	struct tcp_connection *c;

	s.queued = 0;
	s.snd_max = s.snd_una;
	for (unsigned i = 0; i < TCP_CONNECTIONS; i++, s.peer_port++)
		assert_int_equal(tcp_import(tcp, &s, NULL, 0, NULL, MS, &c), 0);
	assert_int_equal(tcp_import(tcp, &s, NULL, 0, NULL, MS, &c), -ENOSPC);
	tcp_free(tcp);
}

static void bytes_that_were_not_final_are_forgotten_with_the_fin(void **state)
{
	static const struct {
		uint8_t was, is;
	} cases[] = {{TCP_STATE_CLOSE_WAIT, TCP_STATE_ESTABLISHED},
		     {TCP_STATE_LAST_ACK, TCP_STATE_FIN_WAIT_1},
		     {TCP_STATE_CLOSING, TCP_STATE_FIN_WAIT_1}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tcp_state s = good();

		s.state = cases[i].was;
		s.holds_final = 1;
		s.rcv_final = s.rcv_nxt - 11;
		tcp_state_forget_unfinal(&s);
		assert_int_equal(s.state, cases[i].is);
		assert_int_equal(s.taken_bytes, 990);
		assert_int_equal(s.rcv_nxt, s.rcv_final);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_is_the_papers),
		cmocka_unit_test(first_numbers_hang_on_the_path_the_key_and_the_clock),
		cmocka_unit_test(comparing_wraps),
		cmocka_unit_test(the_connection_above_the_bound_is_reset),
		cmocka_unit_test(ports_are_few),
		cmocka_unit_test(what_is_queued_has_a_bound),
		cmocka_unit_test(nothing_to_do_has_no_deadline),
		cmocka_unit_test(a_flood_of_resets_and_of_everything_answers_one_frame_each),
		cmocka_unit_test(a_state_comes_back_as_it_was),
		cmocka_unit_test(a_state_that_lies_is_refused),
		cmocka_unit_test(a_half_open_connection_is_not_written_down),
		cmocka_unit_test(a_full_table_takes_nothing_up),
		cmocka_unit_test(bytes_that_were_not_final_are_forgotten_with_the_fin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
