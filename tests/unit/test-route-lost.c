/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device that a VM has, and that the host's drivers take all the same, as after the host's sleep; with
 * drivers that are links in a folder of the test's, and guests' threads that do what the test says.
 */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/devices/device_registry.h"
#include "daemon/devices/host_driver.h"

#define INTERFACES 3

static char folder[] = "/tmp/test-route-lost-XXXXXX";

static const char *path_of(unsigned number, const char *name, char path[100])
{
	snprintf(path, 100, "%s/1-1:1.%u%s", folder, number, name);
	return path;
}

/* Interface @number of a device is with this driver; NULL: with none. */
static void driver_is(struct device *d, unsigned number, const char *driver)
{
	char path[100], to[100];

	free(d->syspath);
	d->syspath = strdup(folder);
	mkdir(path_of(number, "", path), 0755);
	unlink(path_of(number, "/driver", path));
	snprintf(to, sizeof(to), "../../../../bus/usb/drivers/%s", driver ? driver : "");
	if (driver)
		assert_int_equal(symlink(to, path), 0);
}

static int begin(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/test-route-lost-XXXXXX");
	return mkdtemp(folder) ? set_up(state) : -1;
}

static int end(void **state)
{
	char path[100];

	for (unsigned i = 0; i < INTERFACES; i++) {
		unlink(path_of(i, "/driver", path));
		rmdir(path_of(i, "", path));
	}
	return rmdir(folder) < 0 ? -1 : tear_down(state);
}

static void bound(struct fixture *f, struct device *d)
{
	device_registry_bound(f->rooms.devices.registry, d->syspath);
	turn_ends();
}

static void until_looked_at(struct fixture *f, const struct device *d)
{
	while (loop_watching(&d->route->lost))
		rooms_turn(&f->rooms, true);
	turn_ends();
}

static void any_interface_tells(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(device_host_driver(f->keyboard).name, ""); /* nothing there */
	driver_is(f->keyboard, 0, "usbfs");
	driver_is(f->keyboard, 1, NULL);
	assert_string_equal(device_host_driver(f->keyboard).name, "");
	driver_is(f->keyboard, 2, "usb-storage");
	assert_string_equal(device_host_driver(f->keyboard).name, "usb-storage");
}

static void what_the_host_s_drivers_take_is_taken_back(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	assert_stands(f->keyboard, "vm1", "vm1", "attached");
	driver_is(f->keyboard, 0, "usb-storage");
	bound(f, f->keyboard);
	until_looked_at(f, f->keyboard);
	assert_true(told_to_reset(f->keyboard));
	was_reset(f->keyboard, 0, "");
	/* For its guest to import again. */
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_false(told_to_reset(f->keyboard));
}

/* A guest sets another configuration: the host's driver is asked first. */
static void what_is_ours_again_a_moment_later_is_left_alone(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	driver_is(f->keyboard, 0, "usbhid");
	bound(f, f->keyboard);
	assert_true(loop_watching(&f->keyboard->route->lost));
	driver_is(f->keyboard, 0, "usbfs");
	until_looked_at(f, f->keyboard);
	assert_false(told_to_reset(f->keyboard));
	assert_stands(f->keyboard, "vm1", "vm1", "attached");
}

/* usbfs binding is our own claim, and the host's devices are the host's. */
static void what_is_where_it_should_be_is_not_looked_at(void **state)
{
	struct fixture *f = *state;

	driver_is(f->keyboard, 0, "usbhid");
	bound(f, f->keyboard);
	assert_false(loop_watching(&f->keyboard->route->lost));
	in_vm1(f);
	driver_is(f->keyboard, 0, "usbfs");
	bound(f, f->keyboard);
	assert_false(loop_watching(&f->keyboard->route->lost));
}

/* Its URBs came back as of a device that is gone, and so its process closed it. */
static void what_was_gone_and_is_back_is_claimed_at_once(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	thread_of(f->keyboard)->events->gone(thread_of(f->keyboard)->ctx);
	taken(f->keyboard);
	assert_stands(f->keyboard, "vm1", "host", "failed");
	assert_false(asks_open(f->keyboard));
	driver_is(f->keyboard, 0, "usbhid");
	bound(f, f->keyboard);
	assert_true(asks_open(f->keyboard));
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void unplugged_before_it_is_looked_at(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	in_vm1(f);
	gd = thread_of(f->keyboard);
	driver_is(f->keyboard, 0, "usbhid");
	bound(f, f->keyboard);
	assert_true(loop_watching(&f->keyboard->route->lost));
	unplug(f->keyboard);
	drop(gd);
	rooms_turn(&f->rooms, false);
}

int main(void)
{
#undef T
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(any_interface_tells),
		T(what_the_host_s_drivers_take_is_taken_back),
		T(what_is_ours_again_a_moment_later_is_left_alone),
		T(what_is_where_it_should_be_is_not_looked_at),
		T(what_was_gone_and_is_back_is_claimed_at_once),
		T(unplugged_before_it_is_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
