/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes: each line of the contract's table of `attach`, what fails and what is taken back, with a
 * broker and guests' threads that do what the test says. Files are real, in a folder of the test's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "daemon/claims.h"
#include "daemon/daemon.h"
#include "daemon/host_inputs.h"
#include "daemon/guest_side.h"
#include "daemon/route.h"
#include "daemon/state_file.h"

/* ------------------------------------------------------------- the others, as scripts */

static struct broker_request *asked_open, *asked_rebind;

int broker_open(struct broker *broker, struct broker_request *req,
		const struct broker_device *device, broker_done done)
{
	assert_null(asked_open);
	req->done = done;
	asked_open = req;
	return 0;
}

int broker_rebind(struct broker *broker, struct broker_request *req,
		  const struct broker_device *device, broker_done done)
{
	assert_null(asked_rebind);
	req->done = done;
	asked_rebind = req;
	return 0;
}

int broker_hang_up(struct broker *broker, struct broker_request *req,
		   const struct broker_call *call, broker_done done)
{
	return -ENOSYS;
}

void broker_forget(struct broker *broker, struct broker_request *req)
{
	if (asked_open == req)
		asked_open = NULL;
	if (asked_rebind == req)
		asked_rebind = NULL;
}

struct guest {
	const char *name;
};

struct guest_device {
	const struct guest_device_events *events;
	void *ctx;
	struct guest *in;
	bool taking, close_it, opened;
};

static unsigned n_devices, n_imports;

struct guest_device *guest_device_new(const char *name, const struct usbip_device_info *info,
				      int fd, struct loop *control,
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
	gd->in = guest;
}

void guest_take(struct guest *guest, struct guest_device *gd, bool close_it)
{
	assert_ptr_equal(gd->in, guest);
	assert_false(gd->taking);
	gd->taking = true;
	gd->close_it = close_it;
}

void guest_import(struct guest *guest, struct guest_device *gd, int sock, const struct usbip_op *op)
{
	assert_ptr_equal(gd->in, guest);
	n_imports++;
	close(sock);
}

void guest_side_changed(struct vm *vm)
{
	assert_non_null(vm);
}

bool guest_side_takes(const struct vm *vm)
{
	return false;
}

/* How many keyboards the host has beside the one in the test. */
static int other_keyboards;

int host_keyboards_left(const char *const *leaving, size_t n)
{
	return other_keyboards + (n == 0);
}

bool host_is_last_keyboard(const struct device *device)
{
	return other_keyboards == 0;
}

void vm_maybe_gone(struct vm *vm)
{
}

/* ------------------------------------------------------------- what happens, in words */

struct fixture {
	struct daemon daemon;
	char folder[64];
	struct vm vm1, vm2;
	struct guest guest1, guest2;
	struct device *keyboard;
	struct route_call *call;
	unsigned answers;
	enum route_outcome outcome;
	char text[512];
	double ms;
};

static const char config_text[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\n"
				  "[device keyboard]\nmatch = id=046d:c31c\n"
				  "[device private]\nmatch = id=1111:2222\nvms = vm1\n";

static struct guest_device *thread_of(struct fixture *f)
{
	return f->keyboard->route.gd;
}

static void node_opens(struct fixture *f, int r)
{
	struct broker_request *req = asked_open;
	int fds[2] = {-1, -1};

	assert_non_null(req);
	asked_open = NULL;
	if (r == 0)
		fds[0] = dup(0);
	req->done(req, r, fds, r < 0 ? "opening its usbfs node" : "");
}

static void drivers_probe(struct fixture *f, int r)
{
	struct broker_request *req = asked_rebind;
	int fds[2] = {-1, -1};

	assert_non_null(req);
	asked_rebind = NULL;
	req->done(req, r, fds, r < 0 ? "probing" : "");
}

static void claimed(struct fixture *f, int r, const char *reason)
{
	struct guest_device *gd = thread_of(f);

	gd->opened = r == 0;
	gd->events->opened(gd->ctx, r, reason);
}

static void taken(struct fixture *f)
{
	struct guest_device *gd = thread_of(f);
	bool closed = gd->close_it || !gd->opened;

	assert_true(gd->taking);
	gd->taking = false;
	gd->in = NULL;
	gd->events->taken(gd->ctx, closed, 0, "");
}

static void imports(struct fixture *f, struct vm *vm)
{
	struct usbip_op op = {.kind = USBIP_OP_IMPORT};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(route_import(f->keyboard, vm, pair[0], &op), 0);
	close(pair[1]);
	thread_of(f)->events->imported(f->keyboard, 0);
}

static void on_done(void *ctx, const struct route_result *result)
{
	struct fixture *f = ctx;

	f->answers++;
	f->outcome = result->outcome;
	snprintf(f->text, sizeof(f->text), "%s", result->text);
	f->ms = result->times.total;
}

static void command(struct fixture *f, struct vm *vm, double wait)
{
	struct route_subject subject = {.device = f->keyboard, .alias = "keyboard"};
	struct route_ask ask = {.subjects = &subject, .n_subjects = 1, .vm = vm, .who = "the test"};

	if (wait >= 0) {
		ask.has_wait = true;
		ask.wait_seconds = wait;
	}
	f->answers = 0;
	route_command(&f->daemon, &ask, on_done, f, &f->call);
}

static void assert_answer(struct fixture *f, enum route_outcome outcome, const char *text)
{
	assert_int_equal(f->answers, 1);
	assert_int_equal(f->outcome, outcome);
	if (!strstr(f->text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, f->text);
	f->answers = 0;
}

static void assert_stands(struct fixture *f, const char *wanted, const char *actual,
			  const char *state)
{
	char reason[256];

	assert_string_equal(route_wanted(f->keyboard).target, wanted);
	assert_string_equal(route_actual(f->keyboard), actual);
	assert_string_equal(route_state_name(f->keyboard, reason, sizeof(reason)), state);
}

static struct device *plug(struct fixture *f, const char *serial)
{
	struct device *d = calloc(1, sizeof(*d));

	list_init(&d->link);
	d->daemon = &f->daemon;
	d->syspath = strdup("/sys/devices/x");
	d->busid = strdup("1-1");
	d->stable_port = strdup("0000:00:14.0/usb2:1");
	d->serial = serial ? strdup(serial) : NULL;
	d->id_vendor = 0x046d;
	d->id_product = 0xc31c;
	d->busnum = 1;
	d->devnum = 2;
	d->alias = config_find_device(f->daemon.config, "keyboard");
	snprintf(d->tag, sizeof(d->tag), "keyboard");
	d->route.session_dup = -1;
	list_append(&f->daemon.devices, &d->link);
	f->keyboard = d;
	route_added(d);
	return d;
}

static void unplug(struct fixture *f)
{
	struct device *d = f->keyboard;

	list_remove(&d->link);
	route_removed(d);
	free(d->syspath);
	free(d->busid);
	free(d->stable_port);
	free(d->serial);
	free(d);
	f->keyboard = NULL;
}

/* The keyboard in vm1, exported. */
static void in_vm1(struct fixture *f)
{
	command(f, &f->vm1, -1);
	node_opens(f, 0);
	claimed(f, 0, NULL);
	assert_answer(f, ROUTE_DONE,
		      "keyboard: host -> vm1\nin vm1, type: usbip attach -r "
		      "10.77.0.1 -b keyboard");
	assert_stands(f, "vm1", "vm1", "exported");
}

static void vm_is(struct fixture *f, struct vm *vm, bool connected)
{
	vm->connected = connected;
	route_vm_changed(vm);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct config_errors errors = {0};
	struct daemon *d = &f->daemon;

	snprintf(f->folder, sizeof(f->folder), "/tmp/test-route-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	assert_int_equal(
		config_parse(&d->config, "test", config_text, sizeof(config_text) - 1, &errors), 0);
	free(d->config->runtime_directory);
	d->config->runtime_directory = strdup(f->folder);
	free(d->config->state_directory);
	d->config->state_directory = strdup(f->folder);
	assert_int_equal(loop_new(&d->loop), 0);
	list_init(&d->devices);
	list_init(&d->vms);
	list_init(&d->calls);
	list_init(&d->claimed_before);
	list_init(&d->old_sessions);
	wish_book_init(&d->book);
	wish_book_init(&d->undo);
	list_init(&d->leaving);
	d->ready = true;
	f->vm1 = (struct vm){.daemon = d, .name = "vm1", .connected = true, .guest = &f->guest1};
	f->vm2 = (struct vm){.daemon = d, .name = "vm2", .connected = true, .guest = &f->guest2};
	list_append(&d->vms, &f->vm1.link);
	list_append(&d->vms, &f->vm2.link);
	plug(f, "S1");
	other_keyboards = 1;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	static const char *const files[] = {"wishes",	   "claimed",  "sessions",
					    "assignments", "reserved", "names"};

	if (f->keyboard) {
		struct guest_device *gd = thread_of(f);

		unplug(f);
		if (gd) {
			gd->in = NULL;
			guest_device_free(gd);
		}
	}
	assert_int_equal(n_devices, 0);
	asked_open = asked_rebind = NULL;
	route_call_cancel(f->call);
	wish_book_deinit(&f->daemon.book);
	wish_book_deinit(&f->daemon.undo);
	claims_clear(&f->daemon.claimed_before);
	loop_free(f->daemon.loop);
	config_free(f->daemon.config);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char path[128];

		unlink(daemon_path(path, sizeof(path), f->folder, files[i]));
	}
	rmdir(f->folder);
	free(f);
	return 0;
}

char *daemon_path(char *buf, size_t size, const char *folder, const char *name)
{
	snprintf(buf, size, "%s/%s", folder, name);
	return buf;
}

struct vm *vm_find(struct daemon *daemon, const char *name)
{
	list_for_each(it, &daemon->vms) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (!strcmp(vm->name, name))
			return vm;
	}
	return NULL;
}

static bool file_says(struct fixture *f, const char *name, const char *words)
{
	_cleanup_free_ char *text = NULL;
	char path[128];
	size_t len;

	if (state_file_read(daemon_path(path, sizeof(path), f->folder, name), &text, &len) < 0)
		return false;
	return strstr(text, words);
}

/* ------------------------------------------------------------- the table of attach */

static void attach_exports_and_tells_what_to_type(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	assert_true(file_says(f, "wishes", "vm1"));
	assert_true(file_says(f, "claimed", "1-1 1 2 046d c31c"));
	imports(f, &f->vm1);
	assert_stands(f, "vm1", "vm1", "attached");
}

static void attach_where_it_is_does_nothing(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	command(f, &f->vm1, -1);
	assert_answer(f, ROUTE_DONE, "keyboard: already routed to vm1");
	imports(f, &f->vm1);
	command(f, &f->vm1, -1);
	assert_answer(f, ROUTE_DONE, "keyboard: already in vm1");
	assert_false(thread_of(f)->taking);
}

static void attach_elsewhere_takes_it_there_and_gives_it_here(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f, &f->vm1);
	command(f, &f->vm2, -1);
	assert_stands(f, "vm2", "host", "draining");
	assert_int_equal(f->answers, 0);
	thread_of(f)->events->session_ended(f->keyboard, 0, "");
	taken(f); /* handed over claimed: neither opened nor closed anew */
	assert_ptr_equal(thread_of(f)->in, &f->guest2);
	assert_null(asked_open);
	claimed(f, 0, NULL);
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> vm2\nin vm2, type: ");
	assert_stands(f, "vm2", "vm2", "exported");
}

static void attach_to_a_vm_that_is_away_is_pending(void **state)
{
	struct fixture *f = *state;

	vm_is(f, &f->vm1, false);
	command(f, &f->vm1, -1);
	assert_answer(f, ROUTE_DONE, "pending: keyboard goes to vm1 when vm1 is connected");
	assert_stands(f, "vm1", "host", "pending");
	assert_null(asked_open); /* it stays with the host meanwhile */
	vm_is(f, &f->vm1, true);
	node_opens(f, 0);
	claimed(f, 0, NULL);
	assert_stands(f, "vm1", "vm1", "exported");
}

static void a_wait_ends_when_the_guest_has_it(void **state)
{
	struct fixture *f = *state;

	command(f, &f->vm1, 60);
	node_opens(f, 0);
	claimed(f, 0, NULL);
	assert_int_equal(f->answers, 0);
	imports(f, &f->vm1);
	assert_answer(f, ROUTE_DONE, "keyboard: host -> vm1");
	assert_true(f->ms >= 0);
}

static void a_wait_that_is_over_leaves_the_wish(void **state)
{
	struct fixture *f = *state;

	command(f, &f->vm1, 0.01);
	node_opens(f, 0);
	claimed(f, 0, NULL);
	while (!f->answers)
		loop_turn(f->daemon.loop, true);
	assert_answer(f, ROUTE_PENDING, "type: usbip attach");
	assert_stands(f, "vm1", "vm1", "exported");
}

static void no_wait_answers_at_once(void **state)
{
	struct fixture *f = *state;

	command(f, &f->vm1, 0);
	assert_answer(f, ROUTE_DONE, "pending: keyboard is on its way from host to vm1");
	node_opens(f, 0);
	claimed(f, 0, NULL);
	assert_stands(f, "vm1", "vm1", "exported");
}

static void an_alias_that_is_not_plugged_in_is_pending_and_comes(void **state)
{
	struct fixture *f = *state;

	unplug(f);
	command(f, &f->vm1, -1);
	assert_answer(f, ROUTE_DONE, "pending: keyboard is not plugged in");
	plug(f, "S1");
	node_opens(f, 0);
	claimed(f, 0, NULL);
	assert_stands(f, "vm1", "vm1", "exported");
}

static void vms_forbids_and_the_wish_is_not_stored(void **state)
{
	struct fixture *f = *state;

	f->keyboard->alias = config_find_device(f->daemon.config, "private");
	command(f, &f->vm2, -1);
	assert_answer(f, ROUTE_DENIED, "[device private] vms");
	assert_stands(f, "host", "host", "present");
	assert_false(file_says(f, "wishes", "vm2"));
}

static void claimed_by_another_is_busy_and_all_is_as_before(void **state)
{
	struct fixture *f = *state;

	command(f, &f->vm1, -1);
	node_opens(f, 0);
	claimed(f, -EBUSY, "claimed by another program");
	taken(f);
	assert_answer(f, ROUTE_BUSY, "claimed by another program");
	assert_stands(f, "host", "host", "draining");
	drivers_probe(f, 0); /* what we detached on the way */
	assert_stands(f, "host", "host", "present");
	assert_false(file_says(f, "wishes", "vm1"));
	assert_false(file_says(f, "claimed", "1-1"));
}

static void a_newer_command_supersedes(void **state)
{
	struct fixture *f = *state, older;

	command(f, &f->vm1, 60);
	older.answers = 0;
	f->call = NULL; /* its handle goes with it below */
	{
		/* The waiting command answers into the fixture; note it and go on. */
		struct route_subject subject = {.device = f->keyboard};
		struct route_ask ask = {
			.subjects = &subject, .n_subjects = 1, .vm = &f->vm2, .who = "the test"};
		struct route_call *newer;

		route_command(&f->daemon, &ask, on_done, &older, &newer);
		assert_answer(f, ROUTE_SUPERSEDED, "a newer command");
		node_opens(f, 0);
		assert_ptr_equal(thread_of(f)->in, &f->guest2);
		claimed(f, 0, NULL);
		assert_int_equal(older.answers, 1);
		assert_int_equal(older.outcome, ROUTE_DONE);
	}
	assert_stands(f, "vm2", "vm2", "exported");
}

/* ------------------------------------------------------------- failures */

static void a_move_that_fails_goes_back(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f, &f->vm1);
	command(f, &f->vm2, -1);
	/* It could not be brought to rest, so it is closed, and can't be had for vm2 either. */
	thread_of(f)->events->session_ended(f->keyboard, 0, "");
	thread_of(f)->opened = false;
	taken(f);
	node_opens(f, -EIO);
	assert_answer(f, ROUTE_NOT_DONE, "opening its usbfs node");
	assert_stands(f, "vm1", "host", "pending");
	assert_true(file_says(f, "wishes", "vm1"));
	node_opens(f, 0); /* for vm1, as before */
	assert_ptr_equal(thread_of(f)->in, &f->guest1);
	claimed(f, 0, NULL);
	assert_stands(f, "vm1", "vm1", "exported");
}

static void what_fails_without_a_command_is_tried_again(void **state)
{
	struct fixture *f = *state;

	vm_is(f, &f->vm1, false);
	command(f, &f->vm1, -1);
	f->answers = 0;
	vm_is(f, &f->vm1, true);
	node_opens(f, -EIO);
	assert_stands(f, "vm1", "host", "failed");
	while (!asked_open) /* a second later */
		loop_turn(f->daemon.loop, true);
	node_opens(f, 0);
	claimed(f, 0, NULL);
	assert_stands(f, "vm1", "vm1", "exported");
}

static void a_stuck_call_costs_its_device_alone(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	in_vm1(f);
	gd = thread_of(f);
	gd->events->stuck(f->keyboard, "reset");
	assert_stands(f, "vm1", "host", "failed");
	assert_null(thread_of(f));
	assert_null(gd->events); /* forgotten: it frees itself, should the call ever end */
	assert_true(gd->taking && gd->close_it);
	gd->in = NULL;
	guest_device_free(gd);
}

static void unplugged_while_a_command_waits(void **state)
{
	struct fixture *f = *state;

	command(f, &f->vm1, 60);
	node_opens(f, 0);
	struct guest_device *gd = thread_of(f);
	unplug(f);
	assert_answer(f, ROUTE_UNPLUGGED, "unplugged");
	assert_null(gd->events);
	gd->in = NULL;
	guest_device_free(gd);
	/* The wish stays, and holds for the same device in any port. */
	plug(f, "S1");
	node_opens(f, 0);
	claimed(f, 0, NULL);
	assert_stands(f, "vm1", "vm1", "exported");
}

/* ------------------------------------------------------------- lives and deaths */

static void a_vm_that_goes_away_keeps_its_device_from_the_host(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	vm_is(f, &f->vm1, false);
	assert_stands(f, "vm1", "host", "claimed");
	assert_false(thread_of(f)->taking);
	assert_null(asked_rebind);
	vm_is(f, &f->vm1, true);
	assert_stands(f, "vm1", "vm1", "exported");
}

static void detach_gives_it_back(void **state)
{
	struct fixture *f = *state;

	command(f, NULL, -1);
	assert_answer(f, ROUTE_DONE, "already at the host"); /* nobody had it */
	in_vm1(f);
	command(f, NULL, -1);
	taken(f);
	drivers_probe(f, 0);
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> host");
	assert_stands(f, "host", "host", "present");
	assert_false(file_says(f, "claimed", "1-1"));
}

static void wished_back_while_it_was_handed_over(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	command(f, &f->vm2, 60);
	command(f, NULL, -1); /* before the thread has let go */
	f->answers = 0;
	taken(f);
	/* Claimed and in no thread: one must have it to close it. */
	assert_ptr_equal(thread_of(f)->in, &f->guest1);
	assert_true(thread_of(f)->taking && thread_of(f)->close_it);
	claimed(f, 0, NULL);
	taken(f);
	drivers_probe(f, 0);
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> host");
}

static void after_a_crash_what_was_ours_is_ours_before_its_vm_is_there(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	struct guest_device *gd = thread_of(f);
	/* The daemon is killed: its files stay, all else goes. */
	f->keyboard->route.gd = NULL;
	f->keyboard->route.state = ROUTE_HOST;
	gd->in = NULL;
	guest_device_free(gd);
	list_remove(&f->keyboard->link);
	free(f->keyboard->syspath);
	free(f->keyboard->busid);
	free(f->keyboard->stable_port);
	free(f->keyboard->serial);
	free(f->keyboard);
	wish_book_deinit(&f->daemon.book);
	wish_book_init(&f->daemon.book);
	f->daemon.ready = false;
	f->vm1.connected = false;

	assert_int_equal(routes_load(&f->daemon), 0);
	plug(f, "S1");
	f->daemon.ready = true;
	routes_started(&f->daemon);
	node_opens(f, 0);
	claimed(f, 0, NULL);
	assert_stands(f, "vm1", "host", "claimed");
	vm_is(f, &f->vm1, true);
	assert_stands(f, "vm1", "vm1", "exported");
}

static void an_import_of_what_is_held_is_busy_and_of_others_unknown(void **state)
{
	struct fixture *f = *state;
	struct usbip_op op = {.kind = USBIP_OP_IMPORT};

	in_vm1(f);
	assert_int_equal(route_import(f->keyboard, &f->vm2, 0, &op), -ENODEV);
	imports(f, &f->vm1);
	assert_int_equal(route_import(f->keyboard, &f->vm1, 0, &op), -EBUSY);
	command(f, &f->vm2, 60);
	assert_int_equal(route_import(f->keyboard, &f->vm1, 0, &op), -ENODEV);
}

/* What a guard's other end says: 0 once nobody holds the guard any more. */
static ssize_t guard_says(int end)
{
	char byte;

	return recv(end, &byte, 1, MSG_DONTWAIT);
}

/* The broker opens the keyboard for vm1, with a guard; the guard's other end. */
static int node_opens_guarded(struct fixture *f)
{
	struct broker_request *req;
	int fds[2], pair[2];

	command(f, &f->vm1, -1);
	req = asked_open;
	assert_non_null(req);
	asked_open = NULL;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	fds[0] = dup(0);
	fds[1] = pair[0];
	req->done(req, 0, fds, "");
	assert_int_equal(guard_says(pair[1]), -1);
	return pair[1];
}

static void disks_are_guarded_until_the_claim(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int end = node_opens_guarded(f);

	claimed(f, 0, NULL);
	assert_int_equal(guard_says(end), 0);
}

static void a_claim_that_fails_ends_the_guard(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int end = node_opens_guarded(f);

	claimed(f, -EIO, "claiming");
	assert_int_equal(guard_says(end), 0);
	taken(f);
}

static void unplugging_ends_the_guard(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int end = node_opens_guarded(f);
	struct guest_device *gd = thread_of(f);

	unplug(f);
	assert_int_equal(guard_says(end), 0);
	gd->in = NULL;
	guest_device_free(gd);
}

static void a_disk_in_use_is_busy_in_the_broker_s_words(void **state)
{
	struct fixture *f = *state;
	struct broker_request *req;
	int fds[2] = {-1, -1};

	command(f, &f->vm1, -1);
	req = asked_open;
	asked_open = NULL;
	req->done(req, -EBUSY, fds, "in use on the host: sda1 is mounted at /mnt");
	assert_answer(f, ROUTE_BUSY, "in use on the host: sda1 is mounted at /mnt");
	assert_null(strstr(f->text, "EBUSY"));
	assert_null(strstr(f->text, "busy"));
	/* Nothing of the host's was touched, so nothing is given back, nor tried again. */
	assert_null(asked_rebind);
	assert_false(loop_watching(&f->keyboard->route.retry));
	assert_false(file_says(f, "claimed", "1-1"));
	assert_stands(f, "host", "host", "present");
}

static void strike(struct fixture *f, enum hotkey which)
{
	thread_of(f)->events->hotkey(f->keyboard, which);
}

static void panic_brings_keyboards_and_mice_to_the_host(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f, &f->vm1);
	f->keyboard->classes = 1u << USB_CLASS_STORAGE;
	strike(f, HOTKEY_PANIC);
	assert_stands(f, "vm1", "vm1", "attached");
	f->keyboard->classes = 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_MOUSE;
	strike(f, HOTKEY_PANIC);
	assert_stands(f, "host", "host", "draining");
	assert_true(thread_of(f)->close_it);
	assert_false(file_says(f, "wishes", "vm1"));
	taken(f);
	drivers_probe(f, 0);
	assert_stands(f, "host", "host", "present");
	/* Nothing waits for an answer any more. */
	assert_true(list_empty(&f->daemon.calls));
}

static void panic_finds_what_is_wished_into_a_guest_that_is_away(void **state)
{
	struct fixture *f = *state;

	f->keyboard->classes = 1u << USB_CLASS_HID_KEYBOARD;
	vm_is(f, &f->vm2, false);
	command(f, &f->vm2, -1);
	hotkey_struck(f->keyboard, HOTKEY_PANIC);
	assert_stands(f, "host", "host", "present");
}

static void next_goes_round_the_guests_that_are_there(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	strike(f, HOTKEY_NEXT);
	taken(f);
	assert_ptr_equal(thread_of(f)->in, &f->guest2);
	claimed(f, 0, NULL);
	assert_stands(f, "vm2", "vm2", "exported");
	strike(f, HOTKEY_NEXT);
	taken(f);
	assert_ptr_equal(thread_of(f)->in, &f->guest1);
	claimed(f, 0, NULL);
	assert_stands(f, "vm1", "vm1", "exported");
	vm_is(f, &f->vm2, false);
	strike(f, HOTKEY_NEXT);
	assert_stands(f, "vm1", "vm1", "exported");
	assert_false(thread_of(f)->taking);
	assert_true(list_empty(&f->daemon.calls));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(attach_exports_and_tells_what_to_type),
		T(attach_where_it_is_does_nothing),
		T(attach_elsewhere_takes_it_there_and_gives_it_here),
		T(attach_to_a_vm_that_is_away_is_pending),
		T(a_wait_ends_when_the_guest_has_it),
		T(a_wait_that_is_over_leaves_the_wish),
		T(no_wait_answers_at_once),
		T(an_alias_that_is_not_plugged_in_is_pending_and_comes),
		T(vms_forbids_and_the_wish_is_not_stored),
		T(claimed_by_another_is_busy_and_all_is_as_before),
		T(a_newer_command_supersedes),
		T(a_move_that_fails_goes_back),
		T(what_fails_without_a_command_is_tried_again),
		T(a_stuck_call_costs_its_device_alone),
		T(unplugged_while_a_command_waits),
		T(a_vm_that_goes_away_keeps_its_device_from_the_host),
		T(detach_gives_it_back),
		T(wished_back_while_it_was_handed_over),
		T(after_a_crash_what_was_ours_is_ours_before_its_vm_is_there),
		T(an_import_of_what_is_held_is_busy_and_of_others_unknown),
		T(disks_are_guarded_until_the_claim),
		T(a_claim_that_fails_ends_the_guard),
		T(unplugging_ends_the_guard),
		T(a_disk_in_use_is_busy_in_the_broker_s_words),
		T(panic_brings_keyboards_and_mice_to_the_host),
		T(panic_finds_what_is_wished_into_a_guest_that_is_away),
		T(next_goes_round_the_guests_that_are_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
