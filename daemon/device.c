/* SPDX-License-Identifier: BSD-2-Clause */
/* One device among the present ones: its facts, and which one a person means. */
#include <errno.h>
#include <string.h>

#include "daemon/daemon.h"
#include "policy/name.h"

/**
 * device_facts_of() - a device as selectors and wishes see it
 * @device:	the device; the facts borrow its strings
 */
struct device_facts device_facts_of(const struct device *device)
{
	return (struct device_facts){
		.id_vendor = device->id_vendor,
		.id_product = device->id_product,
		.serial = device->serial,
		.product = device->product,
		.busid = device->busid,
		.stable_port = device->stable_port,
		.alias = device->alias ? device->alias->name : NULL,
		.classes = device->classes,
	};
}

/**
 * device_pair_is_unique() - whether id and serial tell a device from all others that are present
 * @device:	the device
 */
bool device_pair_is_unique(const struct device *device)
{
	if (!device->serial)
		return false;
	list_for_each(it, &device->daemon->devices) {
		const struct device *d = list_entry(it, struct device, link);

		if (d != device && d->id_vendor == device->id_vendor &&
		    d->id_product == device->id_product && d->serial &&
		    !strcmp(d->serial, device->serial))
			return false;
	}
	return true;
}

/**
 * device_is_meant() - whether a person's word for a device means this one
 * @device:	the device
 * @text:	an alias or a selector
 */
bool device_is_meant(const struct device *device, const char *text)
{
	struct device_facts facts = device_facts_of(device);
	struct selector s = SELECTOR_INIT;
	const char *expected;
	bool meant = false;

	if (device->alias && !strcmp(device->alias->name, text))
		return true;
	if (config_find_device(device->daemon->config, text))
		return false;
	if (selector_parse_word(&s, text, &expected) == 0)
		meant = selector_matches(&s, &facts);
	selector_deinit(&s);
	return meant;
}

/**
 * device_resolve() - find the one device that a person means
 * @daemon:		whose devices
 * @text:		an alias or a selector
 * @ret_device:		the device, where there is just one
 * @ret_by_port:	whether it was named by its port
 * @ret_expected:	where @text is neither: what it could have been
 *
 * Return: 0, RESOLVE_UNKNOWN, RESOLVE_AMBIGUOUS, RESOLVE_ABSENT, or -EINVAL.
 */
int device_resolve(struct daemon *daemon, const char *text, struct device **ret_device,
		   bool *ret_by_port, const char **ret_expected)
{
	bool is_alias = config_find_device(daemon->config, text);
	struct selector s = SELECTOR_INIT;
	struct device *found = NULL;
	int r = 0;

	*ret_by_port = false;
	if (!is_alias) {
		r = selector_parse_word(&s, text, ret_expected);
		if (r == 0)
			*ret_by_port = s.port != NULL;
		selector_deinit(&s);
		/* A bare name that is no alias: such a device is simply not known. */
		if (r < 0)
			return name_valid(text) ? RESOLVE_UNKNOWN : -EINVAL;
	}
	list_for_each(it, &daemon->devices) {
		struct device *d = list_entry(it, struct device, link);

		if (!device_is_meant(d, text))
			continue;
		if (found)
			return RESOLVE_AMBIGUOUS;
		found = d;
	}
	if (!found)
		return is_alias ? RESOLVE_ABSENT : RESOLVE_UNKNOWN;
	*ret_device = found;
	return 0;
}
