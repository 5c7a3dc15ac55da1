/* SPDX-License-Identifier: BSD-2-Clause */
/* A daemon without a kernel below it; see route-fixture.h. */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "daemon/claims.h"
#include "daemon/guest_side.h"
#include "daemon/host_inputs.h"
#include "daemon/old_sessions.h"
#include "daemon/policy_files.h"
#include "daemon/state_file.h"
#include "daemon/usbip_client.h"
#include "policy/usb_class.h"

/* ------------------------------------------------------------- the broker */

enum { OPENS, REBINDS, PORTS, KINDS };

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

int broker_port_add(struct broker *broker _unused_, struct broker_request *req,
		    const struct broker_port *port _unused_, broker_done done)
{
	return ask(PORTS, req, done);
}

int broker_hang_up(struct broker *broker _unused_, struct broker_request *req _unused_,
		   const struct broker_call *call _unused_, broker_done done _unused_)
{
	return -ENOSYS;
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
	close(config->tap);
	guest->vm = ctx;
	guest->events = events;
	guest->ctx = ctx;
	list_append(&guests, &guest->link);
	*ret_guest = guest;
	return 0;
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
	list_remove(&guest->link);
	free(guest);
	return NULL;
}

void guest_set_hotkeys(struct guest *guest, const struct hid_chords *hotkeys)
{
	assert_non_null(guest);
	assert_non_null(hotkeys);
}

unsigned threads(void)
{
	unsigned n = 0;

	list_for_each(it, &guests)
		n++;
	return n;
}

struct guest_device *guest_device_new(const char *name _unused_,
				      const struct usbip_device_info *info _unused_, int fd,
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

void guest_import(struct guest *guest, struct guest_device *gd, int sock,
		  const struct usbip_op *op _unused_)
{
	assert_ptr_equal(gd->in, guest);
	n_imports++;
	close(sock);
}

/* ------------------------------------------------------------- the others */

void guest_side_changed(struct vm *vm)
{
	assert_non_null(vm);
}

void guest_side_stop(struct vm *vm)
{
	assert_non_null(vm);
}

bool guest_side_takes(const struct vm *vm)
{
	return vm->agents.there != NULL;
}

void agents_card(struct vm *vm _unused_, bool up _unused_)
{
}

void agents_close(struct vm *vm _unused_, const char *why _unused_)
{
}

void agent_accept(void *ctx _unused_, int res _unused_)
{
}

void usbip_client_accept(void *ctx _unused_, int res _unused_)
{
}

void usbip_clients_close(struct vm *vm _unused_)
{
}

void daemon_vm_started(struct daemon *daemon)
{
	daemon->vms_starting--;
	if (daemon->ready)
		routes_review(daemon);
}

void daemon_stop(struct daemon *daemon _unused_, int exit_status _unused_)
{
	fail_msg("the daemon ended");
}

void daemon_maybe_done(struct daemon *daemon _unused_)
{
}

char *daemon_path(char *buf, size_t size, const char *folder, const char *name)
{
	snprintf(buf, size, "%s/%s", folder, name);
	return buf;
}

static struct fixture *the_fixture;

static bool types(const struct device *d)
{
	return d->classes >> USB_CLASS_HID_KEYBOARD & 1;
}

int host_keyboards_left(const char *const *leaving, size_t n)
{
	int left = the_fixture->other_keyboards;

	list_for_each(it, &the_fixture->daemon.devices) {
		const struct device *d = list_entry(it, struct device, link);
		bool leaves = d->route.ours || !types(d);

		for (size_t i = 0; i < n; i++)
			leaves = leaves || !strcmp(leaving[i], d->syspath);
		left += !leaves;
	}
	return left;
}

bool host_is_last_keyboard(const struct device *device)
{
	const char *path = device->syspath;

	return types(device) && !device->route.ours && host_keyboards_left(&path, 1) == 0;
}

/* ------------------------------------------------------------- what happens, in words */

struct guest_device *thread_of(const struct device *d)
{
	return d->route.gd;
}

/* The thread that has it; NULL: none. */
struct guest *guest_of(const struct device *d)
{
	return d->route.gd ? d->route.gd->in : NULL;
}

bool asks_open(const struct device *d)
{
	return is_asked(OPENS, &d->route.req);
}

bool asks_rebind(const struct device *d)
{
	return is_asked(REBINDS, &d->route.req);
}

/* For a test that answers in words of its own. */
struct broker_request *open_asked(struct device *d)
{
	assert_true(forget_asked(OPENS, &d->route.req));
	return &d->route.req;
}

void node_opens(struct device *d, int r)
{
	struct broker_request *req = open_asked(d);
	int fds[BROKER_FDS] = {-1, -1, -1};

	if (r == 0)
		fds[0] = dup(0);
	req->done(req, r, fds, r < 0 ? "opening its usbfs node" : "");
}

void drivers_probe(struct device *d, int r)
{
	int fds[BROKER_FDS] = {-1, -1, -1};

	assert_true(forget_asked(REBINDS, &d->route.req));
	d->route.req.done(&d->route.req, r, fds, r < 0 ? "probing" : "");
}

void claimed(struct device *d, int r, const char *reason)
{
	struct guest_device *gd = thread_of(d);

	assert_non_null(gd);
	assert_non_null(gd->in);
	gd->opened = r == 0;
	gd->events->opened(gd->ctx, r, reason);
}

void taken(struct device *d)
{
	struct guest_device *gd = thread_of(d);
	bool closed = gd->close_it || !gd->opened;

	assert_true(gd->taking);
	if (d->route.session)
		gd->events->session_ended(gd->ctx, 0, "");
	gd->taking = gd->opened = false;
	gd->in = NULL;
	gd->events->taken(gd->ctx, closed, 0, "");
}

/* What a device's thread has of it is gone with the thread. */
void drop(struct guest_device *gd)
{
	gd->in = NULL;
	guest_device_free(gd);
}

void imports(struct device *d, struct vm *vm)
{
	struct usbip_op op = {.kind = USBIP_OP_IMPORT};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(route_import(d, vm, pair[0], &op), 0);
	close(pair[1]);
	thread_of(d)->events->imported(d, 0);
}

static bool step(struct device *d)
{
	const struct guest_device *gd = thread_of(d);

	if (asks_open(d))
		node_opens(d, 0);
	else if (asks_rebind(d))
		drivers_probe(d, 0);
	else if (gd && gd->taking)
		taken(d);
	else if (gd && gd->in && !gd->opened)
		claimed(d, 0, NULL);
	else
		return false;
	return true;
}

/* All goes well, until nothing is under way any more. */
void settle(struct fixture *f)
{
	bool moved;
	unsigned n = 0;

	do {
		moved = false;
		list_for_each(it, &f->daemon.devices)
			moved = step(list_entry(it, struct device, link)) || moved;
		if (++n > 100)
			fail_msg("it never comes to rest");
	} while (moved);
}

void vm_is(struct vm *vm, bool connected)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 0x77, 0, 1};

	vm->guest->events->link(vm->guest->ctx, connected, mac);
}

/* The thread of a VM that was told to end does. Return: whether there was one. */
bool vm_ends(struct fixture *f, const char *name)
{
	list_for_each(it, &f->daemon.leaving) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (strcmp(vm->name, name) || !vm->guest->told_to_end)
			continue;
		vm->guest->events->ended(vm->guest->ctx);
		return true;
	}
	return false;
}

/* The broker makes all ports that it was asked for. */
void ports_made(struct fixture *f _unused_)
{
	for (unsigned i = 0; i < ASKED_MAX; i++) {
		struct broker_request *req = asked[PORTS][i];
		int fds[BROKER_FDS];

		if (!req)
			continue;
		asked[PORTS][i] = NULL;
		for (unsigned n = 0; n < BROKER_FDS; n++)
			fds[n] = eventfd(0, EFD_CLOEXEC);
		req->done(req, 0, fds, "");
	}
}

struct device *plug_at(struct fixture *f, const char *busid, uint16_t product, const char *serial,
		       usb_class_set classes)
{
	struct device *d = calloc(1, sizeof(*d));

	list_init(&d->link);
	d->daemon = &f->daemon;
	assert_true(asprintf(&d->syspath, "/sys/devices/%s", busid) > 0);
	d->busid = strdup(busid);
	assert_true(asprintf(&d->stable_port, "0000:00:14.0/usb2:%s", strchr(busid, '-') + 1) > 0);
	d->serial = serial ? strdup(serial) : NULL;
	d->id_vendor = 0x046d;
	d->id_product = product;
	d->classes = classes;
	d->busnum = 1;
	d->devnum = f->devnum;
	d->route.session_dup = -1;
	device_name_anew(d);
	list_append(&f->daemon.devices, &d->link);
	route_added(d);
	return d;
}

/* The keyboard. */
struct device *plug(struct fixture *f, const char *serial)
{
	f->keyboard = plug_at(f, "1-1", 0xc31c, serial,
			      1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD);
	return f->keyboard;
}

static void device_drop(struct device *d)
{
	free(d->syspath);
	free(d->busid);
	free(d->stable_port);
	free(d->serial);
	free(d);
}

void unplug(struct device *d)
{
	list_remove(&d->link);
	route_removed(d);
	device_drop(d);
}

/* ------------------------------------------------------------- commands */

void on_done(void *ctx, const struct route_result *result)
{
	struct fixture *f = ctx;

	f->answers++;
	f->outcome = result->outcome;
	snprintf(f->text, sizeof(f->text), "%s", result->text);
	f->n_subjects = result->n_subjects;
	f->times = result->times;
}

/* @what: as a person says it; NULL where the command is about no device. */
void say_with(struct fixture *f, struct route_ask ask, const char *what)
{
	struct route_subject subjects[ROUTE_SUBJECTS_MAX];
	const char *expected;

	if (what)
		assert_int_equal(
			subjects_resolve(&f->daemon, what, subjects, &ask.n_subjects, &expected),
			0);
	ask.subjects = subjects;
	snprintf(ask.who, sizeof(ask.who), "the test");
	f->answers = 0;
	route_command(&f->daemon, &ask, on_done, f, NULL);
}

void say(struct fixture *f, enum route_verb verb, const char *what, struct vm *vm)
{
	say_with(f, (struct route_ask){.verb = verb, .vm = vm}, what);
}

void assert_answer(struct fixture *f, enum route_outcome outcome, const char *text)
{
	assert_int_equal(f->answers, 1);
	if (!strstr(f->text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, f->text);
	assert_int_equal(f->outcome, outcome);
	f->answers = 0;
}

void assert_stands(const struct device *d, const char *wanted, const char *actual,
		   const char *state)
{
	char reason[256];

	assert_string_equal(route_wanted(d).target, wanted);
	assert_string_equal(route_actual(d), actual);
	assert_string_equal(route_state_name(d, reason, sizeof(reason)), state);
}

void assert_by(const struct device *d, const char *wanted, const char *by)
{
	assert_string_equal(route_wanted(d).target, wanted);
	assert_string_equal(route_wanted(d).by, by);
}

/* ------------------------------------------------------------- files */

static char *path_of(const struct fixture *f, const char *folder, const char *name, char buf[160])
{
	snprintf(buf, 160, "%s/%s%s%s", f->folder, folder, *folder ? "/" : "", name);
	return buf;
}

static void write_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Of the runtime directory, else of the state directory. */
bool file_says(const struct fixture *f, const char *name, const char *words)
{
	_cleanup_free_ char *text = NULL;
	char path[160];
	size_t len;

	if (state_file_read(path_of(f, "run", name, path), &text, &len) < 0 &&
	    state_file_read(path_of(f, "state", name, path), &text, &len) < 0)
		return false;
	return strstr(text, words);
}

static void write_config(struct fixture *f, const char *config, const char *rules)
{
	_cleanup_free_ char *text = NULL;
	char path[160];

	assert_true(asprintf(&text,
			     "[daemon]\nruntime-directory = %s/run\nstate-directory = %s/state\n"
			     "socket-group = root\n%s",
			     f->folder, f->folder, config) > 0);
	write_file(f->config_path, text);
	if (rules)
		write_file(path_of(f, "policy.d", "test.rules", path), rules);
	else
		unlink(path_of(f, "policy.d", "test.rules", path));
}

/* As at SIGHUP. */
int reload_with(struct fixture *f, const char *config, const char *rules)
{
	struct config_errors errors = {0};
	int r;

	write_config(f, config, rules);
	r = daemon_reload(&f->daemon, &errors);
	if (r == 0)
		assert_null(errors.text);
	config_errors_deinit(&errors);
	return r;
}

/* ------------------------------------------------------------- the whole */

const char usual_config[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\n"
			    "[device keyboard]\nmatch = id=046d:c31c\n"
			    "[device mouse]\nmatch = id=046d:c077\n"
			    "[device private]\nmatch = id=046d:2222\nvms = vm1\n"
			    "[group desk]\ndevices = keyboard mouse\n"
			    "[group secret]\ndevices = keyboard private\n";

static void begin(struct fixture *f)
{
	struct config_errors errors = {0};
	struct daemon *d = &f->daemon;

	d->config_file = f->config_path;
	if (config_load(&d->config, f->config_path, true, &errors) ||
	    policy_files_load(&d->policy, f->config_path, d->config, &errors))
		fail_msg("%s", errors.text);
	assert_int_equal(loop_new(&d->loop), 0);
	list_init(&d->devices);
	list_init(&d->vms);
	list_init(&d->calls);
	list_init(&d->claimed_before);
	list_init(&d->old_sessions);
	list_init(&d->leaving);
	wish_book_init(&d->book);
	wish_book_init(&d->undo);
	assert_int_equal(routes_load(d), 0);
	assert_int_equal(vms_make_sockets(d), 0);
	assert_int_equal(vms_start(d), 0);
	f->vm1 = vm_find(d, "vm1");
	f->vm2 = vm_find(d, "vm2");
	f->vm3 = vm_find(d, "vm3");
}

/* All VMs' threads stand, and devices were looked for: the daemon is ready. */
void started(struct fixture *f)
{
	ports_made(f);
	f->daemon.ready = true;
	routes_started(&f->daemon);
}

/* The daemon's end: of what it did nothing is given back. */
static void end(struct fixture *f)
{
	struct daemon *d = &f->daemon;
	struct list *l;

	d->stopping = true;
	routes_stop(d);
	loop_cancel(d->loop, &d->wish_end);
	vms_stop(d);
	while ((l = list_pop(&d->devices))) {
		struct device *device = list_entry(l, struct device, link);
		struct guest_device *gd = thread_of(device);

		route_removed(device);
		device_drop(device);
		if (gd)
			drop(gd);
	}
	assert_int_equal(n_devices, 0);
	list_for_each(it, &d->vms)
		list_entry(it, struct vm, link)->guest =
			guest_free(list_entry(it, struct vm, link)->guest);
	list_for_each(it, &d->leaving)
		list_entry(it, struct vm, link)->guest =
			guest_free(list_entry(it, struct vm, link)->guest);
	vms_free(d);
	assert_int_equal(threads(), 0);
	wish_book_deinit(&d->book);
	wish_book_deinit(&d->undo);
	claims_clear(&d->claimed_before);
	old_sessions_free(d);
	loop_free(d->loop);
	policy_free(d->policy);
	config_free(d->config);
	memset(asked, 0, sizeof(asked));
	*d = (struct daemon){0};
}

/* Another start of the daemon, with the files of the last one, before it is ready. */
void begin_anew(struct fixture *f)
{
	end(f);
	f->keyboard = NULL;
	begin(f);
}

struct fixture *start_with(const char *config, const char *rules)
{
	static const char *const folders[] = {"run", "state", "policy.d"};
	struct fixture *f = calloc(1, sizeof(*f));

	the_fixture = f;
	f->other_keyboards = 1;
	f->devnum = 2;
	snprintf(f->folder, sizeof(f->folder), "/tmp/test-route-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		char path[160];

		assert_int_equal(mkdir(path_of(f, "", folders[i], path), 0700), 0);
	}
	snprintf(f->config_path, sizeof(f->config_path), "%s/usbrouted.conf", f->folder);
	write_config(f, config, rules);
	begin(f);
	started(f);
	return f;
}

int set_up(void **state)
{
	struct fixture *f = start_with(usual_config, NULL);

	vm_is(f->vm1, true);
	vm_is(f->vm2, true);
	plug(f, "S1");
	*state = f;
	return 0;
}

int tear_down(void **state)
{
	static const char *const files[] = {
		"run/wishes",	   "run/claimed",	  "run/sessions",
		"state/names",	   "state/assignments",	  "state/reserved",
		"state/addresses", "policy.d/test.rules", "usbrouted.conf",
	};
	static const char *const folders[] = {"run", "state", "policy.d", ""};
	struct fixture *f = *state;
	char path[160];

	end(f);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlink(path_of(f, "", files[i], path));
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (rmdir(path_of(f, "", folders[i], path)) < 0)
			fail_msg("%s is not empty", path);
	free(f);
	the_fixture = NULL;
	return 0;
}
