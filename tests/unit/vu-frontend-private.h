/* SPDX-License-Identifier: BSD-2-Clause */
/* What vu-frontend.c and vu-frontend-ring.c share: where a ring's parts are in its memory. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/vu-frontend.h"

#define RING_AT(ring) (FE_RINGS + (ring)*0x10000u)
#define AVAIL	      0x4000u
#define USED	      0x6000u

static inline void must(bool what, const char *name)
{
	if (!what) {
		fprintf(stderr, "front-end: %s failed: %s\n", name, strerror(errno));
		abort();
	}
}
#define MUST(what) must(what, #what)
