/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports whose device comes and goes: the last unpluggings, with their times. That is what a loose plug,
 * a bad cable or a hub without enough power looks like. Control thread only.
 */
#pragma once

#include <stdint.h>

#define PORT_FLAPS_KEPT	   64
#define PORT_FLAPS_SECONDS 300 /* the time over which unpluggings are counted */
#define PORT_FLAPS_MANY	   4   /* so often within that time nobody unplugs by hand */

struct port_flaps {
	struct {
		char port[32]; /* the kernel's spelling */
		uint64_t ns;   /* CLOCK_MONOTONIC; 0: none */
	} at[PORT_FLAPS_KEPT];
	unsigned next;
};

void port_flaps_note(struct port_flaps *flaps, const char *port);
unsigned port_flaps_count(const struct port_flaps *flaps, const char *port);
