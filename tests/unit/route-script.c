/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The broker, the guests' threads and agents, and the host's keyboards, as scripts; see
 * route-fixture.h.
 */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/devices/host_inputs.h"
#include "daemon/vms/vm_process.h"
#include "policy/usb_class.h"

/* ------------------------------------------------------------- the broker */

enum { OPENS, REBINDS, RESETS, OFFS, ONS, TAPS, LISTENS, KINDS };

#define ASKED_MAX 64

static struct broker_request *asked[KINDS][ASKED_MAX];

static int ask(unsigned kind, struct broker_request *req, broker_done done)
{
	for (unsigned i = 0; i < ASKED_MAX; i++) {
		assert_ptr_not_equal(asked[kind][i], req);
		if (asked[kind][i])
			continue;
		req->done = done;
		asked[kind][i] = req;
		return 0;
	}
	return -ENOSPC;
}

struct hung_up hung_up;

static bool is_asked(unsigned kind, const struct broker_request *req)
{
	for (unsigned i = 0; i < ASKED_MAX; i++)
		if (asked[kind][i] == req)
			return true;
	return false;
}

static bool forget_asked(unsigned kind, const struct broker_request *req)
{
	for (unsigned i = 0; i < ASKED_MAX; i++)
		if (asked[kind][i] == req) {
			asked[kind][i] = NULL;
			return true;
		}
	return false;
}

int broker_open(struct broker *broker _unused_, struct broker_request *req,
		const struct broker_device *device _unused_, broker_done done)
{
	return ask(OPENS, req, done);
}

int broker_rebind(struct broker *broker _unused_, struct broker_request *req,
		  const struct broker_device *device _unused_, broker_done done)
{
	return ask(REBINDS, req, done);
}

bool was_forced;

int broker_reset(struct broker *broker _unused_, struct broker_request *req,
		 const struct broker_device *device _unused_, bool force, broker_done done)
{
	was_forced = force;
	return ask(RESETS, req, done);
}

int broker_power_off(struct broker *broker _unused_, struct broker_request *req,
		     const struct broker_device *device, bool force, broker_done done)
{
	assert_true(device->devnum > 0);
	was_forced = force;
	return ask(OFFS, req, done);
}

int broker_power_on(struct broker *broker _unused_, struct broker_request *req, const char *busid,
		    broker_done done)
{
	assert_true(*busid);
	return ask(ONS, req, done);
}

int broker_tap(struct broker *broker _unused_, struct broker_request *req, const char *name,
	       broker_done done)
{
	assert_true(*name);
	return ask(TAPS, req, done);
}

bool asks_tap(void)
{
	return asked[TAPS][0];
}

/* The broker answers the only one. */
void tap_opens(int r, const char *text)
{
	struct broker_request *req = asked[TAPS][0];
	int fds[] = {r < 0 ? -1 : eventfd(0, EFD_CLOEXEC), -1};

	assert_non_null(req);
	asked[TAPS][0] = NULL;
	req->done(req, r, fds, text);
}

int broker_listen(struct broker *broker _unused_, struct broker_request *req,
		  const struct ip_endpoint *at, broker_done done)
{
	assert_true(at->port);
	return ask(LISTENS, req, done);
}

unsigned asks_to_listen(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ASKED_MAX; i++)
		n += asked[LISTENS][i] != NULL;
	return n;
}

/* The broker answers the first. */
void listens(int r, const char *text)
{
	int fds[] = {r < 0 ? -1 : eventfd(0, EFD_CLOEXEC), -1};
	struct broker_request *req = NULL;

	for (unsigned i = 0; i < ASKED_MAX && !req; i++)
		req = take_ptr(asked[LISTENS][i]);
	assert_non_null(req);
	req->done(req, r, fds, text);
}

bool device_stands_reset(const struct device *device)
{
	return device->id_product != 0x0bad;
}

void broker_forget(struct broker *broker _unused_, struct broker_request *req)
{
	for (unsigned kind = 0; kind < KINDS; kind++)
		forget_asked(kind, req);
}

/* ------------------------------------------------------------- the guests' threads */

static struct list guests = LIST_INIT(guests);
static unsigned n_devices;
unsigned n_imports;

int guest_start(struct guest **ret_guest, const struct guest_config *config,
		struct loop *control _unused_, const struct guest_events *events, void *ctx)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	close(config->listener);
	guest->vm = ctx;
	guest->events = events;
	guest->ctx = ctx;
	memcpy(guest->mac, net_mac_key(config->mac) ? config->mac : config->mac_before, 6);
	list_append(&guests, &guest->link);
	snprintf(guest->name, sizeof(guest->name), "%s", config->name);
	*ret_guest = guest;
	return 0;
}

/* The process of a network's uplink, or NULL. */
struct guest *uplink_of(const char *network)
{
	size_t n = strlen(network);

	list_for_each(it, &guests) {
		struct guest *guest = list_entry(it, struct guest, link);

		if (!strncmp(guest->name, network, n) && !strcmp(guest->name + n, ".uplink"))
			return guest;
	}
	return NULL;
}

/* A process stands at once; what it says after that is said by the test. */
int starter_run(struct starter *starter _unused_, struct starter_request *req, const char *name,
		starter_done done)
{
	assert_true(*name);
	done(req, 0, eventfd(0, EFD_CLOEXEC), -1, "");
	return 0;
}

void starter_forget(struct starter_request *req _unused_)
{
}

int starter_kill(struct starter *starter _unused_, const char *name _unused_, int process _unused_)
{
	return 0;
}

void guest_connect(struct guest *guest, int line, int process _unused_,
		   const struct guest_process_events *events)
{
	close(line);
	guest->process = events;
	guest->gone = false;
	events->stands(guest->ctx);
}

/* It has ended at once. */
void guest_disconnect(struct guest *guest, const char *why)
{
	if (!guest->gone) {
		guest->gone = true;
		guest->process->lost(guest->ctx, why);
	}
}

void guest_set_next(struct guest *guest _unused_, int listener)
{
	close(listener);
}

void guest_stop(struct guest *guest)
{
	assert_false(guest->told_to_end);
	guest->told_to_end = true;
}

struct guest *guest_free(struct guest *guest)
{
	if (!guest)
		return NULL;
	for (unsigned i = 0; i < NET_PORTS; i++)
		net_link_close(&guest->links[i]);
	list_remove(&guest->link);
	free(guest);
	return NULL;
}

void guest_peer_set(struct guest *guest, const struct net_peer *peer)
{
	assert_int_not_equal(peer->number, guest->vm->number);
	guest->peers[peer->number] = *peer;
	guest->known |= 1ull << peer->number;
}

void guest_peer_gone(struct guest *guest, unsigned number)
{
	net_link_close(&guest->links[number]);
	guest->linked &= ~(1ull << number);
	guest->known &= ~(1ull << number);
}

void guest_link(struct guest *guest, unsigned number, unsigned side, int memfd, int wake_mine,
		int wake_theirs)
{
	assert_true(guest->known >> number & 1);
	net_link_close(&guest->links[number]);
	assert_int_equal(net_link_open(&guest->links[number], memfd, side), 0);
	guest->linked |= 1ull << number;
	close(memfd);
	close(wake_mine);
	close(wake_theirs);
}

void guest_mac_granted(struct guest *guest, const uint8_t mac[6], bool granted)
{
	guest->denied = !granted;
	if (granted)
		memcpy(guest->mac, mac, 6);
	else if (!memcmp(guest->mac, mac, 6))
		memset(guest->mac, 0, 6);
}

bool guest_knows_nets(const struct guest *guest _unused_)
{
	return true;
}

void guest_net(struct guest *guest, unsigned net, const struct guest_net *card, int listener)
{
	struct guest_on_net *on = &guest->nets[net];

	assert_true(listener >= 0);
	assert_false(on->told);
	*on = (struct guest_on_net){.told = true, .any_mac = card->any_mac};
	snprintf(on->name, sizeof(on->name), "%s", card->name);
	memcpy(on->mac, card->mac, 6);
}

void guest_net_gone(struct guest *guest, unsigned net)
{
	guest->nets[net] = (struct guest_on_net){};
}

void guest_nets_told(struct guest *guest)
{
	guest->nets_told = true;
}

void guest_net_peer(struct guest *guest, unsigned net, const struct net_peer *peer)
{
	guest->nets[net].peers[peer->number] = *peer;
	guest->nets[net].known |= 1ull << peer->number;
}

void guest_net_peer_gone(struct guest *guest, unsigned net, unsigned number)
{
	guest->nets[net].known &= ~(1ull << number);
	guest->nets[net].linked &= ~(1ull << number);
}

void guest_net_link(struct guest *guest, unsigned net, unsigned number, unsigned side _unused_,
		    int memfd, int wake_mine, int wake_theirs)
{
	assert_true(guest->nets[net].known >> number & 1);
	guest->nets[net].linked |= 1ull << number;
	close(memfd);
	close(wake_mine);
	close(wake_theirs);
}

void guest_net_mac(struct guest *guest, unsigned net, const uint8_t mac[6], bool granted)
{
	if (granted)
		memcpy(guest->nets[net].mac, mac, 6);
	else
		guest->denied = true;
}

void guest_counts(struct guest *guest _unused_, int memory)
{
	assert_true(memory >= 0);
	close(memory);
}

void guest_tap(struct guest *guest, int tap)
{
	assert_true(tap >= 0);
	close(tap);
	guest->n_taps++;
}

void guest_listen(struct guest *guest, int sock)
{
	assert_true(guest->vm->is_lan && sock >= 0);
	guest->n_sockets++;
}

void guest_deaf(struct guest *guest, unsigned n_kept)
{
	assert_true(guest->vm->is_lan && guest->n_sockets >= n_kept);
	guest->n_sockets = n_kept;
}

void guest_may(struct guest *guest, struct guest_device *gd, const struct ip_prefix *to, size_t n)
{
	assert_true(guest->vm->is_lan);
	assert_ptr_equal(gd->in, guest);
	assert_true(n <= ARRAY_SIZE(gd->to));
	memcpy(gd->to, to, n * sizeof(*to));
	gd->n_to = n;
}

void guest_set_hotkeys(struct guest *guest, const struct hid_chords *hotkeys)
{
	assert_non_null(guest);
	assert_non_null(hotkeys);
}

void guest_set_memory(struct guest *guest, const struct usb_memory_share *share)
{
	assert_non_null(guest);
	assert_true(share->large && share->small);
}

unsigned threads(void)
{
	unsigned n = 0;

	list_for_each(it, &guests)
		n++;
	return n;
}

struct guest_device *guest_device_new(const char *name _unused_,
				      const struct usb_device_info *info _unused_, int fd,
				      struct loop *control _unused_,
				      const struct guest_device_events *events, void *ctx)
{
	struct guest_device *gd = calloc(1, sizeof(*gd));

	close(fd);
	gd->events = events;
	gd->ctx = ctx;
	n_devices++;
	return gd;
}

struct guest_device *guest_device_free(struct guest_device *gd)
{
	assert_null(gd->in);
	n_devices--;
	free(gd);
	return NULL;
}

void guest_device_forget(struct guest_device *gd)
{
	gd->events = NULL;
}

uint32_t guest_device_number(const struct guest_device *gd _unused_)
{
	return 7;
}

/* What the last daemon's process tells that it holds. */
struct guest_held left_held;
bool left_there;

struct guest_device *guest_device_take_up(struct guest *guest, uint32_t number,
					  const char *name _unused_,
					  const struct usb_device_info *info _unused_,
					  const struct guest_device_events *events, void *ctx,
					  struct guest_held *ret_held)
{
	struct guest_device *gd;

	if (!left_there || number != 7)
		return NULL;
	gd = calloc(1, sizeof(*gd));
	gd->events = events;
	gd->ctx = ctx;
	gd->in = guest;
	gd->opened = left_held.opened;
	gd->taking = gd->close_it = left_held.taking;
	gd->resetting = left_held.resetting;
	*ret_held = left_held;
	n_devices++;
	return gd;
}

void guest_take_rest(struct guest *guest _unused_)
{
}

void guest_give(struct guest *guest, struct guest_device *gd)
{
	assert_null(gd->in);
	assert_false(guest->told_to_end);
	gd->in = guest;
}

void guest_take(struct guest *guest, struct guest_device *gd, bool close_it)
{
	assert_ptr_equal(gd->in, guest);
	assert_false(gd->taking);
	gd->taking = true;
	gd->close_it = close_it;
}

void guest_reset(struct guest *guest, struct guest_device *gd)
{
	assert_ptr_equal(gd->in, guest);
	assert_true(gd->opened && !gd->resetting && !gd->taking);
	gd->resetting = true;
}

void guest_import(struct guest *guest, struct guest_device *gd, uint32_t client)
{
	assert_ptr_equal(gd->in, guest);
	assert_true(client >= 8);
	n_imports++;
}

/* ------------------------------------------------------------- the others */

/* Nobody in these guests asks, and no agent is there. */
void guest_refuse(struct guest *guest, uint32_t client, enum usbip_op_status status)
{
	if (!guest->vm->is_lan || status != USBIP_ST_NODEV)
		fail_msg("%s: client %u is refused: %d", guest->vm->name, client, status);
	guest->n_refused++;
}

void guest_probe(struct guest *guest, struct guest_device *gd _unused_, uint32_t client)
{
	if (!guest->vm->is_lan)
		fail_msg("%s: client %u has it probed", guest->vm->name, client);
	guest->n_probed++;
}

void guest_agent(struct guest *guest, uint32_t number, int sock _unused_)
{
	fail_msg("%s: agent %u is let in", guest->vm->name, number);
}

void guest_agent_end(struct guest *guest, uint32_t number)
{
	fail_msg("%s: agent %u is sent away", guest->vm->name, number);
}

void guest_export(struct guest *guest, struct guest_device *gd, bool exported)
{
	assert_ptr_equal(gd->in, guest);
	gd->exported = exported;
}

int guest_hang_up(struct guest *guest, const struct guest_peer *peer)
{
	hung_up.n++;
	hung_up.peer = *peer;
	hung_up.vm = guest->vm;
	return 0;
}

/* Whose daemon it is; for what is asked without saying whose. */
struct fixture *the_fixture;

static bool types(const struct device *d)
{
	return d->classes >> USB_CLASS_HID_KEYBOARD & 1;
}

static int keyboards_left(const struct devices *devices, const char *const *leaving, size_t n)
{
	int left = the_fixture->other_keyboards;

	list_for_each(it, &devices->all) {
		const struct device *d = list_entry(it, struct device, link);
		bool leaves = d->ours || !types(d);

		for (size_t i = 0; i < n; i++)
			leaves = leaves || !strcmp(leaving[i], d->syspath);
		left += !leaves;
	}
	return left;
}

unsigned n_keyboard_looks;

bool host_loses_keyboard(const struct devices *devices, const char *const *leaving, size_t n_before,
			 size_t n)
{
	n_keyboard_looks++;
	return keyboards_left(devices, leaving, n_before) > 0 &&
	       keyboards_left(devices, leaving, n) == 0;
}

bool host_is_last_keyboard(const struct device *device)
{
	const char *path = device->syspath;

	return host_loses_keyboard(device->devices, &path, 0, 1);
}

/* ------------------------------------------------------------- what happens, in words */

struct guest_device *thread_of(const struct device *d)
{
	turn_ends();
	return placement_first(d) ? placement_first(d)->gd : NULL;
}

/* The thread that has it; NULL: none. */
struct guest *guest_of(const struct device *d)
{
	turn_ends();
	return thread_of(d) ? thread_of(d)->in : NULL;
}

bool asks_open(const struct device *d)
{
	turn_ends();
	return is_asked(OPENS, &d->route->req);
}

bool asks_rebind(const struct device *d)
{
	turn_ends();
	return is_asked(REBINDS, &d->route->req);
}

bool asks_reset(const struct device *d)
{
	turn_ends();
	return is_asked(RESETS, &d->route->req);
}

bool asks_power(bool on)
{
	turn_ends();
	return asked[on ? ONS : OFFS][0];
}

/* For a test that answers in words of its own. */
struct broker_request *open_asked(struct device *d)
{
	turn_ends();
	assert_true(forget_asked(OPENS, &d->route->req));
	return &d->route->req;
}

void node_opens(struct device *d, int r)
{
	struct broker_request *req = open_asked(d);
	int fds[BROKER_FDS] = {-1, -1};

	if (r == 0)
		fds[0] = dup(0);
	req->done(req, r, fds, r < 0 ? "opening its usbfs node" : "");
	turn_ends();
}

void drivers_probe(struct device *d, int r)
{
	int fds[BROKER_FDS] = {-1, -1};

	assert_true(forget_asked(REBINDS, &d->route->req));
	d->route->req.done(&d->route->req, r, fds, r < 0 ? "probing" : "");
	turn_ends();
}

void broker_resets(struct device *d, int r, const char *text)
{
	int fds[BROKER_FDS] = {-1, -1};

	assert_true(forget_asked(RESETS, &d->route->req));
	d->route->req.done(&d->route->req, r, fds, text);
	turn_ends();
}

/* The only port that is being switched. */
void power_switched(bool on, int r, const char *text)
{
	struct broker_request *req = asked[on ? ONS : OFFS][0];
	int fds[BROKER_FDS] = {-1, -1};

	assert_non_null(req);
	asked[on ? ONS : OFFS][0] = NULL;
	req->done(req, r, fds, text);
	turn_ends();
}

bool told_to_reset(const struct device *d)
{
	turn_ends();
	return thread_of(d) && thread_of(d)->resetting;
}

void was_reset(struct device *d, int r, const char *reason)
{
	struct guest_device *gd = thread_of(d);

	assert_true(gd->resetting);
	gd->resetting = false;
	if (route_status(d).session)
		gd->events->session_ended(gd->ctx, r, reason);
	gd->events->was_reset(gd->ctx, r, reason);
	turn_ends();
}

void claimed(struct device *d, int r, const char *reason)
{
	struct guest_device *gd = thread_of(d);

	assert_non_null(gd);
	assert_non_null(gd->in);
	gd->opened = r == 0;
	gd->events->opened(gd->ctx, r, reason);
	turn_ends();
}

void taken(struct device *d)
{
	struct guest_device *gd = thread_of(d);
	bool closed = gd->close_it || !gd->opened;

	assert_true(gd->taking);
	if (route_status(d).session)
		gd->events->session_ended(gd->ctx, 0, "");
	gd->taking = gd->opened = false;
	gd->in = NULL;
	gd->events->taken(gd->ctx, closed, 0, "");
	turn_ends();
}

/* What a device's thread has of it is gone with the thread. */
void drop(struct guest_device *gd)
{
	gd->in = NULL;
	guest_device_free(gd);
}

/* No process is asked: what has gone through a device is what the test says. */
struct urb_stats script_stats;

bool guest_ask_stats(struct guest *guest _unused_, bool timed _unused_)
{
	return false;
}

bool guest_device_stats(const struct guest_device *gd, struct urb_stats *ret_stats)
{
	*ret_stats = script_stats;
	return gd->opened;
}

struct guest_memory guest_memory(const struct guest *guest _unused_)
{
	return (struct guest_memory){.charged = 4096, .share = 1 << 20};
}

void imports(struct device *d, struct vm *vm)
{
	struct guest_peer peer = {.address = {10, 77, 0, 11}, .port = 40000};

	assert_int_equal(route_import(d, vm, 8), 0);
	thread_of(d)->events->imported(thread_of(d)->ctx, 0, &peer);
	turn_ends();
}

void vm_is(struct vm *vm, bool connected)
{
	const uint8_t mac[6] = {0x52, 0x54, 0, 0x77, 0, (uint8_t)(vm->name[2] - '0')};
	struct guest_card card = {.up = connected};

	vm->guest->events->link(vm->guest->ctx, &card);
	if (connected)
		vm->guest->events->mac_wanted(vm->guest->ctx, mac);
	turn_ends();
}

/* The thread of a VM that was told to end does. Return: whether there was one. */
bool vm_ends(struct fixture *f, const char *name)
{
	list_for_each(it, &f->rooms.vms.leaving) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (strcmp(vm->name, name) || !vm->guest->told_to_end)
			continue;
		vm->guest->events->ended(vm->guest->ctx);
		turn_ends();
		return true;
	}
	return false;
}

/* What was asked and not answered comes to nobody, as at the daemon's end. */
void script_end(void)
{
	assert_int_equal(n_devices, 0);
	memset(asked, 0, sizeof(asked));
}
