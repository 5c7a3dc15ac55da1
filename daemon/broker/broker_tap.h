/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tap of a network's uplink, as the broker opens it.
 *
 * It opens an existing tap by its name, and makes none: making one takes a capability that the
 * broker does not have, and a tap's owner says who may attach to it (`ip tuntap add … user root`).
 * Its frames have a virtio-net header of 12 bytes, and may be long segments with open checksums.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/broker/broker.h"

bool broker_tap_sound(const char name[BROKER_BUSID_SIZE]);
int broker_tap_open(const char *name, int *ret_fd, char *text, size_t size);
