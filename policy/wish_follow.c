/* SPDX-License-Identifier: BSD-2-Clause */
/* Wishes that hang on something else once their device is there. */
#include <stdlib.h>

#include "policy/serial.h"
#include "policy/wish_private.h"

/**
 * wish_adopt_serial() - have what an older version wrote of a device in a port know its serial
 * @wishes:	the list, of names
 * @device:	a present device
 *
 * An older version wrote the serial only where no other device had it. Where there is no memory,
 * the wish stays as it is.
 */
void wish_adopt_serial(struct wishes *wishes, const struct device_facts *device)
{
	const char *serial = serial_lasting(device);

	list_for_each(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if (!serial || !w->old || w->kind != WISH_PORT_ID ||
		    !wish_means(w, device, false) || wish_copy_text(&w->serial, serial))
			continue;
		w->kind = WISH_SERIAL;
		w->old = false;
	}
}

/**
 * wish_adopt() - have what an older version wrote of a device hang on the name that it bears
 * @wishes:		the list
 * @device:		a present device with an alias
 * @pair_is_unique:	no other present device has the same id and serial
 *
 * Where there is no memory for it, the wish stays as it is, and is adopted another time.
 *
 * Return: how many wishes have changed.
 */
unsigned wish_adopt(struct wishes *wishes, const struct device_facts *device, bool pair_is_unique)
{
	unsigned n = 0;

	list_for_each(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if (!w->old || w->kind == WISH_NAME || w->kind == WISH_PORT ||
		    !wish_means(w, device, pair_is_unique) ||
		    wish_copy_text(&w->name, device->alias))
			continue;
		free(w->serial);
		free(w->port);
		w->serial = w->port = NULL;
		w->id_vendor = w->id_product = 0;
		w->kind = WISH_NAME;
		w->old = false;
		n++;
	}
	return n;
}

/**
 * wish_moved() - remember in which port a device is by now that is known by its serial
 * @wishes:		the list
 * @device:		a present device
 * @pair_is_unique:	no other present device has the same id and serial
 *
 * Return: how many wishes have changed.
 */
unsigned wish_moved(struct wishes *wishes, const struct device_facts *device, bool pair_is_unique)
{
	unsigned n = 0;

	list_for_each(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);
		char *port;

		if (w->kind != WISH_SERIAL || wish_same_text(w->port, device->stable_port) ||
		    !wish_means(w, device, pair_is_unique) ||
		    wish_copy_text(&port, device->stable_port))
			continue;
		free(w->port);
		w->port = port;
		n++;
	}
	return n;
}
