/* SPDX-License-Identifier: BSD-2-Clause */
/* What devices are called; see device_names.h. What is told of it: device_name_why.c. */
#include "daemon/devices/device_names.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/devices/port_off.h"
#include "daemon/devices/device.h"
#include "daemon/devices/twins.h"
#include "daemon/core/state_file.h"
#include "policy/serial.h"

/* A device, while its name is decided. */
struct named {
	struct device *device;
	struct device_facts facts;
	char given[32]; /* by command, and it is known as the device that was given it */
	char alias[32];
	unsigned could_be; /* how many names by command it could bear that nobody bears */
};

struct naming {
	struct devices *devices;
	struct named *at;
	size_t n;
	uint64_t now, until; /* until: when to look again; 0: at the next change */
	bool remembers_more; /* than the file */
	bool changed;	     /* one is called otherwise than before */
};

/* ------------------------------------------------------------- files */

static char *bearers_path(const struct devices *devices, char *buf, size_t size)
{
	return state_file_path(buf, size, devices->core->config->state_directory, "bearers");
}

/**
 * device_names_load() - read which devices bore names before this start
 * @devices:	the devices; their names are empty
 *
 * Return: 0, or a negative errno and it was logged.
 */
int device_names_load(struct devices *devices)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	unsigned bad = 0;
	size_t len;
	int r;

	r = state_file_read(bearers_path(devices, path, sizeof(path)), &text, &len);
	if (r == 0)
		r = bearers_parse(&devices->names.bearers, text, len, &bad);
	if (r < 0 && r != -ENOENT) {
		log_err("%s: %s", path, errno_text(r));
		return r;
	}
	if (bad)
		log_warning("%s: %u lines say nothing and were left out", path, bad);
	return 0;
}

/* If it can't be written, it still holds until control ends. */
static void bearers_save(struct devices *devices)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	size_t len;
	int r = bearers_format(&devices->names.bearers, &text, &len);

	bearers_path(devices, path, sizeof(path));
	if (r == 0)
		r = state_file_write(path, text, len);
	if (r < 0)
		log_err("%s can't be written: %s; which of several devices has a name may be another one after the next start",
			path, errno_text(r));
}

/* ------------------------------------------------------------- what is remembered */

static bool is_given(const struct devices *devices, const char *name)
{
	return wish_find_target(&devices->books->now.list[WISHES_NAMES], name);
}

static bool is_configured(const struct devices *devices, const char *name)
{
	return config_find_device(devices->core->config, name) ||
	       config_find_group(devices->core->config, name);
}

/* A section that has gone may come back; a name that was taken away is given anew. */
static void forget_what_has_gone(struct devices *devices, bool sections_too)
{
	struct bearers *bearers = &devices->names.bearers;

	list_for_each_safe(it, &bearers->all) {
		struct bearer *b = list_entry(it, struct bearer, link);

		if (b->given.port
			    ? !is_given(devices, b->name)
			    : sections_too && !config_find_device(devices->core->config, b->name))
			bearers_forget(bearers, b);
	}
}

static struct bearer *memory_of(struct devices *devices, const char *name)
{
	struct bearers *bearers = &devices->names.bearers;
	struct bearer *b;
	int r = bearers_get(bearers, name, &b);

	if (r == -ENOSPC) {
		forget_what_has_gone(devices, true);
		r = bearers_get(bearers, name, &b);
	}
	return r < 0 ? NULL : b;
}

/* ------------------------------------------------------------- names of sections */

/* The devices that a section matches; @index says which ones they are. */
static size_t section_candidates(const struct naming *naming, const struct config_device *section,
				 struct device_facts facts[BEARER_CANDIDATES_MAX],
				 size_t index[BEARER_CANDIDATES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < naming->n && n < BEARER_CANDIDATES_MAX; i++) {
		const struct named *d = &naming->at[i];

		if (d->device->section != section)
			continue;
		facts[n] = d->facts;
		facts[n].alias = d->given[0] ? d->given : NULL;
		index[n++] = i;
	}
	return n;
}

static void look_again_at(struct naming *naming, const struct bearer *b)
{
	if (b->until && (!naming->until || b->until < naming->until))
		naming->until = b->until;
}

static void name_by_section(struct naming *naming, const struct config_device *section)
{
	struct bearers *bearers = &naming->devices->names.bearers;
	struct device_facts facts[BEARER_CANDIDATES_MAX];
	size_t index[BEARER_CANDIDATES_MAX];
	size_t n = section_candidates(naming, section, facts, index);
	struct bearer *b = bearers_find(bearers, section->name);
	int found;

	/* The name was one by command before. */
	if (b && b->given.port) {
		bearers_forget(bearers, b);
		b = NULL;
	}
	if (!b && n)
		b = memory_of(naming->devices, section->name);
	if (!b)
		return;
	found = bearer_find(b, facts, n, naming->now, naming->devices->names.wait_ns,
			    &naming->remembers_more);
	look_again_at(naming, b);
	if (found >= 0)
		snprintf(naming->at[index[found]].alias, 32, "%s", section->name);
}

/* ------------------------------------------------------------- names by command */

static const struct wish *next_name(const struct devices *devices, struct list **it)
{
	const struct wishes *names = &devices->books->now.list[WISHES_NAMES];

	for (*it = *it ? (*it)->next : names->all.next; *it != &names->all; *it = (*it)->next) {
		const struct wish *w = list_entry(*it, struct wish, link);

		if (w->kind != WISH_NAME && !is_configured(devices, w->target))
			return w;
	}
	return NULL;
}

#define for_each_name(devices, w, it) for (struct list *it = NULL; (w = next_name(devices, &it));)

/* The devices that may have been given a name, but for those that bear a section's. */
static size_t name_candidates(const struct naming *naming, const struct wish *w,
			      struct device_facts facts[BEARER_CANDIDATES_MAX],
			      size_t index[BEARER_CANDIDATES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < naming->n && n < BEARER_CANDIDATES_MAX; i++) {
		const struct named *d = &naming->at[i];
		bool is_others = d->given[0] && strcmp(d->given, w->target);

		if (d->alias[0] || d->facts.id_vendor != w->id_vendor ||
		    d->facts.id_product != w->id_product)
			continue;
		facts[n] = d->facts;
		/* It must not take the name over: it has another name, or could have several. */
		facts[n].alias = is_others || d->could_be > 1 ? "?" : NULL;
		index[n++] = i;
	}
	return n;
}

static struct bearer *memory_of_given(struct naming *naming, const struct wish *w)
{
	const struct device_facts then = {.serial = w->serial, .stable_port = w->port};
	struct bearer *b = memory_of(naming->devices, w->target);

	if (b && bearer_give(b, w->id_vendor, w->id_product,
			     w->kind == WISH_SERIAL ? serial_lasting(&then) : NULL, w->port) < 0)
		return NULL;
	return b;
}

/* Those that are known as the devices that were given their names. */
static void find_given(struct naming *naming)
{
	const struct wish *w;

	for (size_t i = 0; i < naming->n; i++)
		wish_adopt_serial(&naming->devices->books->now.list[WISHES_NAMES],
				  &naming->at[i].facts);
	for_each_name(naming->devices, w, it)
	{
		struct device_facts facts[BEARER_CANDIDATES_MAX];
		size_t index[BEARER_CANDIDATES_MAX], n;
		struct bearer *b;
		int known;

		if (w->kind == WISH_PORT) {
			for (size_t i = 0; i < naming->n; i++)
				if (!strcmp(naming->at[i].facts.stable_port, w->port))
					snprintf(naming->at[i].given, 32, "%s", w->target);
			continue;
		}
		b = memory_of_given(naming, w);
		n = name_candidates(naming, w, facts, index);
		known = b ? bearer_known(b, facts, n) : -1;
		if (known >= 0)
			snprintf(naming->at[index[known]].given, 32, "%s", w->target);
	}
}

static bool is_there(const struct naming *naming, const char *name)
{
	for (size_t i = 0; i < naming->n; i++)
		if (!strcmp(naming->at[i].given, name))
			return true;
	return false;
}

static bool was_there_just_now(const struct naming *naming, const struct bearer *b)
{
	return !b->gone || naming->now < b->gone + naming->devices->names.wait_ns;
}

/* A device without a name: how many of the missed ones it could bear. */
static void count_missed(struct naming *naming, bool just_now)
{
	const struct wish *w;

	for_each_name(naming->devices, w, it)
	{
		struct bearer *b = w->kind == WISH_PORT ? NULL : memory_of_given(naming, w);

		if (!b || is_there(naming, w->target) || was_there_just_now(naming, b) != just_now)
			continue;
		for (size_t i = 0; i < naming->n; i++) {
			struct named *d = &naming->at[i];

			if (!d->alias[0] && !d->given[0] && d->facts.id_vendor == w->id_vendor &&
			    d->facts.id_product == w->id_product)
				d->could_be++;
		}
	}
}

static void name_by_command(struct naming *naming, const struct wish *w)
{
	struct device_facts facts[BEARER_CANDIDATES_MAX];
	size_t index[BEARER_CANDIDATES_MAX], n;
	struct bearer *b;
	int found;

	if (w->kind == WISH_PORT)
		return;
	b = memory_of_given(naming, w);
	n = name_candidates(naming, w, facts, index);
	found = b ? bearer_find(b, facts, n, naming->now, naming->devices->names.wait_ns,
				&naming->remembers_more)
		  : -1;
	if (found >= 0)
		snprintf(naming->at[index[found]].given, 32, "%s", w->target);
}

static void name_by_commands(struct naming *naming)
{
	const struct wish *w;

	/* Those that went long ago stand back. */
	count_missed(naming, true);
	for_each_name(naming->devices, w, it)
	{
		const struct bearer *b = bearers_find(&naming->devices->names.bearers, w->target);

		if (b && (is_there(naming, w->target) || was_there_just_now(naming, b)))
			name_by_command(naming, w);
	}
	for (size_t i = 0; i < naming->n; i++)
		naming->at[i].could_be = 0;
	count_missed(naming, false);
	for_each_name(naming->devices, w, it) if (!is_there(naming, w->target))
		name_by_command(naming, w);
	for (size_t i = 0; i < naming->n; i++) {
		struct named *d = &naming->at[i];

		if (!d->alias[0])
			memcpy(d->alias, d->given, sizeof(d->alias));
	}
}

/* ------------------------------------------------------------- what follows */

/*
 * Bring the wishes up to date: those of an older version now hang on names, those on serials get
 * the port, and those that end with an unplugging the device whose unplugging ends them.
 */
static void book_follow(struct devices *devices)
{
	static const enum wish_list lists[] = {WISHES_COMMANDS, WISHES_ASSIGNMENTS,
					       WISHES_RESERVED};
	struct wish_book next;
	unsigned n = 0, ended = 0;
	char error[200];

	if (wish_book_copy(&next, &devices->books->now) < 0)
		return;
	list_for_each(it, &devices->all) {
		const struct device *d = list_entry(it, struct device, link);
		struct device_facts facts = device_facts_of(d);
		bool unique = device_pair_tells(d);

		for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
			n += wish_moved(&next.list[lists[i]], &facts, unique);
			if (facts.alias)
				n += wish_adopt(&next.list[lists[i]], &facts, unique);
		}
		n += wish_plugged(&next.list[WISHES_COMMANDS], &facts, unique, &ended);
	}
	if (!n)
		wish_book_deinit(&next);
	else if (wish_book_commit(devices->books, &next, error, sizeof(error)) < 0)
		log_err("%s", error);
	else if (ended)
		log_notice(
			"%u wishes have ended: their devices were unplugged while the daemon was down",
			ended);
}

static void take_names(struct naming *naming)
{
	for (size_t i = 0; i < naming->n; i++) {
		struct device *d = naming->at[i].device;
		const char *alias = naming->at[i].alias;

		if (!strcmp(d->alias, alias))
			continue;
		if (d->alias[0])
			log_notice("%s: the device in port %s is not called that any more",
				   d->alias, d->busid);
		memcpy(d->alias, alias, sizeof(d->alias));
		naming->changed = true;
		d->judge = true;
		if (d->alias[0]) {
			snprintf(d->tag, sizeof(d->tag), "%s", d->alias);
			log_info("%s: this is %04x:%04x in port %s", d->tag, d->id_vendor,
				 d->id_product, d->busid);
		} else {
			snprintf(d->tag, sizeof(d->tag), "%04x:%04x at %s", d->id_vendor,
				 d->id_product, d->busid);
		}
	}
}

static void names_waited(void *ctx, int res _unused_)
{
	devices_name_anew(ctx);
}

static void naming_add(struct naming *naming, struct device *device)
{
	struct named *d = &naming->at[naming->n++];

	d->device = device;
	d->facts = device_facts_of(device);
}

/* All that are plugged in, and those whose ports were switched off: these are not gone. */
static int naming_init(struct naming *naming, struct devices *devices)
{
	size_t n = 0;

	list_for_each(it, &devices->all)
		n++;
	list_for_each(it, &devices->off)
		n++;
	*naming = (struct naming){.devices = devices, .now = loop_now()};
	naming->at = calloc(n + 1, sizeof(*naming->at));
	if (!naming->at)
		return -ENOMEM;
	list_for_each(it, &devices->all)
		naming_add(naming, list_entry(it, struct device, link));
	list_for_each(it, &devices->off) {
		struct port_off *off = list_entry(it, struct port_off, device.link);

		if (port_off_shown(off))
			naming_add(naming, &off->device);
	}
	return 0;
}

/**
 * devices_name_anew() - decide again what devices are called
 * @devices:	the devices; their sections are known
 *
 * Where one of them is called otherwise than before, what is said means others: EVENT_SAID_CHANGED.
 */
void devices_name_anew(struct devices *devices)
{
	struct naming naming;

	if (!devices->core->ready || devices->core->stopping || naming_init(&naming, devices) < 0)
		return;
	twins_see(devices);
	forget_what_has_gone(devices, false);
	find_given(&naming);
	list_for_each(it, &devices->core->config->devices)
		name_by_section(&naming, list_entry(it, struct config_device, link));
	name_by_commands(&naming);
	take_names(&naming);
	free(naming.at);
	if (naming.remembers_more)
		bearers_save(devices);
	book_follow(devices);
	loop_cancel(devices->core->loop, &devices->names.waits);
	if (naming.until)
		loop_watch_time(devices->core->loop, &devices->names.waits,
				naming.until > naming.now ? naming.until - naming.now : 1,
				names_waited, devices);
	if (naming.changed)
		core_basis_changed(devices->core);
	if (naming.changed)
		events_raise_whole(&devices->core->events, EVENT_SAID_CHANGED);
}

/**
 * devices_find_sections() - the configuration has other sections
 * @devices:	the devices
 */
void devices_find_sections(struct devices *devices)
{
	list_for_each(it, &devices->all)
		device_find_section(list_entry(it, struct device, link));
	list_for_each(it, &devices->off)
		device_find_section(list_entry(it, struct device, link));
}
