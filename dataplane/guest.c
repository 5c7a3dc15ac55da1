/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's thread and its card; see guest.h.
 *
 * One turn: wait for the io_uring; take the TX ring's frames, whose bytes go straight to the
 * sessions; give TCP all answers that were made, one session after the other; let TCP send what is
 * due into the RX ring; interrupt the guest once. Each step is bounded; if something is left over,
 * the next turn does not wait. No call into the kernel is made between the rings and the devices.
 */
#include "dataplane/guest.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/stranger.h"
#include "dataplane/guest_lan.h"
#include "dataplane/guest_private.h"
#include "dataplane/guest_service.h"

#define LINK_UP	   (1ull << 63)
#define HAS_DAEMON (1ull << 62)
#define IS_DEAF	   (1ull << 61)
#define LINK_MAC   ((1ull << 48) - 1)

/* How late a guest may be told that its frames were sent. */
#define SIGNAL_LATEST_NS 10000000ull

/* ------------------------------------------------------------- letters to control */

static void guest_link_delivered(struct letter *letter)
{
	struct guest *guest = container_of(letter, struct guest, link_event);
	struct guest_card card = {0};
	uint64_t word, foreign;

	atomic_store(&guest->link_posted, false);
	word = atomic_load(&guest->link_word);
	foreign = atomic_load(&guest->foreign_word);
	card.up = word & LINK_UP;
	card.has_daemon = word & HAS_DAEMON;
	card.deaf = word & IS_DEAF;
	for (unsigned i = 0; i < 6; i++) {
		card.mac[i] = (uint8_t)(word >> (8 * (5 - i)));
		card.foreign[i] = (uint8_t)(foreign >> (8 * (5 - i)));
	}
	guest->events->link(guest->ctx, &card);
}

static void guest_tell_link(struct guest *guest, uint64_t word)
{
	atomic_store(&guest->link_word, word);
	if (!atomic_exchange(&guest->link_posted, true))
		loop_post(guest->control, &guest->link_event, guest_link_delivered);
}

static void guest_ended_delivered(struct letter *letter)
{
	struct guest *guest = container_of(letter, struct guest, ended);

	guest->events->ended(guest->ctx);
}

/* ------------------------------------------------------------- what the card asks for */

static void guest_kicked(struct guest *guest, unsigned ring)
{
	/* What TCP has no room for is tried in each turn. */
	net_port_kicked(guest->port, ring);
	if (ring == 1)
		guest->tx_ready = true;
	else
		guest->links_ready = true;
}

static void guest_kicked_rx(void *ctx, int res _unused_)
{
	guest_kicked(ctx, 0);
}

static void guest_kicked_tx(void *ctx, int res _unused_)
{
	guest_kicked(ctx, 1);
}

static void guest_watch_kick(void *ctx, unsigned ring, int fd)
{
	struct guest *guest = ctx;

	loop_cancel(guest->loop, &guest->kick_watch[ring]);
	if (fd < 0)
		return;
	/* Edges are enough: a counter that nobody reads still wakes at each write. */
	if (loop_watch_fd(guest->loop, &guest->kick_watch[ring], fd, POLLIN, LOOP_KEEP,
			  ring ? guest_kicked_tx : guest_kicked_rx, guest) < 0)
		log_err("%s: no room to watch its rings", guest->cfg.name);
	/* Serve what is there already: after a restart under a running guest no kick may come. */
	if (ring == 1)
		guest->tx_ready = true;
}

static void guest_signal_time(void *ctx, int res _unused_)
{
	struct guest *guest = ctx;

	net_port_signal(guest->port);
}

static void guest_tell_goes_on(struct guest *guest)
{
	if (guest->left_at)
		log_limited(&guest->limit, LOG_LEVEL_INFO,
			    "%s: its guest goes on where it was, after %llu ms without its card",
			    guest->cfg.name,
			    (unsigned long long)(loop_now() - guest->left_at) / 1000000);
	guest->left_at = 0;
}

/*
 * A broken ring takes the card down, too. The connection stays: QEMU would come back at once with the
 * same ring, for ever; the guest's reset mends it.
 */
static void guest_link_changed(void *ctx, bool up, unsigned takes)
{
	struct guest *guest = ctx;
	uint64_t word = atomic_load(&guest->link_word);

	guest->link_up = up;
	/* All are told again if they still hold. */
	word &= ~(HAS_DAEMON | IS_DEAF);
	atomic_store(&guest->foreign_word, 0);
	guest_net_link(guest, up, takes);
	guest->tx_ready = guest->links_ready = up;
	if (up)
		guest_tell_goes_on(guest);
	else
		guest->left_at = loop_now();
	guest_tell_link(guest, up ? word | LINK_UP : word & ~LINK_UP);
}

/* Whoever comes next knows nothing of what this guest had imported. */
static void guest_gone(void *ctx)
{
	struct guest *guest = ctx;

	guest->left_at = 0;
	guest_services_gone(guest);
}

/**
 * guest_mac_changed() - the card has another MAC, or none
 * @guest:	the guest
 */
void guest_mac_changed(struct guest *guest)
{
	uint64_t word = atomic_load(&guest->link_word), mac = net_port_mac(guest->port);

	if ((word & LINK_MAC) == mac)
		return;
	for (unsigned i = 0; i < sizeof(guest->mac); i++)
		guest->mac[i] = (uint8_t)(mac >> (8 * (5 - i)));
	guest_net_card(guest);
	guest_tell_link(guest, (word & ~LINK_MAC) | mac);
}

static void guest_foreign(void *ctx, const uint8_t *mac)
{
	struct guest *guest = ctx;

	atomic_store(&guest->foreign_word, mac ? net_mac_key(mac) : 0);
	guest_tell_link(guest, atomic_load(&guest->link_word));
}

static void guest_has_daemon(void *ctx, bool has)
{
	struct guest *guest = ctx;
	uint64_t word = atomic_load(&guest->link_word) & ~HAS_DAEMON;

	guest_tell_link(guest, word | (has ? HAS_DAEMON : 0));
}

/* Tell control whether the guest hears what TCP answers, where that has changed. */
static void guest_tell_deaf(struct guest *guest)
{
	uint64_t word = atomic_load(&guest->link_word);
	bool deaf = guest->link_up && guest_net_deaf(guest);

	if (deaf != !!(word & IS_DEAF))
		guest_tell_link(guest, word ^ IS_DEAF);
}

static void guest_daemon(void *ctx, const struct net_frame *frame)
{
	guest_net_frame(ctx, frame);
}

static void guest_interrupt(void *ctx, struct bell *bell)
{
	struct guest *guest = ctx;

	loop_ring(guest->loop, bell);
}

static const struct net_port_ops guest_port_ops = {
	.watch_kick = guest_watch_kick,
	.link = guest_link_changed,
	.gone = guest_gone,
	.daemon = guest_daemon,
	.mac_wanted = guest_mac_wanted,
	.link_wanted = guest_link_wanted,
	.watch_link = guest_watch_link,
	.foreign = guest_foreign,
	.has_daemon = guest_has_daemon,
	.interrupt = guest_interrupt,
};

/* ------------------------------------------------------------- the thread */

static void guest_wait(struct guest *guest, bool wait)
{
	int r = loop_turn(guest->loop, wait);

	if (r >= 0)
		return;
	log_err("%s: its thread's io_uring failed: %s", guest->cfg.name, errno_text(r));
	abort();
}

/* If the guest has looked by itself, it need not be interrupted at the time that was set. */
static void guest_spare_signal(struct guest *guest)
{
	if (loop_watching(&guest->signal_timer) && !net_port_signal_due(guest->port))
		loop_cancel(guest->loop, &guest->signal_timer);
}

static void guest_signal(struct guest *guest)
{
	if (!front_ends_any(&guest->fronts))
		return;
	net_port_flush(guest->port);
	if (net_port_signal_due(guest->port) && !loop_watching(&guest->signal_timer))
		loop_watch_time(guest->loop, &guest->signal_timer, SIGNAL_LATEST_NS,
				guest_signal_time, guest);
}

/* Return: whether there is more to do without waiting. */
static bool guest_turn(struct guest *guest)
{
	guest->now = loop_now();
	guest_spare_signal(guest);
	if (guest->link_up && guest->tx_ready)
		guest->tx_ready = net_port_transmit(guest->port);
	if (guest->link_up && guest->links_ready)
		guest->links_ready = net_port_arrive(guest->port);
	guest_sessions_turn(guest);
	guest_net_flush(guest);
	guest_tell_deaf(guest);
	guest_signal(guest);
	guest_devices_leave(guest);
	return guest->link_up && (guest->tx_ready || guest->links_ready);
}

static int guest_set_up(struct guest *guest)
{
	struct net_port_config port = {
		.name = guest->cfg.name,
		.address = guest->cfg.address,
		.daemon = guest->cfg.daemon,
		.prefix = guest->cfg.prefix,
		.fixed_mac = net_mac_key(guest->cfg.mac) != 0,
	};
	int r = 0;

	memcpy(port.mac, guest->mac, sizeof(port.mac));
	atomic_store(&guest->link_word, net_mac_key(port.mac));
	if (!guest->loop)
		r = loop_new(&guest->loop);
	if (r < 0)
		return r;
	/* A client lives as long as its connection does. */
	if (guest->cfg.lan) {
		guest->link_up = true;
		return guest_lan_init(guest);
	}
	r = guest_net_init(guest);
	if (r < 0)
		return r;
	r = net_port_new(&guest->port, &port, &guest_port_ops, guest);
	if (r < 0)
		return r;
	front_ends_init(&guest->fronts, guest->cfg.name, guest->loop, guest->port);
	return front_ends_listen(&guest->fronts, guest->cfg.listener);
}

/**
 * guest_set_listener() - have a guest's QEMU connect elsewhere from here on
 * @guest:	the guest; who is connected stays so
 * @listener:	the guest's from here on; the one before is closed
 */
void guest_set_listener(struct guest *guest, int listener)
{
	int r = guest->cfg.lan ? -EINVAL : front_ends_listen(&guest->fronts, listener);

	if (r < 0)
		log_err("%s: its socket can't be listened at: %s", guest->cfg.name, errno_text(r));
	if (r < 0)
		stranger_listener_close(listener);
	else if (guest->stopping)
		front_ends_shut(&guest->fronts);
}

/* With nothing left to let go of, the thread ends. */
void guest_maybe_done(struct guest *guest)
{
	if (guest->stopping && list_empty(&guest->devices))
		guest->done = true;
}

static void guest_hotkeys_delivered(struct letter *letter)
{
	struct guest *guest = container_of(letter, struct guest, hotkeys);

	atomic_store(&guest->hotkeys_posted, false);
	for (unsigned i = 0; i < HOTKEYS; i++) {
		uint64_t word = atomic_load(&guest->hotkey_words[i]);

		memcpy(guest->cfg.hotkeys.at[i].keys, &word, sizeof(word));
	}
	guest_devices_watch(guest);
}

static void guest_memory_delivered(struct letter *letter)
{
	struct guest *guest = container_of(letter, struct guest, share);

	atomic_store(&guest->share_posted, false);
	usb_memory_room(&guest->memory);
}

static void guest_stop_delivered(struct letter *letter)
{
	struct guest *guest = container_of(letter, struct guest, stop);

	guest->stopping = true;
	front_ends_shut(&guest->fronts);
	if (guest->lan)
		guest_lan_close(guest);
	guest_services_stop(guest);
	guest_devices_stop(guest);
}

/*
 * Go before all ordinary threads of the host, if the service allows it: then a host under load
 * costs no isochronous packet. It is the lowest real-time priority, so that the kernel's own
 * threads go first, and threads that this one starts don't have it: workers may take long.
 */
static void guest_be_real_time(struct guest *guest)
{
	struct sched_param param = {.sched_priority = sched_get_priority_min(SCHED_RR)};
	struct rlimit allowed;

	if (getrlimit(RLIMIT_RTPRIO, &allowed) < 0 || allowed.rlim_cur == 0)
		return;
	if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &param) < 0)
		log_warning("%s: its thread can't be made real-time: %s", guest->cfg.name,
			    errno_text(errno));
	else
		log_info("%s: its thread is real-time, priority %d", guest->cfg.name,
			 param.sched_priority);
}

/* Nothing is left to let go of, but the card. */
static void guest_close_up(struct guest *guest)
{
	if (front_ends_any(&guest->fronts)) {
		/*
		 * The guest must see that its connections end, or it keeps devices that nobody
		 * serves any more.
		 */
		guest_net_flush(guest);
		net_port_flush(guest->port);
		front_ends_close(&guest->fronts);
	}
	guest_net_deinit(guest);
	guest_lan_deinit(guest);
	for (unsigned i = 0; i < ARRAY_SIZE(guest->kick_watch); i++)
		loop_cancel(guest->loop, &guest->kick_watch[i]);
	loop_cancel(guest->loop, &guest->signal_timer);
	guest->port = net_port_free(guest->port);
}

static void *guest_main(void *arg)
{
	struct guest *guest = arg;
	char name[16];

	snprintf(name, sizeof(name), "%.15s", guest->cfg.name);
	prctl(PR_SET_NAME, name);
	guest_be_real_time(guest);
	guest->start_result = guest_set_up(guest);
	sem_post(&guest->started);
	if (guest->start_result < 0)
		return NULL;
	for (bool more = false; !guest->done;)
		more = guest_serve(guest, more);
	guest_close_up(guest);
	loop_post(guest->control, &guest->ended, guest_ended_delivered);
	return NULL;
}

static struct guest *guest_new(const struct guest_config *config, struct loop *control,
			       const struct guest_events *events, void *ctx)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	if (!guest)
		return NULL;
	guest->cfg = *config;
	guest->control = control;
	front_ends_init(&guest->fronts, guest->cfg.name, NULL, NULL);
	guest->events = events;
	guest->ctx = ctx;
	memcpy(guest->mac, net_mac_key(config->mac) ? config->mac : config->mac_before,
	       sizeof(guest->mac));
	list_init(&guest->devices);
	list_init(&guest->leaving);
	usb_memory_set_share(&guest->memory, &config->memory);
	guest_peers_init(guest);
	agent_relays_init(guest);
	sem_init(&guest->started, 0, 0);
	return guest;
}

/* Free a guest that did not start: its descriptors are the caller's. */
static void guest_drop(struct guest *guest)
{
	guest_net_deinit(guest);
	guest_lan_deinit(guest);
	net_port_free(guest->port);
	if (guest->loop != guest->control)
		loop_free(guest->loop);
	guest_peers_deinit(guest);
	agent_relays_deinit(guest);
	sem_destroy(&guest->started);
	free(guest);
}

/**
 * guest_start() - start a guest's thread
 * @ret_guest:	the guest; freed by guest_free() after @events->ended
 * @config:	copied; its descriptor is the guest's where this succeeds
 * @control:	the caller's loop
 * @events:	called in the caller's thread with @ctx
 *
 * Return: 0 or a negative errno.
 */
int guest_start(struct guest **ret_guest, const struct guest_config *config, struct loop *control,
		const struct guest_events *events, void *ctx)
{
	struct guest *guest = guest_new(config, control, events, ctx);
	int r;

	if (!guest)
		return -ENOMEM;
	r = -pthread_create(&guest->thread, NULL, guest_main, guest);
	if (r == 0) {
		while (sem_wait(&guest->started) < 0)
			;
		r = guest->start_result;
		if (r < 0)
			pthread_join(guest->thread, NULL);
	}
	if (r < 0) {
		guest_drop(guest);
		return r;
	}
	*ret_guest = guest;
	return 0;
}

/**
 * guest_begin() - be a guest in the calling thread, in place of guest_start()
 * @ret_guest:	the guest; freed by guest_free() after @events->ended
 * @config:	copied; its descriptors are the guest's where this succeeds
 * @loop:	the calling thread's, of which guest_serve() makes all turns from here on
 * @events:	called with @ctx
 *
 * Return: 0 or a negative errno.
 */
int guest_begin(struct guest **ret_guest, const struct guest_config *config, struct loop *loop,
		const struct guest_events *events, void *ctx)
{
	struct guest *guest = guest_new(config, loop, events, ctx);
	int r;

	if (!guest)
		return -ENOMEM;
	guest->loop = loop;
	guest_be_real_time(guest);
	r = guest_set_up(guest);
	if (r < 0) {
		guest_drop(guest);
		return r;
	}
	*ret_guest = guest;
	return 0;
}

/**
 * guest_serve() - one turn of a guest's work
 * @guest:	of guest_begin()
 * @more:	what the last turn returned; false for the first
 *
 * In its last turn @events->ended is called.
 *
 * Return: whether there is more to do without waiting.
 */
bool guest_serve(struct guest *guest, bool more)
{
	guest_wait(guest, !more);
	more = guest_turn(guest);
	if (!guest->done || guest->loop != guest->control)
		return more;
	guest_close_up(guest);
	guest->events->ended(guest->ctx);
	return false;
}

/**
 * guest_set_hotkeys() - have a guest's keyboards watched for other hot keys
 * @guest:	the guest
 * @hotkeys:	copied
 */
void guest_set_hotkeys(struct guest *guest, const struct hid_chords *hotkeys)
{
	static_assert(HID_CHORD_KEYS == sizeof(uint64_t), "a chord is a word");

	for (unsigned i = 0; i < HOTKEYS; i++) {
		uint64_t word;

		memcpy(&word, hotkeys->at[i].keys, sizeof(word));
		atomic_store(&guest->hotkey_words[i], word);
	}
	if (!atomic_exchange(&guest->hotkeys_posted, true))
		loop_post(guest->loop, &guest->hotkeys, guest_hotkeys_delivered);
}

/**
 * guest_set_memory() - give a guest another share of the kernel's memory for URBs
 * @guest:	the guest
 * @share:	copied; where it holds more now, that stays until it comes back
 */
void guest_set_memory(struct guest *guest, const struct usb_memory_share *share)
{
	usb_memory_set_share(&guest->memory, share);
	if (!atomic_exchange(&guest->share_posted, true))
		loop_post(guest->loop, &guest->share, guest_memory_delivered);
}

/**
 * guest_stop() - have a guest's thread let go of everything and end
 * @guest:	the guest; @events->ended follows, unless a call is stuck in the kernel
 */
void guest_stop(struct guest *guest)
{
	loop_post(guest->loop, &guest->stop, guest_stop_delivered);
}

/**
 * guest_free() - free a guest whose thread has ended
 * @guest:	the guest, after its "ended" event; or NULL
 *
 * Return: NULL.
 */
struct guest *guest_free(struct guest *guest)
{
	if (!guest)
		return NULL;
	guest_lan_deinit(guest);
	if (guest->loop != guest->control) {
		pthread_join(guest->thread, NULL);
		loop_free(guest->loop);
	}
	guest_peers_deinit(guest);
	agent_relays_deinit(guest);
	sem_destroy(&guest->started);
	free(guest);
	return NULL;
}
