/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The power of one port of a hub, as the broker switches it.
 *
 * A port is named by the device that is in it, or was. It is switched only if its hub says that it
 * switches ports one by one: a hub that switches all together would switch neighbours off, and one
 * that switches none would say yes and do nothing. A connector of USB 3 is two ports, each the
 * other's peer: both are switched, or a SuperSpeed device would come back at high speed.
 *
 * The kernel's own switch is used where there is one (`disable` in sysfs, Linux 6.0): it takes the
 * device off first. Before, the hub is asked (USB 2.0, 11.24.2: ClearPortFeature, SetPortFeature).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/broker/broker.h"

int broker_port_off(const struct broker_device *d, bool force, char *text, size_t size);
int broker_port_on(const char busid[BROKER_BUSID_SIZE], char *text, size_t size);
