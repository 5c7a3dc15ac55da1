/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's process that is a script; see vm-process-rig.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/unit/vm-process-rig.h"

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

static void on_connection_lost(void *ctx, const struct guest_peer *peer)
{
	struct rig *rig = ctx;

	rig->n_connections_lost++;
	rig->connection_lost = peer->port;
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
	.connection_lost = on_connection_lost,
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

const struct guest_device_events device_events = {.opened = on_opened,
						  .imported = on_imported,
						  .session_ended = on_session_ended,
						  .was_reset = on_was_reset,
						  .gone = on_gone,
						  .stuck = on_stuck,
						  .taken = on_taken,
						  .hotkey = on_hotkey,
						  .hid = on_hid};

/* ------------------------------------------------------------- the process */

void turns(struct rig *rig)
{
	for (unsigned i = 0; i < 20; i++)
		loop_turn(rig->loop, false);
}

void says(struct rig *rig, const void *message)
{
	uint32_t kind;

	memcpy(&kind, message, sizeof(kind));
	assert_int_equal(fd_send(rig->far, message, vm_wire_size(kind), NULL, 0), 0);
	turns(rig);
}

void says_of(struct rig *rig, const struct vm_wire_give *give, uint32_t kind, int r)
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
union vm_wire_message hears(struct rig *rig, uint32_t kind)
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

void hears_nothing(struct rig *rig)
{
	char byte;

	turns(rig);
	assert_true(recv(rig->far, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN);
}

void hears_end(struct rig *rig)
{
	union vm_wire_message m;

	turns(rig);
	while (recv(rig->far, &m, sizeof(m), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(recv(rig->far, &m, sizeof(m), MSG_DONTWAIT), 0);
}

void connects_as(struct rig *rig, int pidfd)
{
	int pair[2];

	fd_close(rig->far);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	rig->far = pair[1];
	guest_connect(rig->guest, pair[0], pidfd, &process);
}

void connects(struct rig *rig)
{
	connects_as(rig, -1);
}

/* Something that goes on until it is killed. Return: its pidfd. */
int goes_on_for_ever(struct rig *rig)
{
	rig->process = fork();
	if (rig->process == 0)
		for (;;)
			pause();
	return (int)syscall(SYS_pidfd_open, rig->process, 0);
}

void is_killed(struct rig *rig)
{
	assert_int_equal(kill(rig->process, SIGKILL), 0);
	assert_int_equal(waitpid(rig->process, NULL, 0), rig->process);
	turns(rig);
}

void greets(struct rig *rig)
{
	struct vm_wire_hello hello = {
		.kind = VM_SAY_HELLO, .version = VM_WIRE_VERSION, .least = VM_WIRE_LEAST};

	hears(rig, VM_ASK_HELLO);
	says(rig, &hello);
}

void begins(struct rig *rig)
{
	greets(rig);
	assert_string_equal(hears(rig, VM_ASK_START).start.name, "vm1");
	says(rig, &(struct vm_wire_started){.kind = VM_SAY_STARTED});
}

void dies(struct rig *rig)
{
	rig->far = fd_close(rig->far);
	turns(rig);
}

struct rig *rig_new(void)
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

struct rig *rig_begun(void)
{
	struct rig *rig = rig_new();

	begins(rig);
	assert_int_equal(rig->n_stands, 1);
	return rig;
}

void rig_free(struct rig *rig)
{
	guest_free(rig->guest);
	loop_free(rig->loop);
	fd_close(rig->far);
	free(rig);
}

void device_made(struct rig *rig, struct dev *d)
{
	struct usb_device_info info = {.busid = "1-1", .busnum = 1, .devnum = 2};

	memset(d, 0, sizeof(*d));
	d->gd = guest_device_new("keyboard", &info, eventfd(0, EFD_CLOEXEC), rig->loop,
				 &device_events, d);
	guest_give(rig->guest, d->gd);
}

struct vm_wire_give device_given(struct rig *rig, struct dev *d)
{
	device_made(rig, d);
	return hears(rig, VM_ASK_GIVE).give;
}

struct vm_wire_give device_opened(struct rig *rig, struct dev *d)
{
	struct vm_wire_give give = device_given(rig, d);

	says_of(rig, &give, VM_SAY_OPENED, 0);
	return give;
}

void client_imports(struct rig *rig, struct dev *d)
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
