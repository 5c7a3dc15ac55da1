/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A front-end and a driver that do anything: messages, and the contents of the memory that the
 * rings are in. Input: a sequence of steps, each a byte that says what, and what it needs. After the byte PACKED,
 * rings are packed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "../unit/vu-frontend.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PACKED 0xfe

static struct fe_net net;
static bool begun;
static struct fe fe, other;

/* The neighbour's, to all: an IPv4 header. */
static const uint8_t hello[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,	0,  0, 0, 0,  11,
				8,    0,    0x45, 0,	0,    20,   0,	0,  0, 0, 64, 253,
				0,    0,    10,	  77,	0,    11,   10, 77, 0, 10};

static void begin(void)
{
	struct net_port_config a = fe_config(0), b = fe_config(1);

	log_init(LOG_LEVEL_ERR);
	fe_net_init(&net);
	fe_open(&fe, &net, &a);
	fe_open(&other, &net, &b);
	fe_start(&other, FE_FEATURES, 256);
	fe_rx_fill(&other, 256, 2048);
}

/* A message whose header is mostly right, so that payloads are reached. */
static void message(struct cursor *c)
{
	const uint8_t *h = cursor_take(c, 3);
	const uint8_t *payload;
	int fds[3] = {fe.memfd, fe.ring[0].kick, fe.memfd};

	if (!h)
		return;
	payload = cursor_take(c, h[1]);
	if (!payload)
		return;
	fe_send(&fe, h[0] % 44, h[2] & 0x0f ? VHOST_USER_VERSION | (h[2] & 8u) : h[2], payload,
		h[1], h[2] & 0x40 ? fds + 1 : fds, h[2] >> 4 & 3 ? 1 + (h[2] >> 5 & 1u) : 0);
	if (fe_message(&fe) != 0)
		fe_connect(&fe);
	/* Answers are of no interest, but their socket may fill. */
	while (recv(fe.sock, (char[256]){0}, 256, MSG_DONTWAIT) > 0)
		;
}

/* Bytes into the memory: rings by small offsets, all else by large ones. */
static void poke(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 4);
	const uint8_t *bytes;

	if (!p)
		return;
	bytes = cursor_take(c, p[0]);
	for (unsigned i = 0; bytes && i < p[0]; i++)
		*fe_at(&fe, FE_GPA + ((p[1] | p[2] << 8 | (uint64_t)p[3] << 16) + i) % FE_SIZE) =
			bytes[i];
}

static void run(void)
{
	struct virtio_net_hdr hdr;
	static uint8_t buf[70000];

	net_port_kicked(fe.port, 0);
	net_port_transmit(fe.port);
	/* From its neighbour. */
	fe_tx(&other, NULL, hello, sizeof(hello));
	net_port_transmit(other.port);
	net_port_flush(other.port);
	fe_arrive(&fe);
	net_port_flush(fe.port);
	net_port_check(fe.port);
	while (fe_daemon_gets(&fe, &hdr, buf, sizeof(buf)))
		;
	/* The neighbour's card works, whatever happened. */
	while (fe_rx(&other, &hdr, buf, sizeof(buf)))
		;
	if (!net_port_up(other.port) || net_port_check(other.port) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	const uint8_t *step;
	static uint8_t frame[300];

	if (!begun)
		begin();
	begun = true;
	fe_connect(&fe);
	fe_start(&fe, FE_FEATURES, 256);
	while ((step = cursor_take(&c, 1))) {
		const uint8_t *p;

		if (*step == PACKED) {
			fe_connect(&fe);
			fe_start(&fe, FE_FEATURES | 1ull << VIRTIO_F_RING_PACKED, 256);
			continue;
		}
		switch (*step % 6) {
		case 0:
			message(&c);
			break;
		case 1:
			poke(&c);
			break;
		case 2: /* a descriptor: ring and index, place, length, flags, next */
			p = cursor_take(&c, 10);
			if (p)
				fe_put_desc(&fe, p[0] & 1, p[1],
					    FE_GPA + (p[2] | (unsigned)p[3] << 8) * 64u,
					    p[4] | (unsigned)p[5] << 8 | (unsigned)p[6] << 16,
					    p[7] & 7, p[8] | (p[9] & 1u) << 8);
			break;
		case 3: /* post it */
			p = cursor_take(&c, 2);
			if (p)
				fe_post(&fe, p[0] & 1, p[1]);
			break;
		case 4:
			fe_daemon_sends(&fe, frame, sizeof(frame));
			run();
			break;
		default:
			run();
			break;
		}
	}
	run();
	return 0;
}
