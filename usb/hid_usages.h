/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The usages that local items have given for the next main item, in their order, as Linux counts
 * them (drivers/hid/hid-core.c, 6.1): at most HID_USAGES_MAX, kept as ranges. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HID_USAGES_MAX	   12288 /* as HID_MAX_USAGES of Linux */
#define HID_DESCRIPTOR_MAX 4096	 /* bytes; as HID_MAX_DESCRIPTOR_SIZE of Linux */

/* Usages @id … @id + @n - 1 of a page. No range goes beyond its page's end. */
struct hid_usage_range {
	uint16_t page, id;
	uint16_t n;
	bool has_page; /* by its item; else the page may be said later */
};

struct hid_usages {
	unsigned n_ranges, n; /* ranges, usages */
	uint32_t minimum;     /* the last Usage Minimum */
	unsigned sets;	      /* of alternatives: how many were begun */
	bool in_set;
	/* Each item gives one, and one that crosses a page's end gives two. */
	struct hid_usage_range ranges[HID_DESCRIPTOR_MAX + 1];
};

void hid_usages_clear(struct hid_usages *u);
int hid_usages_item(struct hid_usages *u, uint8_t tag, uint32_t value, uint8_t size, uint16_t page);
void hid_usages_finish(struct hid_usages *u, uint16_t page);
uint32_t hid_usages_first(const struct hid_usages *u);
