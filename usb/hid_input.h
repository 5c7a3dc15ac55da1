/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a device's keyboards send, on its way to the client: watched for chords, and changed only
 * while one is struck (hid_chord.h). Keys of all interfaces of a device count together: keyboards
 * that can tell any number of keys often do so on a second one.
 *
 * An interface is understood by its report descriptor, or in boot protocol by that protocol. If a
 * boot keyboard's descriptor could not be had, its reports of 8 bytes are taken for boot reports,
 * which nearly all are. Anything else passes untouched.
 *
 * Belongs to whoever has the device: the guest's thread, or its worker while the device is parked.
 * Nothing of a report is kept but which keys are down, and nothing is ever logged.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "usb/hid_chord.h"

#define HID_INTERFACES_MAX 32 /* as many as Linux has of one device */

/* What an interface does in boot protocol: bInterfaceProtocol, where bInterfaceSubClass is 1. */
enum hid_boot { HID_BOOT_NONE, HID_BOOT_KEYBOARD, HID_BOOT_MOUSE };

struct hid_input;

/* Who is told. */
struct hid_listener {
	struct hid_chords chords;
	/* Chord number @chord was struck; may not touch the device from within. */
	void (*struck)(struct hid_listener *listener, unsigned chord);
};

int hid_input_new(struct hid_input **ret_input, struct hid_listener *listener);
struct hid_input *hid_input_free(struct hid_input *input);

void hid_input_clear(struct hid_input *input);
bool hid_input_empty(const struct hid_input *input);
bool hid_input_add(struct hid_input *input, uint8_t interface, enum hid_boot boot,
		   const void *descriptor, size_t len);

void hid_input_report(struct hid_input *input, uint8_t interface, uint8_t *data, size_t len);
void hid_input_control(struct hid_input *input, const uint8_t setup[8]);
void hid_input_set_alternate(struct hid_input *input, uint8_t interface, uint8_t alternate);
void hid_input_reset(struct hid_input *input);
