/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's end of a guest's agent, over TCP on this machine: who may greet, what it is told
 * when, what of what it says is believed, and what a hostile one costs. Routes are the test's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/agent_wire.h"
#include "base/fd.h"
#include "daemon/guests/agent.h"
#include "daemon/routing/exports.h"
#include "daemon/guests/guest_side.h"
#include "daemon/guests/guests.h"
#include "daemon/routing/route.h"
#include "daemon/guests/virt_link.h"

#define PATIENCE_NS (20ull * 1000000000)

struct fixture {
	struct core core;
	struct vms vms;
	struct guests guests;
	struct guest_side side;
	struct devices all_devices;
	struct vm vm;
	struct device devices[2];
	struct route_status routes[2];
	bool exported[2];
	char said[256]; /* the last thing that was told to the routes */
	uint32_t last;	/* connection's number */
	uint32_t ends;	/* a bit a number: ended by word */
};

static struct fixture *now;

bool route_exported_to(const struct device *device, const struct vm *vm)
{
	assert_ptr_equal(vm, &now->vm);
	return now->exported[device - now->devices];
}

static struct route_status *route_of(const struct device *device)
{
	return &now->routes[device - now->devices];
}

struct route_status route_status(const struct device *device)
{
	return *route_of(device);
}

void route_guest_says(struct device *device, const struct vm *vm _unused_, bool has,
		      const char *text)
{
	snprintf(now->said, sizeof(now->said), "%s %s %s", device->busid, has ? "has" : "not",
		 text);
}

void route_guest_lets_go(struct device *device, const struct vm *vm _unused_, const char *boot)
{
	snprintf(now->said, sizeof(now->said), "%s let go in %s", device->busid, boot);
	snprintf(route_of(device)->let_go.vm, sizeof(route_of(device)->let_go.vm), "vm1");
	snprintf(route_of(device)->let_go.boot, sizeof(route_of(device)->let_go.boot), "%s", boot);
}

void route_give_again(struct device *device)
{
	memset(&route_of(device)->let_go, 0, sizeof(route_of(device)->let_go));
	guest_side_changed(&now->vm);
}

/* The other way is there for nobody. */
static bool not_there(const struct vm *vm)
{
	return false;
}

const struct guest_way virt_way = {.there = not_there};

void virt_forget(struct vm *vm)
{
}

/* ------------------------------------------------------------- a guest */

static int given = -1;

/* What the guest's thread would relay to. */
void guest_agent(struct guest *guest _unused_, uint32_t number, int sock)
{
	assert_int_equal(given, -1);
	assert_true(number > now->last && number < 32);
	now->last = number;
	given = sock;
}

void guest_agent_end(struct guest *guest _unused_, uint32_t number)
{
	assert_true(number && number <= now->last && !(now->ends & 1u << number));
	now->ends |= 1u << number;
}

void exports_tell(struct routing *routing _unused_, struct vm *vm _unused_)
{
}

static void turn(struct fixture *f, bool wait)
{
	loop_turn(f->core.loop, wait && !events_pending(&f->core.events));
	events_tell(&f->core.events);
}

/* Somebody in the guest connects, and is let in. */
static int dial(struct fixture *f)
{
	uint64_t limit = loop_now() + PATIENCE_NS;
	int sock;

	agent_asked(&f->vm);
	while (given < 0 && loop_now() < limit) {
		turn(f, false);
		poll(NULL, 0, 1);
	}
	sock = given;
	given = -1;
	assert_true(sock >= 0);
	return sock;
}

static void say(int sock, const char *text)
{
	assert_int_equal(send(sock, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Let the loop work until a whole line has come; "" at the end of the connection. */
static const char *hears(struct fixture *f, int sock)
{
	static char line[AGENT_LINE_MAX];
	uint64_t limit = loop_now() + PATIENCE_NS;
	size_t n = 0;

	while (loop_now() < limit) {
		char c;
		ssize_t got = recv(sock, &c, 1, MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno == ECONNRESET))
			return "";
		if (got < 0) {
			turn(f, false);
			poll(NULL, 0, 1);
			continue;
		}
		if (c == '\n') {
			line[n] = 0;
			return line;
		}
		line[n++] = c;
		assert_true(n < sizeof(line));
	}
	fail_msg("nothing came");
	return NULL;
}

#define assert_hears(f, sock, text) assert_string_equal(hears(f, sock), text)

static void assert_quiet(struct fixture *f, int sock)
{
	say(sock, "PING\n");
	assert_hears(f, sock, "PONG");
}

static void assert_said(struct fixture *f, int sock, const char *line, const char *said)
{
	f->said[0] = 0;
	say(sock, line);
	assert_quiet(f, sock);
	assert_string_equal(f->said, said);
}

static int greeted(struct fixture *f)
{
	int sock = dial(f);

	say(sock, "HELLO 1 1.2.3 hs=8 ss=4\n");
	assert_int_equal(strncmp(hears(f, sock), "WELCOME 1 vm1 ", 14), 0);
	return sock;
}

static void changed(struct fixture *f, unsigned i, bool exported)
{
	f->exported[i] = exported;
	guest_side_changed(&f->vm);
}

static void on_exports_changed(void *ctx _unused_, void *vm)
{
	guest_side_tell(vm);
}

static const struct event_listener listeners[] = {{EVENT_EXPORTS_CHANGED, on_exports_changed}};

static int set_up(void **state)
{
	struct fixture *f = now = calloc(1, sizeof(*f));

	events_init(&f->core.events, listeners, ARRAY_SIZE(listeners), NULL);

	f->all_devices.core = &f->core;
	f->vms.core = &f->core;
	f->guests = (struct guests){.core = &f->core, .devices = &f->all_devices, .vms = &f->vms};
	f->side.guests = &f->guests;
	assert_int_equal(loop_new(&f->core.loop), 0);
	list_init(&f->all_devices.all);
	f->vm = (struct vm){.vms = &f->vms, .side = &f->side, .name = "vm1", .connected = true};
	for (unsigned i = 0; i < 2; i++) {
		struct device *d = &f->devices[i];

		d->devices = &f->all_devices;
		d->busid = strdup(i ? "2-1.4" : "1-1");
		d->info =
			(struct usb_device_info){.busnum = i + 1, .devnum = 10, .speed = i ? 5 : 2};
		snprintf(d->tag, sizeof(d->tag), "device%u", i);
		list_append(&f->all_devices.all, &d->link);
	}
	memcpy(f->devices[0].alias, "keyboard", 9);
	memcpy(f->devices[1].alias, "stick", 6);
	agents_ready(&f->vm);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	agents_close(&f->vm, "the test ends");
	guest_side_stop(&f->vm);
	turn(f, false);
	for (unsigned i = 0; i < 2; i++)
		free(f->devices[i].busid);
	loop_free(f->core.loop);
	free(f);
	return 0;
}

/* ------------------------------------------------------------- what it is told */

static void test_told_all(void **state)
{
	struct fixture *f = *state;
	int sock;

	assert_false(guest_side_takes(&f->vm));
	assert_null(guest_side_version(&f->vm));
	assert_int_equal(guest_side_ports(&f->vm).high, -1);
	f->exported[0] = f->exported[1] = true;
	f->routes[1].session = true;
	sock = greeted(f);
	assert_hears(f, sock, "ROUTE 1-1 full 0001000a free keyboard");
	assert_hears(f, sock, "ROUTE 2-1.4 super 0002000a held stick");
	assert_hears(f, sock, "SYNCED");
	assert_true(guest_side_takes(&f->vm));
	assert_string_equal(guest_side_version(&f->vm), "1.2.3");
	assert_int_equal(guest_side_ports(&f->vm).high, 8);
	assert_int_equal(guest_side_ports(&f->vm).super, 4);
	say(sock, "PORTS hs=7 ss=3\n");
	assert_quiet(f, sock);
	assert_int_equal(guest_side_ports(&f->vm).high, 7);
	close(sock);
}

static void test_told_the_difference(void **state)
{
	struct fixture *f = *state;
	int sock = greeted(f);

	assert_hears(f, sock, "SYNCED");
	changed(f, 0, true);
	changed(f, 1, true);
	assert_hears(f, sock, "ROUTE 1-1 full 0001000a free keyboard");
	assert_hears(f, sock, "ROUTE 2-1.4 super 0002000a free stick");
	/* A session that comes or goes is no difference: the guest sees it first. */
	f->routes[0].session = true;
	guest_side_changed(&f->vm);
	assert_quiet(f, sock);
	changed(f, 0, false);
	assert_hears(f, sock, "UNROUTE 1-1");
	/* There and back again before the loop's next turn: nothing has happened. */
	changed(f, 1, false);
	changed(f, 1, true);
	assert_quiet(f, sock);
	/* Plugged out and in again at the same port: another device. */
	f->devices[1].info.devnum = 11;
	guest_side_changed(&f->vm);
	assert_hears(f, sock, "UNROUTE 2-1.4");
	assert_hears(f, sock, "ROUTE 2-1.4 super 0002000b free stick");
	close(sock);
}

/* It stays where it is in the guest, and is called otherwise there. */
static void test_told_another_name(void **state)
{
	struct fixture *f = *state;
	int sock;

	f->exported[0] = true;
	f->routes[0].session = true;
	sock = greeted(f);
	assert_hears(f, sock, "ROUTE 1-1 full 0001000a held keyboard");
	assert_hears(f, sock, "SYNCED");
	snprintf(f->devices[0].alias, sizeof(f->devices[0].alias), "board");
	guest_side_changed(&f->vm);
	assert_hears(f, sock, "ROUTE 1-1 full 0001000a held board");
	guest_side_changed(&f->vm);
	assert_quiet(f, sock);
	f->devices[0].alias[0] = 0;
	guest_side_changed(&f->vm);
	assert_int_equal(strncmp(hears(f, sock), "ROUTE 1-1 full 0001000a held", 28), 0);
	assert_quiet(f, sock);
	close(sock);
}

/* ------------------------------------------------------------- what it says */

static void test_says(void **state)
{
	struct fixture *f = *state;
	int sock;

	f->exported[0] = true;
	sock = greeted(f);
	assert_hears(f, sock, "ROUTE 1-1 full 0001000a free keyboard");
	assert_hears(f, sock, "SYNCED");
	assert_said(f, sock, "TRYING 1-1\n", "1-1 not ");
	assert_said(f, sock, "FAILED 1-1 no free port\n", "1-1 not no free port");
	/* Without a connection it can't have it. */
	assert_said(f, sock, "HAS 1-1 0\n", "");
	f->routes[0].session = true;
	assert_said(f, sock, "HAS 1-1 0\n", "1-1 has ");
	assert_said(f, sock, "GONE 1-1\n", "1-1 not the guest's kernel has let go of it");
	/* Of what is not routed to it, it may say what it likes. */
	assert_said(f, sock, "HAS 2-1.4 0\nHAS 9-9 1\nGONE 2-1.4\n", "");
	assert_said(f, sock, "WONDERS what is for dinner\n", "");
	close(sock);
}

static int greeted_in(struct fixture *f, const char *boot)
{
	int sock = dial(f);
	char hello[80];

	snprintf(hello, sizeof(hello), "HELLO 1 1.2.3 hs=8 ss=4 boot=%s\n", boot);
	say(sock, hello);
	/* What an agent may rely on. */
	assert_non_null(strstr(hears(f, sock), " let-go"));
	return sock;
}

/* What was detached there is not told to that boot of the guest again, until it is given again. */
static void test_lets_go(void **state)
{
	struct fixture *f = *state;
	int sock, again;

	f->exported[0] = f->exported[1] = true;
	sock = greeted_in(f, "0123456789abcdef");
	hears(f, sock);
	hears(f, sock);
	assert_hears(f, sock, "SYNCED");
	assert_said(f, sock, "LETGO 1-1\n", "1-1 let go in 0123456789abcdef");
	/* Once; and of what it was told alone. */
	assert_said(f, sock, "LETGO 1-1\nLETGO 9-9\n", "");
	guest_side_changed(&f->vm);
	assert_quiet(f, sock);
	/* Not to a newer agent either. */
	again = greeted_in(f, "0123456789abcdef");
	assert_hears(f, again, "ROUTE 2-1.4 super 0002000a free stick");
	assert_hears(f, again, "SYNCED");
	close(sock);
	/* Imported by hand: the agent has to know. */
	f->routes[0].session = true;
	guest_side_changed(&f->vm);
	assert_hears(f, again, "ROUTE 1-1 full 0001000a held keyboard");
	assert_said(f, again, "LETGO 1-1\n", "1-1 let go in 0123456789abcdef");
	f->routes[0].session = false;
	route_give_again(&f->devices[0]);
	assert_hears(f, again, "ROUTE 1-1 full 0001000a free keyboard");
	assert_said(f, again, "LETGO 1-1\n", "1-1 let go in 0123456789abcdef");
	/* The guest was started anew: it is a new one. */
	sock = greeted_in(f, "fedcba9876543210");
	assert_hears(f, sock, "ROUTE 1-1 full 0001000a free keyboard");
	hears(f, sock);
	assert_hears(f, sock, "SYNCED");
	close(again);
	close(sock);
	/* An agent that does not say which boot it is in has no right to that word. */
	sock = greeted(f);
	hears(f, sock);
	hears(f, sock);
	assert_hears(f, sock, "SYNCED");
	assert_said(f, sock, "LETGO 1-1\n", "");
	close(sock);
}

static void test_sleeps(void **state)
{
	struct fixture *f = *state;
	int sock = greeted(f);

	assert_hears(f, sock, "SYNCED");
	assert_false(f->vm.asleep);
	say(sock, "SLEEP\n");
	assert_quiet(f, sock);
	assert_true(f->vm.asleep);
	assert_true(guest_side_takes(&f->vm));
	/* The card of a guest that sleeps is down; that changes nothing. */
	f->vm.connected = false;
	agents_card(&f->vm, false);
	assert_true(f->vm.asleep);
	f->vm.connected = true;
	agents_card(&f->vm, true);
	assert_hears(f, sock, "PING");
	say(sock, "AWAKE\n");
	assert_int_equal(strncmp(hears(f, sock), "WELCOME 1 vm1 ", 14), 0);
	assert_hears(f, sock, "SYNCED");
	assert_false(f->vm.asleep);
	/* Who has gone does not sleep. */
	say(sock, "SLEEP\n");
	assert_quiet(f, sock);
	assert_true(f->vm.asleep);
	close(sock);
	while (f->side.agents.there)
		turn(f, false);
	assert_false(f->vm.asleep);
}

/* ------------------------------------------------------------- who may */

static void test_newer_takes_over(void **state)
{
	struct fixture *f = *state;
	int first = greeted(f), second, third;

	assert_hears(f, first, "SYNCED");
	/* One that says nothing takes nobody's place but that of another such. */
	second = dial(f);
	third = dial(f);
	assert_hears(f, second, "");
	assert_quiet(f, first);
	say(third, "HELLO 1 2.0 hs=1 ss=0\n");
	assert_hears(f, first, "");
	assert_int_equal(strncmp(hears(f, third), "WELCOME 1 vm1 ", 14), 0);
	assert_hears(f, third, "SYNCED");
	assert_string_equal(guest_side_version(&f->vm), "2.0");
	close(first);
	close(second);
	close(third);
	guest_side_changed(&f->vm);
	while (guest_side_takes(&f->vm))
		turn(f, true);
}

static void test_other_protocol(void **state)
{
	struct fixture *f = *state;
	int sock = dial(f);

	say(sock, "HELLO 2 9.0 hs=8 ss=8 and=more\n");
	assert_int_equal(strncmp(hears(f, sock), "REFUSED usbrouted ", 18), 0);
	assert_hears(f, sock, "");
	assert_false(guest_side_takes(&f->vm));
	close(sock);
}

static void test_card_down(void **state)
{
	struct fixture *f = *state;
	int sock = greeted(f), other = dial(f);

	assert_hears(f, sock, "SYNCED");
	changed(f, 0, true);
	assert_hears(f, sock, "ROUTE 1-1 full 0001000a free keyboard");
	f->vm.connected = f->exported[0] = false;
	agents_card(&f->vm, false);
	guest_side_changed(&f->vm);
	assert_false(guest_side_takes(&f->vm));
	assert_hears(f, other, "");
	/* Up again, it is asked; until it has answered it is not there. */
	f->vm.connected = f->exported[0] = true;
	agents_card(&f->vm, true);
	guest_side_changed(&f->vm);
	assert_hears(f, sock, "PING");
	assert_false(guest_side_takes(&f->vm));
	/* Its sessions have ended meanwhile: all is told anew. */
	say(sock, "PONG\n");
	assert_int_equal(strncmp(hears(f, sock), "WELCOME 1 vm1 ", 14), 0);
	assert_hears(f, sock, "ROUTE 1-1 full 0001000a free keyboard");
	assert_hears(f, sock, "SYNCED");
	assert_true(guest_side_takes(&f->vm));
	close(other);
	close(sock);
}

static void test_ends(void **state)
{
	struct fixture *f = *state;
	int sock;

	f->exported[0] = true;
	sock = greeted(f);
	assert_hears(f, sock, "ROUTE 1-1 full 0001000a free keyboard");
	assert_hears(f, sock, "SYNCED");
	close(sock);
	while (guest_side_takes(&f->vm))
		turn(f, true);
	/* Who waits for the guest to take it hears of that. */
	assert_string_equal(f->said, "1-1 not ");
}

/* A list that is told too early is too short: what is not in it would be let go of. */
static void test_let_in_when_all_is_known(void **state)
{
	struct fixture *f = *state;
	int sock;

	f->side.agents.ready = false;
	agent_asked(&f->vm);
	for (unsigned i = 0; i < 10; i++)
		turn(f, false);
	assert_int_equal(given, -1);
	f->exported[0] = f->routes[0].session = true;
	agents_ready(&f->vm);
	assert_true(given >= 0);
	sock = given;
	given = -1;
	agents_ready(&f->vm);
	assert_int_equal(given, -1);
	say(sock, "HELLO 1 1.2.3 hs=8 ss=4\n");
	hears(f, sock);
	assert_hears(f, sock, "ROUTE 1-1 full 0001000a held keyboard");
	assert_hears(f, sock, "SYNCED");
	close(sock);
}

/* What this daemon closes is over; what the end of this daemon closes is the next one's. */
static void test_ended_by_word(void **state)
{
	struct fixture *f = *state;
	int refused = dial(f), silent, first, second;

	say(refused, "HELLO 2 9.0 hs=8 ss=8\n");
	while (*hears(f, refused))
		;
	assert_int_equal(f->ends, 1u << 1);
	silent = dial(f);
	first = greeted(f); /* takes the place of one that says nothing */
	assert_int_equal(f->ends, 1u << 1 | 1u << 2);
	second = greeted(f);
	assert_int_equal(f->ends, 1u << 1 | 1u << 2 | 1u << 3);
	assert_int_equal(f->last, 4);
	f->core.stopping = true;
	agents_close(&f->vm, "the daemon ends");
	assert_false(guest_side_takes(&f->vm));
	assert_int_equal(f->ends, 1u << 1 | 1u << 2 | 1u << 3);
	agent_asked(&f->vm);
	assert_int_equal(given, -1);
	close(refused);
	close(silent);
	close(first);
	close(second);
}

/* ------------------------------------------------------------- hostile ones */

static void test_hostile(void **state)
{
	static const char *const lines[] = {
		"GET / HTTP/1.1\r\n",
		"PING\n", /* before HELLO */
		"HELLO 1 x hs=8\n",
		"ROUTE 1-1 high 00010002 free -\n", /* not a guest's to say */
		"HELLO 1 1 hs=1 ss=1\nHELLO 1 1 hs=1 ss=1\n",
		"HELLO 1 1 hs=1 ss=1\nHAS ../x 1\n",
		"HELLO 1 1 hs=1 ss=1\nHAS 1-1 \x01\n",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		int sock = dial(f);

		say(sock, lines[i]);
		while (*hears(f, sock))
			;
		close(sock);
	}
	assert_false(guest_side_takes(&f->vm));
}

static void test_endless_line(void **state)
{
	char line[AGENT_LINE_MAX + 100];
	struct fixture *f = *state;
	int sock = dial(f);

	memset(line, 'H', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	say(sock, line);
	assert_hears(f, sock, "");
	close(sock);
}

static void test_too_much(void **state)
{
	struct fixture *f = *state;
	int sock = greeted(f);
	unsigned n = 0;

	assert_hears(f, sock, "SYNCED");
	for (; n < 5000; n++) {
		/* Faster than it is paid for. */
		if (send(sock, "PORTS hs=1 ss=1\n", 16, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
			continue;
		if (errno != EAGAIN)
			break;
		turn(f, false);
	}
	assert_true(n > 512 && n < 5000);
	while (*hears(f, sock))
		;
	assert_false(guest_side_takes(&f->vm));
	close(sock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_told_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_told_the_difference, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_told_another_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_says, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lets_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sleeps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_newer_takes_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_protocol, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_card_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_let_in_when_all_is_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ended_by_word, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hostile, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_endless_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_much, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
