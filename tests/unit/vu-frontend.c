/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/vu-frontend-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <arpa/inet.h>

#include "base/fd.h"
#include "base/mem.h"
#include "vhost_user_net/net_frame.h"

static void on_watch_kick(void *ctx, unsigned ring, int fd)
{
	((struct fe *)ctx)->watched[ring] = fd;
}

/* ------------------------------------------------------------- control's part */

enum told_kind { TOLD_PEER, TOLD_GONE, TOLD_MAC, TOLD_LINK };

struct told {
	struct list link;
	enum told_kind kind;
	struct net_peer peer;
	uint8_t mac[6];
	bool granted;
	int memory, wake_mine, wake_theirs;
};

static void tell(struct fe_net *net, unsigned to, const struct told *told)
{
	struct told *t = malloc(sizeof(*t));

	MUST(t && net->fe[to]);
	*t = *told;
	list_append(&net->fe[to]->told, &t->link);
}

static void tell_peer(void *ctx, unsigned to, const struct net_peer *peer)
{
	tell(ctx, to, &(struct told){.kind = TOLD_PEER, .peer = *peer});
}

static void tell_gone(void *ctx, unsigned to, unsigned number)
{
	tell(ctx, to, &(struct told){.kind = TOLD_GONE, .peer.number = number});
}

static void tell_mac(void *ctx, unsigned to, const uint8_t mac[6], bool granted)
{
	struct told t = {.kind = TOLD_MAC, .granted = granted};

	memcpy(t.mac, mac, 6);
	tell(ctx, to, &t);
}

static int make_link(void *ctx, unsigned low, unsigned high)
{
	int memory, wake[2];

	MUST(net_link_make(&memory, wake) == 0);
	tell(ctx, low,
	     &(struct told){.kind = TOLD_LINK,
			    .peer.number = high,
			    .memory = memory,
			    .wake_mine = wake[0],
			    .wake_theirs = wake[1]});
	tell(ctx, high,
	     &(struct told){.kind = TOLD_LINK,
			    .peer.number = low,
			    .memory = dup(memory),
			    .wake_mine = dup(wake[1]),
			    .wake_theirs = dup(wake[0])});
	return 0;
}

static const struct net_roster_ops roster_ops = {
	.peer = tell_peer, .gone = tell_gone, .mac = tell_mac, .link = make_link};

static void deliver(struct fe *fe, const struct told *t)
{
	switch (t->kind) {
	case TOLD_PEER:
		net_port_peer_set(fe->port, &t->peer);
		break;
	case TOLD_GONE:
		net_port_peer_gone(fe->port, t->peer.number);
		break;
	case TOLD_MAC:
		if (t->granted) {
			fe->macs++;
			memcpy(fe->mac, t->mac, 6);
		}
		net_port_mac_granted(fe->port, t->mac, t->granted);
		break;
	case TOLD_LINK:
		MUST(net_port_link(fe->port, t->peer.number, fe->number > t->peer.number, t->memory,
				   t->wake_mine, t->wake_theirs) == 0);
		break;
	}
}

/* Deliver what control has told a port. Where it leads to more, that too. */
void fe_control(struct fe *fe)
{
	for (;;) {
		struct list *l;
		struct told *t;

		pthread_mutex_lock(&fe->net->lock);
		l = list_pop(&fe->told);
		pthread_mutex_unlock(&fe->net->lock);
		if (!l)
			return;
		t = container_of(l, struct told, link);
		deliver(fe, t);
		free(t);
	}
}

static void control_all(struct fe_net *net)
{
	for (unsigned i = 0; i < NET_PORTS && !net->threads && !net->late; i++)
		if (net->fe[i] && net->fe[i]->port)
			fe_control(net->fe[i]);
}

void fe_net_init(struct fe_net *net)
{
	*net = (struct fe_net){0};
	pthread_mutex_init(&net->lock, NULL);
	net_roster_init(&net->roster, &roster_ops, net);
}

void fe_net_deinit(struct fe_net *net)
{
	for (unsigned i = 0; i < NET_PORTS; i++)
		MUST(!net->fe[i]);
	pthread_mutex_destroy(&net->lock);
}

static void on_link(void *ctx, bool up, unsigned takes)
{
	struct fe *fe = ctx;

	if (up)
		fe->ups++;
	else
		fe->downs++;
	fe->takes = takes;
	pthread_mutex_lock(&fe->net->lock);
	net_roster_up(&fe->net->roster, fe->number, up);
	pthread_mutex_unlock(&fe->net->lock);
	control_all(fe->net);
}

static void on_gone(void *ctx)
{
	((struct fe *)ctx)->gones++;
}

static void on_mac_wanted(void *ctx, const uint8_t mac[6])
{
	struct fe *fe = ctx;

	fe->macs_wanted++;
	pthread_mutex_lock(&fe->net->lock);
	net_roster_mac_wanted(&fe->net->roster, fe->number, mac);
	pthread_mutex_unlock(&fe->net->lock);
	control_all(fe->net);
}

static void on_link_wanted(void *ctx, unsigned number)
{
	struct fe *fe = ctx;

	fe->links_wanted++;
	pthread_mutex_lock(&fe->net->lock);
	net_roster_link_wanted(&fe->net->roster, fe->number, number);
	pthread_mutex_unlock(&fe->net->lock);
	control_all(fe->net);
}

static void on_watch_link(void *ctx, unsigned number, int fd)
{
	((struct fe *)ctx)->watched_link[number] = fd;
}

static void on_foreign(void *ctx, const uint8_t *mac)
{
	struct fe *fe = ctx;

	fe->foreigns++;
	fe->is_foreign = mac != NULL;
	if (mac)
		memcpy(fe->foreign, mac, 6);
}

static void on_has_daemon(void *ctx, bool has)
{
	((struct fe *)ctx)->has_daemon = has;
}

/* What there is no room for is lost: tests that look read each. */
static void on_daemon(void *ctx, const struct net_frame *frame)
{
	struct virtio_net_hdr hdr = net_frame_header(&frame->offload);
	static __thread uint8_t flat[NET_FRAME_MAX];
	struct iovec iov[2] = {{&hdr, sizeof(hdr)}, {flat, frame->len}};
	struct fe *fe = ctx;
	ssize_t n;

	net_frame_flatten(frame, flat);
	n = writev(fe->to_daemon[0], iov, 2);
	(void)n;
}

static const struct net_port_ops ops = {
	.watch_kick = on_watch_kick,
	.link = on_link,
	.gone = on_gone,
	.daemon = on_daemon,
	.mac_wanted = on_mac_wanted,
	.link_wanted = on_link_wanted,
	.watch_link = on_watch_link,
	.foreign = on_foreign,
	.has_daemon = on_has_daemon,
};

/* Guest N: 10.77.0.(10 + N), card 02:00:00:00:00:(10 + N), to be learned. */
struct net_port_config fe_config(unsigned n)
{
	static char names[NET_PORTS][8];
	struct net_port_config c = {.name = names[n], .prefix = 24};

	snprintf(names[n], sizeof(names[n]), "vm%u", n);
	c.address.s_addr = htonl(0x0a4d000au + n);
	c.daemon.s_addr = htonl(0x0a4d0001u);
	return c;
}

/* A front-end whose port is in another process; @sock is connected to it. */
void fe_open_far(struct fe *fe, int sock)
{
	int pair[2];

	memset(fe, 0, sizeof(*fe));
	fe->back_sock = -1;
	list_init(&fe->told);
	for (unsigned i = 0; i < NET_PORTS; i++)
		fe->watched_link[i] = -1;
	fe->ring[0].kick = fe->ring[0].call = fe->ring[1].kick = fe->ring[1].call = -1;
	fe->watched[0] = fe->watched[1] = -1;
	fe->memfd = memfd_create("guest", MFD_CLOEXEC);
	MUST(fe->memfd >= 0 && ftruncate(fe->memfd, FE_SIZE) == 0);
	fe->mem = mmap(NULL, FE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fe->memfd, 0);
	MUST(fe->mem != MAP_FAILED);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	memcpy(fe->to_daemon, pair, sizeof(pair));
	fe->sock = sock;
}

void fe_open(struct fe *fe, struct fe_net *net, const struct net_port_config *config)
{
	struct net_roster_entry entry = {.address = config->address,
					 .fixed = config->fixed_mac,
					 .isolate = net->isolate,
					 .any = config->any_mac};
	struct net_port_config own = *config;

	fe_open_far(fe, -1);
	fe->net = net;
	memcpy(entry.mac, config->mac, 6);
	pthread_mutex_lock(&net->lock);
	MUST(net_roster_enter(&net->roster, &entry, &fe->number) == 0);
	net->fe[fe->number] = fe;
	memcpy(own.mac, net_roster_mac(&net->roster, fe->number), 6);
	MUST(net_port_new(&fe->port, &own, &ops, fe) == 0);
	net_roster_started(&net->roster, fe->number);
	pthread_mutex_unlock(&net->lock);
	control_all(net);
	fe_connect(fe);
}

/* A new connection; the old one, and what the guest knows of its rings, is forgotten. */
void fe_connect(struct fe *fe)
{
	int pair[2], size = 1 << 20;

	if (fe->back_sock >= 0)
		net_port_disconnect(fe->port, (unsigned)fe->which);
	fd_close(fe->sock);
	fd_close(fe->back_sock);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	fe->sock = pair[0];
	fe->back_sock = pair[1];
	setsockopt(fe->sock, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	fe->reply_ack = false;
	fe->which = net_port_connect(fe->port, fe->back_sock);
	MUST(fe->which >= 0);
}

/* Its VM is no longer configured. */
static void leave(struct fe *fe)
{
	struct list *l;

	net_port_disconnect(fe->port, (unsigned)fe->which);
	pthread_mutex_lock(&fe->net->lock);
	net_roster_leave(&fe->net->roster, fe->number);
	fe->net->fe[fe->number] = NULL;
	while ((l = list_pop(&fe->told))) {
		struct told *t = container_of(l, struct told, link);

		if (t->kind == TOLD_LINK) {
			close(t->memory);
			close(t->wake_mine);
			close(t->wake_theirs);
		}
		free(t);
	}
	pthread_mutex_unlock(&fe->net->lock);
	control_all(fe->net);
	fe->port = net_port_free(fe->port);
}

void fe_close(struct fe *fe)
{
	if (fe->port)
		leave(fe);
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++) {
		fd_close(fe->ring[i].kick);
		fd_close(fe->ring[i].call);
	}
	fd_close(fe->sock);
	fd_close(fe->back_sock);
	fd_close(fe->to_daemon[0]);
	fd_close(fe->to_daemon[1]);
	fd_close(fe->memfd);
	munmap(fe->mem, FE_SIZE);
}

void fe_send(struct fe *fe, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	     const int *fds, unsigned n_fds)
{
	struct vhost_user_header h = {.request = request, .flags = flags, .size = size};
	uint8_t buf[1024];

	memcpy(buf, &h, sizeof(h));
	if (size)
		memcpy(buf + sizeof(h), payload, size);
	MUST(fd_send(fe->sock, buf, sizeof(h) + size, fds, n_fds) == 0);
}

void fe_send_u64(struct fe *fe, uint32_t request, uint64_t x)
{
	fe_send(fe, request, VHOST_USER_VERSION, &x, sizeof(x), NULL, 0);
}

void fe_send_state(struct fe *fe, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_vring_state s = {.index = index, .num = num};

	fe_send(fe, request, VHOST_USER_VERSION, &s, sizeof(s), NULL, 0);
}

void fe_send_fd(struct fe *fe, uint32_t request, unsigned index, int fd)
{
	uint64_t x = index;

	fe_send(fe, request, VHOST_USER_VERSION, &x, sizeof(x), &fd, 1);
}

int fe_message(struct fe *fe)
{
	return fe->port ? net_port_message(fe->port, (unsigned)fe->which) : 0;
}

/* The answer that has arrived; its first eight bytes. */
uint64_t fe_reply(struct fe *fe, uint32_t request)
{
	struct {
		struct vhost_user_header h;
		uint64_t x;
	} __attribute__((packed)) m;
	ssize_t n = recv(fe->sock, &m, sizeof(m), MSG_DONTWAIT);

	MUST(n == sizeof(m) && m.h.request == request && m.h.size == 8 &&
	     m.h.flags == (VHOST_USER_VERSION | VHOST_USER_REPLY_MASK));
	return m.x;
}

void fe_set_features(struct fe *fe, uint64_t features)
{
	if (getenv("FE_PACKED"))
		features |= 1ull << VIRTIO_F_RING_PACKED;
	fe->features = features;
	fe_send(fe, VHOST_USER_SET_OWNER, VHOST_USER_VERSION, NULL, 0, NULL, 0);
	fe_send_u64(fe, VHOST_USER_SET_FEATURES, features);
}

void fe_set_memory(struct fe *fe)
{
	struct vhost_user_memory m = {
		.nregions = 2,
		.regions = {{FE_GPA, FE_HALF, FE_UVA, FE_HALF},
			    {FE_GPA + FE_HALF, FE_HALF, FE_UVA + (1ull << 30), 0}},
	};
	int fds[2] = {fe->memfd, fe->memfd};

	fe_send(fe, VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, &m, 8 + 2 * 32, fds, 2);
}

/* Where a ring lies, in the front-end's own address space. */
struct vhost_vring_addr fe_ring_at(unsigned ring)
{
	return (struct vhost_vring_addr){
		.index = ring,
		.desc_user_addr = FE_UVA + RING_AT(ring),
		.avail_user_addr = FE_UVA + RING_AT(ring) + AVAIL,
		.used_user_addr = FE_UVA + RING_AT(ring) + USED,
	};
}

void fe_set_ring(struct fe *fe, unsigned ring, unsigned num, uint32_t base)
{
	struct fe_ring *r = &fe->ring[ring];
	struct vhost_vring_addr addr = fe_ring_at(ring);

	r->num = num;
	r->packed = fe->features >> VIRTIO_F_RING_PACKED & 1;
	if (r->kick < 0)
		r->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r->call < 0)
		r->call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fe_send_state(fe, VHOST_USER_SET_VRING_NUM, ring, num);
	fe_send_state(fe, VHOST_USER_SET_VRING_BASE, ring, base);
	fe_send(fe, VHOST_USER_SET_VRING_ADDR, VHOST_USER_VERSION, &addr, sizeof(addr), NULL, 0);
	fe_send_fd(fe, VHOST_USER_SET_VRING_CALL, ring, r->call);
	fe_send_fd(fe, VHOST_USER_SET_VRING_KICK, ring, r->kick);
	if (fe->features >> VHOST_USER_F_PROTOCOL_FEATURES & 1)
		fe_send_state(fe, VHOST_USER_SET_VRING_ENABLE, ring, 1);
}

/* The whole set-up, as of a guest that has just started. */
void fe_start(struct fe *fe, uint64_t features, unsigned num)
{
	uint32_t base;

	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++) {
		memset(fe_at(fe, FE_GPA + RING_AT(i)), 0, 0x10000);
		fe->ring[i].avail_idx = fe->ring[i].used_seen = fe->ring[i].next_desc = 0;
		fe->ring[i].avail_at = fe->ring[i].used_at = FE_WRAP;
	}
	fe_set_features(fe, features);
	fe_set_memory(fe);
	base = fe->features >> VIRTIO_F_RING_PACKED & 1 ? FE_BASE_PACKED : 0;
	fe_set_ring(fe, VIRTIO_NET_RX, num, base);
	fe_set_ring(fe, VIRTIO_NET_TX, num, base);
	MUST(fe_message(fe) == 0);
}

/* Return: where it stands. */
uint32_t fe_stop_ring(struct fe *fe, unsigned ring)
{
	struct {
		struct vhost_user_header h;
		struct vhost_vring_state s;
	} m;

	fe_send_state(fe, VHOST_USER_GET_VRING_BASE, ring, 0);
	MUST(fe_message(fe) == 0);
	MUST(recv(fe->sock, &m, sizeof(m), 0) == sizeof(m));
	MUST(m.h.request == VHOST_USER_GET_VRING_BASE && m.s.index == ring);
	return m.s.num;
}

/* The guest goes on with its memory as it is: over the same connection, or a new one. */
void fe_go_on(struct fe *fe, const uint32_t base[VIRTIO_NET_RINGS])
{
	fe_set_features(fe, fe->features);
	fe_set_memory(fe);
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		fe_set_ring(fe, i, fe->ring[i].num, base[i]);
	MUST(fe_message(fe) == 0);
}

/* Post a frame: header and frame in one buffer, or the header apart, by turns. */
void fe_tx(struct fe *fe, const struct virtio_net_hdr *hdr, const void *frame, size_t len)
{
	struct fe_ring *r = &fe->ring[VIRTIO_NET_TX];
	unsigned i = r->next_desc, j = (i + 1) & (r->num - 1);
	uint64_t gpa = FE_GPA + FE_TX_BUF + (i % 8) * 0x20000u;
	static const struct virtio_net_hdr none;

	if (len > 2048)
		gpa = FE_GPA + FE_TX_BUF;
	else
		gpa = FE_GPA + FE_TX_BUF + i * 2048u % 0x100000u;
	memcpy(fe_at(fe, gpa), hdr ? hdr : &none, sizeof(*hdr));
	memcpy(fe_at(fe, gpa) + sizeof(*hdr), frame, len);
	if (i & 1) {
		fe_put_desc(fe, VIRTIO_NET_TX, i, gpa, (uint32_t)(sizeof(*hdr) + len), 0, 0);
		r->next_desc = (uint16_t)j;
	} else {
		fe_put_desc(fe, VIRTIO_NET_TX, i, gpa, sizeof(*hdr), VIRTQ_DESC_F_NEXT, j);
		fe_put_desc(fe, VIRTIO_NET_TX, j, gpa + sizeof(*hdr), (uint32_t)len, 0, 0);
		r->next_desc = (uint16_t)((j + 1) & (r->num - 1));
	}
	fe_post(fe, VIRTIO_NET_TX, i);
}

/* Post so many receive buffers of one size: descriptors 0 to n - 1. */
void fe_rx_fill(struct fe *fe, unsigned n, unsigned size)
{
	fe->rx_size = size;
	for (unsigned i = 0; i < n; i++) {
		fe_put_desc(fe, VIRTIO_NET_RX, i, FE_GPA + FE_RX_BUF + (uint64_t)i * size, size,
			    VIRTQ_DESC_F_WRITE, 0);
		fe_post(fe, VIRTIO_NET_RX, i);
	}
}

/*
 * What other guests have sent, as far as the own process was woken for it. The driver has kicked for
 * what it posted.
 */
void fe_arrive(struct fe *fe)
{
	if (!fe->port)
		return;
	net_port_kicked(fe->port, VIRTIO_NET_RX);
	for (unsigned i = 0; i < NET_PORTS; i++) {
		eventfd_t x;

		if (fe->watched_link[i] >= 0 && eventfd_read(fe->watched_link[i], &x) == 0)
			net_port_link_ready(fe->port, i);
	}
	while (net_port_arrive(fe->port))
		;
}

/* One received frame, 0 where there is none; its buffers are posted again. */
size_t fe_rx(struct fe *fe, struct virtio_net_hdr *ret_hdr, void *frame, size_t size)
{
	static _Thread_local uint8_t buf[1 << 17];
	uint32_t head, len;
	size_t at = 0;
	unsigned left = 1;

	fe_arrive(fe);
	while (left--) {
		if (!fe_used(fe, VIRTIO_NET_RX, &head, &len)) {
			MUST(at == 0);
			return 0;
		}
		MUST(len <= fe->rx_size && at + len <= sizeof(buf));
		for (uint32_t i = 0; i < len; i++)
			buf[at + i] =
				*fe_at(fe, FE_GPA + FE_RX_BUF + (uint64_t)head * fe->rx_size + i);
		if (at == 0) {
			memcpy(ret_hdr, buf, sizeof(*ret_hdr));
			left = le16_get(ret_hdr->num_buffers) - 1u;
		}
		at += len;
		fe_post(fe, VIRTIO_NET_RX, head);
	}
	at -= sizeof(*ret_hdr);
	MUST(at <= size);
	memcpy(frame, buf + sizeof(*ret_hdr), at);
	return at;
}

size_t fe_daemon_gets(struct fe *fe, struct virtio_net_hdr *ret_hdr, void *frame, size_t size)
{
	struct iovec iov[2] = {{ret_hdr, sizeof(*ret_hdr)}, {frame, size}};
	ssize_t n = readv(fe->to_daemon[1], iov, 2);

	return n < 0 ? 0 : (size_t)n - sizeof(*ret_hdr);
}

/* A whole frame; where the ring was found broken, its card goes down. */
int fe_daemon_sends(struct fe *fe, const void *frame, size_t len)
{
	static const struct net_offload none;
	struct iovec part = {.iov_base = (void *)(uintptr_t)frame, .iov_len = len};
	int r = net_port_send(fe->port, &none, &part, 1, len);

	net_port_check(fe->port);
	return r;
}

/* How often the driver was told, since this was asked last. */
unsigned fe_calls(struct fe *fe, unsigned ring)
{
	eventfd_t n = 0;

	if (eventfd_read(fe->ring[ring].call, &n) < 0)
		return 0;
	return (unsigned)n;
}

unsigned fe_open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	MUST(d != NULL);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}
