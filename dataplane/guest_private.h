/* SPDX-License-Identifier: BSD-2-Clause */
/* What guest.c (the thread, its card), guest_net.c (its TCP), client.c, guest_device.c (its devices) and
 * guest_session.c (their sessions) share. */
#pragma once

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/urb_stats.h"
#include "base/log.h"
#include "dataplane/agent_relay.h"
#include "dataplane/client.h"
#include "dataplane/front_ends.h"
#include "dataplane/guest.h"
#include "dataplane/guest_net.h"
#include "dataplane/tcp_stream.h"
#include "dataplane/worker.h"
#include "usb/hid_found.h"
#include "usb/usb_device.h"
#include "usbip/usbip_session.h"
#include "vhost_user_net/net_port.h"

static_assert(HOTKEYS == HID_CHORDS, "a chord for each");

#define GUEST_DEVICE_FDS 8 /* descriptors that libusb may have in one device's context */

/* What control has said of another guest's card, and the thread has not heard. */
struct guest_peer_news {
	bool gone, set, link; /* in this order */
	struct net_peer peer;
	unsigned side; /* with link, as what follows */
	int memfd, wake_mine, wake_theirs;
};

/*
 * A MAC that is the card's, or is not. Control says one thing for each question, and one more at
 * the most.
 */
struct guest_mac_news {
	uint8_t mac[6];
	bool granted;
};
#define GUEST_MAC_NEWS 4

/* What control and the thread tell each other of other guests' cards (guest_peers.c). */
struct guest_peers {
	struct letter news, wish;
	atomic_bool news_posted, wish_posted;

	pthread_mutex_t lock; /* of what follows, for as long as it is copied */
	uint64_t told;	      /* the numbers of which there is news */
	struct guest_peer_news at[NET_PORTS];
	struct guest_mac_news macs[GUEST_MAC_NEWS];
	unsigned n_macs;

	_Atomic uint64_t links_wanted; /* a bit a number */
	_Atomic uint64_t mac_wanted;   /* 0: none */
};

/* Where the thread is woken by the other side of a link. */
struct guest_link_watch {
	struct guest *guest;
	struct loop_watch watch;
};

struct guest {
	struct guest_config cfg;
	struct loop *loop;    /* the thread's */
	struct loop *control; /* where events go */
	pthread_t thread;
	const struct guest_events *events;
	void *ctx;

	/* The card. */
	struct net_port *port;
	struct front_ends fronts;
	struct loop_watch kick_watch[2], signal_timer;
	bool tx_ready;	  /* the TX ring may have frames */
	bool links_ready; /* links may have frames, and the RX ring room */
	struct guest_link_watch link_watch[NET_PORTS];
	bool link_up;
	uint64_t
		left_at; /* when its guest left its rings in order, ns; 0: it has not, or it is gone */
	uint8_t mac[6]; /* the card's, as last known; all zero: not yet */

	/* Connections to the daemon. */
	uint64_t now; /* of this turn, ns */
	struct guest_net net;
	struct client clients[CLIENTS_MAX];
	struct guest_lan *lan; /* the LAN export's; else NULL */
	struct agent_relays relays;

	/* USB. */
	struct list devices; /* of struct guest_device */
	struct list leaving; /* of struct guest_device: control hears of them after this turn */
	struct usb_memory memory; /* that the URBs of its devices are charged to */

	bool timed; /* control wants to know how long URBs take */
	bool stopping, done;
	struct log_limit limit;	       /* of its card's comings and goings */
	struct log_limit client_limit; /* of what its USB/IP clients do wrong before they import */

	/* Letters. A posted flag is set by the sender and cleared by the receiver before it looks.
	 */
	struct letter stop, hotkeys, share, link_event, ended;
	atomic_bool hotkeys_posted, share_posted, link_posted;
	struct guest_peers peers;
	_Atomic uint64_t hotkey_words[HOTKEYS]; /* the newest chords, a word each */
	/* up:1 at bit 63, has_daemon:1 at 62, deaf:1 at 61, MAC:48 below */
	_Atomic uint64_t link_word;
	_Atomic uint64_t foreign_word; /* a MAC, or 0 */

	/* Start-up only. */
	sem_t started;
	int start_result;
};

struct guest_device_event {
	struct letter letter;
	int r;
	bool closed;
	const char *reason;
	char text[128];
};

struct guest_device_hotkey {
	struct letter letter;
	struct guest_device *gd;
	atomic_bool posted;
};

/* What was found of it, for control. */
struct guest_device_hid {
	struct letter letter;
	atomic_bool posted;
	pthread_mutex_t lock; /* of what follows, for as long as it is copied */
	struct hid_found found;
};

/* One descriptor of libusb's, in the thread's ring; fd is -1 where the entry is free. */
struct guest_device_fd {
	struct loop_watch watch;
	struct guest_device *gd;
	int fd;
};

enum guest_device_state {
	GD_AWAY,    /* in no guest: control's */
	GD_OPENING, /* being claimed */
	GD_IDLE,    /* claimed, no session */
	GD_SESSION, /* imported */
	GD_ENDING,  /* the session is over, or a reset was asked for; it is being brought to rest */
	GD_FAILED,  /* could not be claimed or brought to rest: only to be taken */
	GD_CLOSING, /* on its way out */
};

struct guest_device {
	struct list link;
	struct guest *guest;
	/* Fixed. */
	char name[64];
	struct usb_device_info info;
	struct loop *control;
	/* Control's. */
	const struct guest_device_events *events; /* NULL: forgotten */
	void *ctx;

	/* The thread's. */
	enum guest_device_state state;
	struct usb_device *usb;
	bool opened, gone, taking, close_it, stuck;
	bool had_session; /* ENDING: control is to hear that it has ended */
	bool resetting;	  /* control is to hear when the device is at rest */
	struct worker worker;
	struct loop_watch job_timer;
	struct guest_device_fd fds[GUEST_DEVICE_FDS];
	struct usbip_session *session;
	struct stream stream;
	uint8_t import_reply[USBIP_OP_IMPORT_REPLY_SIZE];
	struct stream_buffer reply_buffer;
	struct loop_watch memory_timer;
	bool held;	      /* the session keeps what it may not act on */
	bool resumed;	      /* … and may now */
	uint64_t memory_seen; /* guest->memory.n_freed, when it was tried last */
	bool exported;	      /* the guest sees it */
	struct ip_prefix *to; /* who may have it over the LAN */
	size_t n_to;
	struct urb_stats stats; /* since it was given */
	int end_result;
	struct log_limit limit; /* of what its clients do wrong */

	/* Letters to the thread … */
	struct letter give, import, reset, take, export;
	struct guest *give_to; /* for the letter's delivery */
	uint32_t import_client;
	bool take_close;
	atomic_bool export_posted, export_wanted;
	/* … and to control. */
	struct guest_peer ev_peer; /* with ev_imported */
	struct guest_device_event ev_opened, ev_imported, ev_ended, ev_reset, ev_gone, ev_stuck,
		ev_taken;
	struct guest_device_hotkey ev_hotkey[HOTKEYS];
	struct guest_device_hid ev_hid;
};

void guest_device_event(struct guest_device *gd, struct guest_device_event *ev, letter_fn deliver,
			int r, const char *reason);
void guest_session_close(struct guest_device *gd, const char *why);
void guest_sessions_turn(struct guest *guest);
void guest_sessions_close(struct guest *guest, const char *why);
void guest_devices_stop(struct guest *guest);
void guest_devices_watch(struct guest *guest);
void guest_devices_leave(struct guest *guest);
void guest_maybe_done(struct guest *guest);

void guest_mac_changed(struct guest *guest);

void guest_peers_init(struct guest *guest);
void guest_peers_deinit(struct guest *guest);
void guest_link_wanted(void *ctx, unsigned number);
void guest_mac_wanted(void *ctx, const uint8_t mac[6]);
void guest_watch_link(void *ctx, unsigned number, int fd);
