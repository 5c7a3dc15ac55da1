/* SPDX-License-Identifier: BSD-2-Clause */
/* What a line of a conversation says; see tcp-talk.h, and tcp/README for the words. */
#include "tests/unit/tcp-talk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost_user_net/tcp_isn.h"

static void say_open(struct talk *t, const struct line *l)
{
	struct line syn = *l, synack = {{"ours", "SA", "0", "1", "win", "65535"}, 6};
	struct line ack = {{"guest", "A", "1", "1", "win", "512"}, 6};
	static char words[8][16];

	syn.n = 0;
	syn.word[syn.n++] = "guest";
	syn.word[syn.n++] = "S";
	syn.word[syn.n++] = "0";
	for (unsigned i = 1; i < l->n; i++)
		syn.word[syn.n++] = l->word[i];
	if (!has(l, "mss") && !has(l, "bare")) {
		syn.word[syn.n++] = "mss";
		syn.word[syn.n++] = "1460";
	}
	if (!has(l, "ws") && !has(l, "bare")) {
		syn.word[syn.n++] = "ws";
		syn.word[syn.n++] = "7";
	}
	guest(t, &syn);
	if (!has(l, "bare")) {
		synack.word[synack.n++] = "ws";
		synack.word[synack.n++] = "8";
	}
	ours(t, &synack);
	if (has(l, "then")) {
		snprintf(words[0], sizeof(words[0]), "%llu",
			 (unsigned long long)value(t, l, "then", 512));
		ack.word[5] = words[0];
	}
	guest(t, &ack);
	if (!t->accepted)
		wrong(t, "the connection is not open");
}

static uint64_t span(struct talk *t, const char *text)
{
	char *end;
	double n = strtod(text, &end);

	if (!strcmp(end, "us"))
		return (uint64_t)(n * 1000);
	if (!strcmp(end, "ms"))
		return (uint64_t)(n * 1e6);
	if (!strcmp(end, "s"))
		return (uint64_t)(n * 1e9);
	if (!strcmp(end, "h"))
		return (uint64_t)(n * 3600e9);
	wrong(t, "a time is expected, not '%s'", text);
	return 0;
}

static void say_wait(struct talk *t, const struct line *l)
{
	uint64_t until = t->now + span(t, word_at(t, l, 1));

	nothing_left(t);
	for (;;) {
		uint64_t at = tcp_deadline(t->tcp);

		if (at > until)
			break;
		t->now = at > t->now ? at : t->now;
		tcp_flush(t->tcp, t->now);
		if (!list_empty(&t->out) && t->now != until && !has(l, "more"))
			wrong(t, "a frame was sent %llu ms before that",
			      (unsigned long long)((until - t->now) / MS));
	}
	t->now = until;
	tcp_flush(t->tcp, t->now);
}

static void need(struct talk *t)
{
	if (!t->c)
		wrong(t, "there is no connection");
}

static void say_send(struct talk *t, const struct line *l)
{
	uint64_t len = number(t, word_at(t, l, 1)), in = value(t, l, "in", 1);

	need(t);
	nothing_left(t);
	for (uint64_t i = 0; i < in; i++) {
		size_t n = len / in + (i == in - 1 ? len % in : 0);
		struct bytes *b = malloc(sizeof(*b) + n);
		int r;

		for (size_t j = 0; j < n; j++)
			b->data[j] = (uint8_t)((t->sent + j) * 3);
		b->buffer = (struct stream_buffer){.data = b->data, .len = (uint32_t)n};
		t->sent += n;
		r = tcp_send(t->c, &b->buffer);
		if (r < 0) {
			free(b);
			expect(t, "error", (uint64_t)r,
			       (uint64_t) - (int64_t)value(t, l, "error", 0));
		}
	}
	end_turn(t);
}

static void say_shutdown(struct talk *t, const struct line *l)
{
	need(t);
	nothing_left(t);
	tcp_shutdown(t->c);
	end_turn(t);
}

static void say_close(struct talk *t, const struct line *l)
{
	need(t);
	if (has(l, "on-data")) {
		t->close_on_data = true;
		return;
	}
	nothing_left(t);
	tcp_close(t->c);
	end_turn(t);
}

static void say_abort(struct talk *t, const struct line *l)
{
	need(t);
	nothing_left(t);
	tcp_abort(t->c);
	t->c = NULL;
	end_turn(t);
}

static void say_drop(struct talk *t, const struct line *l)
{
	nothing_left(t);
	tcp_drop_all(t->tcp);
	t->c = NULL;
	end_turn(t);
}

static void say_resume(struct talk *t, const struct line *l)
{
	need(t);
	nothing_left(t);
	tcp_resume(t->c);
	end_turn(t);
}

static void say_room(struct talk *t, const struct line *l)
{
	need(t);
	nothing_left(t);
	tcp_set_room(t->c, (uint32_t)number(t, word_at(t, l, 1)));
	end_turn(t);
}

static void say_hold(struct talk *t, const struct line *l)
{
	need(t);
	tcp_hold_final(t->c);
}

static void say_final(struct talk *t, const struct line *l)
{
	need(t);
	nothing_left(t);
	tcp_set_final(t->c, number(t, word_at(t, l, 1)));
	end_turn(t);
}

static void say_take(struct talk *t, const struct line *l)
{
	t->take = !strcmp(word_at(t, l, 1), "all") ? UINT64_MAX : number(t, l->word[1]);
}

static void say_full(struct talk *t, const struct line *l)
{
	t->full = !strcmp(word_at(t, l, 1), "yes");
	if (!t->full)
		end_turn(t);
}

static void say_offload(struct talk *t, const struct line *l)
{
	t->no_offload = !has(l, "csum");
	tcp_set_offloads(t->tcp, has(l, "csum"), has(l, "tso"), has(l, "tso"));
}

static void say_v6(struct talk *t, const struct line *l)
{
	t->v6 = true;
}

static void say_iss(struct talk *t, const struct line *l)
{
	t->iss = (uint32_t)number(t, word_at(t, l, 1));
}

/* Choose the time at which our first number is that. */
static void say_our_iss(struct talk *t, const struct line *l)
{
	struct tcp_path path = {.v6 = t->v6, .peer_port = GUEST_PORT, .port = OUR_PORT};
	uint32_t wanted = (uint32_t)number(t, word_at(t, l, 1));

	memcpy(path.peer, t->v6 ? guest_config.address6 : guest_config.address4, t->v6 ? 16 : 4);
	t->now -= t->now % 4000;
	t->now += (uint64_t)(wanted - tcp_isn(config.key, &path, t->now)) * 4000;
}

static void say_burst(struct talk *t, const struct line *l)
{
	t->burst = true;
}

static void say_turn(struct talk *t, const struct line *l)
{
	t->burst = false;
	tcp_flush(t->tcp, t->now);
}

static void say_refuse(struct talk *t, const struct line *l)
{
	t->refuse_accept = true;
}

static void say_got(struct talk *t, const struct line *l)
{
	expect(t, "what was taken", t->got, number(t, word_at(t, l, 1)));
}

static void say_released(struct talk *t, const struct line *l)
{
	expect(t, "what was given back", t->released, number(t, word_at(t, l, 1)));
}

static void say_accepted(struct talk *t, const struct line *l)
{
	expect(t, "accepted", t->accepted, strcmp(l->word[l->n - 1], "no") != 0);
}

static void say_ended(struct talk *t, const struct line *l)
{
	expect(t, "ended", t->ended, strcmp(l->word[l->n - 1], "no") != 0);
}

static void say_closed(struct talk *t, const struct line *l)
{
	static const struct {
		const char *word;
		int why;
	} words[] = {{"no", 1}, {"both", 0}, {"reset", -ECONNRESET}, {"timeout", -ETIMEDOUT}};
	const char *word = word_at(t, l, 1);

	nothing_left(t);
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(word, words[i].word))
			continue;
		expect(t, "closed", (uint64_t)t->closed, (uint64_t)words[i].why);
		return;
	}
	wrong(t, "closed is no, both, reset or timeout");
}

static void say_state(struct talk *t, const struct line *l)
{
	static const char *const names[TCP_STATES] = {"closed",	    "syn-received", "established",
						      "fin-wait-1", "fin-wait-2",   "closing",
						      "close-wait", "last-ack",	    "time-wait"};

	need(t);
	if (strcmp(names[t->c->state], word_at(t, l, 1)))
		wrong(t, "the state is %s", names[t->c->state]);
}

static const struct {
	const char *name;
	size_t at;
} counters[] = {
#define COUNTER(n)                                   \
	{                                            \
#n, offsetof(struct tcp_counters, n) \
	}
	COUNTER(malformed),  COUNTER(bad_checksum),	COUNTER(resets_out),
	COUNTER(challenges), COUNTER(suppressed),	COUNTER(retransmits),
	COUNTER(timeouts),   COUNTER(fast_retransmits), COUNTER(half_open_evicted),
	COUNTER(no_slot),    COUNTER(refused_bytes),	COUNTER(forced_final),
	COUNTER(acks_alone), COUNTER(hang_ups),
};

static void say_count(struct talk *t, const struct line *l)
{
	struct tcp_counters now;
	uint64_t n;

	tcp_count(t->tcp, &now);
	for (unsigned i = 0; i < ARRAY_SIZE(counters); i++) {
		if (strcmp(counters[i].name, word_at(t, l, 1)))
			continue;
		memcpy(&n, (uint8_t *)&now + counters[i].at, sizeof(n));
		expect(t, counters[i].name, n, number(t, word_at(t, l, 2)));
		return;
	}
	wrong(t, "no such counter");
}

/* Another process takes the connection up. */
static void say_move(struct talk *t, const struct line *l)
{
	struct tcp_state s;
	struct bytes *b = NULL;
	struct stream_buffer *list[1];
	int r;

	need(t);
	nothing_left(t);
	r = tcp_export(t->c, &s);
	expect(t, "export", (uint64_t)r, 0);
	if (has(l, "unfinal")) {
		tcp_state_forget_unfinal(&s);
		t->got = s.taken_bytes;
	}
	tcp_drop(t->c);
	tcp_free(t->tcp);
	tcp_new(&t->tcp, &config, &ops, t);
	tcp_listen(t->tcp, OUR_PORT);
	tcp_set_offloads(t->tcp, true, true, true);
	if (s.queued) {
		b = malloc(sizeof(*b) + s.queued);
		for (size_t i = 0; i < s.queued; i++)
			b->data[i] = (uint8_t)((s.acked_bytes + i) * 3);
		b->buffer = (struct stream_buffer){.data = b->data, .len = s.queued};
		list[0] = &b->buffer;
	}
	r = tcp_import(t->tcp, &s, list, s.queued ? 1 : 0, NULL, t->now, &t->c);
	expect(t, "import", (uint64_t)r, 0);
	end_turn(t);
}

/* flood N: SYNs from N ports, answers thrown away. */
static void say_flood(struct talk *t, const struct line *l)
{
	uint64_t n = number(t, word_at(t, l, 1)), first = value(t, l, "first", 10000);
	char port[16];
	struct line syn = {{"guest", "S", "0", "from", port}, 5};
	struct list *it;

	for (uint64_t i = 0; i < n; i++) {
		snprintf(port, sizeof(port), "%u", (unsigned)(first + i));
		guest(t, &syn);
		while ((it = list_pop(&t->out))) {
			struct sent *s = list_entry(it, struct sent, link);

			free(s->packet);
			free(s);
		}
	}
}

static void say_probe(struct talk *t, const struct line *l)
{
	need(t);
	nothing_left(t);
	tcp_probe(t->c);
	end_turn(t);
}

/* As if another process had had the connection. */
static void say_hang_up(struct talk *t, const struct line *l)
{
	struct tcp_peer peer = {.port = GUEST_PORT, .local_port = OUR_PORT, .v6 = t->v6};
	const uint8_t *address = t->v6 ? guest_config.address6 : guest_config.address4;

	nothing_left(t);
	memcpy(peer.address, address, t->v6 ? 16 : 4);
	tcp_hang_up(t->tcp, &peer);
	end_turn(t);
}

static void say_card(struct talk *t, const struct line *l)
{
	static const uint8_t unknown[6];
	const char *word = word_at(t, l, 1);

	nothing_left(t);
	if (!strcmp(word, "up"))
		tcp_dead_again(t->tcp);
	else
		tcp_set_card(t->tcp, strcmp(word, "known") ? unknown : guest_config.mac);
	end_turn(t);
}

static void say_deaf(struct talk *t, const struct line *l)
{
	expect(t, "deaf", tcp_deaf(t->tcp), strcmp(l->word[l->n - 1], "no") != 0);
}

static void say_goes_on(struct talk *t, const struct line *l)
{
	nothing_left(t);
	tcp_go_on(t->tcp, t->now);
	end_turn(t);
}

static const struct {
	const char *word;
	void (*say)(struct talk *t, const struct line *l);
} says[] = {
	{"guest", guest},	    {"ours", ours},	  {"open", say_open},
	{"wait", say_wait},	    {"send", say_send},	  {"shutdown", say_shutdown},
	{"close", say_close},	    {"abort", say_abort}, {"drop", say_drop},
	{"resume", say_resume},	    {"room", say_room},	  {"hold", say_hold},
	{"final", say_final},	    {"take", say_take},	  {"full", say_full},
	{"offload", say_offload},   {"v6", say_v6},	  {"iss", say_iss},
	{"our-iss", say_our_iss},   {"burst", say_burst}, {"turn", say_turn},
	{"refuse", say_refuse},	    {"got", say_got},	  {"released", say_released},
	{"accepted", say_accepted}, {"ended", say_ended}, {"closed", say_closed},
	{"state", say_state},	    {"count", say_count}, {"move", say_move},
	{"flood", say_flood},	    {"probe", say_probe}, {"hang-up", say_hang_up},
	{"card", say_card},	    {"deaf", say_deaf},	  {"goes-on", say_goes_on},
};

void play_line(struct talk *t, char *text)
{
	struct line l = {.n = 0};
	char *rest = NULL, *comment = strchr(text, '#');

	if (comment)
		*comment = '\0';
	for (char *w = strtok_r(text, " \t\n", &rest); w; w = strtok_r(NULL, " \t\n", &rest)) {
		if (l.n == WORDS)
			wrong(t, "the line is too long");
		l.word[l.n++] = w;
	}
	if (!l.n)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(says); i++) {
		if (!strcmp(says[i].word, l.word[0])) {
			says[i].say(t, &l);
			return;
		}
	}
	wrong(t, "no such word: %s", l.word[0]);
}
