/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control's end of a VM's process: the calls and events of dataplane/guest.h, as messages.
 *
 * Control's thread only. A struct guest outlives its processes: its maker is told when one is lost,
 * and brings the line to the next one with guest_connect(). What a process had is lost with it: its
 * devices come back as "taken", closed, and its card as down. A device that was given while there
 * was no process waits for the next one.
 *
 *   guest_start() -> (guest_connect() -> HELLO, START, STARTED -> … -> lost) … -> guest_stop() -> ended
 *
 * A process whose line is over is of no use any more, and is killed if it does not end by itself.
 * "Lost" is told when it has ended, so that the next one finds its sockets and devices free; what
 * it had comes back then.
 *
 * A network's uplink is such a process without a guest (guest_config's uplink): it gets UPLINK in place
 * of START, and none of what is about a guest.
 *
 * The LAN export's process (guest_config's lan) gets LAN in place of START. It has devices as a guest's, and tells of
 * clients on the LAN.
 *
 * A line may also lead to a process that the last control has left behind. It is taken up as it is:
 * it gets START, too, tells what it holds (HELD), and stands. Its devices are nobody's until
 * guest_device_take_up(); guest_take_rest() takes the others away. A process that serves something
 * else than START says is told to end, and is lost. A process of a version that we do not speak is
 * left alone until its VM's QEMU connects anew, and is told to end then.
 */
#pragma once

#include "base/ip.h"
#include "base/urb_stats.h"
#include "dataplane/guest.h"
#include "usb/hid_found.h"

/* What control hears beside struct guest_events. @ctx is the guest's. */
struct guest_process_events {
	/* The process has ended, or can't be ended: another one is needed. */
	void (*lost)(void *ctx, const char *why);
	/* Its line is over, and it goes on: it is to be killed. @process: its pidfd. */
	void (*kill)(void *ctx, int process);
	/* It stands. */
	void (*stands)(void *ctx);
	/* It is the last control's, and goes on: the connections that it has live. NULL: not heard. */
	void (*goes_on)(void *ctx);
	/* It is the last control's, of a version that we do not speak. NULL: not heard. */
	void (*strange)(void *ctx);
	/* The answer to guest_ask_stats() is there. NULL: not heard. */
	void (*stats)(void *ctx);
	/* What is said of further networks; NULL: a process that says it is lost. */
	const struct guest_net_events *nets;
};

/* About a card on network @net, below VM_WIRE_NETS: as in struct guest_events. */
struct guest_net_events {
	void (*card)(void *ctx, unsigned net, const struct guest_card *card);
	void (*mac_wanted)(void *ctx, unsigned net, const uint8_t mac[6]);
	void (*link_wanted)(void *ctx, unsigned net, unsigned number);
	/* An uplink: whether it has its tap. */
	void (*tap)(void *ctx, bool has);
};

/* A card on a further network. */
struct guest_net {
	const char *name; /* the network's */
	uint8_t mac[6];	  /* that its guest has taken before; all zero: none */
	bool any_mac;
};

/* A device as the last control has left it in a process. */
struct guest_held {
	bool opened, failed;
	bool importing, session, resetting, taking, gone;
	struct guest_peer peer; /* session */
	uint64_t since_ns;
	struct hid_found hid;
};

void guest_connect(struct guest *guest, int line, int process,
		   const struct guest_process_events *events);
void guest_disconnect(struct guest *guest, const char *why);
void guest_set_next(struct guest *guest, int listener);
uint32_t guest_device_number(const struct guest_device *gd);
struct guest_device *guest_device_take_up(struct guest *guest, uint32_t number, const char *name,
					  const struct usb_device_info *info,
					  const struct guest_device_events *events, void *ctx,
					  struct guest_held *ret_held);
void guest_take_rest(struct guest *guest);

bool guest_knows_nets(const struct guest *guest);
void guest_net(struct guest *guest, unsigned net, const struct guest_net *card, int listener);
void guest_net_gone(struct guest *guest, unsigned net);
void guest_nets_told(struct guest *guest);
void guest_net_peer(struct guest *guest, unsigned net, const struct net_peer *peer);
void guest_net_peer_gone(struct guest *guest, unsigned net, unsigned number);
void guest_net_link(struct guest *guest, unsigned net, unsigned number, unsigned side, int memfd,
		    int wake_mine, int wake_theirs);
void guest_net_mac(struct guest *guest, unsigned net, const uint8_t mac[6], bool granted);
void guest_tap(struct guest *guest, int tap);
void guest_counts(struct guest *guest, int memory);

void guest_listen(struct guest *guest, int sock);
void guest_deaf(struct guest *guest, unsigned n_kept);
void guest_may(struct guest *guest, struct guest_device *gd, const struct ip_prefix *to, size_t n);

/* How much of the kernel's memory for URBs a guest has taken, as its process told last. */
struct guest_memory {
	uint64_t charged, share; /* bytes */
};

bool guest_ask_stats(struct guest *guest, bool timed);
bool guest_device_stats(const struct guest_device *gd, struct urb_stats *ret_stats);
struct guest_memory guest_memory(const struct guest *guest);
