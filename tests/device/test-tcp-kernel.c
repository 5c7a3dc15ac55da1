/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Our TCP against this machine's kernel: a tap in a network namespace of its own stands for a
 * guest's card, with a virtio-net header and the offloads that a guest has. ARP, neighbour
 * discovery and echo are answered by ours, too.
 *
 * Between the two stands a relay that loses, repeats, reorders and delays frames (netem is not in
 * every kernel). Streams go both ways at once and are compared by a hash that hangs on order.
 *
 *   test-tcp-kernel [MEGABYTES [WORD]]    that much each way, in the cases whose name has WORD
 *
 * Needs root and /dev/net/tun; without them it is skipped (77).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/tcp-wire.h"
#include "vhost_user_net/net_arp.h"
#include "vhost_user_net/net_echo.h"
#include "vhost_user_net/net_neighbor.h"
#include "vhost_user_net/net_spec.h"

#define PORT	 3240
#define PATTERN	 (8u << 20) /* the streams repeat it */
#define CHUNK	 (256u << 10)
#define UNSENT	 (4u << 20)
#define PATIENCE 240 /* seconds without an end are a hang, on a busy machine too */
#define FLIGHT	 8192

struct kase {
	const char *name;
	bool v6, csum, tso;
	unsigned loss, twice, late; /* of 10000, each way */
	unsigned delay_us;
	unsigned part;	 /* of the megabytes, in percent */
	unsigned rcvbuf; /* of the kernel's socket; 0: its own */
	unsigned refuse; /* of 10000: our user does not take */
};

static const struct kase cases[] = {
	{"IPv4, all offloads", .csum = true, .tso = true, .part = 100},
	{"IPv6, all offloads", .v6 = true, .csum = true, .tso = true, .part = 100},
	{"IPv4, no offloads", .part = 50},
	{"IPv6, no offloads", .v6 = true, .part = 50},
	{"IPv4, checksums but no long frames", .csum = true, .part = 50},
	{"IPv4, loss, repetition, reordering", .csum = true, .loss = 20, .twice = 20, .late = 20,
	 .delay_us = 200, .part = 10},
	{"IPv6, loss of long frames", .v6 = true, .csum = true, .tso = true, .loss = 100,
	 .part = 20},
	{"IPv4, delay of 20 ms", .csum = true, .tso = true, .delay_us = 10000, .part = 20},
	{"IPv4, a small receive buffer", .csum = true, .tso = true, .rcvbuf = 4096, .part = 10},
	{"IPv6, a user that refuses", .v6 = true, .csum = true, .tso = true, .refuse = 50,
	 .part = 20},
};

struct flying {
	uint64_t at, n; /* n: what is late by nothing keeps its order */
	bool to_kernel;
	struct wire_packet *packet;
};

struct chunk {
	struct stream_buffer buffer;
};

static struct {
	int tap;
	const struct kase *kase;
	struct tcp *tcp;
	struct tcp_connection *c;
	uint64_t total, queued, got, hash, rng, n_flown;
	bool shut, ended, closed;
	int why;
	struct flying flying[FLIGHT];
	unsigned n_flying;
	struct wire_frame frame;
	unsigned lost;
} us;

static uint8_t *pattern;
static atomic_int client_result; /* 1: not yet */
static char client_fault[200];

static const struct tcp_config config = {
	.mac = {2, 0, 0, 0, 0, 1},
	.address4 = {10, 77, 0, 1},
	.address6 = {0xfe, 0x80, [15] = 1},
	.key = {7, 7, 7},
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool chance(unsigned of_10000)
{
	us.rng ^= us.rng << 13;
	us.rng ^= us.rng >> 7;
	us.rng ^= us.rng << 17;
	return of_10000 && (us.rng >> 20) % 10000 < of_10000;
}

/* FNV-1a, 64 bits. */
static uint64_t hash_add(uint64_t h, const uint8_t *p, size_t len)
{
	while (len--)
		h = (h ^ *p++) * 0x100000001b3;
	return h;
}

static uint64_t hash_of(uint64_t total)
{
	uint64_t h = 1;

	for (uint64_t at = 0; at < total;) {
		size_t n = min_t(uint64_t, PATTERN - at % PATTERN, total - at);

		h = hash_add(h, pattern + at % PATTERN, n);
		at += n;
	}
	return h;
}

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* ------------------------------------------------------------- the tap */

static int new_tap(const struct kase *k)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, .ifr_name = "guest"};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), size = 12;
	unsigned long offload = (k->csum ? TUN_F_CSUM : 0) | (k->tso ? TUN_F_TSO4 | TUN_F_TSO6 : 0);

	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, offload) < 0)
		die("the tap");
	return fd;
}

static void set_up_tap(void)
{
	int s4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int s6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_name = "guest"};
	struct sockaddr_in *sin = (void *)&ifr.ifr_addr;
	struct in6_ifreq ifr6 = {.ifr6_prefixlen = 64,
				 .ifr6_addr = {.s6_addr = {0xfe, 0x80, [15] = 11}}};

	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, "\x02\0\0\0\0\x0b", 6);
	if (ioctl(s4, SIOCSIFHWADDR, &ifr) < 0)
		die("the card's address");
	*sin = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a4d000b)};
	if (ioctl(s4, SIOCSIFADDR, &ifr) < 0)
		die("the address");
	sin->sin_addr.s_addr = htonl(0xffffff00);
	if (ioctl(s4, SIOCSIFNETMASK, &ifr) < 0)
		die("the netmask");
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(s4, SIOCSIFFLAGS, &ifr) < 0)
		die("up");
	ifr6.ifr6_ifindex = (int)if_nametoindex("guest");
	if (ioctl(s6, SIOCSIFADDR, &ifr6) < 0 && errno != EEXIST)
		die("the IPv6 address");
	close(s4);
	close(s6);
}

/* ------------------------------------------------------------- the relay */

static void to_kernel(struct wire_packet *p)
{
	/* A full queue loses it, as a guest without memory does. */
	if (write(us.tap, p->bytes, p->len) < 0 && errno != EAGAIN && errno != ENOBUFS)
		die("write to the tap");
	free(p);
}

static void answer(const uint8_t *reply, size_t len)
{
	struct virtio_net_hdr hdr = {};
	struct iovec iov[] = {{&hdr, sizeof(hdr)}, {(void *)(uintptr_t)reply, len}};

	if (writev(us.tap, iov, 2) < 0)
		die("write to the tap");
}

static void beside_tcp(struct wire_packet *p)
{
	const uint8_t *frame = p->bytes + sizeof(struct virtio_net_hdr);
	uint8_t reply[NET_ECHO_MAX];
	size_t len = p->len - sizeof(struct virtio_net_hdr), n;

	n = net_arp_answer(config.mac, config.address4, frame, len, reply);
	if (!n)
		n = net_neighbor_answer(config.mac, config.address6, frame, len, reply);
	if (!n)
		n = net_echo_answer(config.mac, config.address4, config.address6, frame, len,
				    reply);
	if (n)
		answer(reply, n);
}

static void to_us(struct wire_packet *p)
{
	static const struct net_rules rules = {.address = {10, 77, 0, 11},
					       .daemon = {10, 77, 0, 1}};

	if (wire_unpack(&us.frame, &rules, p, 1)) {
		if (us.frame.frame.headers.protocol == IP_TCP)
			tcp_input(us.tcp, &us.frame.frame, now_ns());
		else
			beside_tcp(p);
	}
	free(p);
}

static void land(struct flying f)
{
	if (f.to_kernel)
		to_kernel(f.packet);
	else
		to_us(f.packet);
}

static void fly(struct wire_packet *p, bool kernels)
{
	const struct kase *k = us.kase;
	struct flying f = {.n = us.n_flown++, .to_kernel = kernels, .packet = p};

	if (chance(k->loss) || us.n_flying == FLIGHT) {
		us.lost++;
		free(p);
		return;
	}
	if (!k->delay_us && !k->late) {
		land(f);
		return;
	}
	f.at = now_ns() + k->delay_us * 1000ull;
	if (chance(k->late))
		f.at += k->delay_us * 3000ull;
	us.flying[us.n_flying++] = f;
}

static void relay(struct wire_packet *p, bool kernels)
{
	if (chance(us.kase->twice)) {
		struct wire_packet *q = malloc(sizeof(*q) + p->len);

		memcpy(q, p, sizeof(*q) + p->len);
		fly(q, kernels);
	}
	fly(p, kernels);
}

static int by_time(const void *a, const void *b)
{
	const struct flying *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->n < y->n ? -1 : x->n > y->n;
}

static void land_due(void)
{
	uint64_t now = now_ns();
	unsigned n = 0, left = us.n_flying;
	static struct flying due[FLIGHT];

	qsort(us.flying, us.n_flying, sizeof(*us.flying), by_time);
	while (n < us.n_flying && us.flying[n].at <= now)
		n++;
	memcpy(due, us.flying, n * sizeof(*due));
	memmove(us.flying, us.flying + n, (left - n) * sizeof(*due));
	us.n_flying -= n;
	for (unsigned i = 0; i < n; i++)
		land(due[i]);
}

/* ------------------------------------------------------------- our end */

static int on_frame(void *ctx, const struct net_offload *offload, const struct iovec *parts,
		    unsigned n_parts, size_t len)
{
	if (us.n_flying > FLIGHT / 2)
		return TCP_FRAME_FULL;
	relay(wire_pack(offload, parts, n_parts, len), true);
	return TCP_FRAME_SENT;
}

static void on_accept(void *ctx, struct tcp_connection *c)
{
	if (us.c)
		tcp_abort(c);
	else
		us.c = c;
}

static size_t on_receive(void *ctx, struct tcp_connection *c, const struct iovec *parts,
			 unsigned n_parts, size_t len)
{
	size_t take = chance(us.kase->refuse) ? len / 2 : len, left = take;

	for (unsigned i = 0; i < n_parts && left; i++) {
		size_t n = min_t(size_t, left, parts[i].iov_len);

		us.hash = hash_add(us.hash, parts[i].iov_base, n);
		us.got += n;
		left -= n;
	}
	return take;
}

static void on_ended(void *ctx, struct tcp_connection *c)
{
	us.ended = true;
}

static void on_release(void *ctx, struct tcp_connection *c, struct stream_buffer *buffer)
{
	free(container_of(buffer, struct chunk, buffer));
}

static void on_closed(void *ctx, struct tcp_connection *c, int why)
{
	us.closed = true;
	us.why = why;
}

static const struct tcp_ops ops = {
	.frame = on_frame,
	.accept = on_accept,
	.receive = on_receive,
	.ended = on_ended,
	.release = on_release,
	.closed = on_closed,
};

static void act(void)
{
	if (!us.c || us.closed)
		return;
	while (us.queued < us.total && tcp_unacknowledged(us.c) < UNSENT) {
		struct chunk *b = calloc(1, sizeof(*b));
		size_t n = min_t(uint64_t, CHUNK - us.queued % 1000, us.total - us.queued);

		n = min_t(uint64_t, n, PATTERN - us.queued % PATTERN);
		b->buffer.data = pattern + us.queued % PATTERN;
		b->buffer.len = (uint32_t)n;
		us.queued += n;
		if (tcp_send(us.c, &b->buffer) < 0) {
			free(b);
			return;
		}
	}
	if (us.queued == us.total && !us.shut) {
		us.shut = true;
		tcp_shutdown(us.c);
	}
	tcp_resume(us.c);
}

static void read_tap(void)
{
	for (unsigned i = 0; i < 64; i++) {
		struct wire_packet *p = malloc(sizeof(*p) + 66000);
		ssize_t n = read(us.tap, p->bytes, 66000);

		if (n < 0) {
			free(p);
			return;
		}
		p->len = (size_t)n;
		relay(p, false);
	}
}

static void turn(void)
{
	struct pollfd pfd = {.fd = us.tap, .events = POLLIN};
	uint64_t now = now_ns(), until = now + 10000000;
	struct timespec ts;

	if (tcp_deadline(us.tcp) < until)
		until = tcp_deadline(us.tcp);
	for (unsigned i = 0; i < us.n_flying; i++)
		until = min_t(uint64_t, until, us.flying[i].at);
	until = until > now ? until - now : 0;
	ts = (struct timespec){.tv_nsec = (long)until};
	ppoll(&pfd, 1, &ts, NULL);
	read_tap();
	land_due();
	act();
	tcp_flush(us.tcp, now_ns());
}

/* ------------------------------------------------------------- the kernel's end */

static int client_fail(const char *what)
{
	snprintf(client_fault, sizeof(client_fault), "%s: %s", what, strerror(errno));
	return -1;
}

static int connect_to(bool v6, uint16_t port, unsigned rcvbuf)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(0x0a4d0001)};
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6,
				    .sin6_port = htons(port),
				    .sin6_scope_id = if_nametoindex("guest"),
				    .sin6_addr = {.s6_addr = {0xfe, 0x80, [15] = 1}}};
	int s = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	if (rcvbuf)
		setsockopt(s, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	/* The link-local address is tentative for a moment. */
	for (unsigned i = 0; i < 100; i++) {
		r = v6 ? connect(s, (void *)&sin6, sizeof(sin6))
		       : connect(s, (void *)&sin, sizeof(sin));
		if (r == 0)
			return s;
		if (errno != EADDRNOTAVAIL && errno != EHOSTUNREACH)
			break;
		usleep(50000);
	}
	r = errno;
	close(s);
	errno = r;
	return -1;
}

static int client_stream(int s, uint64_t total)
{
	static uint8_t in[1 << 18];
	uint64_t sent = 0, got = 0, hash = 1;
	bool ended = false;

	fcntl(s, F_SETFL, O_NONBLOCK);
	while (!ended || sent < total) {
		struct pollfd pfd = {
			.fd = s,
			.events = (short)((ended ? 0 : POLLIN) | (sent < total ? POLLOUT : 0))};
		ssize_t n;

		if (poll(&pfd, 1, PATIENCE * 1000) <= 0)
			return client_fail("nothing came");
		if (pfd.revents & (POLLIN | POLLERR | POLLHUP)) {
			n = recv(s, in, sizeof(in), 0);
			if (n < 0 && errno != EAGAIN)
				return client_fail("recv");
			ended = n == 0;
			if (n > 0) {
				hash = hash_add(hash, in, (size_t)n);
				got += (uint64_t)n;
			}
		}
		if (pfd.revents & POLLOUT) {
			size_t most = min_t(uint64_t, PATTERN - sent % PATTERN, total - sent);

			n = send(s, pattern + sent % PATTERN, min_t(size_t, most, 1 << 20),
				 MSG_NOSIGNAL);
			if (n < 0 && errno != EAGAIN)
				return client_fail("send");
			sent += n > 0 ? (uint64_t)n : 0;
			if (sent == total)
				shutdown(s, SHUT_WR);
		}
	}
	errno = 0;
	if (got != total)
		return client_fail("bytes are missing");
	return hash == hash_of(total) ? 0 : client_fail("bytes are wrong");
}

static int client_echo(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a4d0001)};
	struct {
		struct icmphdr h;
		uint8_t data[56];
	} ask = {.h = {.type = ICMP_ECHO, .un.echo.id = 7}};
	uint8_t got[200];
	int s = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	uint32_t sum = 0;

	for (unsigned i = 0; i < sizeof(ask) / 2; i++)
		sum += ((uint16_t *)&ask)[i];
	ask.h.checksum = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
	for (unsigned i = 0; i < 100; i++) {
		struct pollfd pfd = {.fd = s, .events = POLLIN};

		if (sendto(s, &ask, sizeof(ask), 0, (void *)&to, sizeof(to)) < 0)
			break;
		while (poll(&pfd, 1, 300) > 0 && recv(s, got, sizeof(got), 0) >= 84)
			if (got[20] == ICMP_ECHOREPLY) {
				close(s);
				return 0;
			}
	}
	close(s);
	return client_fail("no echo");
}

static void *client(void *arg)
{
	const struct kase *k = us.kase;
	int s, r;

	s = connect_to(k->v6, 22, 0);
	if (s >= 0 || errno != ECONNREFUSED) {
		atomic_store(&client_result, client_fail("port 22 is not refused"));
		return NULL;
	}
	s = connect_to(k->v6, PORT, k->rcvbuf);
	r = s < 0 ? client_fail("connect") : client_stream(s, us.total);
	if (s >= 0)
		close(s);
	if (r == 0 && !k->loss)
		r = client_echo();
	atomic_store(&client_result, r);
	return NULL;
}

/* ------------------------------------------------------------- a case */

static bool run_case(const struct kase *k, uint64_t megabytes)
{
	uint64_t began = now_ns();
	struct tcp_counters n;
	pthread_t thread;
	double s;
	bool good;

	memset(&us, 0, sizeof(us));
	us.kase = k;
	us.rng = 88172645463325252;
	us.hash = 1;
	us.total = (megabytes << 20) * k->part / 100 + 12345;
	us.tap = new_tap(k);
	if (tcp_new(&us.tcp, &config, &ops, NULL) < 0)
		die("tcp_new");
	tcp_listen(us.tcp, PORT);
	/* A tap takes what virtio's driver takes; the case says what was agreed on. */
	tcp_set_offloads(us.tcp, k->csum, k->tso, k->tso);
	set_up_tap();
	client_fault[0] = '\0';
	atomic_store(&client_result, 1);
	if (pthread_create(&thread, NULL, client, NULL))
		die("pthread_create");
	while (atomic_load(&client_result) == 1 || (us.c && !us.closed)) {
		if (now_ns() - began > PATIENCE * 1000000000ull * (megabytes / 64 + 1))
			break;
		if (atomic_load(&client_result) < 0)
			break;
		turn();
	}
	s = (double)(now_ns() - began) / 1e9;
	good = atomic_load(&client_result) == 0 && us.closed && us.why == 0 && us.got == us.total &&
	       us.hash == hash_of(us.total);
	tcp_count(us.tcp, &n);
	printf("%s %s: %llu MB each way, %.1f s; %u lost, %llu sent again (%llu fast, %llu "
	       "timeouts), %llu "
	       "out of order, %llu segments in, %llu out, %llu bare acknowledgements\n",
	       good ? "ok  " : "FAIL", k->name, (unsigned long long)(us.total >> 20), s, us.lost,
	       (unsigned long long)n.retransmits, (unsigned long long)n.fast_retransmits,
	       (unsigned long long)n.timeouts, (unsigned long long)n.out_of_order,
	       (unsigned long long)n.segments_in, (unsigned long long)n.segments_out,
	       (unsigned long long)n.acks_alone);
	if (!good)
		printf("     the kernel's end: %d %s; ours: got %llu, queued %llu, closed %d "
		       "(%d)\n",
		       atomic_load(&client_result), client_fault, (unsigned long long)us.got,
		       (unsigned long long)us.queued, us.closed, us.why);
	if (!good && atomic_load(&client_result) == 1)
		_exit(1); /* the client hangs */
	pthread_join(thread, NULL);
	while (us.n_flying)
		free(us.flying[--us.n_flying].packet);
	tcp_free(us.tcp);
	close(us.tap);
	return good;
}

/* ------------------------------------------------------------- a connection of a dead process */

/* Its connect() has come back: a reset before that would be connect()'s. */
static atomic_bool idle_connected;

/* It says nothing, and waits. */
static void *idle_client(void *arg)
{
	int s = connect_to(us.kase->v6, PORT, 0), r = -1;
	char byte;

	atomic_store(&idle_connected, s >= 0);
	if (s < 0)
		client_fail("connect");
	else if (recv(s, &byte, 1, 0) >= 0 || errno != ECONNRESET)
		client_fail("recv");
	else
		r = 0;
	if (s >= 0)
		close(s);
	atomic_store(&client_result, r);
	return NULL;
}

/* What another process had: no frame tells of its end. */
static void new_process(void)
{
	struct tcp_config another = config;

	another.key[0]++;
	tcp_free(us.tcp);
	us.c = NULL;
	if (tcp_new(&us.tcp, &another, &ops, NULL) < 0)
		die("tcp_new");
	tcp_listen(us.tcp, PORT);
	tcp_set_card(us.tcp, (const uint8_t *)"\x02\0\0\0\0\x0b");
}

static bool run_dead(bool v6)
{
	const struct kase k = {.v6 = v6};
	uint64_t until = now_ns() + PATIENCE * 1000000000ull;
	struct tcp_peer peer = {};
	struct tcp_counters n;
	pthread_t thread;
	bool good;

	memset(&us, 0, sizeof(us));
	us.kase = &k;
	us.rng = 88172645463325252;
	us.tap = new_tap(&k);
	us.shut = true; /* nor do we say anything */
	if (tcp_new(&us.tcp, &config, &ops, NULL) < 0)
		die("tcp_new");
	tcp_listen(us.tcp, PORT);
	set_up_tap();
	client_fault[0] = '\0';
	atomic_store(&client_result, 1);
	atomic_store(&idle_connected, false);
	if (pthread_create(&thread, NULL, idle_client, NULL))
		die("pthread_create");
	while ((!us.c || !atomic_load(&idle_connected)) && now_ns() < until &&
	       atomic_load(&client_result) == 1)
		turn();
	if (us.c)
		tcp_peer(us.c, &peer);
	new_process();
	if (peer.port)
		tcp_hang_up(us.tcp, &peer);
	/* The kernel's socket has heard, and then it says that there is none. */
	while (now_ns() < until &&
	       (atomic_load(&client_result) == 1 || tcp_deadline(us.tcp) != TCP_NEVER))
		turn();
	tcp_count(us.tcp, &n);
	good = atomic_load(&client_result) == 0 && tcp_deadline(us.tcp) == TCP_NEVER;
	printf("%s %s, a connection of a dead process: %llu SYNs, %llu resets; %s\n",
	       good ? "ok  " : "FAIL", v6 ? "IPv6" : "IPv4", (unsigned long long)n.hang_ups,
	       (unsigned long long)n.resets_out, client_fault);
	if (atomic_load(&client_result) == 1)
		_exit(1); /* the client hangs */
	pthread_join(thread, NULL);
	tcp_free(us.tcp);
	close(us.tap);
	return good;
}

int main(int argc, char **argv)
{
	uint64_t megabytes = argc > 1 ? strtoull(argv[1], NULL, 0) : 32;
	unsigned failed = 0, n = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (access("/dev/net/tun", R_OK | W_OK) < 0 || unshare(CLONE_NEWNET) < 0) {
		printf("skipped: this needs root and /dev/net/tun\n");
		return 77;
	}
	pattern = malloc(PATTERN);
	us.rng = 1;
	for (unsigned i = 0; i < PATTERN; i++)
		pattern[i] = (uint8_t)((i * 2654435761u) >> 13 ^ i >> 16);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		if (argc > 2 && !strstr(cases[i].name, argv[2]))
			continue;
		n++;
		failed += !run_case(&cases[i], megabytes);
	}
	for (unsigned v6 = 0; v6 < 2 && (argc < 3 || strstr("dead", argv[2])); v6++) {
		n++;
		failed += !run_dead(v6);
	}
	free(pattern);
	return failed || !n;
}
