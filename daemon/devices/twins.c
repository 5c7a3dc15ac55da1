/* SPDX-License-Identifier: BSD-2-Clause */
/* Who has had a twin; see twins.h. */
#include "daemon/devices/twins.h"

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
 * @devices:	the devices; freed by twins_free()
 *
 * Return: 0 (also where there is no file), or a negative errno.
 */
int twins_load(struct devices *devices)
{
	char path[PATH_MAX];
	size_t len;
	int r;

	state_file_path(path, sizeof(path), devices->core->config->runtime_directory, FILE_NAME);
	r = state_file_read(path, &devices->twins_before, &len);
	return r == -ENOENT ? 0 : r;
}

static void line_of(const struct device *d, char line[LINE_MAX_])
{
	snprintf(line, LINE_MAX_, "%.31s %u %u %04x %04x\n", d->busid, d->busnum, d->devnum,
		 d->id_vendor, d->id_product);
}

/**
 * twins_had() - whether the last run has seen a twin beside a device
 * @devices:	the devices
 * @device:	the device
 */
bool twins_had(const struct devices *devices, const struct device *device)
{
	const char *at = devices->twins_before;
	char line[LINE_MAX_];

	line_of(device, line);
	while (at && (at = strstr(at, line))) {
		if (at == devices->twins_before || at[-1] == '\n')
			return true;
		at++;
	}
	return false;
}

static void twins_print(FILE *f, const void *ctx)
{
	const struct devices *devices = ctx;
	char line[LINE_MAX_];

	list_for_each(it, &devices->all) {
		const struct device *d = list_entry(it, struct device, link);

		if (!d->had_twin)
			continue;
		line_of(d, line);
		fputs(line, f);
	}
}

static void twins_save(struct devices *devices)
{
	char path[PATH_MAX];
	int r;

	state_file_path(path, sizeof(path), devices->core->config->runtime_directory, FILE_NAME);
	r = state_file_print(path, twins_print, devices);
	if (r < 0)
		log_err("%s: %s", path, errno_text(r));
}

/**
 * twins_see() - remember of those that are there which have a twin
 * @devices:	the devices
 */
void twins_see(struct devices *devices)
{
	bool news = false;

	list_for_each(it, &devices->all) {
		struct device *d = list_entry(it, struct device, link);

		if (d->had_twin || !device_has_twin(d))
			continue;
		d->had_twin = true;
		news = true;
	}
	if (!news)
		return;
	core_basis_changed(devices->core);
	twins_save(devices);
}

/**
 * twins_free() - forget what the last run has seen
 * @devices:	the devices
 */
void twins_free(struct devices *devices)
{
	free(take_ptr(devices->twins_before));
}
