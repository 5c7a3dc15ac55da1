/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A further network. What comes out of the uplink's tap may be anything, and so may what a guest there
 * sends. On the network there are also a card that takes no offloads, and one that bridges.
 *
 * What reaches a card, or the tap, is a frame. Its source is a card's address only if that card has sent
 * it. What is left to do with it lies within it.
 *
 * Input: steps, each a byte that says what, and what it needs.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "../unit/vu-frontend.h"
#include "frame-maker.h"
#include "tests/fuzz/promise.h"
#include "vhost_user_net/net_rules.h"

#define FEW (1ull << VIRTIO_F_VERSION_1 | 1ull << VHOST_USER_F_PROTOCOL_FEATURES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SENDER, FEW_ONE, BRIDGE, CARDS, UPLINK = CARDS, PORTS };

static struct fe_net net;
static struct fe ports[PORTS];
static int lan; /* the other end of the tap */
static struct made_frame made;
static uint8_t buf[1 << 17], macs[CARDS][6];

static void open_port(unsigned i)
{
	struct net_port_config config = fe_config(i);

	config.plain = true;
	config.any_mac = i >= BRIDGE;
	config.uplink = i == UPLINK;
	config.fixed_mac = true;
	if (i < CARDS) {
		frame_mac(macs[i], i);
		memcpy(config.mac, macs[i], 6);
	}
	fe_open(&ports[i], &net, &config);
	if (i == UPLINK)
		return;
	fe_start(&ports[i], i == FEW_ONE ? FEW : FE_FEATURES, 256);
	fe_rx_fill(&ports[i], 256, 2048);
}

static void begin(void)
{
	int pair[2], size = 1 << 20;

	log_init(LOG_LEVEL_ERR);
	fe_net_init(&net);
	for (unsigned i = 0; i < PORTS; i++)
		open_port(i);
	promise(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	net_port_tap(ports[UPLINK].port, pair[0]);
	lan = pair[1];
}

static void end(void)
{
	for (unsigned i = 0; i < PORTS; i++)
		fe_close(&ports[i]);
	close(lan);
	fe_net_deinit(&net);
}

/* What has come to a port; @from: the only card whose frames it may be. */
static void check_frame(const struct virtio_net_hdr *hdr, size_t n)
{
	promise(n >= 14 && n <= NET_FRAME_MAX);
	for (unsigned i = 0; i < CARDS; i++)
		promise(i == SENDER || memcmp(buf + 6, macs[i], 6) != 0);
	if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		promise((size_t)le16_get(hdr->csum_start) + le16_get(hdr->csum_offset) + 2 <= n);
	if (hdr->gso_type)
		promise(le16_get(hdr->gso_size) && le16_get(hdr->hdr_len) <= n);
}

static void receive(void)
{
	struct virtio_net_hdr hdr;
	struct iovec iov[2] = {{&hdr, sizeof(hdr)}, {buf, sizeof(buf)}};
	ssize_t len;
	size_t n;

	for (unsigned i = 0; i < CARDS; i++) {
		while ((n = fe_rx(&ports[i], &hdr, buf, sizeof(buf)))) {
			check_frame(&hdr, n);
			promise(i != FEW_ONE || (!hdr.flags && !hdr.gso_type));
			/* What the host's side sends is not from the sender's, either. */
			promise(i != SENDER || memcmp(buf + 6, macs[SENDER], 6) != 0);
		}
		net_port_flush(ports[i].port);
		promise(i == SENDER ||
			(net_port_up(ports[i].port) && !net_port_check(ports[i].port)));
	}
	fe_arrive(&ports[UPLINK]);
	while ((len = readv(lan, iov, 2)) > 0) {
		promise((size_t)len >= sizeof(hdr));
		check_frame(&hdr, (size_t)len - sizeof(hdr));
	}
	promise(net_port_up(ports[UPLINK].port));
}

static void lan_sends(const struct iovec *iov, int n)
{
	if (writev(lan, iov, n) < 0)
		return;
	while (net_port_transmit(ports[UPLINK].port))
		;
	net_port_flush(ports[UPLINK].port);
}

static void lan_sends_bytes(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 2);
	size_t n = p ? min_t(size_t, p[0] | (p[1] & 15) << 8, c->left) : 0;
	struct iovec part = {.iov_base = buf, .iov_len = n};

	if (!n)
		return;
	memcpy(buf, cursor_take(c, n), n);
	lan_sends(&part, 1);
}

static void lan_sends_made(struct cursor *c)
{
	struct iovec iov[2] = {{&made.hdr, sizeof(made.hdr)}, {made.bytes, 0}};

	if (!frame_make(&made, c, 40) || made.len < 14 || made.len > NET_FRAME_MAX)
		return;
	iov[1].iov_len = made.len;
	lan_sends(iov, 2);
}

static void guest_sends(struct cursor *c)
{
	if (!frame_make(&made, c, SENDER) || made.len > 65000)
		return;
	fe_tx(&ports[SENDER], &made.hdr, made.bytes, made.len);
	while (net_port_transmit(ports[SENDER].port))
		;
	net_port_flush(ports[SENDER].port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	const uint8_t *step;

	begin();
	for (unsigned n = 0; n < 64 && (step = cursor_take(&c, 1)); n++) {
		switch (*step % 4) {
		case 0:
			lan_sends_bytes(&c);
			break;
		case 1:
			lan_sends_made(&c);
			break;
		case 2:
			guest_sends(&c);
			break;
		default:
			receive();
			break;
		}
	}
	receive();
	end();
	return 0;
}
