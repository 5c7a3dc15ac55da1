/* SPDX-License-Identifier: BSD-2-Clause */
/* How wishes end by themselves: at a time, or when their device is unplugged, also while nobody looked. */
#include "policy/wish.h"

#include "policy/wish_private.h"

/**
 * wishes_limit_last() - give the wish that was set last an end
 * @wishes:		the list, not empty
 * @until:		the second at which it ends; 0: at none
 * @until_unplug:	it ends when its device is unplugged
 */
void wishes_limit_last(struct wishes *wishes, uint64_t until, bool until_unplug)
{
	struct wish *w = list_entry(wishes->all.prev, struct wish, link);

	w->until = until;
	w->until_unplug = until_unplug;
}

/**
 * wishes_expire() - take back the wishes whose time is over
 * @wishes:	the list
 * @now:	the second that it is
 *
 * Return: how many.
 */
unsigned wishes_expire(struct wishes *wishes, uint64_t now)
{
	unsigned n = 0;

	list_for_each_safe(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if (!w->until || w->until > now)
			continue;
		wishes_remove(wishes, w);
		n++;
	}
	return n;
}

/**
 * wishes_next_end() - when the next wish ends by itself
 * @wishes:	the list
 *
 * Return: the second; 0 where none does.
 */
uint64_t wishes_next_end(const struct wishes *wishes)
{
	uint64_t next = 0;

	list_for_each(it, &wishes->all) {
		const struct wish *w = list_entry(it, struct wish, link);

		if (w->until && (!next || w->until < next))
			next = w->until;
	}
	return next;
}

/**
 * wish_unplugged() - take back the wishes that end with a device's unplugging
 * @wishes:		the list
 * @device:		the device
 * @pair_is_unique:	no other present device has the same id and serial
 *
 * Return: how many.
 */
unsigned wish_unplugged(struct wishes *wishes, const struct device_facts *device,
			bool pair_is_unique)
{
	unsigned n = 0;

	list_for_each_safe(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if (!w->until_unplug || !wish_means(w, device, pair_is_unique))
			continue;
		wishes_remove(wishes, w);
		n++;
	}
	return n;
}

/**
 * wish_switched_off() - a device leaves because its port was switched off: that is no unplugging
 * @wishes:		the list
 * @device:		the device
 * @pair_is_unique:	no other present device has the same id and serial
 *
 * Return: how many wishes have changed.
 */
unsigned wish_switched_off(struct wishes *wishes, const struct device_facts *device,
			   bool pair_is_unique)
{
	unsigned n = 0;

	list_for_each(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if (!w->until_unplug || !w->plugging || !wish_means(w, device, pair_is_unique))
			continue;
		w->plugging = 0;
		n++;
	}
	return n;
}

/**
 * wish_plugged() - take back the wishes that ended with an unplugging that nobody saw
 * @wishes:		the list
 * @device:		a present device
 * @pair_is_unique:	no other present device has the same id and serial
 * @ret_ended:		raised by how many have ended
 *
 * Return: how many have changed.
 */
unsigned wish_plugged(struct wishes *wishes, const struct device_facts *device, bool pair_is_unique,
		      unsigned *ret_ended)
{
	unsigned n = 0;

	list_for_each_safe(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if (!w->until_unplug || !device->plugging || w->plugging == device->plugging ||
		    !wish_means(w, device, pair_is_unique))
			continue;
		n++;
		if (!w->plugging) {
			w->plugging = device->plugging;
			continue;
		}
		wishes_remove(wishes, w);
		(*ret_ended)++;
	}
	return n;
}
