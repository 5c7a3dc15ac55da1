/* SPDX-License-Identifier: BSD-2-Clause */
/* The line to control, as a VM's process has it; see control_line.h. */
#include "dataplane/control_line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "dataplane/guest_private.h"
#include "protocol/vm_line.h"
#include "vhost_user_net/net_switch.h"

/* A call in the kernel may take 5 s to give up on a dead device; then some. */
#define END_SECONDS 10

struct control_line {
	struct loop *loop;
	struct vm_line *line; /* NULL: there is no control now */
	bool greeted;	      /* this control has said HELLO */
	struct guest *guest;
	struct net_switch *sw;
	struct list devices;	/* of struct held */
	struct guest_card card; /* as last told */
	int next;		/* the listener for the next control, or -1 */
	struct listener door;	/* of @next */
	bool ending, done;
	struct loop_watch deadline;
};

/* A device that control has given. */
struct held {
	struct list link;
	struct control_line *line;
	uint32_t number; /* control's for it */
	struct guest_device *gd;
	bool importing, resetting, taking;
	struct vm_wire_peer peer; /* while it is imported */
	uint64_t since_ns;
};

static struct held *held_find(struct control_line *c, uint32_t number)
{
	list_for_each(it, &c->devices) {
		struct held *h = list_entry(it, struct held, link);

		if (h->number == number)
			return h;
	}
	return NULL;
}

static void say(struct control_line *c, const void *message)
{
	vm_line_send(c->line, message, NULL, 0);
}

/* ------------------------------------------------------------- what the guest tells */

static void say_card(struct control_line *c)
{
	struct vm_wire_card m = {
		.kind = VM_SAY_CARD, .up = c->card.up, .has_daemon = c->card.has_daemon};

	memcpy(m.mac, c->card.mac, sizeof(m.mac));
	memcpy(m.foreign, c->card.foreign, sizeof(m.foreign));
	say(c, &m);
}

static void on_link(void *ctx, const struct guest_card *card)
{
	struct control_line *c = ctx;

	c->card = *card;
	say_card(c);
}

static void on_ended(void *ctx)
{
	struct control_line *c = ctx;

	say(c, &(struct vm_wire_plain){.kind = VM_SAY_ENDED});
	c->done = true;
}

static const struct guest_events guest_events = {.link = on_link, .ended = on_ended};

static void say_result(struct held *h, uint32_t kind, int r, const char *reason)
{
	struct vm_wire_device_result m = {
		.kind = kind, .device = h->number, .r = r, .closed = kind == VM_SAY_TAKEN};

	if (reason)
		snprintf(m.reason, sizeof(m.reason), "%s", reason);
	say(h->line, &m);
}

static void on_opened(void *ctx, int r, const char *reason)
{
	struct held *h = ctx;

	h->since_ns = loop_now();
	say_result(h, VM_SAY_OPENED, r, reason);
}

/* The guest's end of a client's connection. */
static struct vm_wire_peer peer_of(int sock)
{
	struct vm_wire_peer peer = {.v6 = 1};
	struct sockaddr_in6 a = {0};
	socklen_t len = sizeof(a);

	if (sock < 0 || getpeername(sock, (struct sockaddr *)&a, &len) < 0 ||
	    a.sin6_family != AF_INET6)
		return (struct vm_wire_peer){0};
	peer.port = ntohs(a.sin6_port);
	memcpy(peer.address, &a.sin6_addr, sizeof(peer.address));
	return peer;
}

static void on_imported(void *ctx, int r)
{
	struct held *h = ctx;
	struct vm_wire_imported m = {.kind = VM_SAY_IMPORTED, .device = h->number, .r = r};

	h->importing = false;
	h->since_ns = loop_now();
	if (r == 0)
		m.peer = h->peer = peer_of(h->gd->sock);
	say(h->line, &m);
}

static void on_session_ended(void *ctx, int r, const char *reason)
{
	struct held *h = ctx;

	h->since_ns = loop_now();
	say_result(h, VM_SAY_SESSION_ENDED, r, reason);
}

static void on_was_reset(void *ctx, int r, const char *reason)
{
	struct held *h = ctx;

	h->resetting = false;
	h->since_ns = loop_now();
	say_result(h, VM_SAY_WAS_RESET, r, reason);
}

static void on_gone(void *ctx)
{
	struct held *h = ctx;

	say(h->line, &(struct vm_wire_device){.kind = VM_SAY_GONE, .device = h->number});
}

static void on_stuck(void *ctx, const char *what)
{
	say_result(ctx, VM_SAY_STUCK, -ETIMEDOUT, what);
}

static void held_free(struct held *h)
{
	list_remove(&h->link);
	guest_device_free(h->gd);
	free(h);
}

/* Nothing leaves a process but closed. */
static void on_taken(void *ctx, bool closed, int r, const char *reason)
{
	struct held *h = ctx;

	assert(closed);
	say_result(h, VM_SAY_TAKEN, r, reason);
	held_free(h);
}

static void on_hotkey(void *ctx, enum hotkey which)
{
	struct held *h = ctx;

	say(h->line,
	    &(struct vm_wire_hotkey){.kind = VM_SAY_HOTKEY, .device = h->number, .which = which});
}

static void say_hid(struct held *h, const struct hid_found *found)
{
	struct vm_wire_hid m = {.kind = VM_SAY_HID, .device = h->number, .found = *found};

	say(h->line, &m);
}

static void on_hid(void *ctx, const struct hid_found *found)
{
	say_hid(ctx, found);
}

static const struct guest_device_events device_events = {
	.opened = on_opened,
	.imported = on_imported,
	.session_ended = on_session_ended,
	.was_reset = on_was_reset,
	.gone = on_gone,
	.stuck = on_stuck,
	.taken = on_taken,
	.hotkey = on_hotkey,
	.hid = on_hid,
};

/* ------------------------------------------------------------- what control asks */

typedef const char *(*ask_fn)(struct control_line *c, const union vm_wire_message *m, int *fds);

static const char *ask_hello(struct control_line *c, const union vm_wire_message *m,
			     int *fds _unused_)
{
	say(c, &(struct vm_wire_hello){.kind = VM_SAY_HELLO,
				       .version = VM_WIRE_VERSION,
				       .least = VM_WIRE_LEAST,
				       .serves = c->guest != NULL});
	if (vm_wire_agree(&m->hello) < 0)
		return "it speaks no version that this process does";
	c->greeted = true;
	return NULL;
}

static struct guest_config config_of(const struct vm_wire_start *start)
{
	struct guest_config config = {.prefix = start->prefix,
				      .isolate = start->isolate,
				      .hotkeys = start->hotkeys,
				      .memory = start->memory};

	memcpy(config.name, start->name, sizeof(config.name));
	memcpy(&config.address, start->address, sizeof(start->address));
	memcpy(&config.daemon, start->daemon, sizeof(start->daemon));
	memcpy(config.mac, start->mac, sizeof(config.mac));
	memcpy(config.mac_before, start->mac_before, sizeof(config.mac_before));
	return config;
}

static void next_connected(void *ctx, int res);

static const char *ask_start(struct control_line *c, const union vm_wire_message *m, int *fds)
{
	struct guest_config config = config_of(&m->start);
	struct vm_wire_started answer = {.kind = VM_SAY_STARTED};

	if (c->guest || c->ending) {
		for (unsigned i = 0; i < 3; i++)
			fd_close(fds[i]);
		return "a process is started once";
	}
	config.listener = fds[0];
	config.tap = fds[2];
	c->next = fds[1];
	answer.r = net_switch_new(&c->sw);
	config.sw = c->sw;
	if (answer.r == 0)
		answer.r = listener_start(&c->door, c->loop, c->next, next_connected, c);
	if (answer.r == 0)
		answer.r = guest_begin(&c->guest, &config, c->loop, &guest_events, c);
	if (answer.r < 0) {
		log_err("%s: its process can't begin: %s", config.name, errno_text(answer.r));
		fd_close(fds[0]);
		fd_close(fds[2]);
		c->done = true;
	}
	say(c, &answer);
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
	guest_stop(c->guest);
	loop_watch_time(c->loop, &c->deadline, END_SECONDS * 1000000000ull, end_late, c);
	return NULL;
}

static enum vm_wire_held held_state(const struct held *h)
{
	switch (h->gd->state) {
	case GD_AWAY: /* the letter is on its way */
	case GD_OPENING:
		return VM_HELD_OPENING;
	case GD_IDLE:
		return VM_HELD_IDLE;
	case GD_SESSION:
		return VM_HELD_SESSION;
	case GD_ENDING:
		return VM_HELD_ENDING;
	case GD_FAILED:
		return VM_HELD_FAILED;
	case GD_CLOSING:
		break;
	}
	return VM_HELD_CLOSING;
}

static const char *ask_held(struct control_line *c, const union vm_wire_message *m _unused_,
			    int *fds _unused_)
{
	say_card(c);
	list_for_each(it, &c->devices) {
		const struct held *h = list_entry(it, struct held, link);
		const struct usbip_device_info *info = &h->gd->info;
		struct vm_wire_held_device answer = {
			.kind = VM_SAY_HELD,
			.device = h->number,
			.state = held_state(h),
			.identity = {.busnum = (uint16_t)info->busnum,
				     .devnum = (uint16_t)info->devnum,
				     .id_vendor = info->id_vendor,
				     .id_product = info->id_product},
			.peer = h->peer,
			.gone = h->gd->gone,
			.since_ns = h->since_ns,
		};

		memcpy(answer.busid, info->busid, sizeof(answer.busid));
		say(c, &answer);
	}
	list_for_each(it, &c->devices) {
		struct held *h = list_entry(it, struct held, link);

		if (h->gd->opened)
			say_hid(h, &h->gd->ev_hid.found);
	}
	say(c, &(struct vm_wire_plain){.kind = VM_SAY_HELD_ALL});
	return NULL;
}

static const char *ask_give(struct control_line *c, const union vm_wire_message *m, int *fds)
{
	struct held *h;

	if (c->ending || held_find(c, m->give.device)) {
		fd_close(fds[0]);
		return "it gives a device that is here, or when all is over";
	}
	h = calloc(1, sizeof(*h));
	if (h) {
		h->line = c;
		h->number = m->give.device;
		h->gd = guest_device_new(m->give.tag, &m->give.info, fds[0], c->loop,
					 &device_events, h);
	}
	if (!h || !h->gd) {
		free(h);
		fd_close(fds[0]);
		return "no memory for a device";
	}
	list_append(&c->devices, &h->link);
	guest_give(c->guest, h->gd);
	return NULL;
}

static const char *ask_take(struct control_line *c, const union vm_wire_message *m,
			    int *fds _unused_)
{
	struct held *h = held_find(c, m->device.device);

	/* At the end all is taken anyhow. */
	if (c->ending)
		return NULL;
	if (!h || h->taking)
		return "it takes a device that is not here";
	h->taking = true;
	guest_take(c->guest, h->gd, true);
	return NULL;
}

static const char *ask_reset(struct control_line *c, const union vm_wire_message *m,
			     int *fds _unused_)
{
	struct held *h = held_find(c, m->device.device);

	if (c->ending)
		return NULL;
	if (!h || h->taking || h->resetting)
		return "it resets a device that is not here";
	h->resetting = true;
	guest_reset(c->guest, h->gd);
	return NULL;
}

static const char *ask_socket(struct control_line *c, const union vm_wire_message *m, int *fds)
{
	struct held *h = held_find(c, m->socket.device);
	struct usbip_op op = {.kind = USBIP_OP_IMPORT};

	if (!h || h->importing) {
		fd_close(fds[0]);
		return "it has a device imported that is not here";
	}
	h->importing = true;
	snprintf(op.busid, sizeof(op.busid), "%.32s", m->socket.busid);
	guest_import(c->guest, h->gd, fds[0], &op);
	return NULL;
}

/* The others wait for what they are about. */
static const struct {
	ask_fn fn;
	bool before_start;
} asks[VM_WIRE_KINDS] = {
	[VM_ASK_HELLO] = {ask_hello, true}, [VM_ASK_START] = {ask_start, true},
	[VM_ASK_HOTKEYS] = {ask_hotkeys},   [VM_ASK_MEMORY] = {ask_memory},
	[VM_ASK_END] = {ask_end},	    [VM_ASK_HELD] = {ask_held},
	[VM_ASK_GIVE] = {ask_give},	    [VM_ASK_TAKE] = {ask_take},
	[VM_ASK_RESET] = {ask_reset},	    [VM_ASK_SOCKET] = {ask_socket},
};

static const char *on_message(void *ctx, const union vm_wire_message *m, int *fds)
{
	struct control_line *c = ctx;
	const char *fault = NULL;

	if (!asks[m->kind].fn)
		say(c, &(struct vm_wire_refused){.kind = VM_SAY_REFUSED, .refused = m->kind});
	else if (m->kind != VM_ASK_HELLO && !c->greeted)
		fault = "its first word is not HELLO";
	else if (!c->guest && !asks[m->kind].before_start)
		fault = "it asks for something before START";
	else
		return asks[m->kind].fn(c, m, fds);
	for (unsigned i = 0; i < VM_WIRE_FDS; i++)
		fd_close(fds[i]);
	return fault;
}

static void on_lost(void *ctx, const char *why)
{
	struct control_line *c = ctx;

	c->line = vm_line_free(c->line);
	c->greeted = false;
	if (!c->guest) {
		log_err("control is gone before there was anything to do: %s", why);
		c->done = true;
	} else if (!c->ending) {
		log_notice("%s: control is not heard any more, and all goes on without it: %s",
			   c->guest->cfg.name, why);
	}
}

static const struct vm_line_ops line_ops = {.message = on_message, .lost = on_lost};

/* The newest control counts: the one before may hang, and then nobody else would end it. */
static void next_connected(void *ctx, int res _unused_)
{
	struct control_line *c = ctx;
	int sock = listener_accept(&c->door, "control"), r;

	if (sock < 0)
		return;
	c->line = vm_line_free(c->line);
	c->greeted = false;
	r = vm_line_open(&c->line, c->loop, sock, VM_WIRE_VM, &line_ops, c);
	if (r < 0) {
		log_err("%s: control can't be heard: %s", c->guest->cfg.name, errno_text(r));
		fd_close(sock);
	}
}

/* ------------------------------------------------------------- the whole */

/**
 * control_line_new() - begin to hear control
 * @ret_line:	the line
 * @loop:	the calling thread's
 * @sock:	connected to control; the line's where this succeeds
 *
 * Return: 0 or a negative errno.
 */
int control_line_new(struct control_line **ret_line, struct loop *loop, int sock)
{
	struct control_line *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->next = -1;
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
	else if (loop_turn(line->loop, true) < 0)
		return false;
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
	listener_stop(&line->door);
	fd_close(line->next);
	vm_line_free(line->line);
	while (!list_empty(&line->devices))
		held_free(list_entry(list_first(&line->devices), struct held, link));
	guest_free(line->guest);
	net_switch_free(line->sw);
	free(line);
	return NULL;
}
