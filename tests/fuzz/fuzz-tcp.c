/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP's states. The input is a list of steps: segments, time, what the user does. A segment is made
 * valid first, relative to where its connection stands (the numbers that are expected, a right
 * checksum), then changed as the input says; so states are reached, not only the header's checks.
 * What holds at all times is checked after each step.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "tests/fuzz/promise.h"
#include "tests/unit/tcp-wire.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/tcp_private.h"
#include "vhost_user_net/tcp_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PEERS	     4
#define OUR_PORT     3240
#define PEER_PORT(i) ((uint16_t)(1000 + (i)))

struct sending {
	struct stream_buffer buffer;
	bool queued;
};

static struct {
	struct cursor in;
	struct tcp *tcp;
	uint64_t now;
	bool full, lied;
	uint8_t take; /* of each 16 shown, how many are taken, in sixteenths */
	uint8_t whim; /* what the user does within callbacks */
	unsigned n_buffers;
	struct wire_frame frame, mine;
} f;

static uint8_t text[70000];

static const struct tcp_config config = {
	.mac = {2, 0, 0, 0, 0, 1},
	.address4 = {10, 77, 0, 1},
	.address6 = {0xfe, 0x80, [15] = 10},
};

static const struct tcp_config guest = {
	.mac = {2, 0, 0, 0, 0, 11},
	.address4 = {10, 77, 0, 11},
	.address6 = {0xfe, 0x80, [15] = 11},
};

static uint8_t u8(void)
{
	const uint8_t *p = cursor_take(&f.in, 1);

	return p ? *p : 0;
}

static uint16_t u16(void)
{
	uint16_t high = u8();

	return (uint16_t)(high << 8 | u8());
}

/* ------------------------------------------------------------- the user */

static void user(struct tcp_connection *c, uint8_t what);

static int on_frame(void *ctx, const struct net_offload *offload, const struct iovec *parts,
		    unsigned n_parts, size_t len)
{
	static const struct net_rules rules = {.address = {10, 77, 0, 1}, .daemon = {1, 1, 1, 1}};
	struct wire_packet *p;
	struct tcp_segment s;
	struct iovec out[256];

	if (f.full)
		return TCP_FRAME_FULL;
	/* Whatever comes in, what goes out is well formed, and its checksum holds. */
	p = wire_pack(offload, parts, n_parts, len);
	promise(wire_unpack(&f.mine, &rules, p, 2));
	/* A state that lied may name another guest. */
	promise(f.lied ||
		tcp_segment_parse(&guest, &f.mine.frame, out, ARRAY_SIZE(out), &s) == TCP_PARSE_OK);
	free(p);
	return TCP_FRAME_SENT;
}

static void on_accept(void *ctx, struct tcp_connection *c)
{
	if (f.whim & 1)
		user(c, f.whim >> 4);
}

static size_t on_receive(void *ctx, struct tcp_connection *c, const struct iovec *parts,
			 unsigned n_parts, size_t len)
{
	size_t sum = 0, seen = 0, take = len * f.take / 16;

	promise(!c->orphan && !c->refused && len);
	for (unsigned i = 0; i < n_parts; i++) {
		for (size_t j = 0; j < parts[i].iov_len; j++)
			seen += ((volatile uint8_t *)parts[i].iov_base)[j];
		promise(parts[i].iov_len);
		sum += parts[i].iov_len;
	}
	promise(sum == len && seen <= len * 255);
	if (f.whim & 2)
		user(c, f.whim >> 4);
	return take;
}

static void on_ended(void *ctx, struct tcp_connection *c)
{
	if (f.whim & 4)
		user(c, f.whim >> 4);
}

static void on_release(void *ctx, struct tcp_connection *c, struct stream_buffer *buffer)
{
	struct sending *s = container_of(buffer, struct sending, buffer);

	promise(s->queued);
	s->queued = false;
	f.n_buffers--;
	free(s);
	if (f.whim & 8)
		user(c, f.whim >> 4);
}

static void on_closed(void *ctx, struct tcp_connection *c, int why)
{
	user(c, f.whim >> 4);
}

static const struct tcp_ops ops = {
	.frame = on_frame,
	.accept = on_accept,
	.receive = on_receive,
	.ended = on_ended,
	.release = on_release,
	.closed = on_closed,
};

static void send_bytes(struct tcp_connection *c, uint32_t len)
{
	struct sending *s = malloc(sizeof(*s));

	*s = (struct sending){.buffer = {.data = text, .len = len}, .queued = true};
	f.n_buffers++;
	if (tcp_send(c, &s->buffer) < 0) {
		f.n_buffers--;
		free(s);
	}
}

static void user(struct tcp_connection *c, uint8_t what)
{
	static const uint32_t lengths[] = {0, 1, 48, 1460, 5000, 65000};

	switch (what % 14) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
	case 5:
		send_bytes(c, lengths[what % 14]);
		break;
	case 6:
		tcp_shutdown(c);
		break;
	case 7:
		tcp_close(c);
		break;
	case 8:
		tcp_abort(c);
		break;
	case 9:
		tcp_resume(c);
		break;
	case 10:
		tcp_set_room(c, f.in.left & 1 ? (uint32_t)f.in.left * 100 : 0);
		break;
	case 11:
		tcp_hold_final(c);
		break;
	case 12:
		tcp_set_final(c, c->final_bytes + 10);
		break;
	default:
		tcp_set_final(c, c->taken_bytes);
		break;
	}
}

/* ------------------------------------------------------------- what always holds */

static void check_connection(const struct tcp_connection *c)
{
	uint64_t sum = 0;
	uint32_t fin = tcp_connection_says_fin(c);

	for (struct list *l = c->queue.next; l != &c->queue; l = l->next)
		sum += list_entry(l, struct stream_buffer, link)->len;
	promise(sum == (uint64_t)c->queued + c->head_gone);
	if (c->state == TCP_STATE_SYN_RECEIVED) {
		promise(!list_empty(&c->half_open) && !c->queued);
		return;
	}
	promise(list_empty(&c->half_open));
	promise(!seq_after(c->snd_una, c->snd_nxt) && !seq_after(c->snd_nxt, c->snd_max));
	promise(c->snd_max - c->snd_una <= c->queued + fin);
	promise(!seq_after(c->rcv_acked, c->rcv_final) && !seq_after(c->rcv_final, c->rcv_nxt) &&
		!seq_after(c->rcv_nxt, c->rcv_adv));
	promise(c->rcv_adv - c->rcv_nxt <= TCP_WINDOW_MAX);
	promise(c->cwnd >= TCP_MSS_LEAST && c->mss >= TCP_MSS_LEAST && c->mss <= TCP_MSS4);
	/* What waits for the guest has a timer, unless it is waiting for the end of the turn. */
	promise(c->snd_una == c->snd_max || c->retransmit_at != TCP_NEVER ||
		!list_empty(&c->dirty));
	promise(f.tcp->deadline <= c->retransmit_at && f.tcp->deadline <= c->ack_at &&
		f.tcp->deadline <= c->give_up_at);
}

static void check(void)
{
	unsigned half = 0, dead = 0;

	for (unsigned i = 0; i < TCP_CONNECTIONS; i++) {
		const struct tcp_connection *c = &f.tcp->slot[i];

		if (c->state == TCP_STATE_CLOSED)
			continue;
		half += c->state == TCP_STATE_SYN_RECEIVED;
		promise(tcp_table_find(f.tcp, &c->path) == c);
		check_connection(c);
	}
	promise(half == f.tcp->n_half_open && half <= TCP_HALF_OPEN);
	for (unsigned i = 0; i < TCP_DEADS; i++)
		dead += f.tcp->dead[i].at != 0;
	promise(dead == f.tcp->n_dead);
}

/* ------------------------------------------------------------- steps */

static struct tcp_connection *connection(unsigned peer, bool v6)
{
	for (unsigned i = 0; i < TCP_CONNECTIONS; i++) {
		struct tcp_connection *c = &f.tcp->slot[i];

		if (c->state != TCP_STATE_CLOSED && c->path.peer_port == PEER_PORT(peer) &&
		    c->path.v6 == v6)
			return c;
	}
	return NULL;
}

/* A number near one that means something. */
static uint32_t near(const uint32_t *marks, unsigned n, uint8_t how)
{
	uint32_t at = marks[how % n];

	switch (how >> 5) {
	case 0:
	case 1:
	case 2:
	case 3:
		return at;
	case 4:
		return at + 1;
	case 5:
		return at - 1;
	case 6:
		return at + u16();
	default:
		return at - u16();
	}
}

static void give(uint8_t *bytes, size_t len, const struct net_offload *offload)
{
	static const struct net_rules rules = {.address = {10, 77, 0, 11},
					       .daemon = {10, 77, 0, 1}};
	struct iovec part = {bytes, len};
	struct wire_packet *p = wire_pack(offload, &part, 1, len);

	if (wire_unpack(&f.frame, &rules, p, 1 + (unsigned)len % 5))
		tcp_input(f.tcp, &f.frame.frame, f.now);
	free(p);
}

static void segment(uint8_t who)
{
	static const uint8_t kinds[] = {
		TCP_ACK, TCP_ACK | TCP_PSH,	      TCP_SYN,		 TCP_ACK | TCP_FIN,
		TCP_RST, TCP_ACK | TCP_PSH | TCP_FIN, TCP_RST | TCP_ACK, TCP_SYN | TCP_ACK};
	bool v6 = who >> 2 & 1;
	struct tcp_connection *c = connection(who & 3, v6);
	struct tcp_path path = {.v6 = v6, .peer_port = OUR_PORT, .port = PEER_PORT(who & 3)};
	struct tcp_said said = {.wscale = -1};
	uint32_t seqs[5] = {100, 100, 100, 100, 100}, acks[5] = {0};
	uint8_t kind = u8(), how = u8(), change;
	static uint8_t bytes[14 + 40 + 60 + 65000];
	struct net_offload offload;
	struct tcp_header *tcp;
	struct tcp_head head;
	size_t n, len, options;

	if (c) {
		memcpy(seqs, (uint32_t[]){c->rcv_nxt, c->rcv_final, c->rcv_adv, c->irs, c->rcv_nxt},
		       20);
		memcpy(acks,
		       (uint32_t[]){c->snd_max, c->snd_una, c->snd_nxt, c->snd_una + 1, c->snd_max},
		       20);
	}
	said.seq = near(seqs, 5, how);
	said.ack = near(acks, 5, u8());
	said.flags = kind & 0x80 ? kind & 0x7f : kinds[kind & 7];
	said.window = kind & 0x08 ? u16() : 0xffff;
	if (said.flags & TCP_SYN) {
		said.mss = kind & 0x10 ? u16() : 1460;
		said.wscale = kind & 0x20 ? u8() : 7;
	}
	len = kind & 0x40 ? u16() % 65000 : (kind & 1 ? 48 : 0);
	memcpy(path.peer, v6 ? config.address6 : config.address4, v6 ? 16 : 4);
	memcpy(path.mac, config.mac, 6);
	tcp_head_init(&head, &guest, &path);
	memset(bytes + 14 + 40 + 60, 0xa5, 64);
	n = tcp_head_write(&head, &said, NULL, 0, 0, bytes, &offload);
	options = n - head.l4 - 20;
	len = min_t(size_t, len, 65535 - 60 - options);
	memset(bytes + n, 0xa5, len);
	tcp = (void *)(bytes + head.l4);
	/* Lengths and the checksum, with the payload; or left to the card. */
	if (v6)
		((struct ipv6_header *)(bytes + 14))->payload_length =
			be16_of((uint16_t)(20 + options + len));
	else
		((struct ipv4_header *)(bytes + 14))->total_length =
			be16_of((uint16_t)(40 + options + len));
	change = u8();
	if (change & 1)
		bytes[head.l4 + u8() % (20 + options)] ^= u8();
	offload = (struct net_offload){.csum = true, .csum_start = head.l4, .csum_offset = 16};
	if (change & 2) {
		offload = (struct net_offload){};
		tcp->checksum = be16_of(0);
		tcp->checksum = be16_of(net_checksum_fold(
			net_checksum_add(v6 ? net_checksum_pseudo6(guest.address6, config.address6,
								   IP_TCP, 20 + options + len)
					    : net_checksum_pseudo4(guest.address4, config.address4,
								   IP_TCP, 20 + options + len),
					 tcp, 20 + options + len)));
		if (change & 4)
			tcp->checksum.b[0] ^= u8();
	}
	give(bytes, n + len, &offload);
}

/* Bytes of the input as a frame, for the headers alone. */
static void raw_frame(void)
{
	size_t n = min_t(size_t, 14u + u8(), f.in.left);
	uint8_t *bytes = malloc(n + 1);
	struct net_offload offload = {};

	memcpy(bytes, cursor_take(&f.in, n), n);
	give(bytes, n, &offload);
	free(bytes);
}

static void pass_time(uint8_t how)
{
	static const uint64_t spans[] = {MS / 10,   MS,		40 * MS,     200 * MS,
					 1000 * MS, 60000 * MS, 3600000 * MS};

	if (how % 8 == 7) {
		if (f.tcp->deadline != TCP_NEVER && f.tcp->deadline > f.now)
			f.now = f.tcp->deadline;
	} else {
		f.now += spans[how % 8];
	}
}

/* Another process takes a connection up, from a state that may lie. */
static void move(struct tcp_connection *c)
{
	struct tcp_state s;
	uint8_t n = u8(), at;
	struct sending *sending = NULL;
	struct stream_buffer *list[1];

	if (tcp_export(c, &s) < 0)
		return;
	if (n & 0x40)
		tcp_state_forget_unfinal(&s);
	tcp_drop(c);
	f.lied |= (n & 3) != 0;
	for (n &= 3; n; n--) {
		at = u8() % (uint8_t)sizeof(s);
		((uint8_t *)&s)[at] ^= u8();
	}
	if (s.queued && s.queued <= sizeof(text)) {
		sending = malloc(sizeof(*sending));
		*sending =
			(struct sending){.buffer = {.data = text, .len = s.queued}, .queued = true};
		list[0] = &sending->buffer;
		f.n_buffers++;
	}
	if (tcp_import(f.tcp, &s, list, sending ? 1 : 0, NULL, f.now, &c) < 0 && sending) {
		f.n_buffers--;
		free(sending);
	}
}

/* What another process has left behind. */
static void dead(uint8_t who)
{
	static const uint8_t cards[][6] = {{0}, {2, 0, 0, 0, 0, 11}};
	struct tcp_peer peer = {
		.v6 = who >> 2 & 1, .port = PEER_PORT(who & 3), .local_port = OUR_PORT};
	const uint8_t *address = peer.v6 ? guest.address6 : guest.address4;

	memcpy(peer.address, address, peer.v6 ? 16 : 4);
	if (who & 0x20)
		tcp_set_card(f.tcp, cards[who >> 4 & 1]);
	else if (who & 0x10)
		tcp_dead_again(f.tcp);
	if (!(who & 8))
		tcp_hang_up(f.tcp, &peer);
}

static void step(void)
{
	uint8_t op = u8(), who = u8();
	struct tcp_connection *c = connection(who & 3, who >> 2 & 1);

	switch (op % 16) {
	default:
		segment(who);
		break;
	case 8:
		raw_frame();
		break;
	case 9:
		pass_time(who);
		break;
	case 10:
	case 11:
		if (c && c->state != TCP_STATE_SYN_RECEIVED)
			user(c, u8());
		break;
	case 12:
		f.full = who & 1;
		f.take = who & 2 ? 16 : u8() % 17;
		break;
	case 13:
		f.whim = who;
		break;
	case 14:
		if (c)
			move(c);
		break;
	case 15:
		tcp_set_offloads(f.tcp, who & 1, who & 2, who & 4);
		break;
	case 7:
		dead(who);
		break;
	}
	/* Else the turn goes on. */
	if (!(op & 0x40))
		tcp_flush(f.tcp, f.now);
	check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	f.in = cursor_of(data, size);
	f.now = 1000 * MS;
	f.take = 16;
	f.full = f.lied = false;
	f.whim = 0;
	f.n_buffers = 0;
	if (tcp_new(&f.tcp, &config, &ops, NULL) < 0)
		return 0;
	tcp_listen(f.tcp, OUR_PORT);
	tcp_set_offloads(f.tcp, true, true, true);
	for (unsigned i = 0; i < 400 && f.in.left; i++)
		step();
	f.whim = 0;
	tcp_free(f.tcp);
	promise(f.n_buffers == 0);
	return 0;
}
