/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SipHash-2-4 over the connection's path, plus a clock of 4 us: one path's numbers go up, so that
 * an old connection's segments are not taken for a new one's, and tell nothing of another path's.
 *
 * SipHash: Aumasson, Bernstein, "SipHash: a fast short-input PRF" (2012), written from the paper's
 * section 2; its test vectors are in tests/unit/test-tcp-parts.c.
 */
#include "vhost_user_net/tcp_isn.h"

#include <string.h>

#include "base/endian_types.h"
#include "vhost_user_net/tcp_segment.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_rounds(struct sip *s, unsigned n)
{
	while (n--) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 = rotate(s->v2, 32);
	}
}

static uint64_t word_at(const uint8_t *p)
{
	le64 w;

	memcpy(&w, p, sizeof(w));
	return le64_get(w);
}

/**
 * tcp_siphash() - SipHash-2-4
 * @key:	16 bytes
 * @data:	what is hashed
 * @len:	how many bytes
 *
 * Return: 64 bits.
 */
uint64_t tcp_siphash(const uint8_t key[16], const void *data, size_t len)
{
	const uint64_t k0 = word_at(key), k1 = word_at(key + 8);
	struct sip s = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
			k1 ^ 0x7465646279746573};
	uint8_t tail[8] = {[7] = (uint8_t)len};
	const uint8_t *p = data;
	uint64_t word;

	for (; len >= 8; p += 8, len -= 8) {
		word = word_at(p);
		s.v3 ^= word;
		sip_rounds(&s, 2);
		s.v0 ^= word;
	}
	if (len)
		memcpy(tail, p, len);
	word = word_at(tail);
	s.v3 ^= word;
	sip_rounds(&s, 2);
	s.v0 ^= word;
	s.v2 ^= 0xff;
	sip_rounds(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/**
 * tcp_isn() - the first sequence number of a connection (RFC 6528, 3)
 * @key:	secret, 16 random bytes
 * @path:	between whom
 * @now:	ns
 */
uint32_t tcp_isn(const uint8_t key[16], const struct tcp_path *path, uint64_t now)
{
	uint8_t in[1 + 16 + 4] = {path->v6};

	memcpy(in + 1, path->peer, 16);
	memcpy(in + 17, &path->peer_port, 2);
	memcpy(in + 19, &path->port, 2);
	return (uint32_t)tcp_siphash(key, in, sizeof(in)) + (uint32_t)(now / 4000);
}
