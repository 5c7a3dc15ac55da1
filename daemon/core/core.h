/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every room of control works with: the loop, the configuration and the policy in force, and
 * whether control is starting, ready or stopping. daemon.c makes it once. Control thread only.
 *
 *   starting --all is known that was there--> ready --asked to stop--> stopping
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/events.h"

struct config;
struct loop;
struct policy;

struct core {
	struct loop *loop;
	struct events events;  /* what the rooms are told of at the turn's end */
	struct config *config; /* never NULL; a reload swaps both as a whole */
	struct policy *policy;
	const char *runtime_directory, *state_directory; /* @config's */
	const char *config_file;			 /* NULL: the usual one */
	uint64_t started_ns;
	/* The how manieth state of all that says where devices should be: wishes, names, rules, what devices are. */
	uint64_t basis;
	bool ready, stopping;
};

/* What was decided before does not hold any longer. */
static inline void core_basis_changed(struct core *core)
{
	core->basis++;
}
