/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HID report descriptors, read as hostile bytes; see hid_report.h.
 *
 * Global items hold until they change and may be pushed and popped, local ones until the next main
 * item. The page of a usage that has none of its own is the one in force at the main item (6.2.2.8
 * leaves the order open; hid-core.c: hid_concatenate_last_usage_page). What is broken past reading
 * refuses the descriptor as a whole; a field that can't be told keys from is only left out.
 */
#include "usbip/hid_report.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"

#define REPORT_BITS_MAX	  (8 * 16384) /* as HID_MAX_BUFFER_SIZE of the kernel */
#define STACK_MAX	  4
#define COLLECTIONS_MAX	  64
#define RANGES_MAX	  64
#define ARRAY_SIZE_MAX	  16 /* bits of an array's element */
#define ARRAY_COUNT_MAX	  64
#define BITMAP_SIZE_MAX	  32
#define KEYBOARD_PAGE	  0x07
#define DT_HID		  0x21
#define DT_REPORT	  0x22
#define HID_DESCRIPTOR_AT 6 /* where a HID descriptor's list of descriptors begins */

/* Items: tag and type, as in the prefix without its size. */
enum {
	INPUT = 0x80,
	OUTPUT = 0x90,
	FEATURE = 0xb0,
	COLLECTION = 0xa0,
	END_COLLECTION = 0xc0,

	USAGE_PAGE = 0x04,
	LOGICAL_MINIMUM = 0x14,
	LOGICAL_MAXIMUM = 0x24,
	REPORT_SIZE = 0x74,
	REPORT_ID = 0x84,
	REPORT_COUNT = 0x94,
	PUSH = 0xa4,
	POP = 0xb4,

	USAGE = 0x08,
	USAGE_MINIMUM = 0x18,
	USAGE_MAXIMUM = 0x28,
	DELIMITER = 0xa8,

	LONG_ITEM = 0xfe,
};

/* Of a main item. */
enum { CONSTANT = 1, VARIABLE = 2, RELATIVE = 4 };

struct globals {
	uint16_t page;
	int64_t minimum; /* logical */
	int32_t maximum_signed;
	uint32_t maximum_unsigned;
	uint32_t size, count;
	uint8_t id;
};

/* Usages min … max; with a page of their own, or that of the main item. */
struct range {
	uint16_t page, min, max;
	bool has_page;
};

struct locals {
	struct range ranges[RANGES_MAX];
	unsigned n;
	bool overflow;
	bool has_min, min_has_page;
	uint32_t min;
	unsigned alternatives; /* inside delimiters: 1, the first is to come; 2, it was there */
};

struct parser {
	struct hid_layout *layout;
	struct globals now, stack[STACK_MAX];
	unsigned depth, collections;
	struct locals local;
	uint32_t bits[256]; /* of each id's input report */
};

struct item {
	uint8_t what; /* tag and type */
	uint8_t size; /* of its data: 0, 1, 2 or 4 */
	uint32_t value;
};

static int32_t signed_value(const struct item *item)
{
	switch (item->size) {
	case 1:
		return (int8_t)item->value;
	case 2:
		return (int16_t)item->value;
	default:
		return (int32_t)item->value;
	}
}

/* The next short item; long ones are passed over. Return: 0; 1 at the end; -EBADMSG. */
static int next_item(struct cursor *c, struct item *item)
{
	const uint8_t *p = cursor_take(c, 1);

	while (p && *p == LONG_ITEM) {
		p = cursor_take(c, 2);
		if (!p || !cursor_take(c, p[0]))
			return -EBADMSG;
		p = cursor_take(c, 1);
	}
	if (!p)
		return 1;
	item->what = *p & 0xfc;
	item->size = (uint8_t)((*p & 3) == 3 ? 4 : *p & 3);
	item->value = 0;
	p = cursor_take(c, item->size);
	if (!p)
		return -EBADMSG;
	for (unsigned i = 0; i < item->size; i++)
		item->value |= (uint32_t)p[i] << (8 * i);
	return 0;
}

/* ------------------------------------------------------------- fields */

/* Return: the index of the report's place in the layout, or -E2BIG. */
static int report_of(struct parser *p)
{
	struct hid_layout *l = p->layout;

	for (unsigned i = 0; i < l->n_reports; i++)
		if (l->reports[i].id == p->now.id)
			return (int)i;
	if (l->n_reports == HID_REPORTS_MAX)
		return -E2BIG;
	l->reports[l->n_reports].id = p->now.id;
	return (int)l->n_reports++;
}

/* A run of keys: @index is its first one's, among elements or among an array's values. */
static int add_run(struct parser *p, bool array, uint32_t index, uint16_t usage, uint32_t n,
		   uint32_t none)
{
	struct hid_layout *l = p->layout;
	struct hid_field *f;
	int report;

	if (usage > 0xff)
		return 0;
	report = report_of(p);
	if (report < 0 || l->n_fields == HID_FIELDS_MAX)
		return -E2BIG;
	f = &l->fields[l->n_fields++];
	n = min_t(uint32_t, n, 0x100u - usage);
	*f = (struct hid_field){
		.report = (uint8_t)report,
		.array = array,
		.size = (uint8_t)p->now.size,
		.usage = (uint8_t)usage,
		.n_keys = (uint16_t)n,
		.count = (uint16_t)(array ? p->now.count : n),
		.offset = p->bits[p->now.id] + (array ? 0 : index * p->now.size),
		.value = array ? (uint32_t)p->now.minimum + index : 0,
		.none = none,
	};
	return 0;
}

/* How many elements or values there are for usages. */
static uint32_t places(const struct parser *p, bool array)
{
	const struct globals *g = &p->now;
	/* A maximum is signed only where the minimum is below 0: many say 255 in one byte. */
	int64_t maximum = g->minimum < 0 ? g->maximum_signed : (int64_t)g->maximum_unsigned;

	if (!array)
		return g->count;
	if (maximum < g->minimum)
		return 0;
	return (uint32_t)min_t(int64_t, maximum - g->minimum + 1, 0x10000);
}

/* Call add_run() for each run of keys, or find out whether a value of an array names one. */
static int walk(struct parser *p, bool array, uint32_t none, bool *names_key, uint32_t value)
{
	uint32_t index = 0, n_places = places(p, array);

	for (unsigned i = 0; i < p->local.n && index < n_places; i++) {
		const struct range *range = &p->local.ranges[i];
		uint32_t n = min_t(uint32_t, range->max - range->min + 1u, n_places - index);
		uint16_t page = range->has_page ? range->page : p->now.page;

		if (names_key) {
			uint32_t offset = value - (uint32_t)p->now.minimum - index;

			/* Usage 0 of the page is "no event". */
			if (offset < n && !(page == KEYBOARD_PAGE && range->min + offset == 0))
				*names_key = true;
		} else if (page == KEYBOARD_PAGE) {
			int r = add_run(p, array, index, range->min, n, none);

			if (r < 0)
				return r;
		}
		index += n;
	}
	return 0;
}

/* An array's value for "no key": nothing that its usages give a meaning. False: there is none. */
static bool find_none(struct parser *p, uint32_t *ret_none)
{
	uint64_t limit = 1ull << p->now.size;
	int64_t tries[] = {0, p->now.minimum - 1, p->now.minimum + places(p, true)};

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		bool names_key = false;

		if (tries[i] < 0 || (uint64_t)tries[i] >= limit)
			continue;
		walk(p, true, 0, &names_key, (uint32_t)tries[i]);
		if (names_key)
			continue;
		*ret_none = (uint32_t)tries[i];
		return true;
	}
	return false;
}

static int add_fields(struct parser *p, uint32_t flags)
{
	bool array = !(flags & VARIABLE);
	uint32_t none = 0;

	/* By POP, back to before the first id: no report begins like that. */
	if (p->layout->has_ids && !p->now.id)
		return 0;
	if (flags & (CONSTANT | RELATIVE) || !p->local.n || p->local.overflow || !p->now.size ||
	    !p->now.count)
		return 0;
	if (array && (p->now.size > ARRAY_SIZE_MAX || p->now.count > ARRAY_COUNT_MAX ||
		      p->now.minimum < 0 || !find_none(p, &none)))
		return 0;
	if (!array && p->now.size > BITMAP_SIZE_MAX)
		return 0;
	return walk(p, array, none, NULL, 0);
}

/* ------------------------------------------------------------- items */

static int on_input(struct parser *p, const struct item *item)
{
	uint64_t bits = (uint64_t)p->now.size * p->now.count;
	int r;

	if (bits > REPORT_BITS_MAX - p->bits[p->now.id])
		return -EBADMSG;
	r = add_fields(p, item->value);
	p->bits[p->now.id] += (uint32_t)bits;
	return r;
}

static int on_main(struct parser *p, const struct item *item)
{
	int r = 0;

	switch (item->what) {
	case INPUT:
		r = on_input(p, item);
		break;
	case COLLECTION:
		if (p->collections++ == COLLECTIONS_MAX)
			r = -EBADMSG;
		break;
	case END_COLLECTION:
		if (p->collections-- == 0)
			r = -EBADMSG;
		break;
	default: /* OUTPUT, FEATURE and what is to come: other reports */
		break;
	}
	p->local = (struct locals){};
	return r;
}

static int on_global(struct parser *p, const struct item *item)
{
	struct globals *g = &p->now;

	switch (item->what) {
	case USAGE_PAGE:
		g->page = (uint16_t)item->value;
		break;
	case LOGICAL_MINIMUM:
		g->minimum = signed_value(item);
		break;
	case LOGICAL_MAXIMUM:
		g->maximum_signed = signed_value(item);
		g->maximum_unsigned = item->value;
		break;
	case REPORT_SIZE:
		g->size = item->value;
		break;
	case REPORT_COUNT:
		g->count = item->value;
		break;
	case REPORT_ID:
		if (item->value == 0 || item->value > 0xff)
			return -EBADMSG;
		/* Keys without an id, and then one: all reports have ids, or none has. */
		if (p->layout->n_reports && !p->layout->has_ids)
			return -EBADMSG;
		g->id = (uint8_t)item->value;
		p->layout->has_ids = true;
		if (!p->bits[g->id])
			p->bits[g->id] = 8;
		break;
	case PUSH:
		if (p->depth == STACK_MAX)
			return -EBADMSG;
		p->stack[p->depth++] = *g;
		break;
	case POP:
		if (!p->depth)
			return -EBADMSG;
		*g = p->stack[--p->depth];
		break;
	default: /* units and physical values */
		break;
	}
	return 0;
}

static void add_range(struct locals *l, uint32_t min, uint32_t max, bool has_page)
{
	struct range *last = l->n ? &l->ranges[l->n - 1] : NULL;
	uint16_t page = (uint16_t)(has_page ? min >> 16 : 0);

	min &= 0xffff;
	max &= 0xffff;
	if (max < min)
		return;
	if (last && last->has_page == has_page && last->page == page && min == last->max + 1u) {
		last->max = (uint16_t)max;
		return;
	}
	if (l->n == RANGES_MAX) {
		l->overflow = true;
		return;
	}
	l->ranges[l->n++] = (struct range){page, (uint16_t)min, (uint16_t)max, has_page};
}

static void on_local(struct parser *p, const struct item *item)
{
	struct locals *l = &p->local;
	bool has_page = item->size == 4;

	if (item->what == DELIMITER) {
		l->alternatives = item->value == 1;
		return;
	}
	/* Of usages that stand for each other the first is preferred. */
	if (l->alternatives > 1)
		return;
	switch (item->what) {
	case USAGE:
		add_range(l, item->value, item->value, has_page);
		break;
	case USAGE_MINIMUM:
		l->min = item->value;
		l->min_has_page = has_page;
		l->has_min = true;
		return;
	case USAGE_MAXIMUM:
		if (l->has_min)
			add_range(l, l->min, item->value, l->min_has_page);
		l->has_min = false;
		break;
	default: /* designators and strings */
		return;
	}
	if (l->alternatives)
		l->alternatives++;
}

static int on_item(struct parser *p, const struct item *item)
{
	switch (item->what & 0x0c) {
	case 0x00:
		return on_main(p, item);
	case 0x04:
		return on_global(p, item);
	case 0x08:
		on_local(p, item);
		return 0;
	default: /* reserved */
		return 0;
	}
}

/**
 * hid_report_parse() - find the keys in an interface's input reports
 * @layout:	the fields; set on success; without any where it has no keys
 * @descriptor:	the report descriptor
 * @len:	bytes, at most HID_DESCRIPTOR_MAX
 *
 * Return: 0; -EBADMSG where it is broken; -E2BIG where it is too long or its keys are more
 * scattered than is followed here.
 */
int hid_report_parse(struct hid_layout *layout, const void *descriptor, size_t len)
{
	struct parser p = {.layout = layout};
	struct cursor c = cursor_of(descriptor, len);
	struct item item;
	int r;

	*layout = (struct hid_layout){};
	if (len > HID_DESCRIPTOR_MAX)
		return -E2BIG;
	while ((r = next_item(&c, &item)) == 0) {
		r = on_item(&p, &item);
		if (r < 0)
			break;
	}
	if (r > 0)
		r = p.collections ? -EBADMSG : 0;
	if (r < 0) {
		*layout = (struct hid_layout){};
		return r;
	}
	for (unsigned i = 0; i < layout->n_reports; i++)
		layout->reports[i].length = (uint16_t)((p.bits[layout->reports[i].id] + 7) / 8);
	return 0;
}

/**
 * hid_report_boot() - the keys of a keyboard's boot protocol
 * @layout:	the fields
 *
 * HID 1.11, appendix B.1: a byte of modifiers, one that is reserved, six keys.
 */
void hid_report_boot(struct hid_layout *layout)
{
	*layout = (struct hid_layout){
		.n_reports = 1,
		.n_fields = 2,
		.reports = {{.length = 8}},
		.fields = {{.size = 1, .usage = 0xe0, .n_keys = 8, .count = 8},
			   {.array = true, .size = 8, .n_keys = 256, .count = 6, .offset = 16}},
	};
}

/**
 * hid_report_descriptor_length() - how long an interface says that its report descriptor is
 * @extra:	the descriptors after the interface's own
 * @len:	bytes
 *
 * HID 1.11, 6.2.1.
 *
 * Return: bytes; 0 where it doesn't say, or says more than HID_DESCRIPTOR_MAX.
 */
size_t hid_report_descriptor_length(const void *extra, size_t len)
{
	struct cursor c = cursor_of(extra, len);
	const uint8_t *p;

	while ((p = cursor_peek(&c, 2)) && p[0] >= 2) {
		p = cursor_take(&c, p[0]);
		if (!p)
			return 0;
		if (p[1] != DT_HID)
			continue;
		for (size_t at = HID_DESCRIPTOR_AT; at + 3 <= p[0]; at += 3) {
			size_t length = (size_t)(p[at + 1] | p[at + 2] << 8);

			if (p[at] == DT_REPORT)
				return length <= HID_DESCRIPTOR_MAX ? length : 0;
		}
	}
	return 0;
}
