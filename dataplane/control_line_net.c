/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Further networks, as control speaks of them; see control_line.h.
 *
 * A VM's process has a card on each network that it was told of. An uplink's process has its port, on
 * network 0.
 *
 * Control calls a network by a number. The next control may call it by another one. So a card is known
 * by its network's name, and each control says NET of each network anew. A network that it has not
 * said by NETS_TOLD is in no configuration any more: its card is closed.
 */
#include "dataplane/control_line_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "dataplane/lan_port.h"

/* One port of this process. */
struct control_net {
	struct control_line *of;
	unsigned net; /* the network's number, as control says it */
	char name[VM_WIRE_NAME_SIZE];
	bool any_mac;
	bool told; /* this control knows of it */
	struct lan_port *port;
	bool mac_waits; /* control is to say whose it is */
	uint8_t mac_wanted[6];
};

/* ------------------------------------------------------------- what a port tells */

static bool is_uplink(const struct control_net *n)
{
	return n->of->uplink == n;
}

static void say_port(struct control_net *n)
{
	struct vm_wire_net_card m = {.kind = VM_SAY_NET_CARD, .net = n->net};
	struct vm_wire_has_tap tap = {.kind = VM_SAY_TAP};
	struct lan_port_state state;

	/* It is still being made, or control does not know of it. */
	if (!n->port || !n->told || !n->of->informed)
		return;
	lan_port_state(n->port, &state);
	if (is_uplink(n)) {
		tap.has = state.up;
		control_line_say(n->of, &tap);
		return;
	}
	m.up = state.up;
	memcpy(m.mac, state.mac, sizeof(m.mac));
	memcpy(m.foreign, state.foreign, sizeof(m.foreign));
	control_line_say(n->of, &m);
}

static void on_changed(void *ctx, const struct lan_port_state *state _unused_)
{
	say_port(ctx);
}

static void ask_for_mac(struct control_net *n)
{
	struct vm_wire_net_mac m = {.kind = VM_SAY_NET_MAC_WANTED, .net = n->net};

	memcpy(m.mac, n->mac_wanted, sizeof(m.mac));
	if (n->told && n->of->informed && n->mac_waits)
		control_line_say(n->of, &m);
}

static void on_mac_wanted(void *ctx, const uint8_t mac[6])
{
	struct control_net *n = ctx;

	memcpy(n->mac_wanted, mac, sizeof(n->mac_wanted));
	n->mac_waits = true;
	ask_for_mac(n);
}

static void on_link_wanted(void *ctx, unsigned number)
{
	struct control_net *n = ctx;
	struct vm_wire_net_other m = {
		.kind = VM_SAY_NET_LINK_WANTED, .net = n->net, .number = number};

	/* A new control tells of all ports, and then the links are asked for again. */
	if (n->told && n->of->informed)
		control_line_say(n->of, &m);
}

static const struct lan_port_events port_events = {
	.changed = on_changed,
	.mac_wanted = on_mac_wanted,
	.link_wanted = on_link_wanted,
};

/* ------------------------------------------------------------- made and freed */

static struct control_net *net_free(struct control_net *n)
{
	if (!n)
		return NULL;
	n->told = false;
	lan_port_free(n->port);
	free(n);
	return NULL;
}

/* Return: 0 or a negative errno. */
static int net_new(struct control_net **ret_net, struct control_line *c, const char *name,
		   const struct lan_port_config *config)
{
	struct control_net *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	n->of = c;
	n->any_mac = config->any_mac;
	snprintf(n->name, sizeof(n->name), "%.*s", (int)sizeof(n->name) - 1, name);
	r = lan_port_new(&n->port, c->loop, config, &port_events, n);
	if (r < 0) {
		free(n);
		return r;
	}
	*ret_net = n;
	return 0;
}

/* Forget what the last control said of other ports: they have other numbers now. */
static void forget_peers(struct control_net *n)
{
	for (unsigned i = 0; i < NET_PORTS; i++)
		lan_port_peer_gone(n->port, i);
}

/* ------------------------------------------------------------- what control asks */

/* Put the card on the network of this name to its new number. NULL: there is none yet. */
static struct control_net *move_to(struct control_line *c, unsigned net, const char *name)
{
	struct control_net *there;

	for (unsigned i = 0; i < VM_WIRE_NETS; i++) {
		struct control_net *n = c->nets[i];

		if (!n || strcmp(n->name, name) != 0)
			continue;
		there = c->nets[net];
		c->nets[net] = n;
		c->nets[i] = n == there ? n : there;
		if (n != there && there)
			there->net = i;
		n->net = net;
		return n;
	}
	return NULL;
}

/*
 * Free a number for another card. The card that has it, if this control has not told of it yet, is put
 * elsewhere: control may still tell of it.
 */
static void make_room(struct control_line *c, unsigned net)
{
	struct control_net *n = c->nets[net];

	for (unsigned i = 0; n && !n->told && i < VM_WIRE_NETS; i++) {
		if (c->nets[i])
			continue;
		c->nets[i] = n;
		n->net = i;
		c->nets[net] = NULL;
		return;
	}
	c->nets[net] = net_free(n);
}

static struct control_net *make_card(struct control_line *c, const struct vm_wire_net *m)
{
	char name[2 * VM_WIRE_NAME_SIZE + 1];
	struct lan_port_config config = {.name = name, .any_mac = m->any_mac};
	struct control_net *n;
	int r;

	snprintf(name, sizeof(name), "%.31s.%.31s", c->guest->cfg.name, m->name);
	memcpy(config.mac, m->mac, sizeof(config.mac));
	r = net_new(&n, c, m->name, &config);
	if (r < 0) {
		log_err("%s: there is no card on this network: %s", name, errno_text(r));
		return NULL;
	}
	n->net = m->net;
	return n;
}

const char *control_line_net(struct control_line *c, const union vm_wire_message *m, int *fds)
{
	const struct vm_wire_net *ask = &m->net;
	struct control_net *n = move_to(c, ask->net, ask->name);

	if (n && n->told) {
		fd_close(fds[0]);
		return "it tells of a network twice";
	}
	/* Its trust-mac has changed: the card is made anew, and its virtual machine connects again. */
	if (n && n->any_mac != ask->any_mac)
		n = c->nets[ask->net] = net_free(n);
	if (!n) {
		make_room(c, ask->net);
		n = c->nets[ask->net] = make_card(c, ask);
	}
	if (!n) {
		fd_close(fds[0]);
		return NULL;
	}
	forget_peers(n);
	n->told = true;
	lan_port_listen(n->port, fds[0]);
	say_port(n);
	ask_for_mac(n);
	return NULL;
}

/* Return: the port on a network that control has told of, or NULL. */
static struct control_net *net_of(const struct control_line *c, unsigned net)
{
	struct control_net *n = c->nets[net];

	return n && n->told ? n : NULL;
}

const char *control_line_net_gone(struct control_line *c, const union vm_wire_message *m,
				  int *fds _unused_)
{
	unsigned net = m->net_number.net;

	c->nets[net] = net_free(c->nets[net]);
	return NULL;
}

const char *control_line_nets_told(struct control_line *c, const union vm_wire_message *m _unused_,
				   int *fds _unused_)
{
	for (unsigned i = 0; i < VM_WIRE_NETS; i++)
		if (c->nets[i] && !c->nets[i]->told)
			c->nets[i] = net_free(c->nets[i]);
	return NULL;
}

/* What control says of a card that could not be made is passed over. */
const char *control_line_net_peer(struct control_line *c, const union vm_wire_message *m,
				  int *fds _unused_)
{
	struct control_net *n = net_of(c, m->net_port.net);
	struct net_peer peer = {
		.number = m->net_port.number, .up = m->net_port.up, .any = m->net_port.any};

	if (peer.number >= NET_PORTS)
		return CONTROL_LINE_NO_PORT;
	if (m->net_port.has_mac)
		memcpy(peer.mac, m->net_port.mac, sizeof(peer.mac));
	if (n)
		lan_port_peer_set(n->port, &peer);
	return NULL;
}

const char *control_line_net_peer_gone(struct control_line *c, const union vm_wire_message *m,
				       int *fds _unused_)
{
	struct control_net *n = net_of(c, m->net_other.net);

	if (m->net_other.number >= NET_PORTS)
		return CONTROL_LINE_NO_PORT;
	if (n)
		lan_port_peer_gone(n->port, m->net_other.number);
	return NULL;
}

const char *control_line_net_link(struct control_line *c, const union vm_wire_message *m, int *fds)
{
	struct control_net *n = net_of(c, m->net_link.net);
	bool fits = m->net_link.number < NET_PORTS;

	if (n && fits) {
		lan_port_link(n->port, m->net_link.number, m->net_link.side, fds[0], fds[1],
			      fds[2]);
		return NULL;
	}
	for (unsigned i = 0; i < 3; i++)
		fd_close(fds[i]);
	return fits ? NULL : CONTROL_LINE_NO_PORT;
}

const char *control_line_net_mac(struct control_line *c, const union vm_wire_message *m,
				 int *fds _unused_)
{
	const struct vm_wire_net_mac_answer *answer = &m->net_mac_answer;
	struct control_net *n = net_of(c, answer->net);

	if (!n)
		return NULL;
	if (!memcmp(n->mac_wanted, answer->mac, sizeof(n->mac_wanted)))
		n->mac_waits = false;
	lan_port_mac_granted(n->port, answer->mac, answer->granted);
	return NULL;
}

/* ------------------------------------------------------------- an uplink's process */

/**
 * control_line_be_uplink() - be the uplink of a network, or go on being it
 * @c:		the line
 * @name:	the network's
 *
 * Return: 0; -EEXIST where the process serves something else; or another negative errno.
 */
int control_line_be_uplink(struct control_line *c, const char *name)
{
	char text[VM_WIRE_NAME_SIZE + 8];
	struct lan_port_config config = {.name = text, .uplink = true};
	int r;

	if (c->guest || (c->uplink && strcmp(c->uplink->name, name) != 0))
		return -EEXIST;
	if (c->uplink) {
		forget_peers(c->uplink);
		c->uplink->told = true;
		return 0;
	}
	snprintf(text, sizeof(text), "%.31s.uplink", name);
	r = net_new(&c->nets[0], c, name, &config);
	if (r < 0)
		return r;
	c->uplink = c->nets[0];
	c->uplink->told = true;
	return 0;
}

const char *control_line_tap(struct control_line *c, const union vm_wire_message *m _unused_,
			     int *fds)
{
	int r = c->uplink ? lan_port_tap(c->uplink->port, fds[0]) : -EINVAL;

	if (r < 0)
		fd_close(fds[0]);
	if (!c->uplink)
		return "it gives a tap to what is no uplink";
	if (r < 0)
		log_err("%s.uplink: its tap can't be watched: %s", c->uplink->name, errno_text(r));
	return NULL;
}

/**
 * control_line_say_tap() - tell control whether an uplink has its tap
 * @c:		the line of an uplink's process
 */
void control_line_say_tap(struct control_line *c)
{
	say_port(c->uplink);
}

/* ------------------------------------------------------------- what goes through them */

static_assert(NET_COUNTS_PORTS == 1 + VM_WIRE_NETS, "one for the private segment, one a network");

const char *control_line_counts(struct control_line *c, const union vm_wire_message *m _unused_,
				int *fds)
{
	struct net_counts *counts;
	int r = net_counts_open(&counts, fds[0]);

	fd_close(fds[0]);
	if (r < 0)
		return "it gives memory that is none for numbers of ports";
	net_counts_close(c->counts);
	c->counts = counts;
	/* A new memory is all zero: all other numbers are written at the next count. */
	memset(c->counted, 0, sizeof(c->counted));
	return NULL;
}

static void count(struct control_line *c, unsigned i, const struct net_port_counters *now)
{
	if (!memcmp(now, &c->counted[i], sizeof(*now)))
		return;
	c->counted[i] = *now;
	net_counts_put(c->counts, i, now);
}

/**
 * control_line_count() - write down what went through the ports, at the end of a turn
 * @c:		the line
 */
void control_line_count(struct control_line *c)
{
	struct net_port_counters now;

	if (!c->counts)
		return;
	if (c->guest && c->guest->port) {
		net_port_count(c->guest->port, &now);
		count(c, 0, &now);
	}
	for (unsigned i = 0; i < VM_WIRE_NETS; i++) {
		memset(&now, 0, sizeof(now));
		if (c->nets[i])
			lan_port_count(c->nets[i]->port, &now);
		count(c, 1 + i, &now);
	}
}

/* ------------------------------------------------------------- all of them */

/**
 * control_line_nets_turn() - one turn of their work
 * @c:		the line
 *
 * Return: whether there is more to do without waiting.
 */
bool control_line_nets_turn(struct control_line *c)
{
	bool more = false;

	for (unsigned i = 0; i < VM_WIRE_NETS; i++)
		if (c->nets[i] && lan_port_turn(c->nets[i]->port))
			more = true;
	return more;
}

/**
 * control_line_nets_left() - control has gone: the next one knows of none
 * @c:		the line
 */
void control_line_nets_left(struct control_line *c)
{
	for (unsigned i = 0; i < VM_WIRE_NETS; i++)
		if (c->nets[i])
			c->nets[i]->told = false;
}

/**
 * control_line_nets_free() - close them all
 * @c:		the line
 */
void control_line_nets_free(struct control_line *c)
{
	for (unsigned i = 0; i < VM_WIRE_NETS; i++)
		c->nets[i] = net_free(c->nets[i]);
	c->uplink = NULL;
	c->counts = net_counts_close(c->counts);
}
