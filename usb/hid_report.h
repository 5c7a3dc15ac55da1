/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HID report descriptors (HID 1.11, 6.2.2), read as hostile bytes, and as Linux reads them
 * (drivers/hid/hid-core.c and hid-input.c, 6.1): for the host and for most guests a device is what
 * Linux makes of it. What Linux refuses is refused here. Two questions are answered: where in which
 * input report are keys of the Keyboard page, and what kind of device is this? Pure.
 *
 * Keys are told as one element each that is 0 or not (modifiers, and all keys where a keyboard can
 * tell any number at once), or as an array of elements that name the keys which are down. A field
 * has some number of elements, and runs of consecutive usages that its elements or their values
 * stand for.
 *
 * A layout takes memory in proportion to its descriptor, at most a few hundred KiB.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "usb/hid_usages.h"

/* What an interface is by its reports: a set. */
enum hid_kind {
	/* It types: at least HID_KEYS_THAT_TYPE letters and digits, those of a keypad included. */
	HID_KEYBOARD = 1,
	/* It moves a pointer and clicks or touches: mice, tablets, touch screens, touch pads; not
	 * joysticks and game pads. */
	HID_POINTER = 2,
};

/* A keypad without its 0 still is one; a mouse with a key or two is no keyboard. */
#define HID_KEYS_THAT_TYPE 9

/* Elements (or values of an array, less its minimum) @at … @at + @n - 1 mean usages from @usage on,
 * or all mean @usage. */
struct hid_run {
	uint16_t at, n;
	uint8_t usage;
	bool same;
};

struct hid_field {
	uint8_t report; /* index in hid_layout.reports */
	bool array, relative, null_state, buffered;
	uint16_t size;	      /* bits of an element; only the first 32 count */
	uint16_t count;	      /* elements */
	uint16_t n_usages;    /* array: how many values there are */
	int32_t min, max;     /* logical */
	uint32_t offset;      /* bits before the first element, after the report's id */
	bool has_none;	      /* array: there is a value that means no key … */
	uint32_t none;	      /* … which is this one, as it stands in the report */
	unsigned run, n_runs; /* in hid_layout.runs */
};

/* What the keys of one interface look like. */
struct hid_layout {
	unsigned kinds;	    /* of enum hid_kind */
	bool has_ids;	    /* reports begin with their id */
	unsigned n_devices; /* Linux makes so many input devices of it, at most */
	unsigned n_reports, n_fields, n_runs;
	struct {
		uint8_t id;
		uint8_t device;	 /* the input device that its keys belong to */
		uint16_t length; /* bytes, without the id */
	} * reports;		 /* those that have keys */
	struct hid_field *fields;
	struct hid_run *runs;
};

int hid_report_parse(struct hid_layout **ret_layout, const void *descriptor, size_t len);
int hid_report_boot(struct hid_layout **ret_layout);
unsigned hid_report_kinds(const void *descriptor, size_t len);
struct hid_layout *hid_layout_free(struct hid_layout *layout);
void hid_layout_freep(struct hid_layout **layout);
