/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices made ready for the policy; see policy_subject.h. */
#include "daemon/routing/policy_subject.h"

#include <string.h>

static size_t groups_of(const struct config *config, const char *alias,
			const char *groups[CONFIG_GROUPS_MAX])
{
	size_t n = 0;

	list_for_each(it, &config->groups) {
		const struct config_group *g = list_entry(it, struct config_group, link);

		for (size_t i = 0; alias && i < g->n_devices; i++)
			if (!strcmp(g->devices[i], alias)) {
				groups[n++] = g->name;
				break;
			}
	}
	return n;
}

/**
 * policy_subject_init() - a device of which the facts are known
 * @subject:	the subject
 * @config:	which groups there are
 * @facts:	the device; its groups are filled in here, by its alias
 * @alias:	its [device] section, or NULL
 */
void policy_subject_init(struct policy_subject *subject, const struct config *config,
			 const struct device_facts *facts, const struct config_device *alias)
{
	subject->facts = *facts;
	subject->facts.n_groups = groups_of(config, facts->alias, subject->groups);
	subject->facts.groups = subject->groups;
	subject->facts.also = NULL;
	subject->section = NULL;
	if (!alias || !alias->has_vms)
		return;
	subject->section_data = (struct policy_section){
		.name = alias->name,
		.vms = (const char(*)[32])alias->vms,
		.n_vms = alias->n_vms,
	};
	subject->section = &subject->section_data;
}

/**
 * policy_subject_of() - a device that is plugged in
 * @subject:	the subject
 * @device:	the device
 */
void policy_subject_of(struct policy_subject *subject, const struct device *device)
{
	struct device_facts facts = device_facts_of(device);

	policy_subject_init(subject, device->devices->core->config, &facts, device->section);
	if (!device->section || device_bears_section(device))
		return;
	/* Another one bears the name; what is forbidden to the name is forbidden to this one, too. */
	subject->also = facts;
	subject->also.alias = device->section->name;
	subject->also.n_groups = groups_of(device->devices->core->config, device->section->name,
					   subject->also_groups);
	subject->also.groups = subject->also_groups;
	subject->facts.also = &subject->also;
}

/* What is given as a pattern is not known. */
static const char *known(const char *text)
{
	return text && !strpbrk(text, "*?") ? text : NULL;
}

/* A keyboard is of the class hid too. */
static usb_class_set classes_of(int class)
{
	usb_class_set classes = class >= 0 ? (usb_class_set)1 << class : 0;

	if (class == USB_CLASS_HID_KEYBOARD || class == USB_CLASS_HID_MOUSE)
		classes |= 1 << USB_CLASS_HID;
	return classes;
}

/**
 * policy_subject_absent() - a device that has a name and is not plugged in
 * @subject:	the subject
 * @config:	which groups there are
 * @name:	its name
 * @alias:	the [device] section that gave it that, or NULL
 *
 * Only what `match` says is known of it; the policy is asked again once the device is there.
 */
void policy_subject_absent(struct policy_subject *subject, const struct config *config,
			   const char *name, const struct config_device *alias)
{
	const struct selector none = SELECTOR_INIT, *m = alias ? &alias->match : &none;
	const struct device_facts facts = {
		.id_vendor = m->id_vendor,
		.id_product = m->id_product,
		.serial = known(m->serial),
		.product = known(m->product),
		.busid = m->port,
		.stable_port = m->port,
		.alias = name,
		.classes = classes_of(m->class_),
	};

	policy_subject_init(subject, config, &facts, alias);
}
