/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports whose device comes and goes; see port_flaps.h. */
#include "daemon/devices/port_flaps.h"

#include <stdio.h>
#include <string.h>

#include "base/loop.h"

/**
 * port_flaps_note() - a device was unplugged
 * @flaps:	the last ones
 * @port:	from where
 */
void port_flaps_note(struct port_flaps *flaps, const char *port)
{
	unsigned i = flaps->next++ % PORT_FLAPS_KEPT;

	snprintf(flaps->at[i].port, sizeof(flaps->at[i].port), "%s", port);
	flaps->at[i].ns = loop_now();
}

/**
 * port_flaps_count() - how often a port was left lately
 * @flaps:	the last ones
 * @port:	the port
 *
 * Return: how often within PORT_FLAPS_SECONDS.
 */
unsigned port_flaps_count(const struct port_flaps *flaps, const char *port)
{
	const uint64_t lately = PORT_FLAPS_SECONDS * 1000000000ull;
	uint64_t now = loop_now();
	unsigned n = 0;

	for (unsigned i = 0; i < PORT_FLAPS_KEPT; i++)
		n += flaps->at[i].ns && now - flaps->at[i].ns < lately &&
		     !strcmp(flaps->at[i].port, port);
	return n;
}
