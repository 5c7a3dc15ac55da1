/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control's end of a VM's process; see vm_process.h.
 *
 * A process that says what it may not loses its line: it was taken over, or is broken. It would go
 * on beside the next one, with the same sockets and with devices that nobody else can claim. So it
 * is killed, and the next one waits for its end.
 */
#include "daemon/vms/vm_process_private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/stranger.h"

/* Its calls in the kernel may take 5 s to give up on a dead device; this leaves time for more. */
#define END_SECONDS 15

/* A killed process is gone at once, unless a call is stuck in the kernel. */
#define KILL_SECONDS 5

/* ------------------------------------------------------------- words to the process */

/* Its name is the network's and an ending. */
static void tell_uplink(struct guest *guest)
{
	struct vm_wire_uplink m = {.kind = VM_ASK_UPLINK};
	size_t n = strcspn(guest->cfg.name, ".");

	snprintf(m.name, sizeof(m.name), "%.*s", (int)n, guest->cfg.name);
	vm_line_send(guest->line, &m, &guest->next, 1);
}

static void tell_start(struct guest *guest)
{
	const struct guest_config *cfg = &guest->cfg;
	struct vm_wire_start m = {.kind = VM_ASK_START,
				  .prefix = cfg->prefix,
				  .hotkeys = cfg->hotkeys,
				  .memory = cfg->memory};

	if (cfg->uplink) {
		tell_uplink(guest);
		return;
	}
	if (cfg->lan) {
		vm_process_tell_lan(guest);
		return;
	}
	snprintf(m.name, sizeof(m.name), "%.31s", cfg->name);
	memcpy(m.address, &cfg->address, sizeof(m.address));
	memcpy(m.daemon, &cfg->daemon, sizeof(m.daemon));
	memcpy(m.mac, cfg->mac, sizeof(m.mac));
	memcpy(m.mac_before, cfg->mac_before, sizeof(m.mac_before));
	vm_line_send(guest->line, &m, (int[]){cfg->listener, guest->next}, 2);
}

/* Without a process there is nothing to wait for: what was not given to one yet comes back, too. */
static void guest_over(void *ctx, int res _unused_)
{
	struct guest *guest = ctx;

	list_for_each_safe(it, &guest->devices)
		vm_process_taken(list_entry(it, struct guest_device, link), 0);
	guest->events->ended(guest->ctx);
}

static void guest_is_over(struct guest *guest)
{
	if (!guest->over)
		loop_watch_time(guest->loop, &guest->ended, 0, guest_over, guest);
	guest->over = true;
}

/* The process has ended, or could not be ended: what it held is free. */
static void process_gone(struct guest *guest)
{
	loop_cancel(guest->loop, &guest->gone);
	loop_cancel(guest->loop, &guest->anew);
	guest->process_fd = fd_close(guest->process_fd);
	guest->state = GUEST_ALONE;
	vm_process_devices_lost(guest, "its VM's process has ended");
	if (guest->stopping)
		guest_is_over(guest);
	else
		guest->process->lost(guest->ctx, guest->why);
}

static void process_has_ended(void *ctx, int res _unused_)
{
	process_gone(ctx);
}

static void is_not_killed(void *ctx, int res _unused_)
{
	struct guest *guest = ctx;

	log_err("%s: its process can't be killed, and keeps what it holds; try: pgrep -a vm:%.12s",
		guest->cfg.name, guest->cfg.name);
	process_gone(guest);
}

/* Its exit may be under way: killing it then changes nothing. */
static void process_end(struct guest *guest)
{
	struct pollfd gone = {.fd = guest->process_fd, .events = POLLIN};

	if (guest->process_fd < 0 || poll(&gone, 1, 0) != 0 ||
	    loop_watch_fd(guest->loop, &guest->gone, guest->process_fd, POLLIN, 0,
			  process_has_ended, guest) < 0) {
		process_gone(guest);
		return;
	}
	loop_watch_time(guest->loop, &guest->anew, KILL_SECONDS * 1000000000ull, is_not_killed,
			guest);
	guest->process->kill(guest->ctx, guest->process_fd);
}

static void on_lost(void *ctx, const char *why)
{
	struct guest *guest = ctx;

	if (guest->state == GUEST_STANDS && !guest->stopping)
		log_err("%s: its process is lost: %s", guest->cfg.name, why);
	guest->line = vm_line_free(guest->line);
	guest->state = GUEST_LOST;
	guest->why = why;
	loop_cancel(guest->loop, &guest->anew);
	guest->agent_asked = guest->stats_asked = false;
	if (guest->card.up) {
		guest->card.up = guest->card.has_daemon = guest->card.deaf = false;
		memset(guest->card.foreign, 0, sizeof(guest->card.foreign));
		guest->events->link(guest->ctx, &guest->card);
	}
	process_end(guest);
}

/* ------------------------------------------------------------- what the process says */

typedef const char *(*say_fn)(struct guest *guest, const union vm_wire_message *m);
static void guest_stands(struct guest *guest)
{
	guest->state = GUEST_STANDS;
	list_for_each_safe(it, &guest->devices) {
		struct guest_device *gd = list_entry(it, struct guest_device, link);

		if (!gd->given && !gd->taking)
			vm_process_give(gd);
	}
	if (guest->process->stands)
		guest->process->stands(guest->ctx);
}

static void does_not_end(void *ctx, int res _unused_)
{
	struct guest *guest = ctx;

	log_warning("%s: its process does not end when it is told to, and is killed",
		    guest->cfg.name);
	guest_disconnect(guest, "it does not end");
}

static void tell_end(struct guest *guest)
{
	loop_cancel(guest->loop, &guest->anew);
	loop_watch_time(guest->loop, &guest->anew, END_SECONDS * 1000000000ull, does_not_end,
			guest);
	vm_process_tell(guest, &(struct vm_wire_plain){.kind = VM_ASK_END});
}

/* End a process of the last control, which makes room for a new one. */
static void end_it(struct guest *guest)
{
	guest->state = GUEST_ENDING;
	tell_end(guest);
}

/* Its card comes and goes now anyway: this is the time for another process. */
static void connects_anew(void *ctx, int res _unused_)
{
	struct guest *guest = ctx;

	log_notice("%s: its virtual machine connects anew: its process of another version ends now",
		   guest->cfg.name);
	end_it(guest);
}

/*
 * Its guest keeps what it has. Nothing else can be told to it; what it was told last holds until
 * its virtual machine is started again.
 */
static const char *leave_alone(struct guest *guest)
{
	int r;

	if (!guest->serves)
		return "it speaks no version that usbrouted does";
	guest->state = GUEST_STRANGE;
	r = loop_watch_fd(guest->loop, &guest->anew, guest->cfg.listener, POLLIN, 0, connects_anew,
			  guest);
	if (r < 0)
		return "no room to watch for its virtual machine";
	log_warning(
		"%s: its process is of a version that this usbrouted does not speak: it keeps what it has, and gets nothing else, until its virtual machine is started again",
		guest->cfg.name);
	if (guest->process->strange)
		guest->process->strange(guest->ctx);
	return NULL;
}

static const char *said_hello(struct guest *guest, const union vm_wire_message *m)
{
	int version;

	if (guest->state != GUEST_GREETING)
		return NOT_ASKED;
	/* It has been told to end. */
	if (guest->stopping)
		return NULL;
	guest->serves = m->hello.serves;
	version = vm_wire_agree(&m->hello);
	guest->version = version < 0 ? 0 : (uint32_t)version;
	vm_line_agree(guest->line, guest->version);
	if (version < 0)
		return leave_alone(guest);
	guest->state = GUEST_STARTING;
	tell_start(guest);
	return NULL;
}

static const char *said_started(struct guest *guest, const union vm_wire_message *m)
{
	if (guest->state != GUEST_STARTING)
		return NOT_ASKED;
	if (m->started.r < 0 && guest->serves) {
		end_it(guest);
		return NULL;
	}
	if (m->started.r < 0)
		return errno_text(m->started.r);
	if (!guest->serves) {
		guest_stands(guest);
		return NULL;
	}
	guest->state = GUEST_ASKING;
	guest->n_held = 0;
	if (guest->process->goes_on)
		guest->process->goes_on(guest->ctx);
	vm_process_tell(guest, &(struct vm_wire_plain){.kind = VM_ASK_HELD});
	return NULL;
}

static const char *said_held(struct guest *guest, const union vm_wire_message *m)
{
	return guest->state == GUEST_ASKING ? vm_process_held(guest, m) : NOT_ASKED;
}

static const char *said_held_all(struct guest *guest, const union vm_wire_message *m _unused_)
{
	if (guest->state != GUEST_ASKING)
		return NOT_ASKED;
	guest_stands(guest);
	return NULL;
}

static const char *said_card(struct guest *guest, const union vm_wire_message *m)
{
	guest->card = (struct guest_card){
		.up = m->card.up, .has_daemon = m->card.has_daemon, .deaf = m->card.deaf};
	memcpy(guest->card.mac, m->card.mac, sizeof(guest->card.mac));
	memcpy(guest->card.foreign, m->card.foreign, sizeof(guest->card.foreign));
	guest->events->link(guest->ctx, &guest->card);
	return NULL;
}

static const char *said_ended(struct guest *guest, const union vm_wire_message *m _unused_)
{
	/* The line's end comes next, and says the rest. */
	return guest->stopping || guest->state == GUEST_ENDING ? NULL : NOT_ASKED;
}

static const char *said_refused(struct guest *guest, const union vm_wire_message *m)
{
	log_limited(&guest->limit, LOG_LEVEL_WARNING,
		    "%s: its process is of an older version, and does not know \"%s\"",
		    guest->cfg.name, vm_wire_name(m->refused.refused));
	return NULL;
}

/* A person wants to know after an upgrade which program it is. */
static const char *said_program(struct guest *guest, const union vm_wire_message *m)
{
	if (guest->stopping)
		return NULL;
	if (guest->state != GUEST_STARTING || guest->program_told)
		return NOT_ASKED;
	guest->program_told = true;
	if (guest->serves)
		log_info("%s: its process is of usbrouted %s", guest->cfg.name, m->program.name);
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

static const char *said_stats_all(struct guest *guest, const union vm_wire_message *m)
{
	if (!guest->stats_asked)
		return NOT_ASKED;
	guest->stats_asked = false;
	guest->memory = (struct guest_memory){m->stats_all.memory, m->stats_all.memory_share};
	if (guest->process->stats)
		guest->process->stats(guest->ctx);
	return NULL;
}

static const say_fn says[VM_WIRE_KINDS] = {
	[VM_SAY_HELLO] = said_hello,
	[VM_SAY_STARTED] = said_started,
	[VM_SAY_CARD] = said_card,
	[VM_SAY_HELD] = said_held,
	[VM_SAY_HELD_ALL] = said_held_all,
	[VM_SAY_ENDED] = said_ended,
	[VM_SAY_REFUSED] = said_refused,
	[VM_SAY_PROGRAM] = said_program,
	[VM_SAY_MAC_WANTED] = said_mac_wanted,
	[VM_SAY_LINK_WANTED] = said_link_wanted,
	[VM_SAY_IMPORT_ASKED] = said_import_asked,
	[VM_SAY_AGENT_ASKED] = said_agent_asked,
	[VM_SAY_STATS_ALL] = said_stats_all,
	[VM_SAY_LAN_ASKED] = vm_process_lan_asked,
};

/* An uplink has none, and says nothing of one. */
static bool is_about_guest(uint32_t kind)
{
	return kind == VM_SAY_CARD || kind == VM_SAY_HELD || kind == VM_SAY_MAC_WANTED ||
	       kind == VM_SAY_LINK_WANTED || kind == VM_SAY_IMPORT_ASKED ||
	       kind == VM_SAY_AGENT_ASKED || kind == VM_SAY_STATS_ALL;
}

/* The LAN export has no guest, and says nothing of one. */
static bool is_about_card(uint32_t kind)
{
	return is_about_guest(kind) && kind != VM_SAY_HELD && kind != VM_SAY_STATS_ALL;
}

static const char *on_message(void *ctx, const union vm_wire_message *m, int *fds _unused_)
{
	struct guest *guest = ctx;

	const char *fault;
	bool known;

	/* A process of the last control that ends says nothing that concerns us. */
	if (guest->state == GUEST_ENDING || guest->state == GUEST_STRANGE)
		return NULL;
	fault = vm_process_net_says(guest, m, &known);
	if (known)
		return fault;
	if (guest->cfg.lan && is_about_card(m->kind))
		return NOT_ASKED;
	if (says[m->kind] && !(guest->cfg.uplink && is_about_guest(m->kind)))
		return says[m->kind](guest, m);
	return guest->cfg.uplink ? NOT_ASKED : vm_process_device_says(guest, m);
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
	guest->next = guest->process_fd = -1;
	list_init(&guest->devices);
	*ret_guest = guest;
	return 0;
}

/**
 * guest_set_next() - hand over the listener at which the next control will find the process
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
 * @process:	its pidfd, the guest's from here on; -1: nobody knows which process it is
 * @events:	of the process, called with the guest's ctx
 */
void guest_connect(struct guest *guest, int line, int process,
		   const struct guest_process_events *events)
{
	struct vm_wire_hello hello = vm_wire_hello(VM_ASK_HELLO, false);
	int r = vm_line_open(&guest->line, guest->loop, line, VM_WIRE_CONTROL, &line_ops, guest);

	guest->process = events;
	guest->process_fd = process;
	if (r < 0) {
		fd_close(line);
		on_lost(guest, errno_text(r));
		return;
	}
	guest->state = GUEST_GREETING;
	guest->program_told = false;
	vm_process_tell(guest, &hello);
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
		vm_process_tell(guest, &(struct vm_wire_hotkeys){.kind = VM_ASK_HOTKEYS,
								 .hotkeys = *hotkeys});
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
		vm_process_tell(guest,
				&(struct vm_wire_memory){.kind = VM_ASK_MEMORY, .share = *share});
}

/**
 * guest_ask_stats() - have a guest's process tell what has gone through its devices
 * @guest:	the guest
 * @timed:	whether times are to be counted from now on
 *
 * Return: whether it was asked, and the event `stats` follows; not where there is no process now, or an older one, or
 * its answer to the last time is not there yet.
 */
bool guest_ask_stats(struct guest *guest, bool timed)
{
	if (guest->state != GUEST_STANDS || guest->stats_asked ||
	    guest->version < vm_wire_since(VM_ASK_STATS))
		return false;
	guest->stats_asked = true;
	vm_process_tell(guest, &(struct vm_wire_ask_stats){.kind = VM_ASK_STATS, .timed = timed});
	return true;
}

/**
 * guest_memory() - how much of the kernel's memory for URBs a guest has taken
 * @guest:	the guest
 */
struct guest_memory guest_memory(const struct guest *guest)
{
	return guest->memory;
}

/* ------------------------------------------------------------- guest.h: other guests' cards */

/*
 * A process that does not stand yet is told nothing: when it stands, it is told of all others.
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
		vm_process_tell(guest, &m);
}

/**
 * guest_peer_gone() - tell a guest to forget another guest's card
 * @guest:	the guest
 * @number:	the card's; the link to it is closed, too
 */
void guest_peer_gone(struct guest *guest, unsigned number)
{
	if (guest->state == GUEST_STANDS)
		vm_process_tell(guest, &(struct vm_wire_number){.kind = VM_ASK_PEER_GONE,
								.number = number});
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
	/* The next process begins with this MAC. */
	if (granted)
		memcpy(guest->cfg.mac_before, mac, sizeof(guest->cfg.mac_before));
	else if (!memcmp(guest->cfg.mac_before, mac, sizeof(guest->cfg.mac_before)))
		memset(guest->cfg.mac_before, 0, sizeof(guest->cfg.mac_before));
	if (guest->state == GUEST_STANDS)
		vm_process_tell(guest, &m);
}

/**
 * guest_stop() - have a guest's process let go of everything and end
 * @guest:	the guest; @events->ended follows. A process that does not end is killed
 */
void guest_stop(struct guest *guest)
{
	guest->stopping = true;
	/*
	 * END has the same form in every version, and also ends a process that has not had its
	 * START.
	 */
	if (guest->line)
		tell_end(guest);
	else if (guest->state == GUEST_ALONE)
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
	if (!guest)
		return NULL;
	loop_cancel(guest->loop, &guest->ended);
	loop_cancel(guest->loop, &guest->taken);
	loop_cancel(guest->loop, &guest->gone);
	loop_cancel(guest->loop, &guest->anew);
	vm_line_free(guest->line);
	fd_close(guest->process_fd);
	vm_process_devices_free(guest);
	stranger_listener_close(guest->cfg.listener);
	fd_close(guest->next);
	free(guest);
	return NULL;
}

/* ------------------------------------------------------------- guest.h: its clients, its agent */

/**
 * guest_refuse() - tell a client that it does not get what it asked for
 * @guest:	the guest
 * @client:	of "import_asked", which this answers
 * @status:	why
 */
void guest_refuse(struct guest *guest, uint32_t client, enum usbip_op_status status)
{
	vm_process_tell(guest, &(struct vm_wire_refuse){
				       .kind = VM_ASK_REFUSE, .client = client, .status = status});
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
	vm_process_tell(guest, &m);
	return 0;
}

/**
 * guest_agent() - give the agent's connection a socket
 * @guest:	the guest, after "agent_asked"
 * @number:	the caller's for that connection: no other has had it
 * @sock:	a stream socket that does not block, the guest's from here on
 */
void guest_agent(struct guest *guest, uint32_t number, int sock)
{
	struct vm_wire_number m = {.kind = VM_ASK_AGENT, .number = number};

	/* If the process has gone meanwhile, nobody asks any more. */
	if (guest->agent_asked)
		vm_line_send(guest->line, &m, &sock, 1);
	guest->agent_asked = false;
	fd_close(sock);
}

/**
 * guest_agent_end() - end an agent's connection
 * @guest:	the guest; its process may be another one by now
 * @number:	of guest_agent()
 */
void guest_agent_end(struct guest *guest, uint32_t number)
{
	if (guest->state == GUEST_STANDS)
		vm_process_tell(guest, &(struct vm_wire_number){.kind = VM_ASK_AGENT_END,
								.number = number});
}
