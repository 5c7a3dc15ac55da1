/* SPDX-License-Identifier: BSD-2-Clause */
/* What goes over the line between control and the starter: one struct a packet, both ways. */
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

/* Where r is 0, two descriptors: the end of the new process's line, and its pidfd. */
struct starter_answer {
	uint32_t id;
	int32_t r;
	char text[120];
};
