/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control's end of a VM's process (daemon/vms/vm_process.c), and processes that were taken over: they say
 * any message at any time, end, and are followed by others. Control does what it does with a guest:
 * gives devices, has them imported, reset and taken, and ends the guest.
 *
 * What control hears keeps the contract of dataplane/guest.h and vm_process.h: each call is answered
 * once and nothing is answered that was not asked; of a device that was taken nothing more is heard;
 * a process is lost once, and before that its card goes down.
 *
 * Input: steps, each a byte that says what, and what it needs.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/vms/vm_process.h"
#include "protocol/vm_wire.h"
#include "tests/fuzz/clock-loop.h"
#include "tests/fuzz/promise.h"

#define DEVICES 4
#define STEPS	300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A device of control's, and what control is owed about it. */
struct owned {
	struct guest_device *gd; /* NULL: none */
	uint32_t number;
	bool given, opening, opened, importing, session, resetting, taking, gone, stuck;
};

static struct {
	struct loop *loop;
	struct guest *guest;
	int far, process; /* the process's end of the line, and its pidfd, as it were */
	bool connected, stands, up, stopping, ended, agent_owed, killed;
	struct owned devices[DEVICES];
} rig;

static void text(const char *reason)
{
	promise(!reason || strlen(reason) < 400);
}

/* ------------------------------------------------------------- what control hears */

static void on_link(void *ctx _unused_, const struct guest_card *card)
{
	promise(rig.connected);
	rig.up = card->up;
}

static void on_import_asked(void *ctx _unused_, uint32_t client, const char *busid)
{
	promise(rig.stands && strlen(busid) < USBIP_BUSID_SIZE);
	if (client & 1)
		guest_refuse(rig.guest, client, USBIP_ST_NODEV);
}

static void on_agent_asked(void *ctx _unused_)
{
	promise(rig.stands && !rig.agent_owed);
	rig.agent_owed = true;
}

static void on_ended(void *ctx _unused_)
{
	promise(rig.stopping && !rig.ended);
	rig.ended = true;
}

static void on_mac_wanted(void *ctx _unused_, const uint8_t mac[6])
{
	promise(rig.connected);
	guest_mac_granted(rig.guest, mac, mac[5] & 1);
}

static void on_link_wanted(void *ctx _unused_, unsigned number _unused_)
{
	promise(rig.connected);
}

static const struct guest_events events = {
	.link = on_link,
	.import_asked = on_import_asked,
	.agent_asked = on_agent_asked,
	.ended = on_ended,
	.mac_wanted = on_mac_wanted,
	.link_wanted = on_link_wanted,
};

static void on_lost(void *ctx _unused_, const char *why)
{
	promise(rig.connected && !rig.up && !rig.stopping);
	text(why);
	rig.connected = rig.stands = rig.agent_owed = false;
	/* What came too late for that one waits for the next. */
	for (unsigned i = 0; i < DEVICES; i++) {
		promise(!rig.devices[i].gd || !rig.devices[i].opened);
		rig.devices[i].given = false;
	}
}

static void on_kill(void *ctx _unused_, int process)
{
	promise(process >= 0 && !rig.killed);
	rig.killed = true;
}

static void on_stands(void *ctx _unused_)
{
	promise(rig.connected && !rig.stands);
	rig.stands = true;
	for (unsigned i = 0; i < DEVICES; i++)
		rig.devices[i].given = rig.devices[i].gd && !rig.devices[i].taking;
}

static const struct guest_process_events process_events = {
	.lost = on_lost, .kill = on_kill, .stands = on_stands};

static void on_opened(void *ctx, int r, const char *reason)
{
	struct owned *d = ctx;

	promise(d->gd && d->opening && r <= 0);
	text(reason);
	d->opening = false;
	d->opened = r == 0;
}

static void on_imported(void *ctx, int r, const struct guest_peer *peer)
{
	struct owned *d = ctx;

	promise(d->gd && d->importing && r <= 0 && (r < 0 || peer));
	d->importing = false;
	d->session = r == 0;
}

static void on_session_ended(void *ctx, int r, const char *reason)
{
	struct owned *d = ctx;

	promise(d->gd && d->session && r <= 0);
	text(reason);
	d->session = false;
}

static void on_was_reset(void *ctx, int r, const char *reason)
{
	struct owned *d = ctx;

	promise(d->gd && d->resetting && !d->session && r <= 0);
	text(reason);
	d->resetting = false;
}

static void on_gone(void *ctx)
{
	struct owned *d = ctx;

	promise(d->gd && !d->gone);
	d->gone = true;
}

static void on_stuck(void *ctx, const char *what)
{
	struct owned *d = ctx;

	promise(d->gd && !d->stuck);
	text(what);
	d->stuck = true;
}

static void on_taken(void *ctx, bool closed, int r _unused_, const char *reason)
{
	struct owned *d = ctx;

	/* All that is owed comes before, but what control has given up by taking it. */
	promise(d->gd && closed && !d->session && !d->importing);
	promise(!d->resetting || d->taking || rig.stopping);
	text(reason);
	d->gd = guest_device_free(d->gd);
}

static void on_hotkey(void *ctx, enum hotkey which)
{
	struct owned *d = ctx;

	promise(d->gd && d->opened && which < HOTKEYS);
}

static void on_hid(void *ctx, const struct hid_found *found _unused_)
{
	promise(((struct owned *)ctx)->gd);
}

static const struct guest_device_events device_events = {.opened = on_opened,
							 .imported = on_imported,
							 .session_ended = on_session_ended,
							 .was_reset = on_was_reset,
							 .gone = on_gone,
							 .stuck = on_stuck,
							 .taken = on_taken,
							 .hotkey = on_hotkey,
							 .hid = on_hid};

/* ------------------------------------------------------------- what control does */

static void connects(bool known)
{
	int pair[2];

	if (rig.connected || rig.stopping)
		return;
	fd_close(rig.far);
	fd_close(rig.process);
	promise(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	rig.far = pair[0];
	rig.process = known ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
	rig.connected = true;
	rig.killed = false;
	guest_connect(rig.guest, pair[1], known ? dup(rig.process) : -1, &process_events);
}

static void device_step(struct owned *d, uint8_t what)
{
	static const struct usb_device_info info = {.busnum = 1, .devnum = 5, .num_interfaces = 1};

	if (!d->gd) {
		if (rig.stopping)
			return;
		*d = (struct owned){.opening = true};
		d->gd = guest_device_new("keyboard", &info, dup(0), rig.loop, &device_events, d);
		d->number = guest_device_number(d->gd);
		d->given = rig.stands;
		guest_give(rig.guest, d->gd);
		return;
	}
	switch (what % 5) {
	case 0:
		if (!d->taking)
			guest_take(rig.guest, d->gd, true);
		d->taking = true;
		break;
	case 1:
		if (!d->given || !d->opened || d->resetting || d->taking)
			break;
		d->resetting = true;
		guest_reset(rig.guest, d->gd);
		break;
	case 2:
		if (!d->given || !d->opened || d->importing || d->session || d->taking)
			break;
		d->importing = true;
		guest_import(rig.guest, d->gd, what);
		break;
	case 3:
		guest_export(rig.guest, d->gd, what & 0x80);
		break;
	default:
		/* The route has gone: nobody hears of it, and it frees itself. */
		if (what < 0xf0)
			break;
		if (!d->taking)
			guest_take(rig.guest, d->gd, true);
		guest_device_forget(d->gd);
		d->gd = NULL;
		break;
	}
}

static void control_step(uint8_t what)
{
	switch (what % 4) {
	case 0:
		connects(what & 0x80);
		break;
	case 1:
		if (!rig.agent_owed)
			break;
		rig.agent_owed = false;
		guest_agent(rig.guest, what, dup(0));
		break;
	case 2:
		if (what >= 0xe0 && !rig.stopping) {
			rig.stopping = true;
			guest_stop(rig.guest);
		} else if (what >= 0xc0) {
			guest_disconnect(rig.guest, "the fuzzer wants another one");
		}
		break;
	default:
		clock_pass((what & 0x80 ? 20000ull : 100) * 1000000);
		break;
	}
}

/* ------------------------------------------------------------- what the process says */

/* A message that mostly has its kind's form. */
static void says(struct cursor *c, uint8_t which)
{
	static const uint8_t order[] = {
		VM_SAY_HELLO,	      VM_SAY_STARTED,	  VM_SAY_OPENED,     VM_SAY_IMPORTED,
		VM_SAY_SESSION_ENDED, VM_SAY_WAS_RESET,	  VM_SAY_TAKEN,	     VM_SAY_GONE,
		VM_SAY_STUCK,	      VM_SAY_HOTKEY,	  VM_SAY_HID,	     VM_SAY_CARD,
		VM_SAY_HELD,	      VM_SAY_HELD_ALL,	  VM_SAY_ENDED,	     VM_SAY_IMPORT_ASKED,
		VM_SAY_AGENT_ASKED,   VM_SAY_LINK_WANTED, VM_SAY_MAC_WANTED, VM_SAY_REFUSED};
	union vm_wire_message m;
	const uint8_t *p = cursor_take(c, 1);
	uint8_t how = p ? *p : 0;
	size_t len, n;
	int fd = 0;

	memset(&m, 0, sizeof(m));
	m.kind = order[which % ARRAY_SIZE(order)];
	len = vm_wire_size(m.kind);
	if (how & 0x80) {
		/* What is behind the kind is the input's, to the end of the message or before. */
		n = min_t(size_t, len - sizeof(m.kind), c->left);
		if (n)
			memcpy((uint8_t *)&m + sizeof(m.kind), cursor_take(c, n), n);
	} else if (m.kind == VM_SAY_HELLO) {
		m.hello = (struct vm_wire_hello){.kind = m.kind,
						 .version = how & 0x40 ? 99 : VM_WIRE_VERSION,
						 .least = how & 0x40 ? 99 : VM_WIRE_LEAST,
						 .serves = how & 1};
	} else if (m.kind == VM_SAY_TAKEN) {
		m.result.closed = !(how & 0x40);
	} else if (m.kind == VM_SAY_CARD) {
		m.card.up = how & 1;
	} else if (m.kind == VM_SAY_HELD) {
		m.held.held = how;
	}
	/* A device that there is, most of the time; the number is the second word. */
	if (m.kind >= VM_SAY_HELD && len >= 8 && !(how & 0x20))
		m.device.device = rig.devices[how % DEVICES].number;
	if (m.kind == VM_SAY_IMPORTED && (how & 0x10))
		m.imported.r = -ENODEV;
	fd_send(rig.far, &m, which >= 0xf8 ? len - 1 : len, &fd, which >= 0xf0 && which < 0xf8);
}

static void process_step(struct cursor *c, uint8_t what)
{
	uint64_t one = 1;
	uint8_t heard[1024];

	if (rig.far < 0)
		return;
	if (what < 0xfa) {
		says(c, what);
		return;
	}
	if (what < 0xfc) {
		while (recv(rig.far, heard, sizeof(heard), MSG_DONTWAIT) > 0)
			;
		return;
	}
	if (what == 0xfc)
		rig.far = fd_close(rig.far);
	/* It has ended, and its line with it. */
	if (what > 0xfd && rig.process >= 0) {
		rig.far = fd_close(rig.far);
		promise(write(rig.process, &one, sizeof(one)) == sizeof(one));
	}
}

/* ------------------------------------------------------------- the whole */

static void begin(void)
{
	struct guest_config config = {.name = "vm1", .prefix = 24};

	log_init(LOG_LEVEL_ERR - 1);
	clock_begin();
	memset(&rig, 0, sizeof(rig));
	rig.far = rig.process = -1;
	promise(loop_new(&rig.loop) == 0);
	config.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	promise(guest_start(&rig.guest, &config, rig.loop, &events, NULL) == 0);
	guest_set_next(rig.guest, socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
}

/* Whatever was said before, a guest that is told to end does, and everything comes back. */
static void end(void)
{
	uint64_t one = 1;

	if (!rig.stopping) {
		rig.stopping = true;
		guest_stop(rig.guest);
	}
	rig.far = fd_close(rig.far);
	if (rig.process >= 0)
		promise(write(rig.process, &one, sizeof(one)) == sizeof(one));
	clock_turn();
	clock_pass(60ull * 1000000000);
	clock_turn();
	promise(rig.ended);
	for (unsigned i = 0; i < DEVICES; i++)
		promise(!rig.devices[i].gd);
	guest_free(rig.guest);
	fd_close(rig.process);
	loop_free(rig.loop);
	promise(!clock_waits());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	const uint8_t *p;

	begin();
	for (unsigned n = 0; n < STEPS && (p = cursor_take(&c, 2)); n++) {
		if (p[0] % 3 == 0)
			control_step(p[1]);
		else if (p[0] % 3 == 1)
			process_step(&c, p[1]);
		else
			device_step(&rig.devices[p[0] / 3 % DEVICES], p[1]);
		/* Some come in one turn. */
		if (!(p[0] & 0x80))
			clock_turn();
	}
	end();
	return 0;
}
