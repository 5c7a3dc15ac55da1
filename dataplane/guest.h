/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's thread: all that moves for one VM.
 *
 * It owns the VM's vhost-user socket and listener, its card (net_port), the guest's TCP connections
 * to the daemon, the devices that are routed to the VM and their USB/IP sessions; from a key press
 * to the guest's interrupt nothing leaves this thread. In usbrouted-vm that is the process's only
 * thread (guest_begin()), and control_line.c is what is called *control* here. Control talks to the
 * thread by letters, which are embedded in struct guest and struct guest_device, and hears from it
 * by letters, too; neither ever waits for the other.
 *
 * Who may touch what: struct guest's fields are the thread's, once it runs; control keeps the
 * pointer for its letters. A struct guest_device is control's while it is in no guest (made, handed
 * back), the thread's between guest_give() and the "taken" event; its fields marked "fixed" may be
 * read by both.
 *
 * A device's way through a guest's thread:
 *   guest_give() -> opened (claimed, or why not)
 *   -> { import_asked -> guest_import() -> imported -> session ended } -> …
 *   -> guest_take() -> taken (unbound and ready for another guest, or closed)
 * In between, guest_reset() ends a session, where there is one, and resets the device -> was_reset.
 * "gone" may come at any time in between; the device still has to be taken.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hotkey.h"
#include "base/list.h"
#include "base/loop.h"
#include "usb/hid_chord.h"
#include "usb/usb_memory.h"
#include "usbip/usbip_op.h"
#include "vhost_user_net/net_peers.h"

struct guest;
struct guest_device;
struct hid_found;
struct usb_device;
struct usbip_session;

struct guest_config {
	char name[48];
	bool uplink; /* control's: the process is a network's uplink, and has no guest; see vm_process.h */
	bool lan; /* it is the LAN export's: no card, and clients by sockets; see guest_lan.h */
	struct in_addr address, daemon;
	unsigned prefix;
	uint8_t mac[6];	       /* of its card, where it is configured; else all zero, and then: */
	uint8_t mac_before[6]; /* the one that its guest has taken; all zero: none yet */
	struct hid_chords hotkeys;
	int listener;			/* of <vm>.sock; the guest's from guest_start() on */
	struct usb_memory_share memory; /* of the kernel's, for its URBs */
};

/* A guest's card as it is now. Addresses of zeros: none. */
struct guest_card {
	bool up;
	bool has_daemon;    /* the guest has the daemon's IPv4 address itself */
	bool deaf;	    /* it begins connections, and does not hear the answers */
	uint8_t mac[6];	    /* the card's, as the thread has it; what counts is control's roster */
	uint8_t foreign[6]; /* what the guest sends from, and may not have */
};

/* The guest's end of a connection to the daemon. */
struct guest_peer {
	bool v6;
	uint8_t address[16]; /* IPv4: the first 4 */
	uint16_t port;
};

/* What control hears; all are called in control's thread. @ctx is the device's or guest's. */
struct guest_events {
	void (*link)(void *ctx, const struct guest_card *card);
	/*
	 * A USB/IP client asks for what is called @busid: it is answered once, by guest_import(),
	 * guest_refuse() or guest_probe(). @client: its number, for these.
	 */
	void (*import_asked)(void *ctx, uint32_t client, const char *busid);
	/* Control only: the same of a client on the LAN. */
	void (*lan_asked)(void *ctx, uint32_t client, const char *busid,
			  const struct guest_peer *peer);
	/* The guest's agent has connected, or is there after guest_agents_left(): guest_agent() once. */
	void (*agent_asked)(void *ctx);
	void (*ended)(void *ctx); /* the thread has let go of everything */
	/* Control only: its process has died, and a client of its guest had this connection. */
	void (*connection_lost)(void *ctx, const struct guest_peer *peer);
	/* Its guest sends from another MAC than its own; guest_mac_granted() is the answer. */
	void (*mac_wanted)(void *ctx, const uint8_t mac[6]);
	/* A link to another guest's card; guest_link() brings it, if it may have one. */
	void (*link_wanted)(void *ctx, unsigned number);
};

struct guest_device_events {
	void (*opened)(void *ctx, int r, const char *reason);
	/* @r < 0: the client had gone, or the device had; else @peer has it. */
	void (*imported)(void *ctx, int r, const struct guest_peer *peer);
	void (*session_ended)(void *ctx, int r, const char *reason);
	/* guest_reset() has ended; after session_ended, where there was a session. */
	void (*was_reset)(void *ctx, int r, const char *reason);
	void (*gone)(void *ctx);
	void (*stuck)(void *ctx, const char *what); /* the device is given up: a call never ended */
	/* @closed: the device was closed (asked for, or it could not be kept) and is free to go. */
	void (*taken)(void *ctx, bool closed, int r, const char *reason);
	/* One was struck on it. */
	void (*hotkey)(void *ctx, enum hotkey which);
	/* What its HID interfaces are: before "opened", and when its guest has set another
	 * configuration. */
	void (*hid)(void *ctx, const struct hid_found *found);
};

struct guest_device *guest_device_new(const char *name, const struct usb_device_info *info, int fd,
				      struct loop *control,
				      const struct guest_device_events *events, void *ctx);
struct guest_device *guest_device_free(struct guest_device *gd);
void guest_device_forget(struct guest_device *gd);

int guest_start(struct guest **ret_guest, const struct guest_config *config, struct loop *control,
		const struct guest_events *events, void *ctx);
int guest_begin(struct guest **ret_guest, const struct guest_config *config, struct loop *loop,
		const struct guest_events *events, void *ctx);
bool guest_serve(struct guest *guest, bool more);
void guest_set_listener(struct guest *guest, int listener);
void guest_set_hotkeys(struct guest *guest, const struct hid_chords *hotkeys);
void guest_set_memory(struct guest *guest, const struct usb_memory_share *share);
void guest_peer_set(struct guest *guest, const struct net_peer *peer);
void guest_peer_gone(struct guest *guest, unsigned number);
void guest_link(struct guest *guest, unsigned number, unsigned side, int memfd, int wake_mine,
		int wake_theirs);
void guest_mac_granted(struct guest *guest, const uint8_t mac[6], bool granted);
void guest_stop(struct guest *guest);
struct guest *guest_free(struct guest *guest);

int guest_hang_up(struct guest *guest, const struct guest_peer *peer);
void guest_agent(struct guest *guest, uint32_t number, int sock);
void guest_agent_end(struct guest *guest, uint32_t number);
void guest_agents_left(struct guest *guest);

void guest_give(struct guest *guest, struct guest_device *gd);
void guest_export(struct guest *guest, struct guest_device *gd, bool exported);
void guest_import(struct guest *guest, struct guest_device *gd, uint32_t client);
void guest_refuse(struct guest *guest, uint32_t client, enum usbip_op_status status);
void guest_probe(struct guest *guest, struct guest_device *gd, uint32_t client);
void guest_reset(struct guest *guest, struct guest_device *gd);
void guest_take(struct guest *guest, struct guest_device *gd, bool close_it);
