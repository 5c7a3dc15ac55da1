/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The uplink of a further network: a port with a tap of the host's in place of a guest's rings.
 *
 * The host's network stack takes what is written into a tap as if the tap's device had received it.
 * What the host sends by that device is read from the tap. A virtio-net header stands before each
 * frame, of the length that rings have (TUNSETVNETHDRSZ), so that long segments and open checksums
 * cross as they are.
 *
 * The port is up while it has a tap. When the tap's device is gone from the host, every call fails: the
 * port goes down, and link() is told. When a tap is full, or switched off, the frame is lost.
 */
#include "vhost_user_net/net_port_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"

#define HDR sizeof(struct virtio_net_hdr)

/**
 * net_port_tap() - have an uplink's frames go to a tap, and come from there
 * @port:	the uplink's
 * @tap:	does not block, with virtio-net headers of 12 bytes; the port's from here on. -1: none
 *
 * link() is told. The descriptor stays open until the next call of this. Whoever watches it calls
 * net_port_transmit() when it is readable.
 */
void net_port_tap(struct net_port *port, int tap)
{
	if (port->tap == tap)
		return;
	if (port->up)
		net_port_set_up(port, false);
	fd_close(port->tap);
	port->tap = tap;
	port->tap_uso = NET_TAP_USO_UNTRIED;
	if (tap >= 0)
		net_port_set_up(port, true);
}

/* Whether the device behind the tap is gone. The port goes down then; its descriptor stays. */
static bool is_gone(struct net_port *port, int error)
{
	if (error != EBADFD && error != ENODEV && error != EBADF)
		return false;
	net_port_set_up(port, false);
	return true;
}

/**
 * net_tap_transmit() - pass on what the host has sent to an uplink
 * @port:	the uplink's, up
 *
 * Return: true where there may be more.
 */
bool net_tap_transmit(struct net_port *port)
{
	int error = 0;
	unsigned n;

	for (n = 0; n < NET_BURST; n++) {
		ssize_t len = read(port->tap, port->flat, HDR + NET_FRAME_MAX);

		if (len <= 0) {
			error = len < 0 ? errno : 0;
			break;
		}
		port->tx_segs[0] = (struct iovec){.iov_base = port->flat, .iov_len = (size_t)len};
		net_port_one_frame(port, (size_t)len, 1);
	}
	net_port_show_links(port);
	if (is_gone(port, error))
		return false;
	return n == NET_BURST || error == EINTR;
}

/**
 * net_tap_takes() - whether the host takes frames that are longer than a segment
 * @port:	the uplink's
 * @offload:	what they are to be cut into
 */
bool net_tap_takes(const struct net_port *port, const struct net_offload *offload)
{
	return offload->gso != VIRTIO_NET_HDR_GSO_UDP_L4 || port->tap_uso != NET_TAP_USO_REFUSED;
}

/* Pieces of a frame that comes out of a link: judged copy, and the rest, which may go round the link's end. */
#define PIECES 3

/**
 * net_tap_place() - give the host a frame
 * @port:	the uplink's
 * @offload:	what is left to do with it
 * @parts:	the frame; may lie in shared memory
 * @n_parts:	how many, at most PIECES
 * @len:	bytes in them
 *
 * Linux takes long frames of UDP since 6.2, and refuses them before: then they are all cut from here on.
 *
 * Return: 0; NET_PLACE_FULL where the frame is lost; NET_PLACE_CUT where it is to be cut; NET_PLACE_DOWN.
 */
int net_tap_place(struct net_port *port, const struct net_offload *offload,
		  const struct iovec *parts, unsigned n_parts, size_t len)
{
	struct virtio_net_hdr hdr = net_frame_header(offload);
	struct iovec out[1 + PIECES] = {{.iov_base = &hdr, .iov_len = sizeof(hdr)}};
	bool uso = offload->gso == VIRTIO_NET_HDR_GSO_UDP_L4;

	assert(n_parts <= PIECES);
	memcpy(out + 1, parts, n_parts * sizeof(*parts));
	if (writev(port->tap, out, 1 + (int)n_parts) >= 0) {
		port->count.rx_frames++;
		port->count.rx_bytes += len;
		if (uso)
			port->tap_uso = NET_TAP_USO_TAKEN;
		return 0;
	}
	if (is_gone(port, errno))
		return NET_PLACE_DOWN;
	if (errno == EINVAL && uso) {
		if (port->tap_uso == NET_TAP_USO_UNTRIED)
			port->tap_uso = NET_TAP_USO_REFUSED;
		return NET_PLACE_CUT;
	}
	port->count.rx_full++;
	return NET_PLACE_FULL;
}
