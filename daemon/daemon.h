/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole: daemon.c puts the rooms together. */
#pragma once

struct config;
struct policy;
struct sandbox_user;

int daemon_run(struct config *config, struct policy *policy, const char *config_file,
	       int broker_line, int starter_line, const struct sandbox_user *user);
