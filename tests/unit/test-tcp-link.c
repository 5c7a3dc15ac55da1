/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two of our TCPs over a link that loses, repeats, reorders, cuts, spoils and delays segments, with
 * a clock of its own. Both streams are compared byte by byte; both sides must end in order.
 *
 * Each run has a seed, which says all: sizes, where sequence numbers start, segment sizes, offloads,
 * how bad the link is, who refuses bytes when, where a side is written down and taken up by another
 * process, who holds acknowledgements back. A failing run says its seed;
 *   TCP_SEED=n build/tests/unit/test-tcp-link    runs that one alone
 *   TCP_RUNS=n build/tests/unit/test-tcp-link    runs as many
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/tcp-wire.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/tcp_private.h"
#include "vhost_user_net/tcp_state.h"

#define FLIGHT 4096 /* packets on the link, both ways */
#define PDU    700  /* what a side that holds acknowledgements back calls whole */

struct flying {
	uint64_t at;
	unsigned to;
	struct wire_packet *packet;
};

struct queued {
	struct stream_buffer buffer;
	uint8_t bytes[];
};

struct run;

struct end {
	struct run *run;
	unsigned me;
	struct tcp *tcp;
	struct tcp_connection *c;
	uint8_t mac[6];
	struct net_rules sends; /* the rules for what it sends */
	uint64_t total, queued, got, final;
	uint64_t buffers;
	bool shut, ended, closed, full, moving, holds;
	int why;
};

struct run {
	uint64_t seed, rng, now, deadline;
	struct end end[2];
	struct flying flying[FLIGHT];
	unsigned n_flying;
	/* How bad, of 1000. */
	unsigned loss, twice, late, cut, spoil, refuse, full, move;
	uint64_t delay;
	bool v6;
	struct wire_frame frame;
	unsigned moves, dropped, spoilt;
};

static uint64_t next(struct run *r)
{
	r->rng ^= r->rng << 13;
	r->rng ^= r->rng >> 7;
	r->rng ^= r->rng << 17;
	return r->rng * 0x2545f4914f6cdd1d >> 8;
}

static uint64_t below(struct run *r, uint64_t n)
{
	return n ? next(r) % n : 0;
}

static bool chance(struct run *r, unsigned of_1000)
{
	return below(r, 1000) < of_1000;
}

/* What a side sends from its byte i on. A word at once: a sanitizer looks at each access. */
static void stream_at(const struct run *r, unsigned from, uint64_t i, uint8_t *to, size_t len)
{
	for (size_t n; len; i += n, to += n, len -= n) {
		uint64_t x = (i >> 3) * 0x9e3779b97f4a7c15 + r->seed * 31 + from;
		uint8_t bytes[8];

		x ^= x >> 29;
		x *= 0xbf58476d1ce4e5b9;
		memcpy(bytes, &x, sizeof(x));
		n = min_t(size_t, len, 8 - (i & 7));
		memcpy(to, bytes + (i & 7), n);
	}
}

#define check(run, cond) check_at(run, cond, #cond, __LINE__)
static void check_at(const struct run *r, bool cond, const char *what, int line)
{
	if (cond)
		return;
	fprintf(stderr, "seed %llu, line %d: %s, at %llu ms\n", (unsigned long long)r->seed, line,
		what, (unsigned long long)(r->now / MS));
	for (unsigned i = 0; i < 2; i++) {
		const struct end *e = &r->end[i];

		fprintf(stderr,
			"  end %u: got %llu final %llu, sent %llu of %llu, ended %d closed %d %d\n",
			i, (unsigned long long)e->got, (unsigned long long)e->final,
			(unsigned long long)e->queued, (unsigned long long)e->total, e->ended,
			e->closed, e->why);
		if (!e->closed)
			fprintf(stderr,
				"    state %d una %u nxt %u max %u wnd %u cwnd %u queued %u, rcv "
				"%u "
				"final %u adv %u room %u refused %d backoff %u\n",
				e->c->state, e->c->snd_una, e->c->snd_nxt, e->c->snd_max,
				e->c->snd_wnd, e->c->cwnd, e->c->queued, e->c->rcv_nxt,
				e->c->rcv_final, e->c->rcv_adv, e->c->room, e->c->refused,
				e->c->backoff);
	}
	fail();
}

/* ------------------------------------------------------------- the link */

static void fly(struct run *r, unsigned to, struct wire_packet *p)
{
	uint64_t late = chance(r, r->late) ? below(r, 20 * r->delay) : 0;

	if (r->n_flying == FLIGHT || chance(r, r->loss)) {
		r->dropped++;
		free(p);
		return;
	}
	r->flying[r->n_flying++] = (struct flying){r->now + r->delay + late, to, p};
}

static struct wire_packet *copy_of(const struct wire_packet *p)
{
	struct wire_packet *q = malloc(sizeof(*q) + p->len);

	memcpy(q, p, sizeof(*q) + p->len);
	return q;
}

/* Where TCP's header stands in a packet, and where its payload. */
static struct tcp_header *header_of(const struct run *r, struct wire_packet *p, size_t *ret_payload)
{
	size_t l4 = sizeof(struct virtio_net_hdr) + 14 + (r->v6 ? 40 : 20);
	struct tcp_header *tcp = (void *)(p->bytes + l4);

	*ret_payload = l4 + (tcp->offset >> 4) * 4u;
	return tcp;
}

/* Lengths and checksums anew; the offload is gone. */
static void mend(const struct run *r, struct wire_packet *p)
{
	size_t l3 = sizeof(struct virtio_net_hdr) + 14, payload;
	struct tcp_header *tcp = header_of(r, p, &payload);
	size_t l4 = (size_t)((uint8_t *)tcp - p->bytes), transport = p->len - l4;
	uint32_t sum;

	memset(p->bytes, 0, sizeof(struct virtio_net_hdr));
	if (r->v6) {
		struct ipv6_header *ip = (void *)(p->bytes + l3);

		ip->payload_length = be16_of((uint16_t)transport);
		sum = net_checksum_pseudo6(ip->source, ip->destination, IP_TCP, transport);
	} else {
		struct ipv4_header *ip = (void *)(p->bytes + l3);

		ip->total_length = be16_of((uint16_t)(20 + transport));
		ip->checksum = be16_of(0);
		ip->checksum = be16_of(net_checksum_fold(net_checksum_add(0, ip, 20)));
		sum = net_checksum_pseudo4(ip->source, ip->destination, IP_TCP, transport);
	}
	tcp->checksum = be16_of(0);
	tcp->checksum = be16_of(net_checksum_fold(net_checksum_add(sum, tcp, transport)));
}

/* One segment as two. */
static void cut(struct run *r, unsigned to, struct wire_packet *p)
{
	size_t payload, n, len;
	struct tcp_header *tcp = header_of(r, p, &payload);
	struct wire_packet *q;

	len = p->len - payload;
	if (len < 2) {
		fly(r, to, p);
		return;
	}
	n = 1 + below(r, len - 1);
	q = copy_of(p);
	memmove(q->bytes + payload, q->bytes + payload + n, len - n);
	q->len -= n;
	p->len -= len - n;
	tcp->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	tcp = header_of(r, q, &payload);
	tcp->sequence = be32_of(be32_get(tcp->sequence) + (uint32_t)n);
	mend(r, p);
	mend(r, q);
	fly(r, to, p);
	fly(r, to, q);
}

/* One bit, anywhere in what TCP's checksum covers. */
static void spoil(struct run *r, unsigned to, struct wire_packet *p)
{
	size_t payload;
	uint8_t *tcp = (uint8_t *)header_of(r, p, &payload);
	size_t from = (size_t)(tcp - p->bytes);

	mend(r, p);
	p->bytes[from + below(r, p->len - from)] ^= (uint8_t)(1u << below(r, 8));
	r->spoilt++;
	fly(r, to, p);
}

static int on_frame(void *ctx, const struct net_offload *offload, const struct iovec *parts,
		    unsigned n_parts, size_t len)
{
	struct end *e = ctx;
	struct run *r = e->run;
	struct wire_packet *p;

	if (chance(r, r->full)) {
		e->full = true;
		return TCP_FRAME_FULL;
	}
	p = wire_pack(offload, parts, n_parts, len);
	if (chance(r, r->twice))
		fly(r, !e->me, copy_of(p));
	if (chance(r, r->cut))
		cut(r, !e->me, p);
	else if (chance(r, r->spoil))
		spoil(r, !e->me, p);
	else
		fly(r, !e->me, p);
	return TCP_FRAME_SENT;
}

/* ------------------------------------------------------------- the users */

static void name_final(struct end *e)
{
	uint64_t final = e->got - e->got % PDU;

	if (e->got == e->run->end[!e->me].total)
		final = e->got;
	if (!e->holds || final <= e->final)
		return;
	e->final = final;
	tcp_set_final(e->c, final);
}

static size_t on_receive(void *ctx, struct tcp_connection *c, const struct iovec *parts,
			 unsigned n_parts, size_t len)
{
	struct end *e = ctx;
	struct run *r = e->run;
	size_t take = len, at = 0;

	check(r, c == e->c && !e->ended && len > 0);
	if (chance(r, r->refuse))
		take = below(r, len);
	for (unsigned i = 0; i < n_parts; i++) {
		const uint8_t *p = parts[i].iov_base;
		size_t n = at < take ? min_t(size_t, parts[i].iov_len, take - at) : 0;

		while (n) {
			uint8_t sent[512];
			size_t some = min_t(size_t, n, sizeof(sent));

			stream_at(r, !e->me, e->got + at, sent, some);
			check(r, memcmp(p, sent, some) == 0);
			p += some, at += some, n -= some;
		}
		at += parts[i].iov_len - (size_t)(p - (const uint8_t *)parts[i].iov_base);
	}
	check(r, at == len);
	e->got += take;
	check(r, e->got <= r->end[!e->me].total);
	name_final(e);
	return take;
}

static void on_release(void *ctx, struct tcp_connection *c, struct stream_buffer *buffer)
{
	struct end *e = ctx;
	struct queued *q = container_of(buffer, struct queued, buffer);

	memset(q->bytes, 0xee, buffer->len);
	free(q);
	e->buffers--;
}

static void on_ended(void *ctx, struct tcp_connection *c)
{
	struct end *e = ctx;

	check(e->run, !e->ended && e->got == e->run->end[!e->me].total);
	e->ended = true;
}

static void on_closed(void *ctx, struct tcp_connection *c, int why)
{
	struct end *e = ctx;

	check(e->run, c == e->c && !e->closed);
	e->closed = true;
	e->why = why;
}

static void on_accept(void *ctx, struct tcp_connection *c)
{
	fail();
}

static const struct tcp_ops ops = {
	.frame = on_frame,
	.accept = on_accept,
	.receive = on_receive,
	.ended = on_ended,
	.release = on_release,
	.closed = on_closed,
};

static void queue_bytes(struct end *e, uint64_t from, size_t len, struct queued **ret_q)
{
	struct queued *q = malloc(sizeof(*q) + len);

	stream_at(e->run, e->me, from, q->bytes, len);
	q->buffer = (struct stream_buffer){.data = q->bytes, .len = (uint32_t)len};
	e->buffers++;
	*ret_q = q;
}

/* A little of what a user does in a turn. */
static void act(struct end *e)
{
	struct run *r = e->run;
	struct queued *q;

	if (e->closed)
		return;
	while (e->queued < e->total && tcp_unacknowledged(e->c) < 200000 && !chance(r, 200)) {
		size_t len = 1 + below(r, chance(r, 100) ? 70000 : 300);

		len = min_t(size_t, len, e->total - e->queued);
		queue_bytes(e, e->queued, len, &q);
		assert_int_equal(tcp_send(e->c, &q->buffer), 0);
		e->queued += len;
	}
	if (!e->shut && e->queued == e->total && chance(r, 300)) {
		tcp_shutdown(e->c);
		e->shut = true;
	}
	if (chance(r, 300))
		tcp_resume(e->c);
	if (chance(r, e->c->room < 3000 ? 500 : 10))
		tcp_set_room(e->c, (uint32_t)below(r, 200000));
	name_final(e);
}

/* ------------------------------------------------------------- a run */

static void new_tcp(struct end *e)
{
	struct tcp_config cfg = {.key = {1, 2, 3}};
	struct run *r = e->run;

	memcpy(cfg.mac, e->mac, 6);
	memcpy(cfg.address4, e->sends.address, 4);
	memcpy(cfg.address6, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0", 15);
	cfg.address6[15] = (uint8_t)(10 + e->me);
	assert_int_equal(tcp_new(&e->tcp, &cfg, &ops, e), 0);
	/* The same for a side in all its processes. */
	tcp_set_offloads(e->tcp, r->seed >> (1 + e->me) & 1, r->seed >> 3 & 1, r->seed >> 3 & 1);
}

/* Another process takes the side up. */
static void move(struct end *e)
{
	struct run *r = e->run;
	struct tcp_state s;
	struct tcp *old = e->tcp;
	struct stream_buffer *list[1];
	struct queued *q = NULL;

	if (tcp_export(e->c, &s) < 0)
		return;
	if (e->holds && chance(r, 500)) {
		/* It died: what was not final is lost. */
		e->ended = false;
		tcp_state_forget_unfinal(&s);
		check(r, s.taken_bytes >= e->final && s.taken_bytes <= e->got);
		e->final = e->got = s.taken_bytes;
	}
	tcp_drop(e->c);
	tcp_free(old);
	check(r, e->buffers == 0);
	new_tcp(e);
	if (s.queued) {
		queue_bytes(e, s.acked_bytes, s.queued, &q);
		list[0] = &q->buffer;
	}
	check(r, tcp_import(e->tcp, &s, list, s.queued ? 1 : 0, NULL, r->now, &e->c) == 0);
	r->moves++;
}

static void begin(struct run *r)
{
	static const uint16_t mss[] = {64, 100, 536, 1220, 1440};
	struct tcp_state s[2];

	for (unsigned i = 0; i < 2; i++) {
		struct end *e = &r->end[i];

		*e = (struct end){.run = r, .me = i};
		memcpy(e->mac, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(1 + i)}, 6);
		e->sends = (struct net_rules){.address = {10, 1, 1, (uint8_t)(1 + i)},
					      .daemon = {10, 1, 1, 99}};
		e->total = chance(r, 50) ? 0 : below(r, chance(r, 100) ? 600000 : 40000);
		e->holds = chance(r, 250);
		new_tcp(e);
		s[i] = (struct tcp_state){
			.version = TCP_STATE_VERSION,
			.size = sizeof(s[i]),
			.state = TCP_STATE_ESTABLISHED,
			.v6 = r->v6,
			.peer_port = (uint16_t)(1000 + !i),
			.port = (uint16_t)(1000 + i),
			.mss = mss[below(r, ARRAY_SIZE(mss))],
			.snd_una = chance(r, 500) ? (uint32_t)next(r) : -(uint32_t)below(r, 20000),
			.rcv_wscale = TCP_WSCALE,
			.snd_wscale = TCP_WSCALE,
			.holds_final = e->holds,
			.room = (uint32_t)below(r, chance(r, 500) ? 300000 : 5000) + 1500,
		};
		s[i].snd_max = s[i].snd_una;
	}
	for (unsigned i = 0; i < 2; i++) {
		struct tcp_state *from = &s[!i];

		memcpy(s[i].mac, r->end[!i].mac, 6);
		if (r->v6) {
			memcpy(s[i].peer, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0", 15);
			s[i].peer[15] = (uint8_t)(10 + !i);
		} else {
			memcpy(s[i].peer, r->end[!i].sends.address, 4);
		}
		s[i].rcv_nxt = s[i].rcv_final = from->snd_una;
		s[i].rcv_adv = s[i].rcv_nxt + s[i].room;
	}
	for (unsigned i = 0; i < 2; i++) {
		s[i].snd_wnd = s[i].max_wnd = s[!i].room;
		s[i].snd_wl1 = s[i].rcv_nxt;
		s[i].snd_wl2 = s[i].snd_una;
		check(r,
		      tcp_import(r->end[i].tcp, &s[i], NULL, 0, NULL, r->now, &r->end[i].c) == 0);
	}
}

static void end_turn(struct end *e)
{
	struct run *r = e->run;

	act(e);
	e->full = false;
	tcp_flush(e->tcp, r->now);
	if (e->closed)
		check(r, e->buffers == 0);
	else if (chance(r, r->move))
		move(e);
}

static void deliver(struct run *r, unsigned i)
{
	struct flying f = r->flying[i];
	struct end *e = &r->end[f.to];

	r->flying[i] = r->flying[--r->n_flying];
	if (wire_unpack(&r->frame, &r->end[!f.to].sends, f.packet, 1 + (unsigned)below(r, 40)))
		tcp_input(e->tcp, &r->frame.frame, r->now);
	free(f.packet);
}

/* Has its user something to do though nothing comes? A full ring empties, too. */
static bool busy(const struct end *e)
{
	if (e->closed)
		return false;
	return e->full || !e->shut || e->c->refused || e->c->room < 3000;
}

/* When next: something lands, a timer, or a user's whim. */
static uint64_t next_event(struct run *r, unsigned *ret_i)
{
	uint64_t at = r->now + 5000 * MS;

	*ret_i = FLIGHT;
	for (unsigned i = 0; i < 2; i++) {
		at = min_t(uint64_t, at, tcp_deadline(r->end[i].tcp));
		if (busy(&r->end[i]))
			at = min_t(uint64_t, at, r->now + 10 * MS);
	}
	for (unsigned i = 0; i < r->n_flying; i++) {
		if (r->flying[i].at <= at) {
			at = r->flying[i].at;
			*ret_i = i;
		}
	}
	return at > r->now ? at : r->now;
}

static void set_link(struct run *r)
{
	bool bad = chance(r, 700);

	r->delay = 1000 + below(r, chance(r, 300) ? 100 * MS : MS);
	r->v6 = chance(r, 400);
	if (!bad)
		return;
	r->loss = (unsigned)below(r, chance(r, 200) ? 300 : 40);
	r->twice = (unsigned)below(r, 60);
	r->late = (unsigned)below(r, chance(r, 200) ? 500 : 50);
	r->cut = (unsigned)below(r, 200);
	r->spoil = (unsigned)below(r, 60);
	r->refuse = (unsigned)below(r, 100);
	r->full = (unsigned)below(r, 100);
	r->move = chance(r, 300) ? (unsigned)below(r, 10) : 0;
}

static unsigned total_moves, total_dropped, total_spoilt;
static struct tcp_counters sum;

static void one_run(uint64_t seed)
{
	static struct run r;
	uint64_t steps = 0;

	r = (struct run){.seed = seed, .rng = seed * 0x9e3779b97f4a7c15 + 1, .now = 1000 * MS};
	for (unsigned i = 0; i < 8; i++)
		next(&r);
	set_link(&r);
	begin(&r);
	while (!r.end[0].closed || !r.end[1].closed) {
		unsigned i;

		check(&r, steps++ < 3000000 && r.now < 24 * 3600 * 1000 * MS);
		r.now = next_event(&r, &i);
		if (i < FLIGHT)
			deliver(&r, i);
		for (unsigned e = 0; e < 2; e++)
			end_turn(&r.end[e]);
	}
	while (r.n_flying)
		free(r.flying[--r.n_flying].packet);
	for (unsigned i = 0; i < 2; i++) {
		struct end *e = &r.end[i];
		struct tcp_counters n;

		check(&r, e->why == 0 && e->got == r.end[!i].total && e->buffers == 0);
		tcp_count(e->tcp, &n);
		sum.fast_retransmits += n.fast_retransmits;
		sum.timeouts += n.timeouts;
		sum.retransmits += n.retransmits;
		sum.bytes_in += n.bytes_in;
		sum.bad_checksum += n.bad_checksum;
		sum.refused_bytes += n.refused_bytes;
		sum.out_of_order += n.out_of_order;
		tcp_free(e->tcp);
	}
	total_moves += r.moves;
	total_dropped += r.dropped;
	total_spoilt += r.spoilt;
}

static void both_streams_arrive_whole_over_any_link(void **state)
{
	const char *one = getenv("TCP_SEED"), *runs = getenv("TCP_RUNS");
	unsigned long n = runs ? strtoul(runs, NULL, 0) : 1000;

	if (one) {
		one_run(strtoull(one, NULL, 0));
		return;
	}
	for (unsigned long seed = 1; seed <= n; seed++)
		one_run(seed);
	printf("%lu runs, %llu bytes; %u segments lost, %u spoilt (%llu seen), %llu sent again, "
	       "%llu "
	       "fast, %llu timeouts, %llu out of order, %llu bytes refused, taken up %u times\n",
	       n, (unsigned long long)sum.bytes_in, total_dropped, total_spoilt,
	       (unsigned long long)sum.bad_checksum, (unsigned long long)sum.retransmits,
	       (unsigned long long)sum.fast_retransmits, (unsigned long long)sum.timeouts,
	       (unsigned long long)sum.out_of_order, (unsigned long long)sum.refused_bytes,
	       total_moves);
	/* The runs are worth nothing where the link did nothing. */
	assert_true(total_dropped && sum.bad_checksum && sum.fast_retransmits && sum.timeouts &&
		    sum.refused_bytes && total_moves);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_streams_arrive_whole_over_any_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
