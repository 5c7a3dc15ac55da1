/* SPDX-License-Identifier: BSD-2-Clause */
/* What control_line.c (the line, the guest), control_line_device.c (its devices) and control_line_net.c (further
 * networks) share. */
#pragma once

#include "base/listener.h"
#include "dataplane/control_line.h"
#include "dataplane/guest_lan.h"
#include "dataplane/guest_private.h"
#include "protocol/vm_line.h"
#include "vhost_user_net/net_counts.h"

struct control_net;

#define CONTROL_LINE_NO_PORT "it speaks of a port that can't be"

struct control_line {
	struct loop *loop;
	struct vm_line *line; /* NULL: there is no control now */
	bool greeted;	      /* this control has said HELLO */
	/*
	 * … and knows what there is: from START, or from what it asked for. Changes before that are
	 * not told.
	 */
	bool informed;
	struct guest *guest;
	struct control_net *nets[VM_WIRE_NETS]; /* by control's numbers */
	struct control_net *uplink;		/* of them; NULL: it has a guest, or nothing yet */
	bool for_lan;		   /* it was started to be the LAN export's, and can be no other */
	struct net_counts *counts; /* where control looks; or NULL */
	struct net_port_counters counted[NET_COUNTS_PORTS]; /* as they are there */
	struct list devices;				    /* of struct held */
	struct guest_card card;				    /* as last told */
	struct asked {
		struct control_line *of;
		uint32_t client; /* its number, or 0 */
		bool told;	 /* control was asked; else it waits for one */
		char busid[USBIP_BUSID_SIZE];
		struct loop_watch late;
		struct guest_peer peer; /* of the LAN's */
	} asked[CLIENTS_MAX];
	bool mac_waits; /* control is to say whose it is */
	uint8_t mac_wanted[6];
	bool agent_waits, agent_asked; /* for a socket; this control owes it */
	struct door {
		struct control_line *of;
		struct listener listener;
		int fd;	 /* or -1 */
	} doors[2];	 /* by which the next control may come */
	struct door *by; /* by which the one that there is has come; NULL: it had its line before */
	bool ending, done;
	struct loop_watch deadline;
};

static inline void control_line_say(struct control_line *c, const void *message)
{
	vm_line_send(c->line, message, NULL, 0);
}

uint32_t control_line_answered(struct control_line *c, uint32_t client);
void control_line_import_asked(void *ctx, uint32_t client, const char *busid);
void control_line_clients_ask(struct control_line *c);
void control_line_clients_left(struct control_line *c);
void control_line_clients_free(struct control_line *c);

/* What control asks. Return: NULL, or what it may not. */
typedef const char *(*ask_fn)(struct control_line *c, const union vm_wire_message *m, int *fds);

const char *control_line_give(struct control_line *c, const union vm_wire_message *m, int *fds);
const char *control_line_take(struct control_line *c, const union vm_wire_message *m, int *fds);
const char *control_line_reset(struct control_line *c, const union vm_wire_message *m, int *fds);
const char *control_line_export(struct control_line *c, const union vm_wire_message *m, int *fds);
const char *control_line_import(struct control_line *c, const union vm_wire_message *m, int *fds);
const char *control_line_may(struct control_line *c, const union vm_wire_message *m, int *fds);
const char *control_line_probe(struct control_line *c, const union vm_wire_message *m, int *fds);

const char *control_line_net(struct control_line *c, const union vm_wire_message *m, int *fds);
const char *control_line_net_gone(struct control_line *c, const union vm_wire_message *m, int *fds);
const char *control_line_nets_told(struct control_line *c, const union vm_wire_message *m,
				   int *fds);
const char *control_line_net_peer(struct control_line *c, const union vm_wire_message *m, int *fds);
const char *control_line_net_peer_gone(struct control_line *c, const union vm_wire_message *m,
				       int *fds);
const char *control_line_net_link(struct control_line *c, const union vm_wire_message *m, int *fds);
const char *control_line_net_mac(struct control_line *c, const union vm_wire_message *m, int *fds);
const char *control_line_tap(struct control_line *c, const union vm_wire_message *m, int *fds);
int control_line_be_uplink(struct control_line *c, const char *name);
void control_line_say_tap(struct control_line *c);
const char *control_line_counts(struct control_line *c, const union vm_wire_message *m, int *fds);
void control_line_count(struct control_line *c);
bool control_line_nets_turn(struct control_line *c);
void control_line_nets_left(struct control_line *c);
void control_line_nets_free(struct control_line *c);

void control_line_say_held(struct control_line *c);
void control_line_time(struct control_line *c);
void control_line_say_stats(struct control_line *c);
void control_line_devices_free(struct control_line *c);
