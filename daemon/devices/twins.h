/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which devices have had a twin beside them: another one of the same id and serial. By that serial neither is
 * known for as long as it is plugged in (device_pair_tells()), also where the twin has gone and the daemon was
 * started anew. So it is kept in the runtime directory, a line a device: busid, bus number, device number, vendor,
 * product. A device of another number is another device.
 */
#pragma once

#include "daemon/devices/device.h"

int twins_load(struct devices *devices);
bool twins_had(const struct devices *devices, const struct device *device);
void twins_see(struct devices *devices);
void twins_free(struct devices *devices);
