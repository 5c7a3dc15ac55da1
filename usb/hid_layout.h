/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A layout in the making: what the parser of report descriptors (hid_report.c) finds, put together
 * as Linux puts together its input devices (drivers/hid/hid-input.c, 6.1). Nobody else includes it.
 */
#pragma once

#include "usb/hid_keys.h"
#include "usb/hid_report.h"

#define HID_COLLECTION_PHYSICAL	   0
#define HID_COLLECTION_APPLICATION 1

/* Of Input items: HID 1.11, 6.2.2.5. */
enum {
	HID_CONSTANT = 1,
	HID_VARIABLE = 2,
	HID_RELATIVE = 4,
	HID_NULL_STATE = 0x40,
	HID_BUFFERED_BYTES = 0x100
};

/* One Input item. */
struct hid_part {
	uint8_t id;
	uint32_t flags;
	uint32_t size, count;
	int32_t min, max;
	uint32_t offset;		/* bits */
	uint32_t application, physical; /* usages of the collections that it is in */
	const struct hid_usages *usages;
};

struct hid_builder {
	struct hid_layout *layout;
	unsigned room_fields, room_runs;
	unsigned n_applications; /* collections of that type */
	bool is_input;		 /* one of the collections is what Linux makes input devices of */
	struct hid_keys keys;	 /* all that there are */
	unsigned n_order;	 /* reports */
	uint8_t order[256];	 /* their ids, as they came */
	struct {
		bool seen, has_fields, has_keys;
		uint8_t signs; /* of a pointer */
		uint8_t device;
		uint32_t bits;
		uint32_t application;
	} reports[256];
	uint32_t devices[256]; /* the application of each input device */
};

int hid_builder_init(struct hid_builder *b);
void hid_builder_deinit(struct hid_builder *b);
void hid_builder_collection(struct hid_builder *b, uint8_t type, uint32_t usage);
void hid_builder_report(struct hid_builder *b, const struct hid_part *part);
int hid_builder_field(struct hid_builder *b, const struct hid_part *part);
int hid_builder_finish(struct hid_builder *b);
