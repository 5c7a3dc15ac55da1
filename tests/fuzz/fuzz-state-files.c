/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A daemon that starts on files which are not as it left them: wishes in all their versions, names
 * and their bearers, claims, sessions, ports without power, addresses, cards. It starts all the
 * same, and what it writes itself it reads again.
 *
 * Input: files, each a byte that names it, two of its length, its bytes; and steps of what happens
 * then (daemon-steps.h), under a name of their own, so that it also reads what it has written itself.
 */
#include "tests/fuzz/daemon-steps.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/routing/claims.h"
#include "daemon/routing/old_sessions.h"
#include "daemon/devices/port_off.h"
#include "policy/usb_class.h"
#include "tests/fuzz/clock-loop.h"
#include "tests/fuzz/promise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS 64

static const char *const files[] = {
	"run/wishes",	 "state/assignments", "state/reserved", "state/names",
	"state/bearers", "run/unpowered",     "run/claimed",	"state/addresses",
	"state/cards",	 "run/sessions",      "run/twins",
};

static const char config[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\naddress = 10.77.0.50\n"
			     "[device keyboard]\nmatch = id=046d:c31c\n"
			     "[device private]\nmatch = id=046d:2222\nvms = vm1\n"
			     "[group desk]\ndevices = keyboard private\n";

static void put(const struct fixture *f, const char *name, const void *bytes, size_t len)
{
	_cleanup_close_ int fd = -1;
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	promise(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
}

/* Return: the steps. */
static struct cursor put_files(const struct fixture *f, struct cursor *c)
{
	struct cursor steps = cursor_of("", 0);
	const uint8_t *head;

	while ((head = cursor_take(c, 3))) {
		size_t len = min_t(size_t, head[1] << 8 | head[2], c->left);
		const uint8_t *bytes = cursor_take(c, len);

		if (head[0] >= 0xe0)
			steps = cursor_of(bytes, len);
		else
			put(f, files[head[0] % ARRAY_SIZE(files)], bytes, len);
	}
	return steps;
}

static unsigned length(const struct list *list)
{
	unsigned n = 0;

	list_for_each(it, list)
		n++;
	return n;
}

/* What is only read later, and by itself. */
static void read_the_rest(struct fixture *f)
{
	struct route_before before;
	struct route_let_go let_go;

	ports_off_free(&f->rooms.devices);
	promise(ports_off_load(&f->rooms.devices) == 0);
	claims_clear(&f->rooms.routing.claimed_before);
	promise(claims_load(f->rooms.core.config->runtime_directory,
			    &f->rooms.routing.claimed_before) == 0);
	old_sessions_free(&f->rooms.routing);
	old_sessions_load(&f->rooms.routing);
	list_for_each(it, &f->rooms.devices.all)
		claims_take(&f->rooms.routing.claimed_before, list_entry(it, struct device, link),
			    &let_go, &before);
	promise(claims_save(&f->rooms.routing) == 0);
	old_sessions_save(&f->rooms.routing);
}

static void plug_some(struct fixture *f)
{
	plug(f, "S1");
	plug_at(f, "1-3", 0x2222, NULL, 0);
	plug_at(f, "1-4", 0x5555, "T 1\n", 0);
	settle(f);
}

/* It gives the same again, of what it holds itself. */
static void say_something(struct fixture *f)
{
	size_t before[WISH_LISTS];
	unsigned off;

	say(f, ROUTE_ATTACH, "046d:5555", f->vm2);
	settle(f);
	say(f, ROUTE_ASSIGN, "keyboard", f->vm1);
	settle(f);
	off = length(&f->rooms.devices.off);
	for (unsigned i = 0; i < WISH_LISTS; i++)
		before[i] = f->rooms.books.now.list[i].n;
	begin_anew(f);
	for (unsigned i = 0; i < WISH_LISTS; i++)
		promise(f->rooms.books.now.list[i].n == before[i]);
	promise(length(&f->rooms.devices.off) == off);
}

/* What a person says, of a device that may not be there, or be one of several. */
static void command_of(struct fixture *f, uint8_t how, struct vm *vm)
{
	static const enum route_verb verbs[] = {ROUTE_ATTACH, ROUTE_ASSIGN, ROUTE_RELEASE,
						ROUTE_RESERVE};
	static const char *const texts[] = {"keyboard", "046d:5555", "port=1-1", "desk"};
	struct route_subject subjects[ROUTE_SUBJECTS_MAX];
	struct route_ask ask = {.verb = verbs[how % 4], .vm = vm, .subjects = subjects};
	const char *expected;

	if ((how & 0x40) && ask.verb == ROUTE_ATTACH)
		ask.for_seconds = 2;
	ask.until_unplug = (how & 0x20) && ask.verb == ROUTE_ATTACH;
	if (subjects_resolve(&f->rooms.commands, texts[how / 4 % 4], subjects, &ask.n_subjects,
			     &expected) == 0)
		route_command(&f->rooms.commands, &ask, on_done, f, NULL);
}

static void let_pass(struct fixture *f, struct cursor *steps)
{
	const uint8_t *what;

	for (unsigned n = 0; n < STEPS && (what = cursor_take(steps, 1)); n++)
		if (*what == 0xff) {
			daemon_steps_anew(f);
			old_sessions_load(&f->rooms.routing);
			started(f);
		} else if (*what >= 0xf0) {
			command_of(f, step_byte(steps),
				   *what & 1 ? vm_find(&f->rooms.vms, "vm1") : NULL);
		} else {
			daemon_step(steps, *what);
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size), steps;
	struct fixture *f;

	log_init(LOG_LEVEL_ERR);
	clock_begin();
	f = start_with(config, NULL);
	steps = put_files(f, &c);
	begin_anew(f);
	daemon_steps_begin(f);
	old_sessions_load(&f->rooms.routing);
	started(f);
	vm_is(f->vm1, true);
	plug_some(f);
	read_the_rest(f);
	say_something(f);
	started(f);
	daemon_steps_begin(f);
	let_pass(f, &steps);
	daemon_steps_end(f);
	return 0;
}
