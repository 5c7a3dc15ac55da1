/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rights of control, and how it gives them up: it begins as root (or as whoever runs it), makes its two
 * folders, becomes its own user, and keeps no capability, no file but these folders', and no system call
 * that it does not need. See base/sandbox.h and docs/security.md.
 */
#pragma once

#include "base/sandbox.h"
#include "daemon/config/config.h"

#define RIGHTS_USER "usbrouted"

int rights_find_user(struct sandbox_user *ret_user, const char *name);
int rights_take_folders(const struct config *config, const struct sandbox_user *user);
int rights_become(const struct sandbox_user *user, gid_t socket_group, const char *config_file);
int rights_give_up(const struct config *config, const char *config_file);
