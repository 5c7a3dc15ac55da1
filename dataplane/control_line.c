/* SPDX-License-Identifier: BSD-2-Clause */
/* The line to control, as a VM's process has it; see control_line.h. Devices are control_line_device.c's. */
#include "dataplane/control_line_private.h"

#include <build_info.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

/* A call in the kernel may take 5 s to give up on a dead device; this leaves time for more. */
#define END_SECONDS 10

/* ------------------------------------------------------------- what the guest tells */

static void say_card(struct control_line *c)
{
	struct vm_wire_card m = {.kind = VM_SAY_CARD,
				 .up = c->card.up,
				 .has_daemon = c->card.has_daemon,
				 .deaf = c->card.deaf};

	memcpy(m.mac, c->card.mac, sizeof(m.mac));
	memcpy(m.foreign, c->card.foreign, sizeof(m.foreign));
	control_line_say(c, &m);
}

static void on_link(void *ctx, const struct guest_card *card)
{
	struct control_line *c = ctx;

	c->card = *card;
	if (c->informed)
		say_card(c);
}

/* A control that does not know yet what there is hears of it once it does. */
static void ask_for_agent(struct control_line *c)
{
	if (!c->line || !c->informed || !c->agent_waits || c->agent_asked)
		return;
	c->agent_asked = true;
	control_line_say(c, &(struct vm_wire_plain){.kind = VM_SAY_AGENT_ASKED});
}

static void on_ended(void *ctx)
{
	struct control_line *c = ctx;

	control_line_say(c, &(struct vm_wire_plain){.kind = VM_SAY_ENDED});
	c->done = true;
}

static void on_agent_asked(void *ctx)
{
	struct control_line *c = ctx;

	c->agent_waits = true;
	ask_for_agent(c);
}

/* It stays asked for until it is answered: the guest does not ask twice. */
static void ask_for_mac(struct control_line *c)
{
	struct vm_wire_mac m = {.kind = VM_SAY_MAC_WANTED};

	memcpy(m.mac, c->mac_wanted, sizeof(m.mac));
	if (c->informed && c->mac_waits)
		control_line_say(c, &m);
}

static void on_mac_wanted(void *ctx, const uint8_t mac[6])
{
	struct control_line *c = ctx;

	memcpy(c->mac_wanted, mac, sizeof(c->mac_wanted));
	c->mac_waits = true;
	ask_for_mac(c);
}

static void on_link_wanted(void *ctx, unsigned number)
{
	struct control_line *c = ctx;

	/* A new control tells of all cards, and then the links are asked for again. */
	if (c->informed)
		control_line_say(
			c, &(struct vm_wire_number){.kind = VM_SAY_LINK_WANTED, .number = number});
}

static const struct guest_events guest_events = {
	.link = on_link,
	.import_asked = control_line_import_asked,
	.agent_asked = on_agent_asked,
	.ended = on_ended,
	.mac_wanted = on_mac_wanted,
	.link_wanted = on_link_wanted,
};

/* ------------------------------------------------------------- what control asks */

static void say_program(struct control_line *c)
{
	struct vm_wire_program m = {.kind = VM_SAY_PROGRAM, .name = USBROUTED_VERSION};

	control_line_say(c, &m);
}

static const char *ask_hello(struct control_line *c, const union vm_wire_message *m,
			     int *fds _unused_)
{
	struct vm_wire_hello hello = vm_wire_hello(VM_SAY_HELLO, c->guest || c->uplink);
	int version = vm_wire_agree(&m->hello);

	control_line_say(c, &hello);
	/* END has the same form in every version, and a control that speaks no other may say it. */
	c->greeted = version >= 0;
	vm_line_agree(c->line, c->greeted ? (uint32_t)version : 0);
	say_program(c);
	return NULL;
}

static struct guest_config config_of(const struct vm_wire_start *start)
{
	struct guest_config config = {
		.prefix = start->prefix, .hotkeys = start->hotkeys, .memory = start->memory};

	memcpy(config.name, start->name, sizeof(config.name));
	memcpy(&config.address, start->address, sizeof(start->address));
	memcpy(&config.daemon, start->daemon, sizeof(start->daemon));
	memcpy(config.mac, start->mac, sizeof(config.mac));
	memcpy(config.mac_before, start->mac_before, sizeof(config.mac_before));
	return config;
}

static void next_connected(void *ctx, int res);

/* Return: whether @start means the VM that this process serves, as it is. */
static bool serves_it(const struct control_line *c, const struct guest_config *config)
{
	const struct guest_config *mine = &c->guest->cfg;

	return !mine->lan && !strcmp(config->name, mine->name) &&
	       config->address.s_addr == mine->address.s_addr &&
	       config->daemon.s_addr == mine->daemon.s_addr && config->prefix == mine->prefix &&
	       !memcmp(config->mac, mine->mac, sizeof(mine->mac));
}

static void close_door(struct door *door)
{
	if (door->of)
		listener_stop(&door->listener);
	door->fd = fd_close(door->fd);
}

/*
 * Until control has given the new door the old one's name, the next control looks for this process
 * at the old door. So that stays beside the new one.
 */
static int wait_for_next(struct control_line *c, int next)
{
	struct door *door = &c->doors[c->by == &c->doors[0]];

	close_door(door);
	door->of = c;
	door->fd = next;
	/*
	 * Whoever connects can ask the kernel which process this is: it is the last one that
	 * listened.
	 */
	if (listen(next, 4) < 0)
		log_warning("this process can't say at its socket who it is: %s",
			    errno_text(errno));
	return listener_start(&door->listener, c->loop, next, next_connected, door);
}

/* Everything goes on for the next control, which tells again what it knows of other guests. */
static int serve_on(struct control_line *c, const struct guest_config *config, int fds[2])
{
	int r;

	if (!serves_it(c, config))
		return -EEXIST;
	guest_set_listener(c->guest, take_fd(&fds[0]));
	r = wait_for_next(c, take_fd(&fds[1]));
	if (r < 0)
		return r;
	guest_set_hotkeys(c->guest, &config->hotkeys);
	guest_set_memory(c->guest, &config->memory);
	for (unsigned i = 0; i < NET_PORTS; i++)
		guest_peer_gone(c->guest, i);
	return 0;
}

static int begin(struct control_line *c, struct guest_config *config, int fds[2])
{
	int r = wait_for_next(c, take_fd(&fds[1]));

	c->informed = true;
	config->listener = fds[0];
	if (r == 0)
		r = guest_begin(&c->guest, config, c->loop, &guest_events, c);
	if (r == 0)
		fds[0] = -1;
	else
		c->done = true;
	return r;
}

static const char *ask_start(struct control_line *c, const union vm_wire_message *m, int *fds)
{
	struct guest_config config = config_of(&m->start);
	struct vm_wire_started answer = {.kind = VM_SAY_STARTED, .r = -ESHUTDOWN};

	if (c->uplink || c->for_lan)
		answer.r = -EEXIST;
	else if (!c->ending)
		answer.r = c->guest ? serve_on(c, &config, fds) : begin(c, &config, fds);
	if (answer.r < 0 && answer.r != -EEXIST)
		log_err("%s: its process can't %s: %s", config.name, c->guest ? "go on" : "begin",
			errno_text(answer.r));
	for (unsigned i = 0; i < 2; i++)
		fd_close(fds[i]);
	control_line_say(c, &answer);
	return NULL;
}

static const char *ask_uplink(struct control_line *c, const union vm_wire_message *m, int *fds)
{
	struct vm_wire_started answer = {.kind = VM_SAY_STARTED, .r = -ESHUTDOWN};
	bool serves = c->guest || c->uplink;

	if (c->for_lan)
		answer.r = -EEXIST;
	else if (!c->ending)
		answer.r = control_line_be_uplink(c, m->uplink.name);
	if (answer.r == 0)
		answer.r = wait_for_next(c, take_fd(&fds[0]));
	if (answer.r < 0 && answer.r != -EEXIST)
		log_err("%s.uplink: its process can't begin: %s", m->uplink.name,
			errno_text(answer.r));
	fd_close(fds[0]);
	control_line_say(c, &answer);
	if (!serves) {
		c->informed = true;
		c->done = answer.r < 0;
	}
	if (c->uplink)
		control_line_say_tap(c);
	return NULL;
}

/*
 * Be the LAN export's, or go on so. The next control makes sockets for the same addresses. It has the ones
 * that there are closed when it has those: until then, who connects comes here.
 */
static int be_lan(struct control_line *c, const struct guest_config *config, int *next)
{
	int r = wait_for_next(c, take_fd(next));

	if (r < 0 || !c->guest)
		return r < 0 ? r : guest_begin(&c->guest, config, c->loop, &guest_events, c);
	guest_set_hotkeys(c->guest, &config->hotkeys);
	guest_set_memory(c->guest, &config->memory);
	return 0;
}

static const char *ask_lan(struct control_line *c, const union vm_wire_message *m, int *fds)
{
	struct guest_config config = {.name = "lan.export",
				      .lan = true,
				      .hotkeys = m->lan.hotkeys,
				      .memory = m->lan.memory,
				      .listener = -1};
	struct vm_wire_started answer = {.kind = VM_SAY_STARTED, .r = -ESHUTDOWN};
	bool serves = c->guest || c->uplink;

	if (!c->for_lan)
		answer.r = -EEXIST;
	else if (!c->ending)
		answer.r = be_lan(c, &config, &fds[0]);
	if (answer.r < 0 && answer.r != -EEXIST)
		log_err("%s: its process can't %s: %s", config.name, serves ? "go on" : "begin",
			errno_text(answer.r));
	fd_close(fds[0]);
	if (!serves) {
		c->informed = true;
		c->done = answer.r < 0;
	}
	control_line_say(c, &answer);
	return NULL;
}

static const char *ask_lan_listen(struct control_line *c, const union vm_wire_message *m _unused_,
				  int *fds)
{
	if (c->ending)
		fd_close(fds[0]);
	else
		guest_lan_listen(c->guest, fds[0]);
	return NULL;
}

static const char *ask_lan_deaf(struct control_line *c, const union vm_wire_message *m,
				int *fds _unused_)
{
	guest_lan_deaf(c->guest, m->number.number);
	return NULL;
}

static const char *ask_hotkeys(struct control_line *c, const union vm_wire_message *m,
			       int *fds _unused_)
{
	guest_set_hotkeys(c->guest, &m->hotkeys.hotkeys);
	return NULL;
}

static const char *ask_memory(struct control_line *c, const union vm_wire_message *m,
			      int *fds _unused_)
{
	guest_set_memory(c->guest, &m->memory.share);
	return NULL;
}

static void end_late(void *ctx, int res _unused_)
{
	struct control_line *c = ctx;

	log_warning("a call is stuck in the kernel; ending without it");
	c->done = true;
}

static const char *ask_end(struct control_line *c, const union vm_wire_message *m _unused_,
			   int *fds _unused_)
{
	if (c->ending)
		return NULL;
	c->ending = true;
	control_line_nets_free(c);
	if (!c->guest) {
		on_ended(c);
		return NULL;
	}
	guest_stop(c->guest);
	loop_watch_time(c->loop, &c->deadline, END_SECONDS * 1000000000ull, end_late, c);
	return NULL;
}

static const char *ask_held(struct control_line *c, const union vm_wire_message *m _unused_,
			    int *fds _unused_)
{
	if (c->guest) {
		if (!c->guest->cfg.lan)
			say_card(c);
		control_line_say_held(c);
	}
	control_line_say(c, &(struct vm_wire_plain){.kind = VM_SAY_HELD_ALL});
	c->informed = true;
	if (c->uplink) {
		control_line_say_tap(c);
		return NULL;
	}
	ask_for_mac(c);
	control_line_clients_ask(c);
	ask_for_agent(c);
	return NULL;
}

static const char *ask_refuse(struct control_line *c, const union vm_wire_message *m,
			      int *fds _unused_)
{
	uint32_t client = control_line_answered(c, m->refuse.client);

	if (!client)
		return "it answers a client that has not asked";
	guest_refuse(c->guest, client, (enum usbip_op_status)m->refuse.status);
	return NULL;
}

static const char *ask_hang_up(struct control_line *c, const union vm_wire_message *m,
			       int *fds _unused_)
{
	struct guest_peer peer = {.v6 = m->hang_up.peer.v6, .port = m->hang_up.peer.port};

	memcpy(peer.address, m->hang_up.peer.address, sizeof(peer.address));
	if (guest_hang_up(c->guest, &peer) < 0)
		log_warning("%s: no memory to tell its guest that a connection is dead",
			    c->guest->cfg.name);
	return NULL;
}

static const char *ask_agent(struct control_line *c, const union vm_wire_message *m, int *fds)
{
	if (!c->agent_asked) {
		fd_close(fds[0]);
		return "it lets an agent in that has not asked";
	}
	c->agent_waits = c->agent_asked = false;
	guest_agent(c->guest, m->number.number, fds[0]);
	return NULL;
}

/* Times are counted only while somebody wants to know them. */
static const char *ask_stats(struct control_line *c, const union vm_wire_message *m,
			     int *fds _unused_)
{
	const struct usb_memory *memory = &c->guest->memory;

	c->guest->timed = m->ask_stats.timed;
	control_line_say_stats(c);
	control_line_say(c, &(struct vm_wire_stats_all){
				    .kind = VM_SAY_STATS_ALL,
				    .memory = memory->large + memory->small,
				    .memory_share = memory->share_large + memory->share_small,
			    });
	return NULL;
}

static const char *ask_agent_end(struct control_line *c, const union vm_wire_message *m,
				 int *fds _unused_)
{
	guest_agent_end(c->guest, m->number.number);
	return NULL;
}

static const char *ask_peer(struct control_line *c, const union vm_wire_message *m,
			    int *fds _unused_)
{
	struct net_peer peer = {
		.number = m->port.number, .up = m->port.up, .isolated = m->port.isolated};

	if (peer.number >= NET_PORTS)
		return CONTROL_LINE_NO_PORT;
	memcpy(&peer.address, m->port.address, sizeof(m->port.address));
	if (m->port.has_mac)
		memcpy(peer.mac, m->port.mac, sizeof(peer.mac));
	guest_peer_set(c->guest, &peer);
	return NULL;
}

static const char *ask_peer_gone(struct control_line *c, const union vm_wire_message *m,
				 int *fds _unused_)
{
	if (m->number.number >= NET_PORTS)
		return CONTROL_LINE_NO_PORT;
	guest_peer_gone(c->guest, m->number.number);
	return NULL;
}

static const char *ask_link(struct control_line *c, const union vm_wire_message *m, int *fds)
{
	if (m->link.number >= NET_PORTS) {
		for (unsigned i = 0; i < 3; i++)
			fd_close(fds[i]);
		return CONTROL_LINE_NO_PORT;
	}
	guest_link(c->guest, m->link.number, m->link.side, fds[0], fds[1], fds[2]);
	return NULL;
}

static const char *ask_mac(struct control_line *c, const union vm_wire_message *m,
			   int *fds _unused_)
{
	if (!memcmp(c->mac_wanted, m->mac_answer.mac, sizeof(c->mac_wanted)))
		c->mac_waits = false;
	guest_mac_granted(c->guest, m->mac_answer.mac, m->mac_answer.granted);
	return NULL;
}

/* Whom it may be said to: a process with a guest; the LAN export's; one with devices, which is either … */
enum whom { GUEST, LAN, DEVICES, ANYBODY, UPLINK_TOO };

static const struct {
	ask_fn fn;
	enum whom whom;
} asks[VM_WIRE_KINDS] = {
	[VM_ASK_HELLO] = {ask_hello, ANYBODY},
	[VM_ASK_START] = {ask_start, ANYBODY},
	[VM_ASK_HOTKEYS] = {ask_hotkeys, DEVICES},
	[VM_ASK_MEMORY] = {ask_memory, DEVICES},
	[VM_ASK_END] = {ask_end, UPLINK_TOO},
	[VM_ASK_HELD] = {ask_held, UPLINK_TOO},
	[VM_ASK_GIVE] = {control_line_give, DEVICES},
	[VM_ASK_TAKE] = {control_line_take, DEVICES},
	[VM_ASK_RESET] = {control_line_reset, DEVICES},
	[VM_ASK_EXPORT] = {control_line_export, DEVICES},
	[VM_ASK_IMPORT] = {control_line_import, DEVICES},
	[VM_ASK_REFUSE] = {ask_refuse, DEVICES},
	[VM_ASK_PROBE] = {control_line_probe, DEVICES},
	[VM_ASK_HANG_UP] = {ask_hang_up},
	[VM_ASK_AGENT] = {ask_agent},
	[VM_ASK_PEER] = {ask_peer},
	[VM_ASK_PEER_GONE] = {ask_peer_gone},
	[VM_ASK_LINK] = {ask_link},
	[VM_ASK_MAC] = {ask_mac},
	[VM_ASK_AGENT_END] = {ask_agent_end},
	[VM_ASK_STATS] = {ask_stats, DEVICES},
	[VM_ASK_UPLINK] = {ask_uplink, ANYBODY},
	[VM_ASK_TAP] = {control_line_tap, UPLINK_TOO},
	[VM_ASK_NET] = {control_line_net},
	[VM_ASK_NET_GONE] = {control_line_net_gone},
	[VM_ASK_NETS_TOLD] = {control_line_nets_told},
	[VM_ASK_NET_PEER] = {control_line_net_peer, UPLINK_TOO},
	[VM_ASK_NET_PEER_GONE] = {control_line_net_peer_gone, UPLINK_TOO},
	[VM_ASK_NET_LINK] = {control_line_net_link, UPLINK_TOO},
	[VM_ASK_NET_MAC] = {control_line_net_mac, UPLINK_TOO},
	[VM_ASK_COUNTS] = {control_line_counts, UPLINK_TOO},
	[VM_ASK_LAN] = {ask_lan, ANYBODY},
	[VM_ASK_LAN_LISTEN] = {ask_lan_listen, LAN},
	[VM_ASK_LAN_DEAF] = {ask_lan_deaf, LAN},
	[VM_ASK_LAN_MAY] = {control_line_may, LAN},
};

static bool may_hear(const struct control_line *c, uint32_t kind)
{
	switch (asks[kind].whom) {
	case ANYBODY:
		return true;
	case UPLINK_TOO:
		return c->guest || c->uplink;
	case DEVICES:
		return c->guest;
	case LAN:
		return c->guest && c->guest->cfg.lan;
	case GUEST:
		break;
	}
	return c->guest && !c->guest->cfg.lan;
}

static const char *on_message(void *ctx, const union vm_wire_message *m, int *fds)
{
	struct control_line *c = ctx;
	const char *fault = NULL;

	if (!asks[m->kind].fn)
		control_line_say(
			c, &(struct vm_wire_refused){.kind = VM_SAY_REFUSED, .refused = m->kind});
	else if (m->kind != VM_ASK_HELLO && m->kind != VM_ASK_END && !c->greeted)
		fault = "it has not said HELLO in a version that this process speaks";
	else if (!may_hear(c, m->kind))
		fault = "it asks for something before START, or of an uplink, or of a LAN export";
	else
		return asks[m->kind].fn(c, m, fds);
	for (unsigned i = 0; i < VM_WIRE_FDS; i++)
		fd_close(fds[i]);
	return fault;
}

/* This control will not answer what it was asked; the next one is asked what can wait. */
static void forget_control(struct control_line *c)
{
	c->line = vm_line_free(c->line);
	c->greeted = c->informed = c->agent_asked = false;
	control_line_nets_left(c);
	if (!c->guest)
		return;
	c->guest->timed = false;
	control_line_time(c);
	control_line_clients_left(c);
	guest_agents_left(c->guest);
}

static void on_lost(void *ctx, const char *why)
{
	struct control_line *c = ctx;

	forget_control(c);
	if (c->uplink && !c->ending) {
		log_notice(
			"an uplink's control has gone (%s); it goes on, until the next one comes",
			why);
	} else if (!c->guest && !c->ending) {
		log_err("control is gone before there was anything to do: %s", why);
		c->done = true;
	} else if (!c->ending) {
		log_notice(
			"%s: control has gone (%s); what is imported stays so, until the next one comes",
			c->guest->cfg.name, why);
	}
}

static const struct vm_line_ops line_ops = {.message = on_message, .lost = on_lost};

/* The newest control counts: the one before may hang, and nobody else would end its line. */
static void next_connected(void *ctx, int res _unused_)
{
	struct door *door = ctx;
	struct control_line *c = door->of;
	int sock = listener_accept(&door->listener, "control"), r;

	if (sock < 0)
		return;
	forget_control(c);
	c->by = door;
	r = vm_line_open(&c->line, c->loop, sock, VM_WIRE_VM, &line_ops, c);
	if (r < 0) {
		log_err("%s: control can't be heard: %s",
			c->guest ? c->guest->cfg.name : "an uplink", errno_text(r));
		fd_close(sock);
	}
}

/* ------------------------------------------------------------- the whole */

/**
 * control_line_new() - begin to hear control
 * @ret_line:	the line
 * @loop:	the calling thread's
 * @sock:	connected to control; the line's where this succeeds
 * @for_lan:	be the LAN export's, and nothing else
 *
 * Return: 0 or a negative errno.
 */
int control_line_new(struct control_line **ret_line, struct loop *loop, int sock, bool for_lan)
{
	struct control_line *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->for_lan = for_lan;
	c->doors[0].fd = c->doors[1].fd = -1;
	list_init(&c->devices);
	r = vm_line_open(&c->line, loop, sock, VM_WIRE_VM, &line_ops, c);
	if (r < 0) {
		free(c);
		return r;
	}
	*ret_line = c;
	return 0;
}

/**
 * control_line_serve() - one turn of the process's work
 * @line:	the line
 * @more:	whether there is more to do without waiting: false at first, then as it was left
 *
 * Return: whether there will be another turn.
 */
bool control_line_serve(struct control_line *line, bool *more)
{
	if (line->guest)
		*more = guest_serve(line->guest, *more);
	else if (loop_turn(line->loop, !*more) < 0)
		return false;
	else
		*more = false;
	if (!line->done && control_line_nets_turn(line))
		*more = true;
	control_line_count(line);
	return !line->done;
}

/**
 * control_line_free() - let go of everything
 * @line:	the line, done; or NULL
 *
 * Return: NULL.
 */
struct control_line *control_line_free(struct control_line *line)
{
	if (!line)
		return NULL;
	loop_cancel(line->loop, &line->deadline);
	close_door(&line->doors[0]);
	close_door(&line->doors[1]);
	vm_line_free(line->line);
	control_line_devices_free(line);
	control_line_clients_free(line);
	control_line_nets_free(line);
	guest_free(line->guest);
	free(line);
	return NULL;
}
