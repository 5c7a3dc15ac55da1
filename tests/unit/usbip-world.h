/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session, its client and a scripted device: what the client asks, in what order the device answers, and
 * what the client hears, as stories of one letter a step (play()). Over a socket, or by a stream that keeps
 * no copy of answers (by_stream).
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/stream.h"
#include "script-backend.h"
#include "usb/hid_input.h"
#include "usbip/usbip_urb_pool.h"

struct world {
	struct script script;
	struct usbip_session *session;
	int server, client;
	struct list on_stream; /* of struct stream_buffer: not through yet */
	size_t head_sent;      /* bytes of the first */
	unsigned cuts;	       /* where what comes is cut */
	char seen[16384];      /* what the client was answered: "S1=0/4 U101=-104" */
};

extern bool by_stream;
extern const struct pdu_submit bulk_in;

void open_world(struct world *w);
void close_world(struct world *w);
void put(struct world *w, const void *data, size_t len);
void ask(struct world *w, const struct pdu_submit *s, const void *payload);
int receive(struct world *w);
int answers(struct world *w);
int send_all(struct world *w);
void ask_kind(struct world *w, char kind, uint32_t seqnum);
void play(struct world *w, const char *story);
