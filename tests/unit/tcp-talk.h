/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A conversation with our TCP that is being played (test-tcp-talk.c), and what its lines say
 * (tcp-words.c). A line that does not hold ends its conversation (wrong()).
 */
#pragma once

#include <setjmp.h>

#include "base/mem.h"
#include "tests/unit/tcp-wire.h"
#include "vhost_user_net/tcp_private.h"
#include "vhost_user_net/tcp_state.h"

#define OUR_PORT   3240
#define GUEST_PORT 40000
#define WORDS	   32

struct sent {
	struct list link;
	struct wire_packet *packet;
};

struct bytes {
	struct stream_buffer buffer;
	uint8_t data[];
};

struct talk {
	const char *file;
	char name[200];
	unsigned line;
	jmp_buf failed;

	struct tcp *tcp;
	struct tcp_connection *c;
	uint64_t now;
	struct list out; /* of struct sent */
	uint32_t iss, our_iss;
	bool v6, full, burst, accepted, ended, refuse_accept, no_offload, close_on_data;
	uint64_t got, take, sent, released;
	int closed; /* 1: not */
	struct wire_frame frame;
	struct tcp_counters before;
};

/* One word of a line with what follows it. */
struct line {
	const char *word[WORDS];
	unsigned n;
};

extern const struct tcp_ops ops;
extern const struct tcp_config config;
extern const struct tcp_config guest_config;

void wrong(struct talk *t, const char *format, ...) _printf_(2, 3);
uint64_t number(struct talk *t, const char *text);
uint64_t value(struct talk *t, const struct line *l, const char *word, uint64_t otherwise);
bool has(const struct line *l, const char *word);
const char *word_at(struct talk *t, const struct line *l, unsigned i);
void nothing_left(struct talk *t);
void end_turn(struct talk *t);
void guest(struct talk *t, const struct line *l);
void expect(struct talk *t, const char *what, uint64_t is, uint64_t wanted);
void ours(struct talk *t, const struct line *l);

void play_line(struct talk *t, char *text);
