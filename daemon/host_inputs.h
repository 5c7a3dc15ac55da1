/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which keyboards the host can be typed at, so that the last one is not taken away unasked.
 *
 * A keyboard is an event node of the input subsystem that udev calls one (ID_INPUT_KEYBOARD: all of
 * Escape, digits and letters, so neither a power button nor a remote control). Those of one USB
 * device are one; others (i8042, platform, Bluetooth) are one an input device. What programs make
 * (/devices/virtual) and what comes over vhci_hcd does not count. A device that a guest has, or
 * that is claimed for one, has no input node, and so does not count without further ado.
 *
 * Whether a device is a keyboard at all is told by its class hid.keyboard (device_hid.h); a keypad is
 * of the class, and never the last: nobody can type a command on it.
 *
 * What can be wrong: a token that types passwords is a keyboard to udev, and to this. The kernel's
 * nodes are looked at, and udev may not have seen one that is new: then the node's own key map
 * decides. But a keyboard that was plugged out or taken a moment ago may still have its node, and
 * count.
 *
 * All of it is read from sysfs and udev's files at each call, a few milliseconds at most: for
 * commands, and where a rule wants a device that the host has.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct device;

int host_keyboards_left(const char *const *leaving, size_t n);
bool host_is_last_keyboard(const struct device *device);
