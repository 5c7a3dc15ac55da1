/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which devices have had a twin beside them: another one of the same id and serial. For as long as
 * it is plugged in, neither is known by that serial (device_pair_tells()), even if the twin has
 * gone and usbrouted was restarted. So it is kept in the runtime directory, a line a device: busid,
 * bus number, device number, vendor, product. A device of another number is another device.
 */
#pragma once

#include "daemon/devices/device.h"

int twins_load(struct devices *devices);
bool twins_had(const struct devices *devices, const struct device *device);
void twins_see(struct devices *devices);
void twins_free(struct devices *devices);
