/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's end of a guest's segment; see guest_net.h. */
#include "dataplane/guest_net.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "dataplane/guest_private.h"
#include "dataplane/guest_service.h"
#include "vhost_user_net/net_frame.h"
#include "vhost_user_net/tcp.h"

/* ------------------------------------------------------------- what TCP asks for */

static int net_frame(void *ctx, const struct net_offload *offload, const struct iovec *parts,
		     unsigned n_parts, size_t len)
{
	struct guest *guest = ctx;

	return net_port_send(guest->port, offload, parts, n_parts, len) == NET_PORT_SENT
		       ? TCP_FRAME_SENT
		       : TCP_FRAME_FULL;
}

static void net_accept(void *ctx, struct tcp_connection *c)
{
	struct guest *guest = ctx;

	if (guest->stopping)
		tcp_abort(c);
	else
		guest_services_accept(guest, c);
}

static size_t net_receive(void *ctx _unused_, struct tcp_connection *c, const struct iovec *parts,
			  unsigned n_parts, size_t len)
{
	struct stream *stream = tcp_user(c);

	/* A stream without a user was closed. */
	return stream ? stream->ops->receive(stream, parts, n_parts, len) : len;
}

static void net_ended(void *ctx _unused_, struct tcp_connection *c)
{
	struct stream *stream = tcp_user(c);

	if (stream)
		stream->ops->ended(stream);
}

static void net_release(void *ctx _unused_, struct tcp_connection *c, struct stream_buffer *buffer)
{
	struct stream *stream = tcp_user(c);

	if (stream)
		stream->ops->released(stream, buffer);
}

static void net_closed(void *ctx _unused_, struct tcp_connection *c, int why)
{
	struct stream *stream = tcp_user(c);

	if (!stream)
		return;
	stream->connection = NULL;
	stream->ops->closed(stream, why);
}

static const struct tcp_ops net_tcp_ops = {
	.frame = net_frame,
	.accept = net_accept,
	.receive = net_receive,
	.ended = net_ended,
	.release = net_release,
	.closed = net_closed,
};

/* ------------------------------------------------------------- life */

/**
 * guest_net_init() - begin
 * @guest:	its thread's
 *
 * Return: 0 or a negative errno.
 */
int guest_net_init(struct guest *guest)
{
	struct guest_net *net = &guest->net;
	struct tcp_config config = {0};
	int r;

	net->timer_at = TCP_NEVER;
	memcpy(config.mac, net_daemon_mac, sizeof(config.mac));
	memcpy(config.address4, &guest->cfg.daemon, sizeof(config.address4));
	memcpy(config.address6, net_daemon_address6, sizeof(config.address6));
	if (getrandom(config.key, sizeof(config.key), 0) != sizeof(config.key))
		return -errno;
	r = tcp_new(&net->tcp, &config, &net_tcp_ops, guest);
	if (r == 0)
		r = guest_services_listen(net->tcp);
	return r;
}

/**
 * guest_net_deinit() - end
 * @guest:	without users of connections
 */
void guest_net_deinit(struct guest *guest)
{
	struct guest_net *net = &guest->net;

	if (!net->tcp)
		return;
	loop_cancel(guest->loop, &net->timer);
	net->tcp = tcp_free(net->tcp);
}

/* ------------------------------------------------------------- dead connections */

static void hang_up(struct guest *guest, const struct tcp_peer *peer)
{
	tcp_hang_up(guest->net.tcp, peer);
	log_limited(&guest->client_limit, LOG_LEVEL_INFO,
		    "%s: its guest is told that a connection is dead", guest->cfg.name);
}

/**
 * guest_net_cut() - end a connection while the card is down
 * @guest:	whose
 * @stream:	the connection, or none; none afterwards. The guest hears of it when the card is up
 *		again, if it believes in it then
 */
void guest_net_cut(struct guest *guest, struct stream *stream)
{
	struct tcp_peer peer;

	if (!stream_open(stream))
		return;
	tcp_peer(stream->connection, &peer);
	stream_drop(stream);
	hang_up(guest, &peer);
}

/* A dead connection that control knows of. */
struct told_hang_up {
	struct letter letter;
	struct guest *guest;
	struct guest_peer peer;
};

static void hang_up_delivered(struct letter *letter)
{
	struct told_hang_up *told = container_of(letter, struct told_hang_up, letter);
	struct tcp_peer peer = {
		.v6 = told->peer.v6, .port = told->peer.port, .local_port = USBIP_PORT};

	memcpy(peer.address, told->peer.address, sizeof(peer.address));
	hang_up(told->guest, &peer);
	free(told);
}

/**
 * guest_hang_up() - tell a guest that a USB/IP connection of a process that has died is dead
 * @guest:	the guest; it hears of it once its card is up
 * @peer:	its end of the connection
 *
 * Control's thread.
 *
 * Return: 0 or -ENOMEM.
 */
int guest_hang_up(struct guest *guest, const struct guest_peer *peer)
{
	struct told_hang_up *told = calloc(1, sizeof(*told));

	if (!told)
		return -ENOMEM;
	told->guest = guest;
	told->peer = *peer;
	loop_post(guest->loop, &told->letter, hang_up_delivered);
	return 0;
}

/* ------------------------------------------------------------- frames and time */

/**
 * guest_net_link() - the card went up or down
 * @guest:	whose
 * @up:		it went up
 * @takes:	what its driver takes, NET_TAKES_*
 *
 * Connections stay, and begin to count time anew: the guest has stood still. Their users end those of a
 * guest that is gone.
 */
void guest_net_link(struct guest *guest, bool up, unsigned takes)
{
	if (!up)
		return;
	tcp_set_offloads(guest->net.tcp, takes & NET_TAKES_CSUM, takes & NET_TAKES_TSO4,
			 takes & NET_TAKES_TSO6);
	tcp_set_card(guest->net.tcp, guest->mac);
	tcp_go_on(guest->net.tcp, loop_now());
	tcp_dead_again(guest->net.tcp);
}

/**
 * guest_net_card() - the card has another MAC, or none
 * @guest:	whose
 */
void guest_net_card(struct guest *guest)
{
	tcp_set_card(guest->net.tcp, guest->mac);
}

/**
 * guest_net_frame() - a frame for the daemon
 * @guest:	from whom
 * @frame:	judged
 */
void guest_net_frame(struct guest *guest, const struct net_frame *frame)
{
	tcp_input(guest->net.tcp, frame, guest->now);
}

static void net_time(void *ctx, int res _unused_)
{
	struct guest *guest = ctx;

	/* This only makes a turn, which does what is due. */
	guest->net.timer_at = TCP_NEVER;
}

static void set_timer(struct guest *guest)
{
	struct guest_net *net = &guest->net;
	uint64_t at = tcp_deadline(net->tcp), in;

	if (at == net->timer_at)
		return;
	loop_cancel(guest->loop, &net->timer);
	net->timer_at = TCP_NEVER;
	if (at == TCP_NEVER)
		return;
	in = at > guest->now ? at - guest->now : 1;
	if (loop_watch_time(guest->loop, &net->timer, in, net_time, guest) == 0)
		net->timer_at = at;
}

/**
 * guest_net_deaf() - whether the guest does not hear what TCP answers it
 * @guest:	whose
 */
bool guest_net_deaf(const struct guest *guest)
{
	return guest->net.tcp && tcp_deaf(guest->net.tcp);
}

/**
 * guest_net_flush() - end a turn: send what is due
 * @guest:	whose; what it has no room for waits for the kick of its RX ring
 */
void guest_net_flush(struct guest *guest)
{
	if (!guest->link_up || !guest->net.tcp)
		return;
	tcp_flush(guest->net.tcp, guest->now);
	set_timer(guest);
}
