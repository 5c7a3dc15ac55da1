/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's process, as control has it; see vm_process.h.
 *
 * A device's states are those of its guest.h calls as far as they are under way: `given` (the process
 * has it, or will have read that it does), and what was asked and not answered yet. A process that says
 * what answers nothing has lost its line: it was taken over, or is broken, and control needs no more
 * of it.
 */
#include "daemon/vm_process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/stranger.h"
#include "protocol/vm_line.h"
#include "usbip/hid_found.h"

enum guest_state {
	GUEST_ALONE,	/* no line */
	GUEST_GREETING, /* HELLO was said */
	GUEST_ENDING,	/* END was said to a process of the last control */
	GUEST_STARTING, /* START was said */
	GUEST_STANDS,
};

struct guest {
	struct guest_config cfg; /* its descriptors are its own: the next process gets them too */
	struct loop *loop;
	const struct guest_events *events;
	const struct guest_process_events *process;
	void *ctx;
	enum guest_state state;
	struct vm_line *line;
	struct list devices; /* of struct guest_device */
	struct guest_card card;
	int next;	     /* the listener for the next control, or -1 */
	bool stopping, over; /* to end; "ended" is on its way */
	bool agent_asked;    /* guest_agent() is owed */
	struct loop_watch ended, taken;
	struct log_limit limit; /* of lines that its process can trigger */
};

/* Numbers are never used twice in the life of a process; several controls may give it devices. */
static uint32_t last_number;

struct guest_device {
	struct list link;
	struct guest *guest; /* NULL: in none */
	uint32_t number;
	char name[VM_WIRE_TAG_SIZE];
	struct usbip_device_info info;
	int node;				  /* until it is given, or -1 */
	const struct guest_device_events *events; /* NULL: forgotten */
	void *ctx;
	bool given;		 /* to the process there is now */
	bool opened, failed;	 /* the answer to GIVE */
	bool importing, session; /* IMPORTED is awaited; SESSION_ENDED is */
	bool resetting, taking;	 /* WAS_RESET is, TAKEN is */
	bool gone, stuck;	 /* told */
};

/* ------------------------------------------------------------- words to the process */

static void tell(struct guest *guest, const void *message)
{
	vm_line_send(guest->line, message, NULL, 0);
}

static void tell_device(const struct guest_device *gd, uint32_t kind)
{
	tell(gd->guest, &(struct vm_wire_device){.kind = kind, .device = gd->number});
}

static void tell_start(struct guest *guest)
{
	const struct guest_config *cfg = &guest->cfg;
	struct vm_wire_start m = {.kind = VM_ASK_START,
				  .prefix = cfg->prefix,
				  .hotkeys = cfg->hotkeys,
				  .memory = cfg->memory};

	snprintf(m.name, sizeof(m.name), "%s", cfg->name);
	memcpy(m.address, &cfg->address, sizeof(m.address));
	memcpy(m.daemon, &cfg->daemon, sizeof(m.daemon));
	memcpy(m.mac, cfg->mac, sizeof(m.mac));
	memcpy(m.mac_before, cfg->mac_before, sizeof(m.mac_before));
	vm_line_send(guest->line, &m, (int[]){cfg->listener, guest->next}, 2);
}

static void tell_give(struct guest_device *gd)
{
	struct vm_wire_give m = {.kind = VM_ASK_GIVE, .device = gd->number, .info = gd->info};

	memcpy(m.tag, gd->name, sizeof(m.tag));
	vm_line_send(gd->guest->line, &m, &gd->node, 1);
	gd->node = fd_close(gd->node);
	gd->given = true;
}

/* ------------------------------------------------------------- what becomes of a device */

static void device_leaves(struct guest_device *gd)
{
	list_remove(&gd->link);
	gd->guest = NULL;
	gd->given = false;
}

/* The process has it no more, or never had it. */
static void device_taken(struct guest_device *gd, int r)
{
	device_leaves(gd);
	if (gd->events)
		gd->events->taken(gd->ctx, true, r, "");
	else
		guest_device_free(gd);
}

/* All that was asked and not answered is answered, in the order in which a process would. */
static void device_lost(struct guest_device *gd, const char *why)
{
	if (gd->session || gd->importing) {
		bool session = gd->session;

		gd->session = gd->importing = false;
		if (gd->events && session)
			gd->events->session_ended(gd->ctx, 0, why);
		else if (gd->events)
			gd->events->imported(gd->ctx, -EPIPE, NULL);
	}
	if (gd->events && !gd->opened && !gd->failed && !gd->taking)
		gd->events->opened(gd->ctx, -EPIPE, why);
	if (gd->events && gd->resetting) {
		gd->resetting = false;
		gd->events->was_reset(gd->ctx, -EPIPE, why);
	}
	device_taken(gd, 0);
}

/* What a process had is lost with it; what it has not had yet waits for the next one. */
static void devices_lost(struct guest *guest, const char *why)
{
	struct list had = LIST_INIT(had);
	struct list *l;

	list_for_each_safe(it, &guest->devices) {
		struct guest_device *gd = list_entry(it, struct guest_device, link);

		if (!gd->given)
			continue;
		list_remove(it);
		list_append(&had, it);
	}
	while ((l = list_first(&had)))
		device_lost(list_entry(l, struct guest_device, link), why);
}

static void guest_over(void *ctx, int res _unused_)
{
	struct guest *guest = ctx;

	guest->events->ended(guest->ctx);
}

static void guest_is_over(struct guest *guest)
{
	if (!guest->over)
		loop_watch_time(guest->loop, &guest->ended, 0, guest_over, guest);
	guest->over = true;
}

/* With no process there is nothing to wait for. */
static void end_alone(struct guest *guest)
{
	list_for_each_safe(it, &guest->devices)
		device_taken(list_entry(it, struct guest_device, link), 0);
	guest_is_over(guest);
}

static void on_lost(void *ctx, const char *why)
{
	struct guest *guest = ctx;
	bool stood = guest->state == GUEST_STANDS;

	guest->line = vm_line_free(guest->line);
	guest->state = GUEST_ALONE;
	guest->agent_asked = false;
	if (guest->card.up) {
		guest->card.up = guest->card.has_daemon = false;
		memset(guest->card.foreign, 0, sizeof(guest->card.foreign));
		guest->events->link(guest->ctx, &guest->card);
	}
	devices_lost(guest, "its VM's process has ended");
	if (guest->stopping) {
		end_alone(guest);
		return;
	}
	if (stood)
		log_err("%s: its process is lost: %s", guest->cfg.name, why);
	guest->process->lost(guest->ctx, why);
}

/* ------------------------------------------------------------- what the process says */

static struct guest_device *device_find(struct guest *guest, uint32_t number)
{
	list_for_each(it, &guest->devices) {
		struct guest_device *gd = list_entry(it, struct guest_device, link);

		if (gd->number == number && gd->given)
			return gd;
	}
	return NULL;
}

#define NO_DEVICE "it speaks of a device that it was not given"
#define NOT_ASKED "it answers what was not asked"

typedef const char *(*say_fn)(struct guest *guest, const union vm_wire_message *m);
typedef const char *(*device_fn)(struct guest_device *gd, const union vm_wire_message *m);

static void guest_stands(struct guest *guest)
{
	guest->state = GUEST_STANDS;
	list_for_each_safe(it, &guest->devices) {
		struct guest_device *gd = list_entry(it, struct guest_device, link);

		if (!gd->given && !gd->taking)
			tell_give(gd);
	}
	if (guest->process->stands)
		guest->process->stands(guest->ctx);
}

static const char *said_hello(struct guest *guest, const union vm_wire_message *m)
{
	if (guest->state != GUEST_GREETING)
		return NOT_ASKED;
	if (vm_wire_agree(&m->hello) < 0)
		return "it speaks no version that usbrouted does";
	if (guest->stopping)
		return "it is not needed any more";
	if (m->hello.serves) {
		/* Of the last control: it makes room for a new one. */
		guest->state = GUEST_ENDING;
		tell(guest, &(struct vm_wire_plain){.kind = VM_ASK_END});
		return NULL;
	}
	guest->state = GUEST_STARTING;
	tell_start(guest);
	return NULL;
}

static const char *said_started(struct guest *guest, const union vm_wire_message *m)
{
	if (guest->state != GUEST_STARTING)
		return NOT_ASKED;
	if (m->started.r < 0)
		return errno_text(m->started.r);
	guest_stands(guest);
	return NULL;
}

static const char *said_card(struct guest *guest, const union vm_wire_message *m)
{
	guest->card = (struct guest_card){.up = m->card.up, .has_daemon = m->card.has_daemon};
	memcpy(guest->card.mac, m->card.mac, sizeof(guest->card.mac));
	memcpy(guest->card.foreign, m->card.foreign, sizeof(guest->card.foreign));
	guest->events->link(guest->ctx, &guest->card);
	return NULL;
}

static const char *said_ended(struct guest *guest, const union vm_wire_message *m _unused_)
{
	/* The line's end is next, and says the rest. */
	return guest->stopping || guest->state == GUEST_ENDING ? NULL : NOT_ASKED;
}

static const char *said_refused(struct guest *guest, const union vm_wire_message *m)
{
	log_limited(&guest->limit, LOG_LEVEL_WARNING,
		    "%s: its process is of an older version, and does not know \"%s\"",
		    guest->cfg.name, vm_wire_name(m->refused.refused));
	return NULL;
}

static const char *said_import_asked(struct guest *guest, const union vm_wire_message *m)
{
	if (guest->state != GUEST_STANDS)
		return NOT_ASKED;
	guest->events->import_asked(guest->ctx, m->import_asked.client, m->import_asked.busid);
	return NULL;
}

static const char *said_agent_asked(struct guest *guest, const union vm_wire_message *m _unused_)
{
	if (guest->state != GUEST_STANDS || guest->agent_asked)
		return "it asks for its agent twice";
	guest->agent_asked = true;
	guest->events->agent_asked(guest->ctx);
	return NULL;
}

static const char *said_mac_wanted(struct guest *guest, const union vm_wire_message *m)
{
	guest->events->mac_wanted(guest->ctx, m->mac.mac);
	return NULL;
}

static const char *said_link_wanted(struct guest *guest, const union vm_wire_message *m)
{
	guest->events->link_wanted(guest->ctx, m->number.number);
	return NULL;
}

static const char *said_opened(struct guest_device *gd, const union vm_wire_message *m)
{
	if (gd->opened || gd->failed)
		return NOT_ASKED;
	gd->opened = m->result.r == 0;
	gd->failed = !gd->opened;
	if (gd->events)
		gd->events->opened(gd->ctx, m->result.r, m->result.reason);
	return NULL;
}

static const char *said_imported(struct guest_device *gd, const union vm_wire_message *m)
{
	struct guest_peer peer = {.v6 = m->imported.peer.v6, .port = m->imported.peer.port};

	memcpy(peer.address, m->imported.peer.address, sizeof(peer.address));
	if (!gd->importing)
		return NOT_ASKED;
	gd->importing = false;
	gd->session = m->imported.r == 0;
	if (gd->events)
		gd->events->imported(gd->ctx, m->imported.r, &peer);
	return NULL;
}

static const char *said_session_ended(struct guest_device *gd, const union vm_wire_message *m)
{
	if (!gd->session)
		return NOT_ASKED;
	gd->session = false;
	if (gd->events)
		gd->events->session_ended(gd->ctx, m->result.r, m->result.reason);
	return NULL;
}

static const char *said_was_reset(struct guest_device *gd, const union vm_wire_message *m)
{
	if (!gd->resetting || gd->session)
		return NOT_ASKED;
	gd->resetting = false;
	if (gd->events)
		gd->events->was_reset(gd->ctx, m->result.r, m->result.reason);
	return NULL;
}

static const char *said_gone(struct guest_device *gd, const union vm_wire_message *m _unused_)
{
	if (gd->gone)
		return NOT_ASKED;
	gd->gone = true;
	if (gd->events)
		gd->events->gone(gd->ctx);
	return NULL;
}

static const char *said_stuck(struct guest_device *gd, const union vm_wire_message *m)
{
	if (gd->stuck)
		return NOT_ASKED;
	gd->stuck = true;
	if (gd->events)
		gd->events->stuck(gd->ctx, m->result.reason);
	return NULL;
}

static const char *said_taken(struct guest_device *gd, const union vm_wire_message *m)
{
	if ((!gd->taking && !gd->guest->stopping) || gd->session || !m->result.closed)
		return NOT_ASKED;
	/* A client that came too late: its import was overtaken. */
	if (gd->importing) {
		gd->importing = false;
		if (gd->events)
			gd->events->imported(gd->ctx, -ENODEV, NULL);
	}
	device_taken(gd, m->result.r);
	return NULL;
}

static const char *said_hotkey(struct guest_device *gd, const union vm_wire_message *m)
{
	if (!gd->opened)
		return NOT_ASKED;
	if (gd->events)
		gd->events->hotkey(gd->ctx, (enum hotkey)m->hotkey.which);
	return NULL;
}

static const char *said_hid(struct guest_device *gd, const union vm_wire_message *m)
{
	if (gd->events && gd->events->hid)
		gd->events->hid(gd->ctx, &m->hid.found);
	return NULL;
}

/* Of the guest, or of a device, whose number is the second word of each of those. */
static const struct {
	say_fn of_guest;
	device_fn of_device;
} says[VM_WIRE_KINDS] = {
	[VM_SAY_HELLO] = {.of_guest = said_hello},
	[VM_SAY_STARTED] = {.of_guest = said_started},
	[VM_SAY_CARD] = {.of_guest = said_card},
	[VM_SAY_ENDED] = {.of_guest = said_ended},
	[VM_SAY_REFUSED] = {.of_guest = said_refused},
	[VM_SAY_MAC_WANTED] = {.of_guest = said_mac_wanted},
	[VM_SAY_LINK_WANTED] = {.of_guest = said_link_wanted},
	[VM_SAY_IMPORT_ASKED] = {.of_guest = said_import_asked},
	[VM_SAY_AGENT_ASKED] = {.of_guest = said_agent_asked},
	[VM_SAY_OPENED] = {.of_device = said_opened},
	[VM_SAY_IMPORTED] = {.of_device = said_imported},
	[VM_SAY_SESSION_ENDED] = {.of_device = said_session_ended},
	[VM_SAY_WAS_RESET] = {.of_device = said_was_reset},
	[VM_SAY_GONE] = {.of_device = said_gone},
	[VM_SAY_STUCK] = {.of_device = said_stuck},
	[VM_SAY_TAKEN] = {.of_device = said_taken},
	[VM_SAY_HOTKEY] = {.of_device = said_hotkey},
	[VM_SAY_HID] = {.of_device = said_hid},
};

static_assert(offsetof(struct vm_wire_device_result, device) == 4 &&
		      offsetof(struct vm_wire_imported, device) == 4 &&
		      offsetof(struct vm_wire_hotkey, device) == 4 &&
		      offsetof(struct vm_wire_hid, device) == 4 &&
		      offsetof(struct vm_wire_device, device) == 4,
	      "the second word");

static const char *on_message(void *ctx, const union vm_wire_message *m, int *fds _unused_)
{
	struct guest *guest = ctx;
	struct guest_device *gd;

	/* What one of the last control says on its way out is about nothing of ours. */
	if (guest->state == GUEST_ENDING)
		return NULL;
	if (says[m->kind].of_guest)
		return says[m->kind].of_guest(guest, m);
	if (!says[m->kind].of_device)
		return NOT_ASKED;
	gd = device_find(guest, m->device.device);
	return gd ? says[m->kind].of_device(gd, m) : NO_DEVICE;
}

/**
 * guest_disconnect() - have nothing more to do with a guest's process
 * @guest:	the guest
 * @why:	for the log; "lost" is told within
 */
void guest_disconnect(struct guest *guest, const char *why)
{
	if (guest->line)
		on_lost(guest, why);
}

static const struct vm_line_ops line_ops = {.message = on_message, .lost = on_lost};

/* ------------------------------------------------------------- guest.h: the guest */

/**
 * guest_start() - make a guest, without a process yet
 * @ret_guest:	the guest; freed by guest_free() after @events->ended
 * @config:	copied; its descriptors are the guest's where this succeeds
 * @control:	the caller's loop
 * @events:	called in the caller's thread with @ctx
 *
 * Return: 0 or a negative errno.
 */
int guest_start(struct guest **ret_guest, const struct guest_config *config, struct loop *control,
		const struct guest_events *events, void *ctx)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	if (!guest)
		return -ENOMEM;
	guest->cfg = *config;
	guest->loop = control;
	guest->events = events;
	guest->ctx = ctx;
	guest->next = -1;
	list_init(&guest->devices);
	*ret_guest = guest;
	return 0;
}

/**
 * guest_set_next() - where the next control will find its process
 * @guest:	the guest
 * @listener:	a listening SOCK_SEQPACKET socket; the guest's from here on
 */
void guest_set_next(struct guest *guest, int listener)
{
	guest->next = listener;
}

/**
 * guest_connect() - give a guest its process
 * @guest:	the guest, without one
 * @line:	connected to it; the guest's from here on
 * @events:	of the process, called with the guest's ctx
 */
void guest_connect(struct guest *guest, int line, const struct guest_process_events *events)
{
	struct vm_wire_hello hello = {
		.kind = VM_ASK_HELLO, .version = VM_WIRE_VERSION, .least = VM_WIRE_LEAST};
	int r = vm_line_open(&guest->line, guest->loop, line, VM_WIRE_CONTROL, &line_ops, guest);

	guest->process = events;
	if (r < 0) {
		fd_close(line);
		guest->process->lost(guest->ctx, errno_text(r));
		return;
	}
	guest->state = GUEST_GREETING;
	tell(guest, &hello);
}

/**
 * guest_set_hotkeys() - have a guest's keyboards watched for other hot keys
 * @guest:	the guest
 * @hotkeys:	copied
 */
void guest_set_hotkeys(struct guest *guest, const struct hid_chords *hotkeys)
{
	guest->cfg.hotkeys = *hotkeys;
	if (guest->state >= GUEST_STARTING)
		tell(guest, &(struct vm_wire_hotkeys){.kind = VM_ASK_HOTKEYS, .hotkeys = *hotkeys});
}

/**
 * guest_set_memory() - give a guest another share of the kernel's memory for URBs
 * @guest:	the guest
 * @share:	copied
 */
void guest_set_memory(struct guest *guest, const struct usb_memory_share *share)
{
	guest->cfg.memory = *share;
	if (guest->state >= GUEST_STARTING)
		tell(guest, &(struct vm_wire_memory){.kind = VM_ASK_MEMORY, .share = *share});
}

/* ------------------------------------------------------------- guest.h: other guests' cards */

/*
 * A process that does not stand yet is told nothing: whoever hears that it stands tells it of all
 * others.
 */

/**
 * guest_peer_set() - tell a guest of another guest's card
 * @guest:	the guest
 * @peer:	the card as it is now; copied
 */
void guest_peer_set(struct guest *guest, const struct net_peer *peer)
{
	struct vm_wire_port m = {.kind = VM_ASK_PEER,
				 .number = peer->number,
				 .has_mac = net_mac_key(peer->mac) != 0,
				 .isolated = peer->isolated,
				 .up = peer->up};

	memcpy(m.mac, peer->mac, sizeof(m.mac));
	memcpy(m.address, &peer->address, sizeof(m.address));
	if (guest->state == GUEST_STANDS)
		tell(guest, &m);
}

/**
 * guest_peer_gone() - tell a guest to forget another guest's card
 * @guest:	the guest
 * @number:	the card's; the link to it is closed, too
 */
void guest_peer_gone(struct guest *guest, unsigned number)
{
	if (guest->state == GUEST_STANDS)
		tell(guest, &(struct vm_wire_number){.kind = VM_ASK_PEER_GONE, .number = number});
}

/**
 * guest_link() - hand a guest its end of a link
 * @guest:	the guest
 * @number:	whose card the other end is; a link that was there is closed
 * @side:	which side of the link is this one, 0 or 1
 * @memfd:	of net_link_make(), as the other two
 * @wake_mine:	what the other end wakes this one by
 * @wake_theirs: what this end wakes the other one by; all three are the guest's from here on
 */
void guest_link(struct guest *guest, unsigned number, unsigned side, int memfd, int wake_mine,
		int wake_theirs)
{
	struct vm_wire_link m = {.kind = VM_ASK_LINK, .number = number, .side = side};
	int fds[] = {memfd, wake_mine, wake_theirs};

	if (guest->state == GUEST_STANDS)
		vm_line_send(guest->line, &m, fds, 3);
	for (unsigned i = 0; i < 3; i++)
		fd_close(fds[i]);
}

/**
 * guest_mac_granted() - tell a guest whose a MAC is
 * @guest:	the guest
 * @mac:	the MAC
 * @granted:	it is its card's from here on; else it is not, even where it was
 */
void guest_mac_granted(struct guest *guest, const uint8_t mac[6], bool granted)
{
	struct vm_wire_mac_answer m = {.kind = VM_ASK_MAC, .granted = granted};

	memcpy(m.mac, mac, sizeof(m.mac));
	/* The next process begins with it. */
	if (granted)
		memcpy(guest->cfg.mac_before, mac, sizeof(guest->cfg.mac_before));
	else if (!memcmp(guest->cfg.mac_before, mac, sizeof(guest->cfg.mac_before)))
		memset(guest->cfg.mac_before, 0, sizeof(guest->cfg.mac_before));
	if (guest->state == GUEST_STANDS)
		tell(guest, &m);
}

/**
 * guest_stop() - have a guest's process let go of everything and end
 * @guest:	the guest; @events->ended follows, unless a call is stuck in the kernel
 */
void guest_stop(struct guest *guest)
{
	guest->stopping = true;
	if (guest->state >= GUEST_STARTING)
		tell(guest, &(struct vm_wire_plain){.kind = VM_ASK_END});
	else
		guest_is_over(guest);
}

/**
 * guest_free() - free a guest whose process has ended, or is left alone
 * @guest:	the guest, or NULL; devices that were forgotten are freed
 *
 * Return: NULL.
 */
struct guest *guest_free(struct guest *guest)
{
	struct list *l;

	if (!guest)
		return NULL;
	loop_cancel(guest->loop, &guest->ended);
	loop_cancel(guest->loop, &guest->taken);
	vm_line_free(guest->line);
	while ((l = list_first(&guest->devices))) {
		struct guest_device *gd = list_entry(l, struct guest_device, link);

		device_leaves(gd);
		if (!gd->events)
			guest_device_free(gd);
	}
	stranger_listener_close(guest->cfg.listener);
	fd_close(guest->next);
	free(guest);
	return NULL;
}

/* ------------------------------------------------------------- guest.h: its devices */

/**
 * guest_device_new() - make a device that may be given to a guest
 * @name:	for log lines
 * @info:	what USB/IP tells of it
 * @fd:		its usbfs node; owned from here on where this succeeds
 * @control:	the caller's loop
 * @events:	called in the caller's thread with @ctx
 *
 * Return: the device, or NULL without memory.
 */
struct guest_device *guest_device_new(const char *name, const struct usbip_device_info *info,
				      int fd, struct loop *control _unused_,
				      const struct guest_device_events *events, void *ctx)
{
	struct guest_device *gd = calloc(1, sizeof(*gd));

	if (!gd)
		return NULL;
	list_init(&gd->link);
	gd->number = ++last_number;
	snprintf(gd->name, sizeof(gd->name), "%s", name);
	gd->info = *info;
	gd->node = fd;
	gd->events = events;
	gd->ctx = ctx;
	return gd;
}

/**
 * guest_device_free() - free a device that was taken, or never given
 * @gd:		the device, or NULL
 *
 * Return: NULL.
 */
struct guest_device *guest_device_free(struct guest_device *gd)
{
	if (!gd)
		return NULL;
	fd_close(gd->node);
	free(gd);
	return NULL;
}

/**
 * guest_device_forget() - hear nothing more of a device
 * @gd:		the device; it frees itself once it was taken
 */
void guest_device_forget(struct guest_device *gd)
{
	gd->events = NULL;
	gd->ctx = NULL;
}

/**
 * guest_give() - give a device to a guest
 * @guest:	the guest
 * @gd:		in no guest; "opened" follows
 */
void guest_give(struct guest *guest, struct guest_device *gd)
{
	gd->guest = guest;
	gd->opened = gd->failed = gd->gone = gd->stuck = gd->taking = false;
	list_append(&guest->devices, &gd->link);
	if (guest->state == GUEST_STANDS)
		tell_give(gd);
}

/**
 * guest_export() - let a guest see a device, or not
 * @guest:	the guest that has it
 * @gd:		the device
 * @exported:	a list of what there is shows it, while nobody has imported it
 */
void guest_export(struct guest *guest, struct guest_device *gd, bool exported)
{
	if (gd->given)
		tell(guest, &(struct vm_wire_export){.kind = VM_ASK_EXPORT,
						     .device = gd->number,
						     .exported = exported});
}

/**
 * guest_import() - give a client the device that it asked for
 * @guest:	the guest that the client is in
 * @gd:		the device, which this guest has
 * @client:	of "import_asked", which this answers
 *
 * "imported" follows, and after a good one "session_ended".
 */
void guest_import(struct guest *guest, struct guest_device *gd, uint32_t client)
{
	gd->importing = true;
	tell(guest, &(struct vm_wire_client){
			    .kind = VM_ASK_IMPORT, .device = gd->number, .client = client});
}

/**
 * guest_refuse() - tell a client that it does not get what it asked for
 * @guest:	the guest
 * @client:	of "import_asked", which this answers
 * @status:	why
 */
void guest_refuse(struct guest *guest, uint32_t client, enum usbip_op_status status)
{
	tell(guest,
	     &(struct vm_wire_refuse){.kind = VM_ASK_REFUSE, .client = client, .status = status});
}

/**
 * guest_probe() - a client asks for what a connection of its own guest holds: does that one live?
 * @guest:	the guest
 * @gd:		what it asks for, which this guest has
 * @client:	of "import_asked", which this answers; the event comes again, or the client is refused
 */
void guest_probe(struct guest *guest, struct guest_device *gd, uint32_t client)
{
	tell(guest, &(struct vm_wire_client){
			    .kind = VM_ASK_PROBE, .device = gd->number, .client = client});
}

/**
 * guest_hang_up() - tell a guest that a USB/IP connection of a process that has died is dead
 * @guest:	the guest
 * @peer:	its end of the connection
 *
 * Return: 0.
 */
int guest_hang_up(struct guest *guest, const struct guest_peer *peer)
{
	struct vm_wire_hang_up m = {.kind = VM_ASK_HANG_UP,
				    .peer = {.v6 = peer->v6, .port = peer->port}};

	memcpy(m.peer.address, peer->address, sizeof(m.peer.address));
	tell(guest, &m);
	return 0;
}

/**
 * guest_agent() - give the agent's connection a socket
 * @guest:	the guest, after "agent_asked"
 * @sock:	a stream socket that does not block, the guest's from here on; < 0: the connection is
 *		refused
 */
void guest_agent(struct guest *guest, int sock)
{
	struct vm_wire_plain m = {.kind = VM_ASK_AGENT};
	int pair[2];

	/* Of a process that has gone meanwhile nobody asks any more. */
	if (guest->agent_asked && sock < 0 &&
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0) {
		/* One whose other end is closed. */
		fd_close(pair[0]);
		sock = pair[1];
	}
	if (guest->agent_asked && sock >= 0)
		vm_line_send(guest->line, &m, &sock, 1);
	guest->agent_asked = false;
	fd_close(sock);
}

/**
 * guest_reset() - reset a device
 * @guest:	the guest that has it
 * @gd:		the device, opened; its session ends, then "was_reset" follows
 */
void guest_reset(struct guest *guest _unused_, struct guest_device *gd)
{
	gd->resetting = true;
	tell_device(gd, VM_ASK_RESET);
}

static void never_given(void *ctx, int res _unused_)
{
	struct guest *guest = ctx;

	list_for_each_safe(it, &guest->devices) {
		struct guest_device *gd = list_entry(it, struct guest_device, link);

		if (gd->taking && !gd->given)
			device_taken(gd, 0);
	}
}

/**
 * guest_take() - take a device away from a guest
 * @guest:	the guest that has it
 * @gd:		the device; its session ends, then "taken" follows, closed
 * @close_it:	whatever is asked: nothing leaves a process but closed
 */
void guest_take(struct guest *guest, struct guest_device *gd, bool close_it _unused_)
{
	gd->taking = true;
	if (gd->given)
		tell_device(gd, VM_ASK_TAKE);
	else
		loop_watch_time(guest->loop, &guest->taken, 0, never_given, guest);
}
