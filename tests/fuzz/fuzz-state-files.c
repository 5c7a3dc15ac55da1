/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A daemon that starts on files which are not as it left them: wishes in all their versions, names
 * and their bearers, claims, sessions, ports without power, addresses, cards. It starts all the
 * same, and what it writes itself it reads again.
 *
 * Input: files, each a byte that names it, two of its length, its bytes.
 */
#include "tests/unit/route-fixture.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/routing/claims.h"
#include "daemon/routing/old_sessions.h"
#include "daemon/routing/port_off.h"
#include "policy/usb_class.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int fsync(int fd);

static const char *const files[] = {
	"run/wishes",	 "state/assignments", "state/reserved", "state/names",
	"state/bearers", "run/unpowered",     "run/claimed",	"state/addresses",
	"state/cards",	 "run/sessions",      "run/twins",
};

static const char config[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\naddress = 10.77.0.50\n"
			     "[device keyboard]\nmatch = id=046d:c31c\n"
			     "[device private]\nmatch = id=046d:2222\nvms = vm1\n"
			     "[group desk]\ndevices = keyboard private\n";

static void promise(bool kept)
{
	if (!kept)
		abort();
}

/* A power cut is not what is looked for here, and a disk is slow. */
int fsync(int fd _unused_)
{
	return 0;
}

static void put(const struct fixture *f, const char *name, const void *bytes, size_t len)
{
	_cleanup_close_ int fd = -1;
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	promise(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
}

static void put_files(const struct fixture *f, struct cursor *c)
{
	const uint8_t *head;

	while ((head = cursor_take(c, 3))) {
		size_t len = min_t(size_t, head[1] << 8 | head[2], c->left);

		put(f, files[head[0] % ARRAY_SIZE(files)], cursor_take(c, len), len);
	}
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
	struct daemon *d = &f->daemon;
	struct route_before before;
	struct route_let_go let_go;

	ports_off_free(d);
	promise(ports_off_load(d) == 0);
	claims_clear(&f->routing.claimed_before);
	promise(claims_load(f->core.config->runtime_directory, &f->routing.claimed_before) == 0);
	old_sessions_free(d);
	old_sessions_load(d);
	list_for_each(it, &f->devices.all)
		claims_take(&f->routing.claimed_before, list_entry(it, struct device, link),
			    &let_go, &before);
	promise(claims_save(d) == 0);
	old_sessions_save(d);
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
	off = length(&f->daemon.devices->off);
	for (unsigned i = 0; i < WISH_LISTS; i++)
		before[i] = f->daemon.books->now.list[i].n;
	begin_anew(f);
	for (unsigned i = 0; i < WISH_LISTS; i++)
		promise(f->daemon.books->now.list[i].n == before[i]);
	promise(length(&f->daemon.devices->off) == off);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	struct fixture *f;
	void *state;

	log_init(LOG_LEVEL_ERR);
	state = f = start_with(config, NULL);
	put_files(f, &c);
	begin_anew(f);
	started(f);
	vm_is(f->vm1, true);
	plug_some(f);
	read_the_rest(f);
	say_something(f);
	started(f);
	plug_some(f);
	tear_down(&state);
	return 0;
}
