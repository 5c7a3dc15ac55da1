/* SPDX-License-Identifier: BSD-2-Clause */
/* Local items of a report descriptor; see hid_usages.h. */
#include "usb/hid_usages.h"

#include <errno.h>
#include <stddef.h>

#include "base/mem.h"

/* Tags of local items: HID 1.11, 6.2.2.8. */
enum { USAGE = 0x0, USAGE_MINIMUM = 0x1, USAGE_MAXIMUM = 0x2, DELIMITER = 0xa };

/**
 * hid_usages_clear() - begin anew, after a main item
 * @u:	the usages
 */
void hid_usages_clear(struct hid_usages *u)
{
	u->n_ranges = u->n = 0;
	u->minimum = 0;
	u->sets = 0;
	u->in_set = false;
}

/* Ranges of one page that follow on each other are one. */
static void add_range(struct hid_usages *u, uint32_t usage, uint32_t n, bool has_page)
{
	uint16_t page = (uint16_t)(usage >> 16), id = (uint16_t)usage;
	struct hid_usage_range *last = u->n_ranges ? &u->ranges[u->n_ranges - 1] : NULL;

	if (last && last->has_page == has_page && last->page == page &&
	    (uint32_t)last->id + last->n == id) {
		last->n = (uint16_t)(last->n + n);
		return;
	}
	if (u->n_ranges < ARRAY_SIZE(u->ranges))
		u->ranges[u->n_ranges++] =
			(struct hid_usage_range){page, id, (uint16_t)n, has_page};
}

/* @n usages from @first on; without a page of their own, only their low 16 bits count. */
static int add(struct hid_usages *u, uint32_t first, uint32_t n, bool has_page, uint16_t page)
{
	if (n > HID_USAGES_MAX - u->n)
		return -EBADMSG;
	u->n += n;
	while (n) {
		uint32_t part = min_t(uint32_t, n, 0x10000 - (first & 0xffff));
		uint32_t usage = has_page ? first : (uint32_t)page << 16 | (first & 0xffff);

		add_range(u, usage, part, has_page);
		first += part;
		n -= part;
	}
	return 0;
}

/*
 * Linux counts in 32 bits: a maximum below the minimum means very many usages, which are cut off
 * where there is no room, or none at all where that sum passes 2^32.
 */
static int add_to_maximum(struct hid_usages *u, uint32_t maximum, bool has_page, uint16_t page)
{
	uint32_t count = maximum - u->minimum;

	if (count + u->n >= HID_USAGES_MAX) {
		maximum = HID_USAGES_MAX - u->n + u->minimum - 1;
		if (!maximum)
			return -EBADMSG;
	}
	if (maximum < u->minimum)
		return 0;
	/* Where there is no room left, and the minimum is 0. */
	if (maximum - u->minimum == UINT32_MAX)
		return -EBADMSG;
	return add(u, u->minimum, maximum - u->minimum + 1, has_page, page);
}

/**
 * hid_usages_item() - a local item
 * @u:		the usages
 * @tag:	of the item
 * @value:	its data
 * @size:	bytes of its data; a usage of 4 bytes has its page with it
 * @page:	the page in force
 *
 * Of usages that stand for each other (between delimiters) the first set counts, and all that
 * comes after the second was begun does not.
 *
 * Return: 0, or -EBADMSG where Linux refuses the descriptor for it.
 */
int hid_usages_item(struct hid_usages *u, uint8_t tag, uint32_t value, uint8_t size, uint16_t page)
{
	bool has_page = size == 4;

	if (tag == DELIMITER) {
		if (u->in_set == !!value)
			return -EBADMSG;
		u->in_set = value != 0;
		u->sets += u->in_set;
		return 0;
	}
	if (u->sets > 1)
		return 0;
	switch (tag) {
	case USAGE:
		return add(u, value, 1, has_page, page);
	case USAGE_MINIMUM:
		u->minimum = value;
		return 0;
	case USAGE_MAXIMUM:
		return add_to_maximum(u, value, has_page, page);
	default: /* designators and strings */
		return 0;
	}
}

/**
 * hid_usages_finish() - the main item is there
 * @u:		the usages
 * @page:	the page in force
 *
 * The page that was said last holds for all usages before it without one of their own, back to
 * the first that has it already (HID 1.11, 6.2.2.8, and hid_concatenate_last_usage_page() of
 * Linux).
 */
void hid_usages_finish(struct hid_usages *u, uint16_t page)
{
	for (unsigned i = u->n_ranges; i-- > 0;) {
		if (u->ranges[i].has_page)
			continue;
		if (u->ranges[i].page == page)
			return;
		u->ranges[i].page = page;
	}
}

/**
 * hid_usages_first() - the first usage, which names a collection
 * @u:	the usages, finished
 *
 * Return: page << 16 | id; 0 where there is none.
 */
uint32_t hid_usages_first(const struct hid_usages *u)
{
	return u->n_ranges ? (uint32_t)u->ranges[0].page << 16 | u->ranges[0].id : 0;
}
