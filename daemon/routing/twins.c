/* SPDX-License-Identifier: BSD-2-Clause */
/* Who has had a twin; see twins.h. */
#include "daemon/routing/twins.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/core/state_file.h"

#define FILE_NAME "twins"
#define LINE_MAX_ 80

/**
 * twins_load() - read what the last run has seen
 * @daemon:	the daemon; freed by twins_free()
 *
 * Return: 0 (also where there is no file), or a negative errno.
 */
int twins_load(struct daemon *daemon)
{
	char path[PATH_MAX];
	size_t len;
	int r;

	daemon_path(path, sizeof(path), daemon->core->config->runtime_directory, FILE_NAME);
	r = state_file_read(path, &daemon->devices->twins_before, &len);
	return r == -ENOENT ? 0 : r;
}

static void line_of(const struct device *d, char line[LINE_MAX_])
{
	snprintf(line, LINE_MAX_, "%.31s %u %u %04x %04x\n", d->busid, d->busnum, d->devnum,
		 d->id_vendor, d->id_product);
}

/**
 * twins_had() - whether the last run has seen a twin beside a device
 * @daemon:	the daemon
 * @device:	the device
 */
bool twins_had(const struct daemon *daemon, const struct device *device)
{
	const char *at = daemon->devices->twins_before;
	char line[LINE_MAX_];

	line_of(device, line);
	while (at && (at = strstr(at, line))) {
		if (at == daemon->devices->twins_before || at[-1] == '\n')
			return true;
		at++;
	}
	return false;
}

static void twins_print(FILE *f, const void *ctx)
{
	const struct daemon *daemon = ctx;
	char line[LINE_MAX_];

	list_for_each(it, &daemon->devices->all) {
		const struct device *d = list_entry(it, struct device, link);

		if (!d->had_twin)
			continue;
		line_of(d, line);
		fputs(line, f);
	}
}

static void twins_save(struct daemon *daemon)
{
	char path[PATH_MAX];
	int r;

	daemon_path(path, sizeof(path), daemon->core->config->runtime_directory, FILE_NAME);
	r = state_file_print(path, twins_print, daemon);
	if (r < 0)
		log_err("%s: %s", path, errno_text(r));
}

/**
 * twins_see() - remember of those that are there which have a twin
 * @daemon:	the daemon
 */
void twins_see(struct daemon *daemon)
{
	bool news = false;

	list_for_each(it, &daemon->devices->all) {
		struct device *d = list_entry(it, struct device, link);

		if (d->had_twin || !device_has_twin(d))
			continue;
		d->had_twin = true;
		news = true;
	}
	if (news)
		twins_save(daemon);
}

/**
 * twins_free() - forget what the last run has seen
 * @daemon:	the daemon
 */
void twins_free(struct daemon *daemon)
{
	free(take_ptr(daemon->devices->twins_before));
}
