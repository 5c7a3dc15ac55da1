/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's memory for URBs, which all guests share: whole sessions, each on a device of its
 * own, behind which one usbfs counts bytes as Linux does.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "script-backend.h"
#include "usb/usb_memory.h"
#include "usbip/usbip_session.h"

#define MIB	(1u << 20)
#define RETRIES 3

/* One device of a guest, with its client. */
struct world {
	struct script script;
	struct usbip_session *session;
	int server, client;
};

static void open_world(struct world *w, struct usb_memory *memory, struct script_usbfs *usbfs)
{
	int sv[2], big = 4 << 20;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv), 0);
	setsockopt(sv[1], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	script_init(&w->script);
	w->script.memory = memory;
	w->script.usbfs = usbfs;
	w->server = sv[0];
	w->client = sv[1];
	assert_int_equal(
		usbip_session_new_on(&w->session, "vm", &w->script.carrier, SCRIPT_DEVID, NULL, 0),
		0);
	usbip_session_set_retries(w->session, RETRIES);
}

static void close_world(struct world *w)
{
	usbip_session_close(w->session);
	while (!list_empty(&w->script.aloft)) {
		struct usb_urb *urb =
			list_entry(list_first(&w->script.aloft), struct usb_urb, device_link);

		script_complete(&w->script, script_seqnum(urb), -ECONNRESET, 0, true);
	}
	script_settle(&w->script);
	w->script.carrier.client->ops->lost(w->script.carrier.client);
	w->session = usbip_session_free(w->session);
	w->server = fd_close(w->server);
	w->client = fd_close(w->client);
}

static void ask(struct world *w, uint32_t seqnum, uint32_t ep, int32_t length)
{
	struct pdu_submit pdu = {.seqnum = seqnum, .in = true, .ep = ep, .length = length};
	uint8_t header[48];
	int r;

	assert_int_equal(write(w->client, header, pdu_submit(header, &pdu)), 48);
	do
		r = usbip_session_receive(w->session, w->server);
	while (r == USBIP_SESSION_MORE);
	assert_int_equal(r, 0);
}

static void retry(struct world *w, unsigned times)
{
	while (times--)
		usbip_session_retry(w->session);
}

/* Give a URB back, and see its answer. */
static void finish(struct world *w, uint32_t seqnum, uint32_t len)
{
	static uint8_t answer[48 + 65536];

	assert_true(script_complete(&w->script, seqnum, 0, len, false));
	script_settle(&w->script);
	while (usbip_session_send(w->session, w->server) == USBIP_SESSION_BLOCKED)
		;
	assert_int_equal(recv(w->client, answer, sizeof(answer), 0), 48 + len);
	assert_int_equal(pdu_u32(answer + 4), seqnum);
	assert_int_equal(pdu_u32(answer + 20), 0);
}

static void set_shares(struct usb_memory *accounts, unsigned n, unsigned n_guests)
{
	struct usb_memory_share share = usb_memory_share(16, n_guests);

	memset(accounts, 0, n * sizeof(*accounts));
	for (unsigned i = 0; i < n; i++)
		usb_memory_set_share(&accounts[i], &share);
}

/*
 * A device that never answers, and a guest that asks it for more than the kernel has. Another
 * guest's keyboard, and its disk, go on; what the first guest asks for waits, and nothing fails.
 */
static void idle_urbs(void **state)
{
	struct script_usbfs usbfs = {.limit = 16 * MIB};
	struct usb_memory accounts[2];
	struct world greedy, keyboard, disk;
	unsigned aloft;

	set_shares(accounts, 2, 2);
	open_world(&greedy, &accounts[0], &usbfs);
	open_world(&keyboard, &accounts[1], &usbfs);
	open_world(&disk, &accounts[1], &usbfs);
	for (uint32_t n = 1; n <= 300; n++)
		ask(&greedy, n, 2, 65536);
	aloft = greedy.script.n_aloft;
	assert_in_range(aloft, 64, 128);
	for (uint32_t n = 1; n <= 100; n++) {
		ask(&keyboard, n, 1, 8);
		finish(&keyboard, n, 8);
		ask(&disk, n, 2, 65536);
		finish(&disk, n, 65536);
	}
	assert_int_equal(usbfs.n_refused, 0);
	/* However long it takes. */
	retry(&greedy, 10 * RETRIES);
	assert_false(usbip_session_has_answers(greedy.session));
	assert_int_equal(greedy.script.n_aloft, aloft);
	for (uint32_t n = 1; n <= 300; n++)
		finish(&greedy, n, 4);
	assert_int_equal(usbfs.used, 0);
	assert_int_equal(accounts[0].large | accounts[0].small | accounts[1].large, 0);
	close_world(&greedy);
	close_world(&keyboard);
	close_world(&disk);
}

/* All guests but one hold all that they can get, large and small. */
static void everybody_greedy(void **state)
{
	enum { GUESTS = 10, DEVICES = 4 };
	struct script_usbfs usbfs = {.limit = 16 * MIB};
	struct usb_memory accounts[GUESTS];
	static struct world greedy[GUESTS - 1][DEVICES];
	struct world keyboard;

	set_shares(accounts, GUESTS, GUESTS);
	for (unsigned g = 0; g < GUESTS - 1; g++) {
		for (unsigned i = 0; i < DEVICES; i++) {
			struct world *w = &greedy[g][i];

			open_world(w, &accounts[g], &usbfs);
			for (uint32_t n = 1; n <= 900; n++)
				ask(w, n, n % 2 ? 2 : 1, n < 20 ? 65536 : USB_MEMORY_SMALL);
		}
	}
	assert_int_equal(usbfs.n_refused, 0);
	open_world(&keyboard, &accounts[GUESTS - 1], &usbfs);
	for (uint32_t n = 1; n <= 16; n++)
		ask(&keyboard, n, 1, 64);
	assert_int_equal(keyboard.script.n_aloft, 16);
	/* And a disk's read as Linux asks for it. */
	ask(&keyboard, 17, 2, MIB);
	assert_int_equal(keyboard.script.n_aloft, 17);
	assert_int_equal(usbfs.n_refused, 0);
	for (unsigned g = 0; g < GUESTS - 1; g++) {
		for (unsigned i = 0; i < DEVICES; i++)
			close_world(&greedy[g][i]);
		assert_int_equal(accounts[g].large | accounts[g].small, 0);
	}
	close_world(&keyboard);
	assert_int_equal(usbfs.used, 0);
}

/* One device's URBs wait for another device of the same guest. */
static void of_another_device(void **state)
{
	struct usb_memory_share share = {.large = 2 * (65536 + 4 * 512), .small = 0};
	struct usb_memory account = {0};
	struct world first, second;
	uint64_t seen;

	usb_memory_set_share(&account, &share);
	open_world(&first, &account, NULL);
	open_world(&second, &account, NULL);
	ask(&first, 1, 2, 65536);
	ask(&first, 2, 2, 65536);
	ask(&second, 1, 2, 65536);
	ask(&second, 2, 1, 8);
	assert_int_equal(second.script.n_aloft, 0);
	assert_false(usbip_session_starved(second.session));
	seen = account.n_freed;
	finish(&first, 1, 4);
	assert_int_not_equal(account.n_freed, seen);
	second.script.carrier.parked = true;
	assert_false(usbip_session_room(second.session));
	second.script.carrier.parked = false;
	assert_true(usbip_session_room(second.session));
	assert_string_equal(second.script.log, "+1");
	/* A larger share is room, too. */
	share.small = 4096;
	usb_memory_set_share(&account, &share);
	assert_true(usbip_session_room(second.session));
	assert_string_equal(second.script.log, "+1 +2");
	close_world(&first);
	close_world(&second);
}

/* Behind one that waits for its share, those of its endpoint keep their order, and what waits for
 * the kernel beside it is given up when its time has come. */
static void beside_the_kernel(void **state)
{
	struct script_usbfs usbfs = {.limit = 70000};
	struct usb_memory_share share = {.large = 65536 + 4 * 512, .small = 3 * 4096};
	struct usb_memory account = {0};
	struct world w;

	usb_memory_set_share(&account, &share);
	open_world(&w, &account, &usbfs);
	ask(&w, 1, 2, 65536);
	ask(&w, 2, 2, 65536);
	ask(&w, 3, 2, 8);
	assert_false(usbip_session_starved(w.session));
	ask(&w, 4, 1, 4096);
	assert_true(usbip_session_starved(w.session));
	retry(&w, RETRIES);
	assert_false(usbip_session_starved(w.session));
	assert_true(usbip_session_has_answers(w.session));
	assert_string_equal(w.script.log, "+1");
	assert_true(script_complete(&w.script, 1, 0, 4, false));
	script_settle(&w.script);
	assert_string_equal(w.script.log, "+1 +2 +3");
	close_world(&w);
	assert_int_equal(usbfs.used | account.large | account.small, 0);
}

/* What is more than the whole share is told after a while, as what is more than the kernel has. */
static void too_large(void **state)
{
	struct usb_memory_share share = {.large = 65536, .small = 0};
	struct usb_memory account = {0};
	struct world w;

	usb_memory_set_share(&account, &share);
	open_world(&w, &account, NULL);
	ask(&w, 1, 2, 65536);
	assert_true(usbip_session_starved(w.session));
	retry(&w, RETRIES);
	assert_true(usbip_session_has_answers(w.session));
	assert_int_equal(w.script.n_aloft, 0);
	close_world(&w);
}

/* The shares of all, and what is left for others, are what the kernel has. */
static void shares(void **state)
{
	static const unsigned limits[] = {16, 17, 64, 1000, 2047};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		uint64_t limit = (uint64_t)limits[i] * MIB;

		for (unsigned n = 0; n <= 32; n++) {
			struct usb_memory_share s = usb_memory_share(limits[i], n);
			uint64_t all = n * (s.large + s.small);

			assert_true(s.large > MIB + 64 * 512 && s.small >= 64 * (512 + 1024));
			if (limits[i] >= usb_memory_wanted_mb(n))
				assert_true(all <= limit - limit / 16);
		}
	}
	assert_int_equal(usb_memory_wanted_mb(0), 16);
	assert_int_equal(usb_memory_wanted_mb(10), 16);
	assert_int_equal(usb_memory_wanted_mb(11), 17);
	assert_true(usb_memory_share(0, 3).large == UINT64_MAX);
	assert_true(usb_memory_share(0, 3).small == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_urbs),	     cmocka_unit_test(everybody_greedy),
		cmocka_unit_test(of_another_device), cmocka_unit_test(beside_the_kernel),
		cmocka_unit_test(too_large),	     cmocka_unit_test(shares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
