/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HID report descriptors, read as hostile bytes; see hid_report.h.
 *
 * Global items hold until they change and may be pushed and popped, local ones (hid_usages.h) until
 * the next main item. Output and Feature items are read as well, because Linux refuses the whole
 * descriptor for a mistake in them. Facts about Linux in here: drivers/hid/hid-core.c of 6.1, where
 * not said otherwise; tests/uhid/hidpair.c compares the two.
 */
#include "usb/hid_report.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "usb/hid_layout.h"

#define REPORT_BITS_MAX	  (8 * (16384 - 1)) /* HID_MAX_BUFFER_SIZE of Linux, less the id */
#define REPORT_SIZE_MAX	  256
#define REPORT_COUNT_MAX  HID_USAGES_MAX
#define REPORT_FIELDS_MAX 256 /* HID_MAX_FIELDS of Linux: further ones are left out */
#define STACK_MAX	  4

/* Types of items, and tags of main and global ones. */
enum { TYPE_MAIN, TYPE_GLOBAL, TYPE_LOCAL };
enum { INPUT = 0x8, OUTPUT = 0x9, COLLECTION = 0xa, FEATURE = 0xb, END_COLLECTION = 0xc };
enum {
	USAGE_PAGE,
	LOGICAL_MINIMUM,
	LOGICAL_MAXIMUM,
	PHYSICAL_MINIMUM,
	PHYSICAL_MAXIMUM,
	UNIT_EXPONENT,
	UNIT,
	REPORT_SIZE,
	REPORT_ID,
	REPORT_COUNT,
	PUSH,
	POP,
};
#define LONG_ITEM 0xf

struct globals {
	uint16_t page;
	int32_t min, max; /* logical */
	uint32_t size, count;
	uint8_t id;
};

struct collection {
	uint8_t type;
	uint32_t usage;
};

struct parser {
	struct hid_builder build;
	struct globals now, stack[STACK_MAX];
	unsigned depth, n_open;
	struct collection open[HID_DESCRIPTOR_MAX];
	struct hid_usages usages;
	struct {
		uint32_t bits;
		uint16_t n_fields;
	} reports[3][256]; /* of input, output and feature, by id */
};

struct item {
	uint8_t type, tag;
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

/* The next item. Linux refuses long ones. Return: 0; 1 at the end; -EBADMSG. */
static int next_item(struct cursor *c, struct item *item)
{
	const uint8_t *p = cursor_take(c, 1);

	if (!p)
		return 1;
	item->tag = *p >> 4;
	item->type = *p >> 2 & 3;
	item->size = (uint8_t)((*p & 3) == 3 ? 4 : *p & 3);
	item->value = 0;
	p = cursor_take(c, item->size);
	if (!p || item->tag == LONG_ITEM)
		return -EBADMSG;
	for (unsigned i = 0; i < item->size; i++)
		item->value |= (uint32_t)p[i] << (8 * i);
	return 0;
}

/* ------------------------------------------------------------- main items */

/* The usage of the innermost open collection of a type; 0 where there is none. */
static uint32_t innermost(const struct parser *p, uint8_t type)
{
	for (unsigned i = p->n_open; i-- > 0;)
		if (p->open[i].type == type)
			return p->open[i].usage;
	return 0;
}

static int on_report(struct parser *p, unsigned kind, uint32_t flags)
{
	const struct globals *g = &p->now;
	bool in_order = g->min < 0 ? g->max >= g->min : (uint32_t)g->max >= (uint32_t)g->min;
	struct hid_part part = {
		.id = g->id,
		.flags = flags,
		.size = g->size,
		.count = g->count,
		.min = g->min,
		.max = g->max,
		.offset = p->reports[kind][g->id].bits,
		.application = innermost(p, HID_COLLECTION_APPLICATION),
		.physical = innermost(p, HID_COLLECTION_PHYSICAL),
		.usages = &p->usages,
	};

	if (kind == 0)
		hid_builder_report(&p->build, &part);
	if (!in_order)
		return -EBADMSG;
	/* At most 256 × 12288 are added to what is below the bound. */
	p->reports[kind][g->id].bits += g->size * g->count;
	if (p->reports[kind][g->id].bits > REPORT_BITS_MAX)
		return -EBADMSG;
	if (kind != 0 || !p->usages.n || p->reports[kind][g->id].n_fields == REPORT_FIELDS_MAX)
		return 0;
	p->reports[kind][g->id].n_fields++;
	return hid_builder_field(&p->build, &part);
}

static int on_collection(struct parser *p, uint8_t type)
{
	struct collection c = {type, hid_usages_first(&p->usages)};

	/* An item each, so there is room. */
	p->open[p->n_open++] = c;
	hid_builder_collection(&p->build, c.type, c.usage);
	return 0;
}

static int on_main(struct parser *p, const struct item *item)
{
	int r = 0;

	hid_usages_finish(&p->usages, p->now.page);
	switch (item->tag) {
	case INPUT:
		r = on_report(p, 0, item->value);
		break;
	case OUTPUT:
		r = on_report(p, 1, item->value);
		break;
	case FEATURE:
		r = on_report(p, 2, item->value);
		break;
	case COLLECTION:
		r = on_collection(p, (uint8_t)item->value);
		break;
	case END_COLLECTION:
		if (p->n_open)
			p->n_open--;
		else
			r = -EBADMSG;
		break;
	default: /* Linux warns, and goes on */
		break;
	}
	hid_usages_clear(&p->usages);
	return r;
}

/* ------------------------------------------------------------- global items */

static int push(struct parser *p)
{
	if (p->depth == STACK_MAX)
		return -EBADMSG;
	p->stack[p->depth++] = p->now;
	return 0;
}

static int pop(struct parser *p)
{
	if (!p->depth)
		return -EBADMSG;
	p->now = p->stack[--p->depth];
	return 0;
}

static int within(uint32_t value, uint32_t min, uint32_t max)
{
	return value >= min && value <= max ? 0 : -EBADMSG;
}

static int on_global(struct parser *p, const struct item *item)
{
	struct globals *g = &p->now;

	switch (item->tag) {
	case USAGE_PAGE:
		g->page = (uint16_t)item->value;
		return 0;
	case LOGICAL_MINIMUM:
		g->min = signed_value(item);
		return 0;
	case LOGICAL_MAXIMUM:
		/* Signed only where the minimum of now is below 0: many say 255 in one byte. */
		g->max = g->min < 0 ? signed_value(item) : (int32_t)item->value;
		return 0;
	case PHYSICAL_MINIMUM:
	case PHYSICAL_MAXIMUM:
	case UNIT_EXPONENT:
	case UNIT:
		return 0;
	case REPORT_SIZE:
		g->size = item->value;
		return within(item->value, 0, REPORT_SIZE_MAX);
	case REPORT_COUNT:
		g->count = item->value;
		return within(item->value, 0, REPORT_COUNT_MAX);
	case REPORT_ID:
		g->id = (uint8_t)item->value;
		return within(item->value, 1, 255);
	case PUSH:
		return push(p);
	case POP:
		return pop(p);
	default:
		return -EBADMSG;
	}
}

static int on_item(struct parser *p, const struct item *item)
{
	switch (item->type) {
	case TYPE_MAIN:
		return on_main(p, item);
	case TYPE_GLOBAL:
		return on_global(p, item);
	case TYPE_LOCAL:
		return hid_usages_item(&p->usages, item->tag, item->value, item->size, p->now.page);
	default: /* reserved */
		return 0;
	}
}

static int parse(struct parser *p, const void *descriptor, size_t len)
{
	struct cursor c = cursor_of(descriptor, len);
	struct item item;
	int r;

	while ((r = next_item(&c, &item)) == 0) {
		r = on_item(p, &item);
		if (r < 0)
			return r;
	}
	if (r < 0 || p->n_open || p->usages.in_set)
		return -EBADMSG;
	return hid_builder_finish(&p->build);
}

/**
 * hid_report_parse() - find the keys in an interface's input reports, and what it is
 * @ret_layout:	the fields, to be freed with hid_layout_free(); without any where it has no keys
 * @descriptor:	the report descriptor
 * @len:	bytes, at most HID_DESCRIPTOR_MAX
 *
 * Return: 0; -EBADMSG where Linux refuses it; -E2BIG where it is too long; -ENOMEM.
 */
int hid_report_parse(struct hid_layout **ret_layout, const void *descriptor, size_t len)
{
	struct parser *p;
	int r;

	if (len > HID_DESCRIPTOR_MAX)
		return -E2BIG;
	if (!len)
		return -EBADMSG;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	r = hid_builder_init(&p->build);
	if (r == 0)
		r = parse(p, descriptor, len);
	if (r == 0)
		*ret_layout = take_ptr(p->build.layout);
	hid_builder_deinit(&p->build);
	free(p);
	return r;
}

/**
 * hid_report_boot() - the keys of a keyboard's boot protocol
 * @ret_layout:	the fields, to be freed with hid_layout_free()
 *
 * HID 1.11, appendix B.1: a byte of modifiers, one that is reserved, six keys.
 *
 * Return: 0 or -ENOMEM.
 */
int hid_report_boot(struct hid_layout **ret_layout)
{
	/* clang-format off */
	static const uint8_t boot[] = {
		0x05, 0x01, 0x09, 0x06, 0xa1, 0x01,             /* application: keyboard */
		0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x25, 0x01,
		0x75, 0x01, 0x95, 0x08, 0x81, 0x02,             /* modifiers */
		0x75, 0x08, 0x95, 0x01, 0x81, 0x01,             /* reserved */
		0x19, 0x00, 0x29, 0xff, 0x26, 0xff, 0x00,
		0x95, 0x06, 0x81, 0x00, 0xc0,                   /* keys */
	};
	/* clang-format on */

	return hid_report_parse(ret_layout, boot, sizeof(boot));
}

/**
 * hid_report_kinds() - what an interface is by its reports
 * @descriptor:	the report descriptor
 * @len:	bytes
 *
 * Return: a set of enum hid_kind; empty where Linux refuses the descriptor, too.
 */
unsigned hid_report_kinds(const void *descriptor, size_t len)
{
	_cleanup_(hid_layout_freep) struct hid_layout *layout = NULL;

	return hid_report_parse(&layout, descriptor, len) < 0 ? 0 : layout->kinds;
}
