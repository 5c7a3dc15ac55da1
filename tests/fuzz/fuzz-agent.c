/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's end of a guest's agent (daemon/guests/agent.c): connections, their lines, the card, the
 * routes and the time, in any order.
 *
 * What the daemon says is read as an agent would, and holds: the first line is WELCOME or REFUSED,
 * each line has its form, and only what was told is taken back.
 *
 * Input: steps, each a byte that says what, and what it needs.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol/agent_wire.h"
#include "base/cursor.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/guests/agent.h"
#include "daemon/routing/exports.h"
#include "daemon/guests/guest_side.h"
#include "daemon/guests/guests.h"
#include "daemon/routing/route.h"
#include "daemon/guests/virt_link.h"
#include "tests/fuzz/clock-loop.h"
#include "tests/fuzz/promise.h"

#define GUESTS	4 /* connections of the guest's at a time */
#define DEVICES 3
#define STEPS	300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ------------------------------------------------------------- the routes, and the other way */

static struct core core;
static struct devices all_devices = {.core = &core};
static struct vms all_vms = {.core = &core};
static struct guests all_guests = {.core = &core, .devices = &all_devices, .vms = &all_vms};
static struct guest_side side = {.guests = &all_guests};
static struct vm vm;
static struct device devices[DEVICES];
static struct route_status routes_[DEVICES];
static bool exported[DEVICES];

static struct route_status *route_of(const struct device *device)
{
	return &routes_[device - devices];
}

struct route_status route_status(const struct device *device)
{
	return *route_of(device);
}

bool route_exported_to(const struct device *device, const struct vm *to)
{
	promise(to == &vm);
	return exported[device - devices];
}

void route_guest_says(struct device *device, const struct vm *of _unused_, bool has,
		      const char *text)
{
	promise(exported[device - devices]);
	promise(!has || route_of(device)->session || route_of(device)->importing);
	promise(strlen(text) < AGENT_TEXT_SIZE);
}

void route_guest_lets_go(struct device *device, const struct vm *of _unused_, const char *boot)
{
	promise(exported[device - devices] && *boot && strlen(boot) < AGENT_BOOT_SIZE);
	route_of(device)->session = false;
	snprintf(route_of(device)->let_go.vm, sizeof(route_of(device)->let_go.vm), "vm1");
	snprintf(route_of(device)->let_go.boot, sizeof(route_of(device)->let_go.boot), "%s", boot);
}

void route_give_again(struct device *device)
{
	memset(&route_of(device)->let_go, 0, sizeof(route_of(device)->let_go));
	guest_side_changed(&vm);
}

static bool not_there(const struct vm *of _unused_)
{
	return false;
}

const struct guest_way virt_way = {.there = not_there};

void virt_forget(struct vm *of _unused_)
{
}

/* ------------------------------------------------------------- a guest */

/* What one connection was told. */
struct guest {
	int sock;
	uint32_t number;
	bool ended; /* by word */
	bool welcome, refused;
	bool has[DEVICES];
	bool let_go[DEVICES]; /* it has said so; perhaps of what it had not heard of yet */
	char line[AGENT_LINE_MAX];
	size_t len;
};

static struct guest guests[GUESTS];

static int device_of(const char *busid)
{
	for (int i = 0; i < DEVICES; i++)
		if (!strcmp(devices[i].busid, busid))
			return i;
	return -1;
}

static void told(struct guest *g, const char *line, size_t len)
{
	struct agent_message m;
	int i;

	promise(agent_wire_parse(line, len, false, &m) == 0 && !g->refused);
	promise(g->welcome || m.verb == AGENT_WELCOME || m.verb == AGENT_REFUSED);
	i = m.verb == AGENT_ROUTE || m.verb == AGENT_UNROUTE ? device_of(m.busid) : -1;
	switch (m.verb) {
	case AGENT_WELCOME:
		g->welcome = true;
		memset(g->has, 0, sizeof(g->has)); /* all anew */
		break;
	case AGENT_REFUSED:
		promise(!g->welcome);
		g->refused = true;
		break;
	case AGENT_ROUTE:
		promise(i >= 0 && (!g->has[i] || g->let_go[i]));
		g->has[i] = true;
		break;
	case AGENT_UNROUTE:
		promise(i >= 0);
		g->has[i] = false;
		break;
	default:
		break;
	}
}

static void hear(struct guest *g)
{
	char c;
	ssize_t n;

	while (g->sock >= 0 && (n = recv(g->sock, &c, 1, MSG_DONTWAIT)) >= 0) {
		/* Without that its connection would wait for another daemon. */
		promise(n || g->ended);
		if (!n)
			break;
		if (c != '\n') {
			promise(g->len < sizeof(g->line));
			g->line[g->len++] = c;
			continue;
		}
		told(g, g->line, g->len);
		g->len = 0;
	}
}

static void hang_up(struct guest *g)
{
	fd_close(g->sock);
	*g = (struct guest){.sock = -1};
}

/* Who has connected, and waits to be let in. */
static struct guest *dialing;

void guest_agent(struct guest *guest, uint32_t number, int sock)
{
	promise(!guest && dialing);
	hang_up(dialing);
	dialing->sock = sock;
	dialing->number = number;
	dialing = NULL;
}

void guest_agent_end(struct guest *guest, uint32_t number)
{
	promise(!guest && number);
	for (unsigned i = 0; i < GUESTS; i++)
		if (guests[i].sock >= 0 && guests[i].number == number) {
			promise(!guests[i].ended);
			guests[i].ended = true;
		}
}

void exports_tell(struct routing *routing _unused_, struct vm *of)
{
}

/* One is let in after the other. */
static void dial(struct guest *g)
{
	if (dialing)
		return;
	dialing = g;
	agent_asked(&vm);
}

/* Let go of by hand: the agent has forgotten it. */
static void forget(struct guest *g, const char *line)
{
	char busid[AGENT_NAME_SIZE];

	if (sscanf(line, "LETGO %31s", busid) == 1 && device_of(busid) >= 0)
		g->let_go[device_of(busid)] = true;
}

static void say(struct guest *g, struct cursor *c, uint8_t which)
{
	static const char *const lines[] = {
		"HELLO 1 1.2.3 hs=8 ss=4\n",
		"HELLO 1 1.2.3 hs=8 ss=4 boot=0123456789abcdef\n",
		"HELLO 1 1.2.4 hs=0 ss=0 boot=fedcba9876543210\n",
		"HELLO 2 9.9.9 hs=8 ss=4\n",
		"PORTS hs=7 ss=3\n",
		"TRYING 1-1\n",
		"HAS 1-1 0\n",
		"HAS 2-1.4 5\n",
		"FAILED 1-1 no free port\n",
		"GONE 2-1.4\n",
		"LETGO 1-1\n",
		"LETGO 2-1.4\n",
		"SLEEP\n",
		"AWAKE\n",
		"PING\n",
		"PONG\n",
		"WONDERS what is for dinner\n",
		"GONE 9-9\n",
	};
	size_t n;

	if (g->sock < 0)
		return;
	if (which < 0xe0) {
		const char *line = lines[which % ARRAY_SIZE(lines)];
		/* What was said before is heard first, as by an agent that forgets. */
		hear(g);
		forget(g, line);
		(void)!send(g->sock, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
		return;
	}
	if (which >= 0xf8) {
		/* Too many of them. */
		for (unsigned i = 0; i < 600; i++)
			(void)!send(g->sock, "AWAKE\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT);
		return;
	}
	n = min_t(size_t, which & 0x1f, c->left);
	(void)!send(g->sock, cursor_take(c, n), n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* ------------------------------------------------------------- the whole */

static void routes(uint8_t what)
{
	struct device *d = &devices[what % DEVICES];

	switch (what / DEVICES % 6) {
	case 0:
		exported[what % DEVICES] = !exported[what % DEVICES];
		route_of(d)->session = route_of(d)->importing = false;
		break;
	case 1:
		route_of(d)->session = exported[what % DEVICES] && !route_of(d)->session;
		break;
	case 2:
		route_of(d)->importing = exported[what % DEVICES] && !route_of(d)->importing;
		break;
	case 3: /* another one in its place */
		d->info.devnum++;
		exported[what % DEVICES] = route_of(d)->session = route_of(d)->importing = false;
		break;
	case 4:
		route_give_again(d);
		break;
	default:
		break;
	}
	guest_side_changed(&vm);
}

static void card(bool up)
{
	vm.connected = up;
	/* As vm_card.c: its sessions end with it. */
	for (unsigned i = 0; i < DEVICES && !up; i++)
		routes_[i].session = routes_[i].importing = false;
	agents_card(&vm, up);
}

static void on_exports_changed(void *ctx _unused_, void *of)
{
	guest_side_tell(of);
}

static const struct event_listener listeners[] = {{EVENT_EXPORTS_CHANGED, on_exports_changed}};

static void begin(void)
{
	static const char *const busids[DEVICES] = {"1-1", "2-1.4", "3-2"};

	log_init(LOG_LEVEL_ERR);
	clock_begin();
	events_init(&core.events, listeners, ARRAY_SIZE(listeners), NULL);
	memset(devices, 0, sizeof(devices));
	memset(routes_, 0, sizeof(routes_));
	memset(exported, 0, sizeof(exported));
	side = (struct guest_side){.guests = &all_guests};
	list_init(&all_devices.all);
	vm = (struct vm){.vms = &all_vms, .side = &side, .name = "vm1", .connected = true};
	for (unsigned i = 0; i < DEVICES; i++) {
		struct device *d = &devices[i];

		d->devices = &all_devices;
		d->busid = (char *)busids[i];
		d->info =
			(struct usb_device_info){.busnum = i + 1, .devnum = 10, .speed = i ? 5 : 2};
		snprintf(d->tag, sizeof(d->tag), "device%u", i);
		snprintf(d->alias, sizeof(d->alias), "%s", i ? "" : "keyboard");
		list_append(&all_devices.all, &d->link);
	}
	for (unsigned i = 0; i < GUESTS; i++)
		guests[i].sock = -1;
	agents_ready(&vm);
}

static void end(void)
{
	for (unsigned i = 0; i < GUESTS; i++)
		hang_up(&guests[i]);
	agents_close(&vm, "the daemon ends");
	guest_side_stop(&vm);
	dialing = NULL;
	/* Nobody is left whom the loop could call. */
	promise(!clock_waits());
}

static void step(struct cursor *c, uint8_t what)
{
	struct guest *g = &guests[what >> 3 & 3];
	const uint8_t *p;

	switch (what & 7) {
	case 0:
		dial(g);
		break;
	case 1:
		hang_up(g);
		break;
	case 2:
		card(what & 0x20);
		break;
	case 3: /* up to 5 s and a bit, or an hour */
		clock_pass(what & 0x80 ? 3600ull * 1000000000 : (what >> 3) * 400000000ull);
		break;
	case 4:
		p = cursor_take(c, 1);
		if (p)
			routes(*p);
		break;
	default:
		p = cursor_take(c, 1);
		if (p)
			say(g, c, *p);
		break;
	}
	/* Some come in one turn. */
	if (what & 0x40)
		return;
	clock_turn();
	events_tell(&core.events);
	clock_turn();
	for (unsigned i = 0; i < GUESTS; i++)
		hear(&guests[i]);
	promise(!vm.asleep || side.agents.there);
	promise(!guest_side_takes(&vm) || guest_side_version(&vm));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	const uint8_t *what;

	begin();
	for (unsigned n = 0; n < STEPS && (what = cursor_take(&c, 1)); n++)
		step(&c, *what);
	end();
	return 0;
}
