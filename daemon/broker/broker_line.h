/* SPDX-License-Identifier: BSD-2-Clause */
/* What goes over the line between the daemon and its broker: one struct a packet; answers are struct helper_answer. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/broker/broker.h"

enum broker_verb {
	BROKER_OPEN = 2,
	BROKER_REBIND,
	BROKER_RESET,
	BROKER_POWER_OFF,
	BROKER_POWER_ON,
	BROKER_TAP,    /* the tap's name in place of a device's */
	BROKER_LISTEN, /* an address alone */
};

/* As struct ip_endpoint. */
struct broker_address {
	uint8_t v6; /* 0 or 1 */
	uint8_t unused;
	uint16_t port; /* not 0 */
	uint8_t address[16];
};

struct broker_ask {
	uint32_t id, verb;
	uint8_t force; /* RESET, POWER_OFF: 1: also a disk in use; 0. A bool that is neither is none. */
	struct broker_device device;
	struct broker_address at; /* LISTEN */
};
