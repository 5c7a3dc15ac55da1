/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which serial numbers tell a device from others in whichever port it is. Pure.
 *
 * A serial that contains the port changes with the port, and tells nothing. It contains the port
 * where one of these stands in it as a word (no letter or digit right before or after it):
 *
 *   - the kernel's name of the device's port, such as 1-1.2;
 *   - the name of its controller, which is what precedes the slash of its stable port;
 *   - a PCI address, such as 0000:00:04.0: QEMU's devices have their controller's there, as QEMU
 *     numbers it ("68284-0000:00:04.0-1.2"), which need not be as the kernel does;
 *
 * or where it ends with a dash and the device's ports below the root hub, if these are two or more
 * ("68284-1.2"). With one port alone that would be any serial that ends with "-1".
 */
#pragma once

#include "policy/selector.h"

const char *serial_lasting(const struct device_facts *device);
