/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What control and a guest's thread tell each other of other guests' cards.
 *
 * Of each card only control's newest news is kept, in this order: forget it, know it, have a link
 * to it. So nothing grows, however long the thread takes to read it. What the thread wants is kept
 * as one bit a card, and one MAC.
 */
#include <poll.h>
#include <string.h>

#include "base/fd.h"
#include "dataplane/guest_private.h"

#define BIT(n) (1ull << (n))

/**
 * guest_peers_init() - nothing is said yet
 * @guest:	the guest, before its thread
 */
void guest_peers_init(struct guest *guest)
{
	pthread_mutex_init(&guest->peers.lock, NULL);
}

static void forget_link(struct guest_peer_news *news)
{
	if (!news->link)
		return;
	fd_close(news->memfd);
	fd_close(news->wake_mine);
	fd_close(news->wake_theirs);
	news->link = false;
}

/**
 * guest_peers_deinit() - let go of what was said and not heard
 * @guest:	the guest, whose thread has ended
 */
void guest_peers_deinit(struct guest *guest)
{
	for (unsigned i = 0; i < NET_PORTS; i++)
		forget_link(&guest->peers.at[i]);
	pthread_mutex_destroy(&guest->peers.lock);
}

/* ------------------------------------------------------------- to the thread */

static void hear_of_peer(struct guest *guest, unsigned number, const struct guest_peer_news *news)
{
	if (news->gone)
		net_port_peer_gone(guest->port, number);
	if (news->set)
		net_port_peer_set(guest->port, &news->peer);
	if (news->link && net_port_link(guest->port, number, news->side, news->memfd,
					news->wake_mine, news->wake_theirs) == 0)
		guest->links_ready = true;
}

static void guest_news_delivered(struct letter *letter)
{
	struct guest *guest = container_of(letter, struct guest, peers.news);
	struct guest_peers *peers = &guest->peers;
	struct guest_mac_news macs[GUEST_MAC_NEWS];
	struct guest_peer_news news;
	uint64_t told;
	unsigned n;

	atomic_store(&peers->news_posted, false);
	pthread_mutex_lock(&peers->lock);
	told = peers->told;
	peers->told = 0;
	n = peers->n_macs;
	memcpy(macs, peers->macs, n * sizeof(macs[0]));
	peers->n_macs = 0;
	pthread_mutex_unlock(&peers->lock);

	for (; told; told &= told - 1) {
		unsigned i = (unsigned)__builtin_ctzll(told);

		pthread_mutex_lock(&peers->lock);
		news = peers->at[i];
		peers->at[i] = (struct guest_peer_news){0};
		pthread_mutex_unlock(&peers->lock);
		hear_of_peer(guest, i, &news);
	}
	for (unsigned i = 0; i < n; i++)
		net_port_mac_granted(guest->port, macs[i].mac, macs[i].granted);
	guest_mac_changed(guest);
}

/* With the lock held; gives it back. */
static void guest_tell_news(struct guest *guest)
{
	pthread_mutex_unlock(&guest->peers.lock);
	if (!atomic_exchange(&guest->peers.news_posted, true))
		loop_post(guest->loop, &guest->peers.news, guest_news_delivered);
}

/**
 * guest_peer_set() - tell a guest's thread of another guest's card
 * @guest:	the guest
 * @peer:	the card as it is now; copied
 */
void guest_peer_set(struct guest *guest, const struct net_peer *peer)
{
	struct guest_peers *peers = &guest->peers;

	pthread_mutex_lock(&peers->lock);
	peers->told |= BIT(peer->number);
	peers->at[peer->number].set = true;
	peers->at[peer->number].peer = *peer;
	guest_tell_news(guest);
}

/**
 * guest_peer_gone() - tell a guest's thread to forget another guest's card
 * @guest:	the guest
 * @number:	the card's; the link to it is closed, too
 */
void guest_peer_gone(struct guest *guest, unsigned number)
{
	struct guest_peers *peers = &guest->peers;

	pthread_mutex_lock(&peers->lock);
	peers->told |= BIT(number);
	forget_link(&peers->at[number]);
	peers->at[number] = (struct guest_peer_news){.gone = true};
	guest_tell_news(guest);
}

/**
 * guest_link() - hand a guest's thread its end of a link
 * @guest:	the guest
 * @number:	whose card the other end is; a link that was there is closed
 * @side:	which side of the link is this one, 0 or 1
 * @memfd:	of net_link_make(), as the other two
 * @wake_mine:	what the other end wakes this one by
 * @wake_theirs: what this end wakes the other one by; all three are the guest's from here on
 */
void guest_link(struct guest *guest, unsigned number, unsigned side, int memfd, int wake_mine,
		int wake_theirs)
{
	struct guest_peers *peers = &guest->peers;
	struct guest_peer_news *news = &peers->at[number];

	pthread_mutex_lock(&peers->lock);
	peers->told |= BIT(number);
	forget_link(news);
	news->link = true;
	news->side = side;
	news->memfd = memfd;
	news->wake_mine = wake_mine;
	news->wake_theirs = wake_theirs;
	guest_tell_news(guest);
}

/**
 * guest_mac_granted() - tell a guest's thread whose a MAC is
 * @guest:	the guest
 * @mac:	the MAC
 * @granted:	it is its card's from here on; else it is not, even where it was
 */
void guest_mac_granted(struct guest *guest, const uint8_t mac[6], bool granted)
{
	struct guest_peers *peers = &guest->peers;
	struct guest_mac_news *news;

	pthread_mutex_lock(&peers->lock);
	/* More answers than it can have asked for: the oldest is of no use any more. */
	if (peers->n_macs == GUEST_MAC_NEWS)
		memmove(peers->macs, peers->macs + 1, --peers->n_macs * sizeof(peers->macs[0]));
	news = &peers->macs[peers->n_macs++];
	memcpy(news->mac, mac, 6);
	news->granted = granted;
	guest_tell_news(guest);
}

/* ------------------------------------------------------------- to control */

static void guest_wish_delivered(struct letter *letter)
{
	struct guest *guest = container_of(letter, struct guest, peers.wish);
	uint64_t mac, links;

	atomic_store(&guest->peers.wish_posted, false);
	mac = atomic_exchange(&guest->peers.mac_wanted, 0);
	links = atomic_exchange(&guest->peers.links_wanted, 0);
	if (mac) {
		uint8_t bytes[6];

		for (unsigned i = 0; i < 6; i++)
			bytes[i] = (uint8_t)(mac >> (8 * (5 - i)));
		guest->events->mac_wanted(guest->ctx, bytes);
	}
	for (; links; links &= links - 1)
		guest->events->link_wanted(guest->ctx, (unsigned)__builtin_ctzll(links));
}

static void guest_tell_wish(struct guest *guest)
{
	if (!atomic_exchange(&guest->peers.wish_posted, true))
		loop_post(guest->control, &guest->peers.wish, guest_wish_delivered);
}

void guest_link_wanted(void *ctx, unsigned number)
{
	struct guest *guest = ctx;

	atomic_fetch_or(&guest->peers.links_wanted, BIT(number));
	guest_tell_wish(guest);
}

void guest_mac_wanted(void *ctx, const uint8_t mac[6])
{
	struct guest *guest = ctx;

	atomic_store(&guest->peers.mac_wanted, net_mac_key(mac));
	guest_tell_wish(guest);
}

/* ------------------------------------------------------------- links that have something */

static void guest_link_woken(void *ctx, int res _unused_)
{
	struct guest_link_watch *w = ctx;

	net_port_link_ready(w->guest->port, (unsigned)(w - w->guest->link_watch));
	w->guest->links_ready = true;
}

void guest_watch_link(void *ctx, unsigned number, int fd)
{
	struct guest *guest = ctx;
	struct guest_link_watch *w = &guest->link_watch[number];

	w->guest = guest;
	loop_cancel(guest->loop, &w->watch);
	if (fd < 0)
		return;
	/* Edges are enough, as for kicks. */
	if (loop_watch_fd(guest->loop, &w->watch, fd, POLLIN, LOOP_KEEP, guest_link_woken, w) < 0)
		log_err("%s: no room to watch a link to another guest", guest->cfg.name);
}
