/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which keyboards the host has, so that the last one is not taken away unasked.
 *
 * A keyboard is a device that has an event node of the input subsystem, so that a driver of the
 * host has it. For a USB device the answer is the same as for rules and hot keys: its class
 * hid.keyboard (device_hid.h). There are two kinds:
 *
 *   - those that commands can be typed on: udev says so of the node (ID_INPUT_KEYBOARD: all of
 *     Escape, digits and letters);
 *   - all, keypads among them.
 *
 * The last one of either kind is guarded: a keyboard though a keypad is left, and a keypad where
 * there is nothing else.
 *
 * udev's word alone counts for what is not USB (i8042, platform), for what a USB device only passes
 * on (a Bluetooth adapter: it is the keyboard then), for USB devices that are not listed, and for a
 * HID device that is neither keyboard nor pointer by what is known of it: a driver of its own may
 * make a keyboard of it. A power button, and a mouse that udev calls a keyboard, don't count. Nor
 * does what programs make (/devices/virtual; BlueZ may do it for Bluetooth keyboards) and what comes
 * over vhci_hcd. A device that a guest has, or that is claimed for one, does not count, though its
 * node may not have gone yet.
 *
 * Event nodes of one USB device are one keyboard; others are one an input device.
 *
 * It may be wrong: a token that types passwords is a keyboard, and a keyboard that was unplugged a
 * moment ago may still have its node, and count. If udev has not seen a new node yet, the node's
 * own key map decides.
 *
 * All of it is read from sysfs and udev's files at each call, a few milliseconds at most: for
 * commands, and where a rule wants a device that the host has.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct devices;
struct device;

bool host_loses_keyboard(const struct devices *devices, const char *const *leaving, size_t n_before,
			 size_t n);
bool host_is_last_keyboard(const struct device *device);
