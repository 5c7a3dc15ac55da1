/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a person's word means where several devices may be meant: a group, or what means one device.
 */
#pragma once

#include "daemon/commands/commands.h"

struct route_subject subject_of(struct device *device);
size_t subjects_of_lost_wishes(const struct commands *commands, const struct selector *selector,
			       struct route_subject subjects[ROUTE_SUBJECTS_MAX]);
bool subject_of_lost_name(struct commands *commands, const char *text,
			  struct route_subject *subject);
int subjects_resolve(struct commands *commands, const char *text,
		     struct route_subject subjects[ROUTE_SUBJECTS_MAX], size_t *ret_n,
		     const char **ret_expected);
int subjects_of_group(struct commands *commands, const char *name,
		      struct route_subject subjects[ROUTE_SUBJECTS_MAX], size_t *ret_n);
const char *subjects_group_of(const struct device *device, char name[32]);
