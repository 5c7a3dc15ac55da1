/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * USB/IP clients in a guest, or on the LAN, that have not imported anything: each is accepted, its
 * request is read, and it is answered. What it sees exported is answered here; control says whether
 * it gets a device. With the device, its connection becomes a session's.
 *
 * At most 8 of a guest's may be at it at a time, and 32 of the LAN's (guest_lan.h); each has 5 s to say
 * what it wants, and 5 s to take the answer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/mailbox.h"
#include "dataplane/guest.h"
#include "dataplane/tcp_stream.h"
#include "usbip/usbip_op.h"

#define GUEST_CLIENTS  8
#define LAN_CLIENTS    32
#define CLIENTS_MAX    32 /* of either */
#define CLIENT_REQUEST 40 /* bytes of the longest request */

struct guest;
struct guest_device;
struct tcp_connection;

enum client_state {
	CLIENT_NONE,
	CLIENT_ASKING,	   /* its request is being read, and nothing of what follows it */
	CLIENT_ASKED,	   /* control has to say whether it gets the device */
	CLIENT_PROBING,	   /* … and will be asked again */
	CLIENT_ANSWERED,   /* it is being sent the answer */
	CLIENT_ASKED_GONE, /* ASKED, and the connection is over: the slot waits for control */
};

struct client {
	struct guest *guest;
	struct guest_peer peer; /* its end */
	struct stream stream;
	enum client_state state;
	uint32_t id; /* no other has it, for a long time */
	struct loop_watch timer;
	uint8_t request[CLIENT_REQUEST];
	size_t got, want;
	bool ended; /* it will send no more */
	struct usbip_op op;
	unsigned probes;
	uint8_t refusal[16];
	uint8_t *list; /* DEVLIST's answer */
	struct stream_buffer answer;

	/* To control, and back: one of the two is under way while ASKED. */
	struct letter asked, told;
	enum usbip_op_status status;  /* told: why it is refused, or … */
	struct guest_device *holding; /* … which device's session is to be probed */
};

void client_accept(struct guest *guest, struct tcp_connection *tcp);
int client_accept_socket(struct guest *guest, int sock, const struct guest_peer *peer);
struct client *client_find(struct guest *guest, uint32_t id);
void client_refuse(struct client *client, enum usbip_op_status status);
void client_imported(struct client *client);
void clients_look(struct guest *guest);
void clients_end(struct guest *guest);
