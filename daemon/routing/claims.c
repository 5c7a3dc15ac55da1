/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of claimed devices; see claims.h. */
#include "daemon/routing/claims.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/core/state_file.h"
#include "daemon/routing/route_private.h"
#include "daemon/vms/vm_process.h"

#define CLAIMS_MAX 1024

/**
 * claims_load() - read the list of the last run
 * @runtime_directory:	where it lies
 * @claims:		an empty list; gets struct claim, freed by claims_clear()
 *
 * Return: 0 (also where there is no file), or a negative errno. Lines that say nothing are skipped.
 */
int claims_load(const char *runtime_directory, struct list *claims)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX], *save = NULL;
	unsigned n = 0;
	size_t len;
	int r;

	state_file_path(path, sizeof(path), runtime_directory, "claimed");
	r = state_file_read(path, &text, &len);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (char *line = strtok_r(text, "\n", &save); line && n < CLAIMS_MAX;
	     line = strtok_r(NULL, "\n", &save)) {
		struct claim *c = calloc(1, sizeof(*c));
		struct broker_device *d;
		int n_words;

		if (!c)
			return -ENOMEM;
		d = &c->device;
		n_words = sscanf(line, "%31s %hu %hu %hx %hx %31s %16s %31s %u", d->busid,
				 &d->busnum, &d->devnum, &d->id_vendor, &d->id_product,
				 c->let_go.vm, c->let_go.boot, c->before.vm, &c->before.number);
		if (n_words < 5) {
			free(c);
			continue;
		}
		if (n_words < 7 || !strcmp(c->let_go.vm, "-"))
			c->let_go = (struct route_let_go){0};
		if (n_words < 9 || !strcmp(c->before.vm, "-"))
			c->before = (struct route_before){0};
		list_append(claims, &c->link);
		n++;
	}
	return 0;
}

/**
 * claims_clear() - forget a list
 * @claims:	the list; empty afterwards
 */
void claims_clear(struct list *claims)
{
	struct list *l;

	while ((l = list_pop(claims)))
		free(list_entry(l, struct claim, link));
}

/**
 * claims_take() - whether a device is on the list; it is taken off
 * @claims:	the list
 * @device:	a present device
 * @ret_let_go:	who had let go of it; written where it is
 * @ret_before:	which process had it; written where it is
 */
bool claims_take(struct list *claims, const struct device *device, struct route_let_go *ret_let_go,
		 struct route_before *ret_before)
{
	list_for_each(it, claims) {
		struct claim *c = list_entry(it, struct claim, link);

		if (strcmp(c->device.busid, device->busid) || c->device.busnum != device->busnum ||
		    c->device.devnum != device->devnum ||
		    c->device.id_vendor != device->id_vendor ||
		    c->device.id_product != device->id_product)
			continue;
		list_remove(it);
		*ret_let_go = c->let_go;
		*ret_before = c->before;
		free(c);
		return true;
	}
	return false;
}

static void claims_print(FILE *f, const void *ctx)
{
	const struct routing *routing = ctx;

	list_for_each(it, &routing->devices->all) {
		const struct device *d = list_entry(it, struct device, link);
		const struct placement *first = placement_first(d);

		if (!d->ours && d->route->state != ROUTE_OPENING)
			continue;
		fprintf(f, "%s %u %u %04x %04x", d->busid, d->busnum, d->devnum, d->id_vendor,
			d->id_product);
		fprintf(f, " %s %s", d->route->let_go.vm[0] ? d->route->let_go.vm : "-",
			d->route->let_go.boot[0] ? d->route->let_go.boot : "-");
		if (first && first->gd)
			fprintf(f, " %s %u\n", first->vm->name, guest_device_number(first->gd));
		else
			fprintf(f, " %s %u\n", d->route->before.vm[0] ? d->route->before.vm : "-",
				d->route->before.number);
	}
}

/**
 * claims_save() - write down which devices the host's drivers don't have
 * @routing:	whose devices
 *
 * Return: 0 or a negative errno.
 */
int claims_save(struct routing *routing)
{
	char path[PATH_MAX];
	int r;

	state_file_path(path, sizeof(path), routing->core->config->runtime_directory, "claimed");
	r = state_file_print(path, claims_print, routing);
	if (r < 0)
		log_err("%s: %s", path, errno_text(r));
	return r;
}
