/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two guests' threads that send to each other while a third comes, goes, changes its memory and
 * breaks. Worth most under ThreadSanitizer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "vu-frontend.h"

#define FRAMES 20000u
#define QUEUE  256

static struct fe_net net;
static atomic_bool over;
static atomic_bool heard[2]; /* a frame of the other one's */

struct guest {
	struct fe fe;
	unsigned n, sent, received, bad;
	uint32_t last;
};

static void start(struct guest *g)
{
	fe_start(&g->fe, FE_FEATURES, QUEUE);
	fe_rx_fill(&g->fe, QUEUE, 2048);
}

static size_t make_frame(struct guest *g, uint8_t *f, uint32_t count)
{
	static const uint8_t ip[] = {0x08, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 253, 0, 0, 10, 77, 0};
	size_t payload = 4 + count % 1400;

	memset(f, 0xff, 6); /* to all: the third gets them too, when it is there */
	memset(f + 6, 0, 6);
	f[6] = 2;
	f[11] = (uint8_t)(10 + g->n);
	memcpy(f + 12, ip, sizeof(ip));
	f[16] = (uint8_t)((20 + payload) >> 8);
	f[17] = (uint8_t)(20 + payload);
	f[29] = (uint8_t)(10 + g->n);
	memset(f + 30, 1, 4);
	memcpy(f + 34, &count, 4);
	memset(f + 38, (uint8_t)count, payload - 4);
	return 34 + payload;
}

static void read_frames(struct guest *g)
{
	struct virtio_net_hdr hdr;
	uint8_t f[2000];
	size_t len;

	while ((len = fe_rx(&g->fe, &hdr, f, sizeof(f)))) {
		uint32_t count;

		memcpy(&count, f + 34, 4);
		if (f[11] == 12)
			continue; /* the third's */
		g->received++;
		if (len != 38 + count % 1400 || count <= g->last ||
		    (len > 38 && f[len - 1] != (uint8_t)count))
			g->bad++;
		g->last = count;
		if (g->n < 2)
			atomic_store(&heard[g->n], true);
	}
}

static void turn(struct guest *g)
{
	static const uint8_t from_daemon[60] = {[11] = 12};
	struct virtio_net_hdr hdr;
	uint32_t head, len;
	uint8_t buf[2000];

	fe_control(&g->fe);
	while (net_port_transmit(g->fe.port))
		;
	/* Own frames beside the others'; what comes is told apart from theirs as the third's are. */
	fe_daemon_sends(&g->fe, from_daemon, sizeof(from_daemon));
	net_port_flush(g->fe.port);
	while (fe_used(&g->fe, VIRTIO_NET_TX, &head, &len))
		;
	while (fe_daemon_gets(&g->fe, &hdr, buf, sizeof(buf)))
		;
	read_frames(g);
}

/* At least so many, and until each has heard the other: a link may be there late. */
static void *talk(void *ctx)
{
	struct guest *g = ctx;
	uint8_t f[2000];

	for (uint32_t i = 1; i <= FRAMES || !atomic_load(&heard[0]) || !atomic_load(&heard[1]);
	     i++) {
		size_t len = make_frame(g, f, i);

		fe_tx(&g->fe, NULL, f, len);
		g->sent++;
		if (i % 7 == 0)
			turn(g);
	}
	turn(g);
	return NULL;
}

static void *trouble(void *ctx)
{
	struct guest *g = ctx;
	uint8_t f[2000];

	for (uint32_t i = 1; !atomic_load(&over); i++) {
		struct net_port_config config = fe_config(g->n);
		size_t len = make_frame(g, f, i);

		if (g->fe.port && i % 50 == 0)
			fe_close(&g->fe);
		if (!g->fe.port) {
			fe_open(&g->fe, &net, &config);
			start(g);
		}
		fe_tx(&g->fe, NULL, f, len);
		turn(g);
		if (i % 11 == 0) {
			fe_set_memory(&g->fe);
			fe_message(&g->fe);
		}
		if (i % 17 == 0) {
			/* It shows once the buffers that were posted before are used up, unless more
			 * are posted meanwhile. */
			do {
				*fe_avail_word(&g->fe, VIRTIO_NET_RX, VIRTQ_AVAIL_IDX) += 1000;
				turn(g);
			} while (net_port_up(g->fe.port) && !atomic_load(&over));
			if (net_port_up(g->fe.port))
				break;
			start(g);
		}
	}
	return NULL;
}

static void guests_talk_while_another_makes_trouble(void **state _unused_)
{
	static struct guest g[3];
	pthread_t thread[3];

	fe_net_init(&net);
	net.threads = true;
	for (unsigned i = 0; i < 3; i++) {
		struct net_port_config config = fe_config(i);

		g[i].n = i;
		fe_open(&g[i].fe, &net, &config);
		start(&g[i]);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, i < 2 ? talk : trouble, &g[i]),
				 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	atomic_store(&over, true);
	pthread_join(thread[2], NULL);
	for (unsigned i = 0; i < 2; i++) {
		struct net_port_counters c;

		turn(&g[i]);
		net_port_count(g[i].fe.port, &c);
		print_message("%u: sent %u, the other received %u, dropped %u\n", i, g[i].sent,
			      g[!i].received, (unsigned)c.tx_full);
		assert_int_equal(g[i].bad, 0);
		assert_int_equal(c.tx_frames, g[i].sent);
		assert_true(g[!i].received > 0);
		assert_true(net_port_up(g[i].fe.port));
	}
	for (unsigned i = 0; i < 3; i++)
		if (g[i].fe.port)
			fe_close(&g[i].fe);
	fe_net_deinit(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guests_talk_while_another_makes_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
