/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each HID interface of a device is, and how that is known. It is the one answer to "is it a
 * keyboard?" for classes, rules, hot keys and the guard of the host's last keyboard. Pure.
 *
 * An interface's protocol says it (03/01/01, 03/01/02), or its report descriptor does; either is
 * enough. A report descriptor is read from sysfs while the host's HID driver has the interface, and
 * from the device when it is claimed. What was found once holds until the device is unplugged.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "usb/hid_report.h"

enum hid_source { HID_BY_PROTOCOL, HID_BY_REPORTS, HID_SOURCES };

struct hid_found {
	uint8_t kinds[HID_SOURCES][256]; /* by bInterfaceNumber: sets of enum hid_kind */
};

unsigned hid_protocol_kinds(uint8_t interface_class, uint8_t subclass, uint8_t protocol);
bool hid_found_join(struct hid_found *found, const struct hid_found *more);
unsigned hid_found_kinds(const struct hid_found *found);
char *hid_found_text(const struct hid_found *found, enum hid_kind kind, char *text, size_t size);
size_t hid_report_length(const uint8_t *hid);
