/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One end of a link in the hands of a process that its guest has taken over: it sends frames of all
 * kinds, and writes into the shared memory what and when it likes. At the other end is a guest's
 * card; a third guest sends to it, too.
 *
 * Input: steps, each a byte that says what, and what it needs.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "../unit/vu-frontend.h"
#include "frame-maker.h"
#include "tests/fuzz/promise.h"
#include "vhost_user_net/net_link.h"
#include "vhost_user_net/net_rules.h"

#define PLAIN (1ull << VIRTIO_F_VERSION_1 | 1ull << VHOST_USER_F_PROTOCOL_FEATURES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EVIL, VICTIM, THIRD, GUESTS };

static struct fe_net net;
static struct fe guests[GUESTS];
static struct net_link evil;
static int wake[2];
static struct made_frame made;
static uint8_t buf[70000], evil_mac[6], third_mac[6];

/* A new link, as control makes one when the process at its other end is another one. */
static void new_link(void)
{
	int memory;

	if (evil.memory) {
		net_link_close(&evil);
		close(wake[0]);
		close(wake[1]);
	}
	if (net_link_make(&memory, wake) < 0 || net_link_open(&evil, memory, EVIL) < 0 ||
	    net_port_link(guests[VICTIM].port, guests[EVIL].number, !EVIL, memory, dup(wake[1]),
			  dup(wake[0])) < 0)
		abort();
}

static void begin(uint8_t how)
{
	log_init(LOG_LEVEL_ERR);
	fe_net_init(&net);
	for (unsigned i = 0; i < GUESTS; i++) {
		struct net_port_config config = fe_config(i);
		struct fe *fe = &guests[i];

		frame_mac(config.mac, i);
		config.fixed_mac = true;
		fe_open(fe, &net, &config);
		fe_start(fe, i == VICTIM && (how & 1) ? PLAIN : FE_FEATURES, 256);
		fe_rx_fill(fe, 256, i == VICTIM && (how & 2) ? 600 : 2048);
	}
	frame_mac(evil_mac, EVIL);
	frame_mac(third_mac, THIRD);
	new_link();
}

static void end(void)
{
	for (unsigned i = 0; i < GUESTS; i++)
		fe_close(&guests[i]);
	fe_net_deinit(&net);
	net_link_close(&evil);
	close(wake[0]);
	close(wake[1]);
}

/* Whatever reaches the guest is what one of the two others might have sent. */
static void receive(bool plain)
{
	struct net_port *port = guests[VICTIM].port;
	struct virtio_net_hdr hdr;
	size_t n;

	net_port_link_ready(port, guests[EVIL].number);
	while ((n = fe_rx(&guests[VICTIM], &hdr, buf, sizeof(buf)))) {
		unsigned from = memcmp(buf + 6, evil_mac, 6) ? THIRD : EVIL;
		static const uint8_t none[4];
		const uint8_t own[4] = {10, 77, 0, (uint8_t)(10 + from)};

		promise(n >= 14 && n <= NET_FRAME_MAX);
		promise(from == EVIL || !memcmp(buf + 6, third_mac, 6));
		if (buf[12] == 8 && buf[13] == 0)
			promise(!memcmp(buf + 26, own, 4) || !memcmp(buf + 26, none, 4));
		if (hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			promise((size_t)le16_get(hdr.csum_start) + le16_get(hdr.csum_offset) + 2 <=
				n);
		if (hdr.gso_type)
			promise(le16_get(hdr.gso_size) && le16_get(hdr.hdr_len) <= n);
		promise(!plain || (!hdr.flags && !hdr.gso_type));
	}
	net_port_flush(port);
	promise(net_port_up(port) && !net_port_check(port));
}

static void send_made(struct cursor *c, unsigned as)
{
	struct iovec part = {.iov_base = made.bytes};

	if (!frame_make(&made, c, as) || made.len < 14 || made.len > NET_FRAME_MAX)
		return;
	part.iov_len = made.len;
	if (net_link_send(&evil, &made.hdr, &part, 1, made.len) == 0)
		net_link_show(&evil);
}

/* Bytes into the memory: words by small offsets, the newest record by larger ones. */
static void poke(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 3), *bytes;
	size_t at;

	if (!p)
		return;
	bytes = cursor_take(c, p[0] & 31);
	at = p[1] | p[2] << 8;
	if (at < 4 * 64)
		at = at % sizeof(evil.memory->way);
	else
		at = (size_t)(evil.out_bytes - (uint8_t *)evil.memory) +
		     (evil.tail - 1024 + at) % NET_LINK_RING;
	for (unsigned i = 0; bytes && i < (p[0] & 31u); i++)
		((uint8_t *)evil.memory)[(at + i) % sizeof(*evil.memory)] = bytes[i];
}

/* Words of the other way, and its own, as if it were elsewhere. */
static void jump(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 5);
	uint32_t x;

	if (!p)
		return;
	memcpy(&x, p + 1, 4);
	switch (p[0] % 4) {
	case 0:
		atomic_store(&evil.out->tail, x);
		break;
	case 1:
		atomic_store(&evil.in->head, x);
		break;
	case 2:
		atomic_store(&evil.in->asleep, x);
		break;
	default:
		atomic_store(&evil.out->tail, evil.tail + x % 4096 / 16 * 16);
		break;
	}
}

static void third_sends(void)
{
	static uint8_t hello[34] = {
		[0] = 0xff, 0xff,	0xff, 0xff, 0xff,      0xff,	   [12] = 8,  0,
		0x45,	    0,		0,    20,   [22] = 64, 253,	   [26] = 10, 77,
		0,	    10 + THIRD, 10,   77,   0,	       10 + VICTIM};
	struct net_port_counters before, after;

	memcpy(hello + 6, third_mac, 6);
	net_port_count(guests[VICTIM].port, &before);
	fe_tx(&guests[THIRD], NULL, hello, sizeof(hello));
	net_port_transmit(guests[THIRD].port);
	net_port_flush(guests[THIRD].port);
	fe_arrive(&guests[VICTIM]);
	net_port_count(guests[VICTIM].port, &after);
	promise(after.rx_frames > before.rx_frames);
}

/* The victim sends to the one that was taken over. */
static void victim_sends(void)
{
	uint8_t hello[34] = {
		[12] = 8, 0, 0x45, 0, 0, 20, [22] = 64, 253, [26] = 10, 77, 0, 10 + VICTIM};

	memcpy(hello, evil_mac, 6);
	frame_mac(hello + 6, VICTIM);
	fe_tx(&guests[VICTIM], NULL, hello, sizeof(hello));
	net_port_transmit(guests[VICTIM].port);
	net_port_flush(guests[VICTIM].port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	const uint8_t *step, *how = cursor_take(&c, 1);

	if (!how)
		return 0;
	begin(*how);
	for (unsigned n = 0; n < 64 && (step = cursor_take(&c, 1)); n++) {
		switch (*step % 8) {
		case 0:
			poke(&c);
			break;
		case 1:
			jump(&c);
			break;
		case 2:
			send_made(&c, THIRD);
			break;
		case 3:
			receive(*how & 1);
			/* Nothing is waited for in the link; so the third's frame has room. */
			third_sends();
			break;
		case 4:
			victim_sends();
			break;
		case 5:
			new_link();
			break;
		default:
			send_made(&c, EVIL);
			break;
		}
	}
	receive(*how & 1);
	end();
	return 0;
}
