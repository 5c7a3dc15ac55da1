/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a device is a keyboard or a pointer, and the classes that follow (usb/hid_found.h has
 * the answer's form). Found from its descriptors and from sysfs when it is listed, and each time the
 * host's HID driver takes an interface; by a guest's thread when it is claimed, and whenever its
 * guest sets another configuration. What was found holds until it is unplugged.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "policy/usb_class.h"

struct device;
struct hid_found;

void device_hid_read(struct device *device, const void *descriptors, size_t len, int configuration);
bool device_hid_add(struct device *device, const struct hid_found *found);
bool device_hid_look_again(struct device *device);
void device_classes_anew(struct device *device);
char *device_class_text(const struct device *device, enum usb_class class_, char *text,
			size_t size);
