/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole: daemon.c puts the rooms together. */
#pragma once

#include <stddef.h>

#include "daemon/vms/vm.h"

struct config;
struct policy;
struct sandbox_user;

/* Sockets that listen, which whoever started usbrouted has handed over. */
struct daemon_passed {
	int fds[VMS_PASSED_MAX];
	size_t n;
};

int daemon_run(struct config *config, struct policy *policy, const char *config_file,
	       int broker_line, int starter_line, const struct sandbox_user *user,
	       const struct daemon_passed *passed);
