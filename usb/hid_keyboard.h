/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keyboard of one interface: which keys its reports say are down, and how to make a report say
 * that none is. As Linux keeps it (drivers/hid/hid-core.c, hid-input.c, 6.1): a key has one state
 * in an input device, which the report that came last has set. Pure.
 */
#pragma once

#include "usb/hid_keys.h"
#include "usb/hid_report.h"

#define HID_KEYBOARD_OTHER (-1) /* a report without keys */

struct hid_keyboard;

int hid_keyboard_new(struct hid_keyboard **ret_keyboard, struct hid_layout *layout);
struct hid_keyboard *hid_keyboard_free(struct hid_keyboard *keyboard);
void hid_keyboard_forget(struct hid_keyboard *keyboard);

int hid_keyboard_read(struct hid_keyboard *keyboard, const uint8_t *data, size_t len);
void hid_keyboard_down(const struct hid_keyboard *keyboard, struct hid_keys *keys);
void hid_keyboard_release(const struct hid_keyboard *keyboard, int report, uint8_t *data);
