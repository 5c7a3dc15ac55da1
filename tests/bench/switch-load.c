/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The drivers of many virtual machines in one busy thread, by DPDK, for tests/bench/switch: ports are pairs, and each
 * sends to the other one of its pair. At most WINDOW frames of a direction are under way, so that a switch that drops none
 * loses none. Frames of more than 1514 bytes are TCP that is to be cut.
 *
 * usage: switch-load EAL-WORDS -- LENGTH WINDOW SECONDS one|both|check
 *
 * With "check", frames go both ways, have a number and bytes that follow from it, and each must come once, in order
 * and unchanged: else it says what came, and ends with 1.
 *
 * Prints "begun" when each port has been heard by its peer, and then a line: frames a second, how many were lost, and how
 * long one took, median and 99 of 100, in microseconds (only of a window of 1).
 */
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORTS	 128
#define DESCS	 256
#define BURST	 32
#define SEGMENT	 2000u
#define SAMPLES	 (1u << 20)
#define STILL	 2.0 /* seconds: on a busy machine a switch may just not have its turn */
#define LAST_CUT 1514u
#define ANY_NODE ((unsigned)SOCKET_ID_ANY)

/* A machine's buffers: what its two rings may hold, frames that are being made, and DPDK's cache. */
#define BUFFERS (4u * DESCS)
#define CACHE	256u

/* Ethernet, IPv4, TCP: as they stand in a frame. */
#define HEADERS 54u

struct port {
	uint16_t id;
	struct rte_mempool *pool; /* a machine's frames lie in its own memory */
	struct rte_ether_addr mac;
	uint8_t headers[HEADERS];
	uint64_t sent, received; /* received: by its peer */
	uint64_t lost;
	uint64_t at; /* when the last one was sent, cycles */
};

static struct port ports[PORTS];
static unsigned n_ports;
static bool checks; /* frames have numbers */
static uint32_t samples[SAMPLES];
static unsigned n_samples;

static void must(bool what, const char *name)
{
	if (what)
		return;
	fprintf(stderr, "switch-load: %s failed\n", name);
	exit(1);
}
#define MUST(what) must(what, #what)

static struct port *peer_of(const struct port *p)
{
	return &ports[(unsigned)(p - ports) ^ 1u];
}

static void open_port(struct port *p, uint16_t id, bool tso)
{
	struct rte_eth_conf conf = {0};

	char name[32];

	p->id = id;
	snprintf(name, sizeof(name), "port%u", id);
	p->pool = rte_pktmbuf_pool_create(name, BUFFERS, CACHE, 0,
					  SEGMENT + RTE_PKTMBUF_HEADROOM + 48, SOCKET_ID_ANY);
	MUST(p->pool);
	if (tso) {
		conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
				       RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
		conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER |
				       RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	}
	MUST(rte_eth_dev_configure(id, 1, 1, &conf) == 0);
	MUST(rte_eth_rx_queue_setup(id, 0, DESCS, ANY_NODE, NULL, p->pool) == 0);
	MUST(rte_eth_tx_queue_setup(id, 0, DESCS, ANY_NODE, NULL) == 0);
	MUST(rte_eth_macaddr_get(id, &p->mac) == 0);
	MUST(rte_eth_dev_start(id) == 0);
}

static void make_headers(struct port *p, uint32_t length)
{
	uint8_t *h = p->headers;

	memcpy(h, &peer_of(p)->mac, 6);
	memcpy(h + 6, &p->mac, 6);
	h[12] = 8;
	h[14] = 0x45;
	h[16] = (uint8_t)((length - 14) >> 8);
	h[17] = (uint8_t)(length - 14);
	h[22] = 64;
	h[23] = length > LAST_CUT ? 6 : 253;
	h[26] = h[30] = 10;
	h[29] = p->mac.addr_bytes[5];
	h[33] = peer_of(p)->mac.addr_bytes[5];
	h[46] = 0x50;
	h[47] = 0x10;
}

/* A number counts from 1. */
static uint8_t byte_of(uint64_t number, uint32_t at)
{
	if (at < HEADERS + sizeof(number))
		return (uint8_t)(number >> 8 * (at - HEADERS));
	return (uint8_t)(number * 31 + at * 7);
}

static void number_frame(struct rte_mbuf *m, uint64_t number)
{
	for (uint32_t at = 0; m; m = m->next)
		for (uint32_t i = 0; i < m->data_len; i++, at++)
			if (at >= HEADERS)
				rte_pktmbuf_mtod(m, uint8_t *)[i] = byte_of(number, at);
}

static void check_frame(const struct port *sender, const struct rte_mbuf *m)
{
	uint64_t number = sender->received + 1;

	for (uint32_t at = 0; m; m = m->next)
		for (uint32_t i = 0; i < m->data_len; i++, at++)
			if (at >= HEADERS &&
			    rte_pktmbuf_mtod(m, const uint8_t *)[i] != byte_of(number, at)) {
				fprintf(stderr,
					"switch-load: frame %llu of port %u: byte %u is another one\n",
					(unsigned long long)number, sender->id, at);
				exit(1);
			}
}

static struct rte_mbuf *make_frame(const struct port *p, uint32_t length)
{
	struct rte_mbuf *first = NULL, **next = &first;

	for (uint32_t left = length; left;) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(p->pool);

		if (!m) {
			rte_pktmbuf_free(first);
			return NULL;
		}
		m->data_len = (uint16_t)(left < SEGMENT ? left : SEGMENT);
		left -= m->data_len;
		*next = m;
		next = &m->next;
		first->nb_segs = (uint16_t)(m == first ? 1 : first->nb_segs + 1);
	}
	first->pkt_len = length;
	memcpy(rte_pktmbuf_mtod(first, void *), p->headers, HEADERS);
	if (length > LAST_CUT) {
		first->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4 |
				  RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
		first->l2_len = 14;
		first->l3_len = 20;
		first->l4_len = 20;
		first->tso_segsz = 1460;
	}
	return first;
}

static void transmit(struct port *p, uint32_t length, unsigned window)
{
	struct rte_mbuf *burst[BURST];
	uint16_t n = 0, sent;

	while (n < BURST && p->sent + n - p->received - p->lost < window) {
		burst[n] = make_frame(p, length);
		if (!burst[n])
			break;
		if (checks)
			number_frame(burst[n], p->sent + n + 1);
		n++;
	}
	if (n)
		p->at = rte_rdtsc();
	sent = rte_eth_tx_burst(p->id, 0, burst, n);
	p->sent += sent;
	while (sent < n)
		rte_pktmbuf_free(burst[sent++]);
}

/* Return: whether the frame is one that its port's peer has sent. */
static bool is_ours(const struct port *p, const struct rte_mbuf *m, uint32_t length)
{
	const uint8_t *at = rte_pktmbuf_mtod(m, const uint8_t *);

	return m->pkt_len == length && m->data_len >= 34 && !memcmp(at, p->headers + 6, 6) &&
	       !memcmp(at + 6, p->headers, 6);
}

static void receive(struct port *p, uint32_t length, unsigned window)
{
	struct port *sender = peer_of(p);
	struct rte_mbuf *burst[BURST];
	uint16_t n = rte_eth_rx_burst(p->id, 0, burst, BURST);

	for (uint16_t i = 0; i < n; i++) {
		if (is_ours(p, burst[i], length)) {
			if (checks)
				check_frame(sender, burst[i]);
			sender->received++;
			if (window == 1 && n_samples < SAMPLES)
				samples[n_samples++] = (uint32_t)(rte_rdtsc() - sender->at);
		}
		rte_pktmbuf_free(burst[i]);
	}
}

static double seconds_since(uint64_t begun)
{
	return (double)(rte_rdtsc() - begun) / (double)rte_get_tsc_hz();
}

/* A switch learns where everybody is, and links are made: until then, frames are lost. */
static void find_each_other(uint32_t length)
{
	uint64_t begun = rte_rdtsc();
	bool all = false;

	while (!all) {
		MUST(seconds_since(begun) < 60);
		for (unsigned i = 0; i < n_ports; i++) {
			ports[i].lost = ports[i].sent - ports[i].received;
			if (!ports[i].received)
				transmit(&ports[i], length, 1);
		}
		rte_delay_us_sleep(20000);
		all = true;
		for (unsigned i = 0; i < n_ports; i++) {
			receive(&ports[i], length, 0);
			all &= peer_of(&ports[i])->received > 0;
		}
	}
	/* What is still under way. */
	rte_delay_us_sleep(300000);
	for (unsigned k = 0; k < 100; k++)
		for (unsigned i = 0; i < n_ports; i++)
			receive(&ports[i], length, 0);
	for (unsigned i = 0; i < n_ports; i++)
		ports[i].sent = ports[i].received = ports[i].lost = 0;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double sample(unsigned percent)
{
	if (!n_samples)
		return 0;
	return (double)samples[(uint64_t)(n_samples - 1) * percent / 100] * 1e6 /
	       (double)rte_get_tsc_hz();
}

static uint64_t received(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < n_ports; i++)
		n += ports[i].received;
	return n;
}

static uint64_t run(uint32_t length, unsigned window, double seconds, bool both)
{
	uint64_t begun = rte_rdtsc(), still = begun, seen = 0, lost = 0;

	while (seconds_since(begun) < seconds) {
		for (unsigned i = 0; i < n_ports; i++) {
			if (both || i % 2 == 0)
				transmit(&ports[i], length, window);
			receive(&ports[i], length, window);
		}
		/* What has not come while nothing else did is lost. */
		if (received() != seen) {
			seen = received();
			still = rte_rdtsc();
		} else if (seconds_since(still) > STILL) {
			for (unsigned i = 0; i < n_ports; i++)
				ports[i].lost = ports[i].sent - ports[i].received;
			still = rte_rdtsc();
		}
	}
	for (unsigned i = 0; i < n_ports; i++)
		lost += ports[i].lost;
	return lost;
}

/*
 * Whoever moves the frames meets the page of each buffer for the first time once, which may take ten times as
 * long as the frame. What is measured comes after that.
 */
static void warm_up(uint32_t length, unsigned window, bool both)
{
	uint32_t buffers = (length + SEGMENT - 1) / SEGMENT;

	while (received() * buffers < 4ull * n_ports * BUFFERS)
		run(length, window, 0.05, both);
	for (unsigned i = 0; i < n_ports; i++) {
		ports[i].sent -= ports[i].received + ports[i].lost;
		ports[i].received = ports[i].lost = 0;
	}
	n_samples = 0;
}

/* What is under way comes, however long a busy machine takes. */
static void drain(uint32_t length)
{
	uint64_t begun = rte_rdtsc();

	for (unsigned i = 0; i < n_ports;) {
		receive(peer_of(&ports[i]), length, 0);
		if (ports[i].received == ports[i].sent) {
			i++;
		} else if (seconds_since(begun) > 60) {
			fprintf(stderr, "switch-load: of %llu frames of port %u, %llu have come\n",
				(unsigned long long)ports[i].sent, ports[i].id,
				(unsigned long long)ports[i].received);
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	uint64_t begun, lost;
	unsigned window;
	uint32_t length;
	double seconds;
	bool both;
	int n = rte_eal_init(argc, argv);

	MUST(n >= 0);
	if (argc - n != 5)
		return 2;
	argv += n;
	length = (uint32_t)strtoul(argv[1], NULL, 10);
	window = (unsigned)strtoul(argv[2], NULL, 10);
	seconds = strtod(argv[3], NULL);
	for (uint16_t id = 0; id < RTE_MAX_ETHPORTS && n_ports < PORTS; id++)
		if (rte_eth_dev_is_valid_port(id))
			open_port(&ports[n_ports++], id, length > LAST_CUT);
	MUST(n_ports && n_ports % 2 == 0);
	for (unsigned i = 0; i < n_ports; i++)
		make_headers(&ports[i], length);
	find_each_other(length);
	checks = !strcmp(argv[4], "check");
	both = checks || !strcmp(argv[4], "both");
	/* Frames that are checked are numbered from the first one on. */
	if (!checks)
		warm_up(length, window, both);
	puts("begun");
	fflush(stdout);
	begun = rte_rdtsc();
	lost = run(length, window, seconds, both);
	if (checks)
		drain(length);
	qsort(samples, n_samples, sizeof(*samples), compare);
	printf("%.0f %llu %.2f %.2f\n", (double)received() / seconds_since(begun),
	       (unsigned long long)lost, sample(50), sample(99));
	fflush(stdout);
	for (unsigned i = 0; i < n_ports; i++)
		rte_eth_dev_stop(ports[i].id);
	rte_eal_cleanup();
	return 0;
}
