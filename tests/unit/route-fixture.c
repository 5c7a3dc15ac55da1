/* SPDX-License-Identifier: BSD-2-Clause */
/* A daemon without a kernel below it; see route-fixture.h. */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "daemon/commands/hotkey.h"
#include "daemon/routing/claims.h"
#include "daemon/routing/old_sessions.h"
#include "daemon/config/policy_files.h"
#include "daemon/devices/port_off.h"
#include "daemon/core/state_file.h"
#include "daemon/devices/twins.h"
#include "daemon/vms/vm_private.h"
#include "policy/usb_class.h"

/* ------------------------------------------------------------- what happens, in words */

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
		list_for_each(it, &f->devices.all)
			moved = step(list_entry(it, struct device, link)) || moved;
		if (++n > 100)
			fail_msg("it never comes to rest");
	} while (moved);
}

struct device *plug_at(struct fixture *f, const char *busid, uint16_t product, const char *serial,
		       usb_class_set classes)
{
	struct device *d = calloc(1, sizeof(*d));

	list_init(&d->link);
	d->devices = &f->devices;
	assert_true(asprintf(&d->syspath, "/sys/devices/%s", busid) > 0);
	d->busid = strdup(busid);
	assert_true(asprintf(&d->stable_port, "0000:00:14.0/usb2:%s", strchr(busid, '-') + 1) > 0);
	d->serial = serial ? strdup(serial) : NULL;
	d->id_vendor = 0x046d;
	d->id_product = product;
	d->classes = classes;
	d->busnum = 1;
	d->devnum = f->devnum;
	d->number = ++f->devices.n_seen;
	device_find_section(d);
	assert_int_equal(route_prepare(&f->routing, d), 0);
	list_append(&f->devices.all, &d->link);
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
	free(d->manufacturer);
	free(d->product);
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
			subjects_resolve(&f->commands, what, subjects, &ask.n_subjects, &expected),
			0);
	ask.subjects = subjects;
	snprintf(ask.who, sizeof(ask.who), "the test");
	f->answers = 0;
	route_command(&f->commands, &ask, on_done, f, NULL);
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
	assert_string_equal(wanted_by_name(route_wanted(d).by), by);
}

/* attach (at the host: detach) of the keyboard; @wait < 0: as it is without --wait. */
void command(struct fixture *f, struct vm *vm, double wait)
{
	struct route_ask ask = {
		.vm = vm, .has_wait = wait >= 0, .wait_seconds = max_t(double, wait, 0)};

	say_with(f, ask, "keyboard");
}

/* The keyboard in vm1, exported. */
void in_vm1(struct fixture *f)
{
	command(f, f->vm1, -1);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	assert_answer(f, ROUTE_DONE,
		      "keyboard: host -> vm1\nin vm1, type: usbip attach -r "
		      "10.77.0.1 -b keyboard");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
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
	r = commands_reload(&f->commands, &errors);
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

/* Who hears of what, as daemon.c has it; guests' sides are the script's. */

static void on_wanted_elsewhere(void *ctx)
{
	struct fixture *f = ctx;

	routes_review(&f->routing);
}

static int on_vm_made(void *ctx _unused_, struct vm *vm _unused_)
{
	return 0;
}

static void on_vm_freed(void *ctx _unused_, struct vm *vm _unused_)
{
}

static void on_vm_link(void *ctx, struct vm *vm, bool up)
{
	struct fixture *f = ctx;

	if (up)
		old_sessions_hang_up(&f->routing, vm);
	route_vm_changed(&f->routing, vm);
}

static void on_vm(void *ctx _unused_, struct vm *vm)
{
	assert_non_null(vm);
}

static void on_import_asked(void *ctx _unused_, struct vm *vm, uint32_t client, const char *busid)
{
	fail_msg("%s: client %u asks for %s", vm->name, client, busid);
}

static void on_vm_silenced(void *ctx _unused_, struct vm *vm _unused_, const char *why)
{
	assert_true(*why);
}

static void on_vm_left(void *ctx, struct vm *vm)
{
	struct fixture *f = ctx;

	route_calls_vm_left(&f->commands, vm);
}

static void on_vm_ended(void *ctx _unused_)
{
}

static const struct vms_ops vms_ops = {
	.made = on_vm_made,
	.freed = on_vm_freed,
	.link = on_vm_link,
	.import_asked = on_import_asked,
	.agent_asked = on_vm,
	.stands = on_vm,
	.goes_on = on_vm,
	.known = on_vm,
	.have_started = on_wanted_elsewhere,
	.silenced = on_vm_silenced,
	.left = on_vm_left,
	.ended = on_vm_ended,
};

static void on_moved(void *ctx, struct device *device)
{
	struct fixture *f = ctx;

	commands_moved(&f->commands, device);
}

static void on_named(void *ctx, struct device *device)
{
	struct fixture *f = ctx;

	route_calls_named(&f->commands, device);
}

static void on_judge(void *ctx, struct device *device)
{
	struct fixture *f = ctx;

	commands_judge(&f->commands, device);
}

static void on_removed(void *ctx, struct device *device)
{
	struct fixture *f = ctx;

	commands_removed(&f->commands, device);
}

static void on_hotkey(void *ctx, struct device *keyboard, enum hotkey which)
{
	struct fixture *f = ctx;

	hotkey_struck(&f->commands, keyboard, which);
}

static bool guest_takes(void *ctx, const struct vm *vm)
{
	const struct fixture *f = ctx;

	return vm == f->takes;
}

static const struct routing_ops routing_ops = {
	.exports_changed = on_vm,
	.moved = on_moved,
	.named = on_named,
	.judge = on_judge,
	.removed = on_removed,
	.hotkey = on_hotkey,
	.takes = guest_takes,
};

static void begin(struct fixture *f)
{
	struct config_errors errors = {0};

	f->core = (struct core){.config_file = f->config_path};
	wish_books_init(&f->books, &f->core);
	f->books.ended = on_wanted_elsewhere;
	f->books.ctx = f;
	devices_init(&f->devices, &f->core, &f->books);
	f->devices.named = on_wanted_elsewhere;
	f->devices.ctx = f;
	vms_init(&f->vms, &f->core, &vms_ops, f);
	routing_init(&f->routing, &f->devices, &f->vms, &routing_ops, f);
	commands_init(&f->commands, &f->routing);
	if (config_load(&f->core.config, f->config_path, true, &errors) ||
	    policy_files_load(&f->core.policy, f->config_path, f->core.config, &errors))
		fail_msg("%s", errors.text);
	assert_int_equal(loop_new(&f->core.loop), 0);
	f->core.runtime_directory = f->core.config->runtime_directory;
	f->core.state_directory = f->core.config->state_directory;
	f->devices.names.wait_ns = NAME_WAIT;
	assert_int_equal(routes_load(&f->routing), 0);
	vms_find_group(&f->vms);
	assert_int_equal(vms_make_sockets(&f->vms), 0);
	assert_int_equal(vms_start(&f->vms), 0);
	f->vm1 = vm_find(&f->vms, "vm1");
	f->vm2 = vm_find(&f->vms, "vm2");
	f->vm3 = vm_find(&f->vms, "vm3");
}

/* All VMs' threads stand, and devices were looked for: the daemon is ready. */
void started(struct fixture *f)
{
	f->core.ready = true;
	routes_started(&f->routing);
	commands_started(&f->commands);
}

static void vms_end(const struct list *vms)
{
	list_for_each(it, vms) {
		struct vm *vm = list_entry(it, struct vm, link);

		vm->guest = guest_free(vm->guest);
		vm_run_ended(vm);
	}
}

static void uplinks_end(struct vms *vms)
{
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++) {
		struct vm *uplink = vms->networks[i] ? vms->networks[i]->uplink : NULL;

		if (!uplink)
			continue;
		uplink->guest = guest_free(uplink->guest);
		vm_run_ended(uplink);
	}
}

/* The daemon's end: of what it did nothing is given back. */
static void end(struct fixture *f)
{
	struct list *l;

	f->core.stopping = true;
	routes_stop(&f->routing);
	commands_stop(&f->commands);
	vms_stop(&f->vms);
	while ((l = list_pop(&f->devices.all))) {
		struct device *device = list_entry(l, struct device, link);
		struct guest_device *gd = thread_of(device);

		route_removed(device);
		device_drop(device);
		if (gd)
			drop(gd);
	}
	vms_end(&f->vms.all);
	vms_end(&f->vms.leaving);
	vms_end(&f->vms.uplinks_ending);
	uplinks_end(&f->vms);
	vms_free(&f->vms);
	assert_int_equal(threads(), 0);
	wish_books_deinit(&f->books);
	bearers_deinit(&f->devices.names.bearers);
	claims_clear(&f->routing.claimed_before);
	twins_free(&f->devices);
	ports_off_free(&f->devices);
	old_sessions_free(&f->routing);
	loop_free(f->core.loop);
	policy_free(f->core.policy);
	config_free(f->core.config);
	script_end();
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
		"run/wishes",	     "run/claimed",    "run/sessions",	      "state/names",
		"state/assignments", "state/reserved", "run/unpowered",	      "state/addresses",
		"state/cards",	     "state/bearers",  "policy.d/test.rules", "usbrouted.conf",
		"run/twins",
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
