/* SPDX-License-Identifier: BSD-2-Clause */
/* What goes over the line between control and the starter: one struct a packet. */
#pragma once

#include <stdint.h>

#include "daemon/broker/starter.h"

enum starter_kind {
	STARTER_RUN,  /* a VM's process; it is answered */
	STARTER_KILL, /* the one whose pidfd comes beside it; it is not */
};

struct starter_ask {
	uint32_t id;
	uint32_t kind;		      /* enum starter_kind */
	char name[STARTER_NAME_SIZE]; /* of a VM */
};

/*
 * The answer is a struct helper_answer. Where its r is 0, two descriptors come beside it: the end of the new process's
 * line, and its pidfd.
 */
