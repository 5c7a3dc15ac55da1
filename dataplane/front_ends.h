/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who connects at a card's socket: the front-ends of one port, each behind an usher.
 *
 * There may be two at once: a guest that moves has a second front-end, which sets its card up while the
 * first one's rings run (vhost_user_net/net_front.c). A third one is closed. One of the two may have left
 * just now, and its usher not have said so: so the third waits in the listener's queue for a second first.
 *
 * All functions are called in the loop's thread.
 */
#pragma once

#include <stdbool.h>

#include "base/listener.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/usher.h"
#include "vhost_user_net/net_port.h"

struct front_ends;

struct front_end {
	struct front_ends *of;
	struct usher usher;
	int sock; /* its line; -1: nobody is connected */
	struct loop_watch watch;
};

struct front_ends {
	const char *name; /* for log lines; its owner's */
	struct loop *loop;
	struct net_port *port;
	int listener; /* -1: none */
	struct listener door;
	struct loop_watch third; /* there may be one; the door is stopped until then */
	struct front_end at[NET_PORT_CONNECTIONS]; /* by the number that the port gave it */
	struct log_limit limit;			   /* of their comings and goings */
	struct log_limit refusals;		   /* one that comes and goes does not drown why */
};

void front_ends_init(struct front_ends *f, const char *name, struct loop *loop,
		     struct net_port *port);
int front_ends_listen(struct front_ends *f, int listener);
void front_ends_shut(struct front_ends *f);
void front_ends_close(struct front_ends *f);
bool front_ends_any(const struct front_ends *f);
