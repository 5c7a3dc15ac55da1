/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HID report descriptors (HID 1.11, 6.2.2), read as hostile bytes for one question only: where in
 * which input report are keys of the Keyboard page? Pure, and without memory of its own.
 *
 * Keys are told as one element each that is 0 or not (modifiers, and all keys where a keyboard can
 * tell any number at once), or as an array of elements that name the keys which are down. One field
 * describes one run of consecutive usages: keys that are listed one by one come to several.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HID_DESCRIPTOR_MAX 4096 /* bytes; as in the kernel's HID */
#define HID_REPORTS_MAX	   8	/* reports of one interface that have keys */
#define HID_FIELDS_MAX	   64

struct hid_field {
	uint8_t report; /* index in hid_layout.reports */
	bool array;
	uint8_t size;	 /* bits of an element */
	uint8_t usage;	 /* of the first key */
	uint16_t n_keys; /* consecutive usages */
	uint16_t count;	 /* elements; not an array: as many as keys */
	uint32_t offset; /* bits before the first element, the report's id included */
	uint32_t value;	 /* array: the element's value that means the first key … */
	uint32_t none;	 /* … and one that means no key */
};

/* What the keys of one interface look like. */
struct hid_layout {
	bool has_ids; /* reports begin with their id */
	unsigned n_reports, n_fields;
	struct {
		uint8_t id;
		uint16_t length; /* bytes */
	} reports[HID_REPORTS_MAX];
	struct hid_field fields[HID_FIELDS_MAX];
};

int hid_report_parse(struct hid_layout *layout, const void *descriptor, size_t len);
void hid_report_boot(struct hid_layout *layout);
size_t hid_report_descriptor_length(const void *extra, size_t len);
