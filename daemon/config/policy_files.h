/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy's files: policy.d/NAME.rules beside the configuration's file, read in the byte order
 * of their names, all of them before anything is used.
 */
#pragma once

#include <stddef.h>

#include "daemon/config/config.h"
#include "policy/decision.h"

/* What a file's name begins with in messages about its rules. */
#define POLICY_FOLDER "policy.d"

int policy_files_load(struct policy **ret_policy, const char *config_file,
		      const struct config *config, struct config_errors *errors);
int policy_files_parse(struct policy *policy, const char *name, const char *path, const void *data,
		       size_t len, const struct config *config, struct config_errors *errors);
