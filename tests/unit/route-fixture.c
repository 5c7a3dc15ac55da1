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
#include "daemon/routing/claims.h"
#include "daemon/routing/old_sessions.h"
#include "daemon/config/policy_files.h"
#include "daemon/devices/device_registry.h"
#include "daemon/devices/device_source.h"
#include "daemon/devices/port_off.h"
#include "daemon/core/state_file.h"
#include "daemon/devices/twins.h"
#include "daemon/vms/vm_private.h"
#include "policy/usb_class.h"

/* ------------------------------------------------------------- what happens, in words */

/* All that has happened is told, and what comes of that. */
void turn_ends(void)
{
	struct events *events = &the_fixture->rooms.core.events;
	unsigned n = 0;

	for (; events_pending(events); events_tell(events))
		if (++n > 100)
			fail_msg("there is always something more to be told");
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
		list_for_each(it, &f->rooms.devices.all)
			moved = step(list_entry(it, struct device, link)) || moved;
		if (++n > 100)
			fail_msg("it never comes to rest");
	} while (moved);
}

/* ------------------------------------------------------------- where devices come from */

static int script_start(struct device_source *source _unused_,
			struct device_registry *registry _unused_)
{
	return 0;
}

static bool script_settled(const struct device_source *source _unused_)
{
	return true;
}

/* What goes is told at once. */
static bool script_has(const struct device_source *source _unused_,
		       const struct device *device _unused_)
{
	return true;
}

/* There is one controller, with one bus. */
static int script_stable_port(struct device_source *source _unused_, const char *busid,
			      char **ret_port)
{
	if (strncmp(busid, "1-", 2))
		return -ENODEV;
	return asprintf(ret_port, "0000:00:14.0/usb2:%s", busid + 2) < 0 ? -ENOMEM : 0;
}

static void script_free(struct device_source *source _unused_)
{
}

static const struct device_source_ops script_ops = {
	.start = script_start,
	.settled = script_settled,
	.has = script_has,
	.stable_port = script_stable_port,
	.free = script_free,
};
static struct device_source script = {&script_ops};

static struct device *make_device(struct fixture *f, const char *busid, uint16_t product)
{
	struct device *d = device_new(&f->rooms.devices);

	assert_true(asprintf(&d->syspath, "/sys/devices/%s", busid) > 0);
	d->busid = strdup(busid);
	assert_true(asprintf(&d->stable_port, "0000:00:14.0/usb2:%s", strchr(busid, '-') + 1) > 0);
	d->id_vendor = 0x046d;
	d->id_product = product;
	d->busnum = 1;
	d->devnum = f->devnum;
	return d;
}

struct device *plug_at(struct fixture *f, const char *busid, uint16_t product, const char *serial,
		       usb_class_set classes)
{
	struct device *d = make_device(f, busid, product);

	d->serial = serial ? strdup(serial) : NULL;
	d->classes = classes;
	device_find_section(d);
	device_registry_told(f->rooms.devices.registry, d);
	assert_ptr_equal(f->rooms.devices.all.prev, &d->link);
	turn_ends();
	return d;
}

/* What is never routed. */
void plug_hub(struct fixture *f, const char *busid)
{
	struct device *d = make_device(f, busid, 0x0b0b);

	d->never_routed = "it is a hub, and hubs are never routed";
	device_registry_told(f->rooms.devices.registry, d);
	turn_ends();
}

/* The keyboard. */
struct device *plug(struct fixture *f, const char *serial)
{
	f->keyboard = plug_at(f, "1-1", 0xc31c, serial,
			      1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD);
	return f->keyboard;
}

void unplug(struct device *d)
{
	device_registry_gone(d->devices->registry, d->syspath, d->busid);
	turn_ends();
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
		assert_int_equal(subjects_resolve(&f->rooms.commands, what, subjects,
						  &ask.n_subjects, &expected),
				 0);
	ask.subjects = subjects;
	snprintf(ask.who, sizeof(ask.who), "the test");
	f->answers = 0;
	route_command(&f->rooms.commands, &ask, on_done, f, NULL);
	turn_ends();
}

void say(struct fixture *f, enum route_verb verb, const char *what, struct vm *vm)
{
	say_with(f, (struct route_ask){.verb = verb, .vm = vm}, what);
}

void assert_answer(struct fixture *f, enum route_outcome outcome, const char *text)
{
	turn_ends();
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

	turn_ends();
	assert_string_equal(route_wanted(d).target, wanted);
	assert_string_equal(route_actual(d), actual);
	assert_string_equal(device_state_name(route_shown(d, reason, sizeof(reason))), state);
}

void assert_by(const struct device *d, const char *wanted, const char *by)
{
	turn_ends();
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

	turn_ends();
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
	r = commands_reload(&f->rooms.commands, &errors);
	if (r == 0)
		assert_null(errors.text);
	config_errors_deinit(&errors);
	turn_ends();
	return r;
}

/* ------------------------------------------------------------- the whole */

const char usual_config[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\n"
			    "[device keyboard]\nmatch = id=046d:c31c\n"
			    "[device mouse]\nmatch = id=046d:c077\n"
			    "[device private]\nmatch = id=046d:2222\nvms = vm1\n"
			    "[group desk]\ndevices = keyboard mouse\n"
			    "[group secret]\ndevices = keyboard private\n";

/* Something in a guest takes what is routed to it where the test says so; else it is as in the program. */
static bool guest_takes(void *ctx _unused_, const struct vm *vm)
{
	return vm == the_fixture->takes;
}

static void rooms_tell(void *ctx)
{
	assert_ptr_equal(ctx, the_fixture);
}

const struct fixture_ears *fixture_ears;

static void rooms_moved(void *ctx _unused_, const struct device *device)
{
	if (fixture_ears)
		fixture_ears->moved(device);
}

static void rooms_removed(void *ctx _unused_, const struct device *device)
{
	if (fixture_ears)
		fixture_ears->removed(device);
}

static void rooms_link(void *ctx _unused_, const struct vm *vm, bool up)
{
	if (fixture_ears)
		fixture_ears->link(vm, up);
}

static void rooms_refused(void *ctx _unused_, const struct device *device, const char *vm,
			  const char *reason)
{
	if (fixture_ears)
		fixture_ears->refused(device, vm, reason);
}

static const struct rooms_ops rooms_ops = {
	.known = rooms_tell,
	.ended = rooms_tell,
	.moved = rooms_moved,
	.removed = rooms_removed,
	.link = rooms_link,
	.refused = rooms_refused,
};

static void begin(struct fixture *f)
{
	struct config_errors errors = {0};

	f->rooms.core = (struct core){.config_file = f->config_path};
	rooms_init(&f->rooms, &rooms_ops, f);
	f->routing_ops = *f->rooms.routing.ops;
	f->routing_ops.takes = guest_takes;
	f->rooms.routing.ops = &f->routing_ops;
	assert_int_equal(device_registry_new(&f->rooms.devices.registry, &f->rooms.devices, &script,
					     rooms_device_prepare, &f->rooms),
			 0);
	if (config_load(&f->rooms.core.config, f->config_path, true, &errors) ||
	    policy_files_load(&f->rooms.core.policy, f->config_path, f->rooms.core.config, &errors))
		fail_msg("%s", errors.text);
	assert_int_equal(loop_new(&f->rooms.core.loop), 0);
	f->rooms.core.runtime_directory = f->rooms.core.config->runtime_directory;
	f->rooms.core.state_directory = f->rooms.core.config->state_directory;
	f->rooms.devices.names.wait_ns = NAME_WAIT;
	assert_int_equal(routes_load(&f->rooms.routing), 0);
	old_sessions_load(&f->rooms.routing);
	vms_find_group(&f->rooms.vms);
	assert_int_equal(vms_make_sockets(&f->rooms.vms), 0);
	assert_int_equal(vms_start(&f->rooms.vms), 0);
	f->vm1 = vm_find(&f->rooms.vms, "vm1");
	f->vm2 = vm_find(&f->rooms.vms, "vm2");
	f->vm3 = vm_find(&f->rooms.vms, "vm3");
}

/* All VMs' threads stand, and devices were looked for: the daemon is ready. */
void started(struct fixture *f)
{
	f->rooms.core.ready = true;
	routes_started(&f->rooms.routing);
	commands_started(&f->rooms.commands);
	turn_ends();
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

/* What threads have of a device is gone with them, and they with the daemon. */
static void unplug_and_drop(struct device *device)
{
	struct guest_device *had[8];
	size_t n = 0;

	list_for_each(it, &device->route->placements) {
		assert_true(n < ARRAY_SIZE(had));
		had[n++] = list_entry(it, struct placement, link)->gd;
	}
	unplug(device);
	while (n)
		drop(had[--n]);
}

/* The daemon's end: of what it did nothing is given back. */
static void end(struct fixture *f)
{
	f->rooms.core.stopping = true;
	routes_stop(&f->rooms.routing);
	commands_stop(&f->rooms.commands);
	vms_stop(&f->rooms.vms);
	turn_ends();
	while (!list_empty(&f->rooms.devices.all))
		unplug_and_drop(list_entry(f->rooms.devices.all.next, struct device, link));
	f->rooms.devices.registry = device_registry_free(f->rooms.devices.registry);
	vms_end(&f->rooms.vms.all);
	vms_end(&f->rooms.vms.leaving);
	vms_end(&f->rooms.vms.uplinks_ending);
	uplinks_end(&f->rooms.vms);
	if (lan_vm(&f->rooms.vms)) {
		struct vm *lan = lan_vm(&f->rooms.vms);

		lan->guest = guest_free(lan->guest);
		vm_run_ended(lan);
	}
	vms_free(&f->rooms.vms);
	assert_int_equal(threads(), 0);
	wish_books_deinit(&f->rooms.books);
	bearers_deinit(&f->rooms.devices.names.bearers);
	claims_clear(&f->rooms.routing.claimed_before);
	twins_free(&f->rooms.devices);
	ports_off_free(&f->rooms.devices);
	old_sessions_free(&f->rooms.routing);
	loop_free(f->rooms.core.loop);
	policy_free(f->rooms.core.policy);
	config_free(f->rooms.core.config);
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
