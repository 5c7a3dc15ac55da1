/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control's end of a VM's process. The process is a script that speaks by its socket alone: it answers
 * as it should, dies, or was taken over.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "daemon/vms/vm_process.h"
#include "protocol/vm_wire.h"

struct rig {
	struct loop *loop;
	struct guest *guest;
	int far; /* the process's end */
	unsigned links, n_ended, n_lost, n_stands;
	bool up;
	uint8_t mac_wanted[6];
	unsigned link_wanted;
	uint32_t client; /* that has asked, and for what */
	char busid[USBIP_BUSID_SIZE];
	unsigned n_agents;
	char why[100];
	int listener; /* the guest's */
	pid_t process;
	unsigned n_kills;
};

struct dev {
	struct guest_device *gd;
	char said[200]; /* the events, in order */
	int r;
};

/* ------------------------------------------------------------- what control hears */

static void on_link(void *ctx, const struct guest_card *card)
{
	struct rig *rig = ctx;

	rig->links++;
	rig->up = card->up;
}

static void on_import_asked(void *ctx, uint32_t client, const char *busid)
{
	struct rig *rig = ctx;

	rig->client = client;
	snprintf(rig->busid, sizeof(rig->busid), "%s", busid);
}

static void on_agent_asked(void *ctx)
{
	((struct rig *)ctx)->n_agents++;
}

static void on_ended(void *ctx)
{
	((struct rig *)ctx)->n_ended++;
}

static void on_lost(void *ctx, const char *why)
{
	struct rig *rig = ctx;

	rig->n_lost++;
	snprintf(rig->why, sizeof(rig->why), "%s", why);
}

static void on_stands(void *ctx)
{
	((struct rig *)ctx)->n_stands++;
}

static void on_kill(void *ctx, int process)
{
	assert_true(process >= 0);
	((struct rig *)ctx)->n_kills++;
}

static void on_mac_wanted(void *ctx, const uint8_t mac[6])
{
	struct rig *rig = ctx;

	memcpy(rig->mac_wanted, mac, 6);
}

static void on_link_wanted(void *ctx, unsigned number)
{
	((struct rig *)ctx)->link_wanted = number;
}

static const struct guest_events events = {
	.link = on_link,
	.import_asked = on_import_asked,
	.agent_asked = on_agent_asked,
	.ended = on_ended,
	.mac_wanted = on_mac_wanted,
	.link_wanted = on_link_wanted,
};
static const struct guest_process_events process = {
	.lost = on_lost, .kill = on_kill, .stands = on_stands};

static void said(struct dev *d, const char *what, int r)
{
	size_t n = strlen(d->said);

	snprintf(d->said + n, sizeof(d->said) - n, "%s%s", n ? " " : "", what);
	d->r = r;
}

static void on_opened(void *ctx, int r, const char *reason)
{
	said(ctx, "opened", r);
}

static void on_imported(void *ctx, int r, const struct guest_peer *peer)
{
	said(ctx, "imported", r);
}

static void on_session_ended(void *ctx, int r, const char *reason)
{
	said(ctx, "ended", r);
}

static void on_was_reset(void *ctx, int r, const char *reason)
{
	said(ctx, "reset", r);
}

static void on_gone(void *ctx)
{
	said(ctx, "gone", 0);
}

static void on_stuck(void *ctx, const char *what)
{
	said(ctx, "stuck", 0);
}

static void on_taken(void *ctx, bool closed, int r, const char *reason)
{
	struct dev *d = ctx;

	assert_true(closed);
	said(d, "taken", r);
	d->gd = guest_device_free(d->gd);
}

static void on_hotkey(void *ctx, enum hotkey which)
{
	said(ctx, which == HOTKEY_PANIC ? "panic" : "next", 0);
}

static void on_hid(void *ctx, const struct hid_found *found)
{
	said(ctx, "hid", 0);
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

/* ------------------------------------------------------------- the process */

static void turns(struct rig *rig)
{
	for (unsigned i = 0; i < 20; i++)
		loop_turn(rig->loop, false);
}

static void says(struct rig *rig, const void *message)
{
	uint32_t kind;

	memcpy(&kind, message, sizeof(kind));
	assert_int_equal(fd_send(rig->far, message, vm_wire_size(kind), NULL, 0), 0);
	turns(rig);
}

static void says_of(struct rig *rig, const struct vm_wire_give *give, uint32_t kind, int r)
{
	union vm_wire_message m;

	memset(&m, 0, sizeof(m));
	m.kind = kind;
	if (kind == VM_SAY_IMPORTED)
		m.imported.r = r;
	else if (vm_wire_size(kind) == sizeof(m.result))
		m.result.r = r;
	if (kind == VM_SAY_TAKEN)
		m.result.closed = 1;
	m.device.device = give->device;
	says(rig, &m);
}

/* The next message that control has sent; its descriptors are closed. */
static union vm_wire_message hears(struct rig *rig, uint32_t kind)
{
	union vm_wire_message m;
	int fds[VM_WIRE_FDS];
	unsigned n = 0;
	ssize_t len;
	const char *fault;

	memset(&m, 0, sizeof(m));
	turns(rig);
	len = fd_receive(rig->far, &m, sizeof(m), fds, VM_WIRE_FDS, &n, MSG_DONTWAIT);
	assert_true(len > 0);
	assert_int_equal(m.kind, kind);
	assert_int_equal(vm_wire_check(&m, (size_t)len, n, VM_WIRE_CONTROL, &fault), 0);
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	return m;
}

static void hears_nothing(struct rig *rig)
{
	char byte;

	turns(rig);
	assert_true(recv(rig->far, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN);
}

static void hears_end(struct rig *rig)
{
	union vm_wire_message m;

	turns(rig);
	while (recv(rig->far, &m, sizeof(m), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(recv(rig->far, &m, sizeof(m), MSG_DONTWAIT), 0);
}

static void connects_as(struct rig *rig, int pidfd)
{
	int pair[2];

	fd_close(rig->far);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	rig->far = pair[1];
	guest_connect(rig->guest, pair[0], pidfd, &process);
}

static void connects(struct rig *rig)
{
	connects_as(rig, -1);
}

/* Something that goes on until it is killed. Return: its pidfd. */
static int goes_on_for_ever(struct rig *rig)
{
	rig->process = fork();
	if (rig->process == 0)
		for (;;)
			pause();
	return (int)syscall(SYS_pidfd_open, rig->process, 0);
}

static void is_killed(struct rig *rig)
{
	assert_int_equal(kill(rig->process, SIGKILL), 0);
	assert_int_equal(waitpid(rig->process, NULL, 0), rig->process);
	turns(rig);
}

static void greets(struct rig *rig)
{
	struct vm_wire_hello hello = {
		.kind = VM_SAY_HELLO, .version = VM_WIRE_VERSION, .least = VM_WIRE_LEAST};

	hears(rig, VM_ASK_HELLO);
	says(rig, &hello);
}

static void begins(struct rig *rig)
{
	greets(rig);
	assert_string_equal(hears(rig, VM_ASK_START).start.name, "vm1");
	says(rig, &(struct vm_wire_started){.kind = VM_SAY_STARTED});
}

static void dies(struct rig *rig)
{
	rig->far = fd_close(rig->far);
	turns(rig);
}

static struct rig *rig_new(void)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct guest_config config = {.name = "vm1", .listener = eventfd(0, EFD_CLOEXEC)};

	rig->listener = config.listener;
	assert_int_equal(loop_new(&rig->loop), 0);
	assert_int_equal(guest_start(&rig->guest, &config, rig->loop, &events, rig), 0);
	guest_set_next(rig->guest, eventfd(0, EFD_CLOEXEC));
	rig->far = -1;
	connects(rig);
	return rig;
}

static struct rig *rig_begun(void)
{
	struct rig *rig = rig_new();

	begins(rig);
	assert_int_equal(rig->n_stands, 1);
	return rig;
}

static void rig_free(struct rig *rig)
{
	guest_free(rig->guest);
	loop_free(rig->loop);
	fd_close(rig->far);
	free(rig);
}

static void device_made(struct rig *rig, struct dev *d)
{
	struct usb_device_info info = {.busid = "1-1", .busnum = 1, .devnum = 2};

	memset(d, 0, sizeof(*d));
	d->gd = guest_device_new("keyboard", &info, eventfd(0, EFD_CLOEXEC), rig->loop,
				 &device_events, d);
	guest_give(rig->guest, d->gd);
}

static struct vm_wire_give device_given(struct rig *rig, struct dev *d)
{
	device_made(rig, d);
	return hears(rig, VM_ASK_GIVE).give;
}

static struct vm_wire_give device_opened(struct rig *rig, struct dev *d)
{
	struct vm_wire_give give = device_given(rig, d);

	says_of(rig, &give, VM_SAY_OPENED, 0);
	return give;
}

static void client_imports(struct rig *rig, struct dev *d)
{
	struct vm_wire_import_asked ask = {
		.kind = VM_SAY_IMPORT_ASKED, .client = 9, .busid = "1-1"};

	rig->client = 0;
	says(rig, &ask);
	assert_int_equal(rig->client, 9);
	assert_string_equal(rig->busid, "1-1");
	guest_import(rig->guest, d->gd, rig->client);
	assert_int_equal(hears(rig, VM_ASK_IMPORT).client.client, 9);
}

/* ------------------------------------------------------------- tests */

static void test_a_devices_way(void **state)
{
	struct rig *rig = rig_begun();
	struct dev d;
	struct vm_wire_give give = device_opened(rig, &d);
	struct vm_wire_hid hid = {.kind = VM_SAY_HID, .device = give.device};
	struct vm_wire_hotkey key = {
		.kind = VM_SAY_HOTKEY, .device = give.device, .which = HOTKEY_NEXT};

	assert_string_equal(give.tag, "keyboard");
	assert_string_equal(give.info.busid, "1-1");
	says(rig, &hid);
	client_imports(rig, &d);
	says_of(rig, &give, VM_SAY_IMPORTED, 0);
	says(rig, &key);
	says_of(rig, &give, VM_SAY_SESSION_ENDED, 0);
	client_imports(rig, &d);
	says_of(rig, &give, VM_SAY_IMPORTED, 0);
	guest_reset(rig->guest, d.gd);
	assert_int_equal(hears(rig, VM_ASK_RESET).device.device, give.device);
	says_of(rig, &give, VM_SAY_SESSION_ENDED, 0);
	says_of(rig, &give, VM_SAY_WAS_RESET, 0);
	says_of(rig, &give, VM_SAY_GONE, 0);
	guest_take(rig->guest, d.gd, false);
	assert_int_equal(hears(rig, VM_ASK_TAKE).device.device, give.device);
	says_of(rig, &give, VM_SAY_TAKEN, 0);
	assert_string_equal(d.said,
			    "opened hid imported next ended imported ended reset gone taken");
	assert_int_equal(rig->n_lost, 0);
	rig_free(rig);
}

static void test_the_card(void **state)
{
	struct rig *rig = rig_begun();

	says(rig, &(struct vm_wire_card){.kind = VM_SAY_CARD, .up = 1});
	assert_true(rig->up);
	dies(rig);
	assert_false(rig->up);
	assert_int_equal(rig->links, 2);
	rig_free(rig);
}

/* What is given while there is no process waits for it. */
static void test_given_before_it_stands(void **state)
{
	struct rig *rig = rig_new();
	struct dev d, unwanted;
	struct vm_wire_give give;

	device_made(rig, &unwanted);
	device_made(rig, &d);
	guest_take(rig->guest, unwanted.gd, true);
	begins(rig);
	assert_string_equal(unwanted.said, "taken");
	give = hears(rig, VM_ASK_GIVE).give;
	says_of(rig, &give, VM_SAY_OPENED, 0);
	assert_string_equal(d.said, "opened");
	hears_nothing(rig);
	says_of(rig, &give, VM_SAY_TAKEN, 0); /* not asked for */
	assert_int_equal(rig->n_lost, 1);
	assert_string_equal(d.said, "opened taken");
	rig_free(rig);
}

/* Whatever was under way, each device comes back, and what was waited for has ended. */
static void test_a_process_dies(void **state)
{
	struct rig *rig = rig_begun();
	struct dev opening, idle, importing, session, resetting, taking, forgotten, next;
	struct vm_wire_give give;

	device_given(rig, &opening);
	device_opened(rig, &idle);
	device_opened(rig, &importing);
	client_imports(rig, &importing);
	give = device_opened(rig, &session);
	client_imports(rig, &session);
	says_of(rig, &give, VM_SAY_IMPORTED, 0);
	device_opened(rig, &resetting);
	guest_reset(rig->guest, resetting.gd);
	hears(rig, VM_ASK_RESET);
	device_opened(rig, &taking);
	guest_take(rig->guest, taking.gd, true);
	hears(rig, VM_ASK_TAKE);
	device_opened(rig, &forgotten);
	guest_take(rig->guest, forgotten.gd, true);
	guest_device_forget(forgotten.gd);

	dies(rig);
	assert_int_equal(rig->n_lost, 1);
	assert_string_equal(opening.said, "opened taken");
	assert_string_equal(idle.said, "opened taken");
	assert_string_equal(importing.said, "opened imported taken");
	assert_string_equal(session.said, "opened imported ended taken");
	assert_string_equal(resetting.said, "opened reset taken");
	assert_string_equal(taking.said, "opened taken");
	assert_string_equal(forgotten.said, "opened");

	/* The next process begins from the start, and gets what is given by then. */
	device_made(rig, &next);
	connects(rig);
	begins(rig);
	give = hears(rig, VM_ASK_GIVE).give;
	says_of(rig, &give, VM_SAY_OPENED, -EIO);
	guest_take(rig->guest, next.gd, true);
	says_of(rig, &give, VM_SAY_TAKEN, 0);
	assert_string_equal(next.said, "opened taken");
	assert_int_equal(rig->n_lost, 1);
	rig_free(rig);
}

static void test_an_end(void **state)
{
	struct rig *rig = rig_begun();
	struct dev d;
	struct vm_wire_give give = device_opened(rig, &d);

	guest_stop(rig->guest);
	hears(rig, VM_ASK_END);
	says_of(rig, &give, VM_SAY_TAKEN, 0);
	assert_string_equal(d.said, "opened taken");
	says(rig, &(struct vm_wire_plain){.kind = VM_SAY_ENDED});
	assert_int_equal(rig->n_ended, 0);
	dies(rig);
	assert_int_equal(rig->n_ended, 1);
	assert_int_equal(rig->n_lost, 0);
	rig_free(rig);
}

/* Without a process, there is nothing to wait for. */
static void test_an_end_without_a_process(void **state)
{
	struct rig *rig = rig_begun();
	struct dev d;

	dies(rig);
	device_made(rig, &d);
	guest_stop(rig->guest);
	turns(rig);
	assert_int_equal(rig->n_ended, 1);
	assert_string_equal(d.said, "taken");
	rig_free(rig);
	/* It greets when it is no longer needed, and begins nothing: nobody would end it. */
	rig = rig_new();
	guest_stop(rig->guest);
	hears(rig, VM_ASK_HELLO);
	hears(rig, VM_ASK_END);
	says(rig, &(struct vm_wire_hello){.kind = VM_SAY_HELLO,
					  .version = VM_WIRE_VERSION,
					  .least = VM_WIRE_LEAST});
	hears_nothing(rig);
	dies(rig);
	assert_int_equal(rig->n_ended, 1);
	rig_free(rig);
	/* It dies on its way out. */
	rig = rig_begun();
	guest_stop(rig->guest);
	dies(rig);
	assert_int_equal(rig->n_ended, 1);
	assert_int_equal(rig->n_lost, 0);
	rig_free(rig);
}

/* Its connection has a number of control's, and is ended by it. */
static void test_an_agent(void **state)
{
	const struct vm_wire_plain asked = {.kind = VM_SAY_AGENT_ASKED};
	struct rig *rig = rig_begun();
	int pair[2];
	char byte;

	says(rig, &asked);
	assert_int_equal(rig->n_agents, 1);
	guest_agent(rig->guest, 5, eventfd(0, EFD_CLOEXEC));
	assert_int_equal(hears(rig, VM_ASK_AGENT).number.number, 5);
	guest_agent_end(rig->guest, 5);
	assert_int_equal(hears(rig, VM_ASK_AGENT_END).number.number, 5);
	says(rig, &asked);
	dies(rig);
	/* What the process that has gone was owed, the next one does not get. */
	connects(rig);
	begins(rig);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	guest_agent(rig->guest, 6, pair[1]);
	assert_int_equal(recv(pair[0], &byte, 1, 0), 0);
	close(pair[0]);
	hears_nothing(rig);
	says(rig, &asked);
	says(rig, &asked);
	assert_int_equal(rig->n_lost, 2);
	assert_string_equal(rig->why, "it asks for its agent twice");
	guest_agent_end(rig->guest, 6);
	rig_free(rig);
}

/* One that says what answers nothing has lost its line, and what it had. */
static void test_taken_over(void **state)
{
	static const uint32_t unasked[] = {VM_SAY_OPENED, VM_SAY_IMPORTED, VM_SAY_SESSION_ENDED,
					   VM_SAY_WAS_RESET, VM_SAY_TAKEN};

	for (size_t i = 0; i < ARRAY_SIZE(unasked) + 5; i++) {
		struct rig *rig = rig_begun();
		struct dev d;
		struct vm_wire_give give = device_opened(rig, &d), other = {.device = 12345};

		if (i < ARRAY_SIZE(unasked)) {
			says_of(rig, &give, unasked[i], 0);
		} else if (i == ARRAY_SIZE(unasked)) {
			says_of(rig, &other, VM_SAY_GONE, 0);
		} else if (i == ARRAY_SIZE(unasked) + 1) {
			says_of(rig, &give, VM_SAY_GONE, 0);
			says_of(rig, &give, VM_SAY_GONE, 0);
		} else if (i == ARRAY_SIZE(unasked) + 2) {
			says(rig, &(struct vm_wire_started){.kind = VM_SAY_STARTED});
		} else if (i == ARRAY_SIZE(unasked) + 3) {
			says(rig, &(struct vm_wire_plain){.kind = VM_SAY_ENDED});
		} else {
			says_of(rig, &give, VM_SAY_STUCK, -ETIMEDOUT);
			says_of(rig, &give, VM_SAY_STUCK, -ETIMEDOUT);
		}
		assert_int_equal(rig->n_lost, 1);
		hears_end(rig);
		assert_null(d.gd);
		rig_free(rig);
	}
}

/* Whatever the line's end was: nothing comes back, and none follows, before the process has ended. */
static void test_a_process_that_goes_on_is_killed(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		struct rig *rig = rig_new();
		struct vm_wire_give give;
		struct dev d;

		dies(rig);
		connects_as(rig, goes_on_for_ever(rig));
		begins(rig);
		give = device_opened(rig, &d);
		if (i == 0)
			says_of(rig, &give, VM_SAY_TAKEN, 0);
		else if (i == 1)
			dies(rig);
		else
			guest_disconnect(rig->guest, "a test");
		assert_int_equal(rig->n_kills, 1);
		assert_int_equal(rig->n_lost, 1); /* the one before */
		assert_string_equal(d.said, "opened");
		/* What is said to it meanwhile is answered as by one that has died. */
		guest_reset(rig->guest, d.gd);
		guest_take(rig->guest, d.gd, true);
		turns(rig);
		assert_string_equal(d.said, "opened");
		is_killed(rig);
		assert_int_equal(rig->n_lost, 2);
		assert_string_equal(d.said, "opened reset taken");
		connects(rig);
		begins(rig);
		assert_int_equal(rig->n_stands, 2);
		rig_free(rig);
	}
}

/* What ends by itself is killed by nobody; and the end is waited for when nothing follows. */
static void test_a_process_that_ends(void **state)
{
	struct rig *rig = rig_new();
	struct dev d;

	dies(rig);
	connects_as(rig, goes_on_for_ever(rig));
	begins(rig);
	is_killed(rig);
	dies(rig);
	assert_int_equal(rig->n_kills, 0);
	assert_int_equal(rig->n_lost, 2);
	connects_as(rig, goes_on_for_ever(rig));
	begins(rig);
	device_opened(rig, &d);
	guest_stop(rig->guest);
	dies(rig);
	assert_int_equal(rig->n_kills, 1);
	assert_int_equal(rig->n_ended, 0);
	is_killed(rig);
	assert_int_equal(rig->n_ended, 1);
	assert_string_equal(d.said, "opened taken");
	rig_free(rig);
}

static void test_no_common_version(void **state)
{
	struct rig *rig = rig_new();
	struct vm_wire_hello hello = {
		.kind = VM_SAY_HELLO, .version = VM_WIRE_VERSION + 2, .least = VM_WIRE_VERSION + 1};

	says(rig, &hello);
	assert_int_equal(rig->n_lost, 1);
	assert_string_equal(rig->why, "it speaks no version that usbrouted does");
	rig_free(rig);
}

/* ------------------------------------------------------------- what the last control has left */

static void goes_on(struct rig *rig, uint32_t version, uint32_t least)
{
	hears(rig, VM_ASK_HELLO);
	says(rig, &(struct vm_wire_hello){
			  .kind = VM_SAY_HELLO, .version = version, .least = least, .serves = 1});
}

static void holds(struct rig *rig, uint32_t number, unsigned held)
{
	struct vm_wire_held_device m = {.kind = VM_SAY_HELD,
					.device = number,
					.held = held,
					.identity = {.busnum = 1, .devnum = 2},
					.peer = {.port = 40000},
					.since_ns = 77};

	says(rig, &m);
}

static struct guest_device *take_up(struct rig *rig, struct dev *d, uint32_t number,
				    unsigned devnum, struct guest_held *held)
{
	struct usb_device_info info = {.busid = "1-1", .busnum = 1, .devnum = devnum};

	memset(d, 0, sizeof(*d));
	d->gd = guest_device_take_up(rig->guest, number, "keyboard", &info, &device_events, d,
				     held);
	return d->gd;
}

static void test_a_process_of_the_last_control_is_taken_up(void **state)
{
	struct rig *rig = rig_new();
	struct guest_held held;
	struct dev d, other;
	struct vm_wire_give give;

	goes_on(rig, VM_WIRE_VERSION, VM_WIRE_LEAST);
	hears(rig, VM_ASK_START);
	says(rig, &(struct vm_wire_started){.kind = VM_SAY_STARTED});
	hears(rig, VM_ASK_HELD);
	assert_int_equal(rig->n_stands, 0);
	says(rig, &(struct vm_wire_card){.kind = VM_SAY_CARD, .up = 1});
	assert_true(rig->up);
	holds(rig, 5, VM_HELD_OPENED | VM_HELD_SESSION);
	holds(rig, 6, VM_HELD_OPENED);
	holds(rig, 9, 0);
	says(rig, &(struct vm_wire_hid){.kind = VM_SAY_HID, .device = 5, .found.kinds[0][1] = 1});
	says(rig, &(struct vm_wire_plain){.kind = VM_SAY_HELD_ALL});
	assert_int_equal(rig->n_stands, 1);

	/* Another device than the one that was given is not it. */
	assert_null(take_up(rig, &d, 5, 3, &held));
	assert_null(take_up(rig, &d, 7, 2, &held));
	assert_non_null(take_up(rig, &d, 5, 2, &held));
	assert_true(held.opened && held.session && !held.taking);
	assert_int_equal(held.peer.port, 40000);
	assert_int_equal(held.since_ns, 77);
	assert_int_equal(held.hid.kinds[0][1], 1);
	assert_null(take_up(rig, &other, 5, 2, &held));

	/* Nobody's is taken; it is not heard any more. */
	guest_take_rest(rig->guest);
	assert_int_equal(hears(rig, VM_ASK_TAKE).device.device, 6);
	assert_int_equal(hears(rig, VM_ASK_TAKE).device.device, 9);
	hears_nothing(rig);
	says(rig, &(struct vm_wire_device_result){.kind = VM_SAY_TAKEN, .device = 6, .closed = 1});

	/* What was taken up goes its way; a new one has a number of its own. */
	says(rig, &(struct vm_wire_device_result){.kind = VM_SAY_SESSION_ENDED, .device = 5});
	assert_string_equal(d.said, "ended");
	give = device_given(rig, &other);
	assert_true(give.device > 9);
	says_of(rig, &give, VM_SAY_OPENED, 0);
	assert_int_equal(rig->n_lost, 0);

	/* With its process all is lost. */
	dies(rig);
	assert_string_equal(d.said, "ended taken");
	rig_free(rig);
}

static void test_a_process_that_serves_otherwise_ends(void **state)
{
	struct rig *rig = rig_new();

	goes_on(rig, VM_WIRE_VERSION, VM_WIRE_LEAST);
	hears(rig, VM_ASK_START);
	says(rig, &(struct vm_wire_started){.kind = VM_SAY_STARTED, .r = -EEXIST});
	hears(rig, VM_ASK_END);
	dies(rig);
	assert_int_equal(rig->n_lost, 1);
	connects(rig);
	begins(rig);
	assert_int_equal(rig->n_stands, 1);
	rig_free(rig);
}

/* The version that both speak. */
static void test_a_process_of_the_next_version_is_taken_up(void **state)
{
	struct rig *rig = rig_new();

	goes_on(rig, VM_WIRE_VERSION + 1, VM_WIRE_VERSION);
	hears(rig, VM_ASK_START);
	says(rig, &(struct vm_wire_started){.kind = VM_SAY_STARTED});
	hears(rig, VM_ASK_HELD);
	says(rig, &(struct vm_wire_plain){.kind = VM_SAY_HELD_ALL});
	assert_int_equal(rig->n_stands, 1);
	rig_free(rig);
}

/* Nothing is said to it before its QEMU connects anew (here: the listener is readable). */
static void test_a_strange_process_is_left_alone_until_its_vm_starts(void **state)
{
	struct rig *rig = rig_new();
	uint64_t one = 1;

	goes_on(rig, VM_WIRE_VERSION + 1, VM_WIRE_VERSION + 1);
	hears_nothing(rig);
	says(rig, &(struct vm_wire_card){.kind = VM_SAY_CARD, .up = 1});
	assert_int_equal(rig->n_lost + rig->n_stands, 0);
	assert_int_equal(write(rig->listener, &one, sizeof(one)), sizeof(one));
	hears(rig, VM_ASK_END);
	dies(rig);
	assert_int_equal(rig->n_lost, 1);
	rig_free(rig);
}

static void test_what_it_holds_is_told_once_and_when_asked(void **state)
{
	struct rig *rig = rig_begun();

	holds(rig, 1, VM_HELD_OPENED);
	hears_end(rig);
	rig_free(rig);
	rig = rig_new();
	goes_on(rig, VM_WIRE_VERSION, VM_WIRE_LEAST);
	hears(rig, VM_ASK_START);
	says(rig, &(struct vm_wire_started){.kind = VM_SAY_STARTED});
	holds(rig, 1, VM_HELD_OPENED);
	holds(rig, 1, VM_HELD_OPENED);
	assert_int_equal(rig->n_lost, 1);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_devices_way),
		cmocka_unit_test(test_the_card),
		cmocka_unit_test(test_given_before_it_stands),
		cmocka_unit_test(test_a_process_dies),
		cmocka_unit_test(test_an_end),
		cmocka_unit_test(test_an_end_without_a_process),
		cmocka_unit_test(test_an_agent),
		cmocka_unit_test(test_taken_over),
		cmocka_unit_test(test_a_process_of_the_last_control_is_taken_up),
		cmocka_unit_test(test_a_process_that_serves_otherwise_ends),
		cmocka_unit_test(test_a_process_of_the_next_version_is_taken_up),
		cmocka_unit_test(test_a_strange_process_is_left_alone_until_its_vm_starts),
		cmocka_unit_test(test_what_it_holds_is_told_once_and_when_asked),
		cmocka_unit_test(test_no_common_version),
		cmocka_unit_test(test_a_process_that_goes_on_is_killed),
		cmocka_unit_test(test_a_process_that_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
