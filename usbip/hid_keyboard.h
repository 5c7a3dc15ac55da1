/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A keyboard's report: which keys it says are down, and how to make it say that none is. Pure.
 */
#pragma once

#include "usbip/hid_keys.h"
#include "usbip/hid_report.h"

#define HID_KEYBOARD_OTHER (-1) /* a report without keys, or of another shape */

int hid_keyboard_read(const struct hid_layout *layout, const uint8_t *data, size_t len,
		      struct hid_keys keys[HID_REPORTS_MAX]);
void hid_keyboard_release(const struct hid_layout *layout, int report, uint8_t *data);
