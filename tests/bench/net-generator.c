/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two guests' drivers in one busy thread, for tests/bench/net: each connects to a vhost-user socket,
 * A sends frames, B counts them, and with "both" the other way round, too. At most WINDOW frames are
 * under way each way. Prints frames a second, and what was lost.
 *
 * usage: net-generator A.sock B.sock LENGTH WINDOW SECONDS one|both
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "vhost_user_net/net_spec.h"
#include "vhost_user_net/vhost_user_spec.h"
#include "vhost_user_net/virtio_spec.h"

#define RING	1024u
#define RX_SIZE 2048u
#define TX_SIZE 65536u
#define TX_BUFS 64u
#define HDR	sizeof(struct virtio_net_hdr)
#define SIZE	(16u << 20)

/* Where things lie in a guest's memory. */
#define RINGS	0u /* 64 KiB each */
#define AVAIL	0x4000u
#define USED	0x8000u
#define RX_BUFS 0x100000u
#define TX_AREA 0x400000u
#define FEATURES                                                               \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VHOST_USER_F_PROTOCOL_FEATURES | \
	 1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_NET_F_CSUM |          \
	 1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_HOST_TSO4 |    \
	 1ull << VIRTIO_NET_F_GUEST_TSO4)

struct ring {
	uint8_t *at;
	int kick, call;
	uint16_t avail, used;
};

struct guest {
	int sock;
	uint8_t *mem;
	struct ring ring[VIRTIO_NET_RINGS];
	uint64_t sent, received, kicks;
};

static void must(bool what, const char *name)
{
	if (what)
		return;
	perror(name);
	exit(1);
}
#define MUST(what) must(what, #what)

static void send_message(struct guest *g, uint32_t request, const void *payload, uint32_t size,
			 int fd)
{
	struct {
		struct vhost_user_header h;
		uint8_t payload[512];
	} m = {.h = {.request = request, .flags = VHOST_USER_VERSION, .size = size}};

	memcpy(m.payload, payload, size);
	MUST(fd_send(g->sock, &m, sizeof(m.h) + size, &fd, fd >= 0) == 0);
}

static void send_u64(struct guest *g, uint32_t request, uint64_t x, int fd)
{
	send_message(g, request, &x, sizeof(x), fd);
}

static uint64_t ask_u64(struct guest *g, uint32_t request)
{
	struct {
		struct vhost_user_header h;
		uint64_t x;
	} __attribute__((packed)) m;

	send_message(g, request, "", 0, -1);
	MUST(recv(g->sock, &m, sizeof(m), MSG_WAITALL) == sizeof(m));
	return m.x;
}

static void send_state(struct guest *g, uint32_t request, unsigned ring, unsigned num)
{
	struct vhost_vring_state s = {.index = ring, .num = num};

	send_message(g, request, &s, sizeof(s), -1);
}

static uint16_t *word(struct ring *r, size_t at)
{
	return (uint16_t *)(void *)(r->at + at);
}

static void set_up_ring(struct guest *g, unsigned i)
{
	struct ring *r = &g->ring[i];
	struct vhost_vring_addr a = {.index = i};

	r->at = g->mem + RINGS + i * 0x10000u;
	r->kick = eventfd(0, EFD_NONBLOCK);
	r->call = eventfd(0, EFD_NONBLOCK);
	a.desc_user_addr = (uintptr_t)r->at;
	a.avail_user_addr = (uintptr_t)r->at + AVAIL;
	a.used_user_addr = (uintptr_t)r->at + USED;
	*word(r, AVAIL + VIRTQ_AVAIL_FLAGS) = VIRTQ_AVAIL_F_NO_INTERRUPT;
	send_state(g, VHOST_USER_SET_VRING_NUM, i, RING);
	send_state(g, VHOST_USER_SET_VRING_BASE, i, 0);
	send_message(g, VHOST_USER_SET_VRING_ADDR, &a, sizeof(a), -1);
	send_u64(g, VHOST_USER_SET_VRING_CALL, i, r->call);
	send_u64(g, VHOST_USER_SET_VRING_KICK, i, r->kick);
	send_state(g, VHOST_USER_SET_VRING_ENABLE, i, 1);
}

static void put_desc(struct guest *g, unsigned ring, unsigned i, uint64_t gpa, uint32_t len,
		     unsigned flags)
{
	struct virtq_desc d = {le64_of(gpa), le32_of(len), le16_of((uint16_t)flags), le16_of(0)};

	memcpy(g->ring[ring].at + sizeof(d) * i, &d, sizeof(d));
}

static void post(struct guest *g, unsigned ring, unsigned head)
{
	struct ring *r = &g->ring[ring];

	*word(r, AVAIL + VIRTQ_AVAIL_RING + 2 * (r->avail++ % RING)) = (uint16_t)head;
}

/* Show what was posted, and kick where that is wanted. */
static void show(struct guest *g, unsigned ring)
{
	struct ring *r = &g->ring[ring];

	if (__atomic_load_n(word(r, AVAIL + VIRTQ_AVAIL_IDX), __ATOMIC_RELAXED) == r->avail)
		return;
	__atomic_store_n(word(r, AVAIL + VIRTQ_AVAIL_IDX), r->avail, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(word(r, USED + VIRTQ_USED_FLAGS), __ATOMIC_SEQ_CST) &
	    VIRTQ_USED_F_NO_NOTIFY)
		return;
	eventfd_write(r->kick, 1);
	g->kicks++;
}

static void connect_to(struct guest *g, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct vhost_user_memory m = {.nregions = 1};
	int memfd = memfd_create("guest", 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	g->sock = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(connect(g->sock, (struct sockaddr *)&a, sizeof(a)) == 0);
	MUST(ftruncate(memfd, SIZE) == 0);
	g->mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memfd, 0);
	MUST(g->mem != MAP_FAILED);
	m.regions[0] = (struct vhost_user_memory_region){0, SIZE, (uintptr_t)g->mem, 0};
	send_message(g, VHOST_USER_SET_OWNER, "", 0, -1);
	MUST((ask_u64(g, VHOST_USER_GET_FEATURES) & FEATURES) == FEATURES);
	ask_u64(g, VHOST_USER_GET_PROTOCOL_FEATURES);
	send_u64(g, VHOST_USER_SET_PROTOCOL_FEATURES, 0, -1);
	send_u64(g, VHOST_USER_SET_FEATURES, FEATURES, -1);
	send_message(g, VHOST_USER_SET_MEM_TABLE, &m, 8 + sizeof(m.regions[0]), memfd);
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		set_up_ring(g, i);
	for (unsigned i = 0; i < RING; i++) {
		put_desc(g, VIRTIO_NET_RX, i, RX_BUFS + i * RX_SIZE, RX_SIZE, VIRTQ_DESC_F_WRITE);
		post(g, VIRTIO_NET_RX, i);
	}
	show(g, VIRTIO_NET_RX);
	close(memfd);
}

/* Guest N is 02:00:00:00:00:(1 + N), 10.77.0.(11 + N). Long frames are TCP, to be cut. */
static void make_frames(struct guest *g, unsigned n, size_t len)
{
	struct virtio_net_hdr hdr = {0};
	struct {
		struct ethernet_header eth;
		struct ipv4_header ip;
		struct tcp_header tcp;
	} __attribute__((packed)) f = {
		.eth = {{2, 0, 0, 0, 0, (uint8_t)(2 - n)},
			{2, 0, 0, 0, 0, (uint8_t)(1 + n)},
			be16_of(ETHERTYPE_IPV4)},
		.ip = {.version_ihl = 0x45,
		       .total_length = be16_of((uint16_t)(len - 14)),
		       .ttl = 64,
		       .protocol = len > 1514 ? IP_TCP : 253,
		       .source = {10, 77, 0, (uint8_t)(11 + n)},
		       .destination = {10, 77, 0, (uint8_t)(12 - n)}},
		.tcp = {.offset = 0x50, .flags = 0x10},
	};

	if (len > 1514)
		hdr = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					      .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					      .hdr_len = le16_of(54),
					      .gso_size = le16_of(1460),
					      .csum_start = le16_of(34),
					      .csum_offset = le16_of(16)};
	for (unsigned i = 0; i < TX_BUFS; i++) {
		uint8_t *at = g->mem + TX_AREA + i * TX_SIZE;

		memcpy(at, &hdr, HDR);
		memcpy(at + HDR, &f, sizeof(f));
	}
	for (unsigned i = 0; i < RING; i++)
		put_desc(g, VIRTIO_NET_TX, i, TX_AREA + i % TX_BUFS * TX_SIZE,
			 (uint32_t)(HDR + len), 0);
}

/* Frames that have come; a frame's first buffer says how many it takes. */
static void receive(struct guest *g, size_t len)
{
	struct ring *r = &g->ring[VIRTIO_NET_RX];
	uint16_t used = __atomic_load_n(word(r, USED + VIRTQ_USED_IDX), __ATOMIC_ACQUIRE);
	unsigned left = 0;

	while (r->used != used) {
		struct virtq_used_elem e;
		unsigned head;

		memcpy(&e, r->at + USED + VIRTQ_USED_RING + sizeof(e) * (r->used % RING),
		       sizeof(e));
		head = le32_get(e.id);
		if (!left) {
			struct virtio_net_hdr hdr;

			memcpy(&hdr, g->mem + RX_BUFS + head * RX_SIZE, HDR);
			left = le16_get(hdr.num_buffers);
			/* Not the back-end's own: it may ask or answer something. */
			g->received += (left - 1) * RX_SIZE + le32_get(e.len) >=
				       HDR + min_t(size_t, len, 64);
		}
		left--;
		r->used++;
		post(g, VIRTIO_NET_RX, head);
	}
	show(g, VIRTIO_NET_RX);
}

static void transmit(struct guest *g, const struct guest *to, uint64_t lost, unsigned window)
{
	struct ring *r = &g->ring[VIRTIO_NET_TX];

	r->used = __atomic_load_n(word(r, USED + VIRTQ_USED_IDX), __ATOMIC_ACQUIRE);
	while (g->sent - to->received - lost < window && (uint16_t)(r->avail - r->used) < RING) {
		post(g, VIRTIO_NET_TX, r->avail % RING);
		g->sent++;
	}
	show(g, VIRTIO_NET_TX);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static struct guest g[2];
	uint64_t lost[2] = {0}, seen[2] = {0};
	double begun, still, seconds, t;
	unsigned window;
	size_t len;
	bool both;

	if (argc != 7)
		return 2;
	len = strtoul(argv[3], NULL, 10);
	window = (unsigned)strtoul(argv[4], NULL, 10);
	seconds = strtod(argv[5], NULL);
	both = !strcmp(argv[6], "both");
	for (unsigned i = 0; i < 2; i++) {
		connect_to(&g[i], argv[1 + i]);
		make_frames(&g[i], i, len);
	}
	/* Until both cards are up, and each knows the other's address. */
	for (begun = now(); now() - begun < 10 && !(g[0].received && g[1].received);) {
		for (unsigned i = 0; i < 2; i++) {
			transmit(&g[i], &g[!i], g[i].sent - g[!i].received, 1);
			usleep(20000);
			receive(&g[0], len);
			receive(&g[1], len);
		}
	}
	MUST(g[0].received && g[1].received);
	usleep(300000);
	for (unsigned i = 0; i < 2; i++)
		receive(&g[i], len);
	for (unsigned i = 0; i < 2; i++)
		g[i].sent = g[i].received = g[i].kicks = 0;
	for (begun = still = t = now(); t - begun < seconds; t = now()) {
		for (unsigned k = 0; k < 16; k++) {
			transmit(&g[0], &g[1], lost[0], window);
			if (both)
				transmit(&g[1], &g[0], lost[1], window);
			receive(&g[1], len);
			receive(&g[0], len);
		}
		/* What has not come while nothing else did is lost. */
		if (g[0].received != seen[0] || g[1].received != seen[1]) {
			seen[0] = g[0].received;
			seen[1] = g[1].received;
			still = t;
		} else if (t - still > 0.05) {
			lost[0] = g[0].sent - g[1].received;
			lost[1] = g[1].sent - g[0].received;
			still = t;
		}
	}
	printf("%.0f frames/s, lost %llu, kicks %llu\n",
	       (double)(g[0].received + g[1].received) / (t - begun),
	       (unsigned long long)(lost[0] + lost[1]),
	       (unsigned long long)(g[0].kicks + g[1].kicks));
	return 0;
}
