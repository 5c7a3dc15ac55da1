/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tap of a network's uplink, as the broker opens it.
 *
 * An existing one, by its name. None is made: that takes a capability which the broker has not, and who
 * may attach to one that is there is its owner's to say (`ip tuntap add … user root`). Its frames have a
 * virtio-net header of 12 bytes, and may be long segments with open checksums.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/broker/broker.h"

bool broker_tap_sound(const char name[BROKER_BUSID_SIZE]);
int broker_tap_open(const char *name, int *ret_fd, char *text, size_t size);
