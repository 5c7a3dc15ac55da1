/* SPDX-License-Identifier: BSD-2-Clause */
/* What goes over the line between control and the starter: one struct a packet, both ways. */
#pragma once

#include <stdint.h>

#include "daemon/broker/starter.h"

struct starter_ask {
	uint32_t id;
	char name[STARTER_NAME_SIZE]; /* of a VM */
};

/* Where r is 0, one descriptor: the end of the new process's line. */
struct starter_answer {
	uint32_t id;
	int32_t r;
	char text[120];
};
