/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device as the policy sees it: its facts, the groups that the configuration puts it in, and what
 * its [device] section says. Made for one question, on the stack; borrows the strings of the device
 * and of the configuration.
 */
#pragma once

#include "daemon/routing/route.h"
#include "policy/decision.h"

struct policy_subject {
	struct device_facts facts;
	const struct policy_section *section; /* NULL where it has no `vms` */
	struct policy_section section_data;
	const char *groups[CONFIG_GROUPS_MAX];
	struct device_facts also; /* facts.also */
	const char *also_groups[CONFIG_GROUPS_MAX];
};

void policy_subject_init(struct policy_subject *subject, const struct config *config,
			 const struct device_facts *facts, const struct config_device *alias);
void policy_subject_of(struct policy_subject *subject, const struct device *device);
void policy_subject_absent(struct policy_subject *subject, const struct config *config,
			   const char *name, const struct config_device *alias);
