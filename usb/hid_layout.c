/* SPDX-License-Identifier: BSD-2-Clause */
/* Fields to keys and kinds, as Linux would; see hid_layout.h. */
#include "usb/hid_layout.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

/* Pages and usages: HID Usage Tables 1.5. A usage is page << 16 | id. */
#define PAGE_DESKTOP   0x01
#define PAGE_KEYBOARD  0x07
#define PAGE_BUTTON    0x09
#define PAGE_DIGITIZER 0x0d

enum {
	POINTER = 0x10001,
	MOUSE = 0x10002,
	JOYSTICK = 0x10004,
	GAME_PAD = 0x10005,
	KEYBOARD = 0x10006,
	MULTI_AXIS = 0x10008,
	RADIO_CONTROLS = 0x1000c,
	X = 0x10030,
	Y = 0x10031,
	SYSTEM_CONTROL = 0x10080,
	BUTTON_0 = 0x90000,
	CONSUMER_CONTROL = 0xc0001,
	DIGITIZER = 0xd0001,
	WHITE_BOARD = 0xd0006,
	TIP_PRESSURE = 0xd0030,
	IN_RANGE = 0xd0032,
	TOUCH = 0xd0033,
	TIP_SWITCH = 0xd0042,
	SECONDARY_TIP = 0xd0043,
};

/* What makes a pointer: both axes of one manner, and something to click or touch with. */
enum { REL_X = 1, REL_Y = 2, ABS_X = 4, ABS_Y = 8, CLICK = 16 };

/* Usages that type. */
static const struct {
	uint8_t first, last;
} typing[] = {{0x04, 0x27} /* letters, digits */, {0x59, 0x62} /* digits of a keypad */};

#define KEY_FIRST 0x04 /* below are no event, and errors */

/**
 * hid_builder_init() - begin a layout
 * @b:	zero
 *
 * Return: 0 or -ENOMEM.
 */
int hid_builder_init(struct hid_builder *b)
{
	b->layout = calloc(1, sizeof(*b->layout));
	return b->layout ? 0 : -ENOMEM;
}

/**
 * hid_builder_deinit() - free what was not taken
 * @b:	the builder
 */
void hid_builder_deinit(struct hid_builder *b)
{
	b->layout = hid_layout_free(b->layout);
}

/**
 * hid_layout_free() - free a layout
 * @layout:	the layout, or NULL
 *
 * Return: NULL.
 */
struct hid_layout *hid_layout_free(struct hid_layout *layout)
{
	if (!layout)
		return NULL;
	free(layout->reports);
	free(layout->fields);
	free(layout->runs);
	free(layout);
	return NULL;
}

void hid_layout_freep(struct hid_layout **layout)
{
	*layout = hid_layout_free(*layout);
}

/* The collections that Linux makes input devices of (IS_INPUT_APPLICATION). */
static bool usage_is_input(uint32_t usage)
{
	return (usage >= PAGE_DESKTOP << 16 && usage <= MULTI_AXIS) ||
	       (usage >= DIGITIZER && usage <= WHITE_BOARD) || usage == SYSTEM_CONTROL ||
	       usage == CONSUMER_CONTROL || usage == RADIO_CONTROLS;
}

/**
 * hid_builder_collection() - a collection begins
 * @b:		the builder
 * @type:	its type
 * @usage:	its usage, or 0
 */
void hid_builder_collection(struct hid_builder *b, uint8_t type, uint32_t usage)
{
	b->n_applications += type == HID_COLLECTION_APPLICATION;
	if (type == HID_COLLECTION_APPLICATION || type == HID_COLLECTION_PHYSICAL)
		b->is_input |= usage_is_input(usage);
}

/**
 * hid_builder_report() - an Input item, with or without usages
 * @b:		the builder
 * @part:	the item; its application is the report's where it is the report's first
 */
void hid_builder_report(struct hid_builder *b, const struct hid_part *part)
{
	if (!b->reports[part->id].seen) {
		b->reports[part->id].seen = true;
		b->reports[part->id].application = part->application;
		b->order[b->n_order++] = part->id;
	}
	b->layout->has_ids |= part->id != 0;
	b->reports[part->id].bits = part->offset + part->size * part->count;
}

/* ------------------------------------------------------------- keys */

static int grow(void *array, unsigned n, unsigned *room, size_t size)
{
	void **p = array, *more;
	unsigned want = *room ? 2 * *room : 16;

	if (n < *room)
		return 0;
	more = realloc(*p, want * size);
	if (!more)
		return -ENOMEM;
	*p = more;
	*room = want;
	return 0;
}

static int add_run(struct hid_builder *b, struct hid_run run)
{
	struct hid_layout *l = b->layout;
	int r = grow(&l->runs, l->n_runs, &b->room_runs, sizeof(*l->runs));

	if (r == 0)
		l->runs[l->n_runs++] = run;
	return r;
}

/* Whether any of the runs from @first on is a key. */
static bool note_keys(struct hid_builder *b, unsigned first)
{
	bool found = false;

	for (unsigned i = first; i < b->layout->n_runs; i++) {
		const struct hid_run *run = &b->layout->runs[i];

		for (unsigned k = 0; k < (run->same ? 1u : run->n); k++) {
			if (run->usage + k < KEY_FIRST)
				continue;
			hid_keys_add(&b->keys, (uint8_t)(run->usage + k));
			found = true;
		}
	}
	return found;
}

/* The usages of the Keyboard page; where there are more elements than usages, the last goes on. */
static int add_runs(struct hid_builder *b, const struct hid_part *part)
{
	const struct hid_usages *u = part->usages;
	unsigned at = 0;
	int r = 0;

	for (unsigned i = 0; i < u->n_ranges && r == 0; i++) {
		const struct hid_usage_range *range = &u->ranges[i];

		if (range->page == PAGE_KEYBOARD && range->id <= 0xff)
			r = add_run(b, (struct hid_run){
					       .at = (uint16_t)at,
					       .n = (uint16_t)min_t(unsigned, range->n,
								    0x100u - range->id),
					       .usage = (uint8_t)range->id,
				       });
		at += range->n;
		if (i + 1 == u->n_ranges && at < part->count && range->page == PAGE_KEYBOARD &&
		    range->id + range->n - 1 <= 0xff && r == 0)
			r = add_run(b, (struct hid_run){
					       .at = (uint16_t)at,
					       .n = (uint16_t)(part->count - at),
					       .usage = (uint8_t)(range->id + range->n - 1),
					       .same = true,
				       });
	}
	return r;
}

/* What a value of an array stands for, less its minimum: page << 16 | id. */
static uint32_t usage_at(const struct hid_usages *u, uint32_t index)
{
	for (unsigned i = 0; i < u->n_ranges; i++) {
		const struct hid_usage_range *range = &u->ranges[i];

		if (index < range->n || i + 1 == u->n_ranges)
			return (uint32_t)range->page << 16 |
			       (range->id + min_t(uint32_t, index, range->n - 1u));
		index -= range->n;
	}
	return 0;
}

/* An array's value that means nothing. */
static void find_none(struct hid_field *f, const struct hid_part *part)
{
	unsigned bits = min_t(unsigned, f->size, 32);
	int64_t low = f->min < 0 && bits ? -(1ll << (bits - 1)) : 0;
	int64_t high = f->min < 0 && bits ? (1ll << (bits - 1)) - 1 : (1ll << bits) - 1;
	const int64_t tries[] = {0, (int64_t)f->min - 1, (int64_t)f->max + 1,
				 (int64_t)f->min + f->n_usages};

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		int64_t index = tries[i] - f->min;
		bool means = index >= 0 && tries[i] <= f->max && index < f->n_usages;
		uint32_t usage = means ? usage_at(part->usages, (uint32_t)index) : 0;

		/* Of the Keyboard page 0 is no event; 1 says that there are too many keys. */
		if (tries[i] < low || tries[i] > high || (means && usage != PAGE_KEYBOARD << 16))
			continue;
		f->has_none = true;
		f->none = (uint32_t)tries[i];
		return;
	}
}

static int add_keys(struct hid_builder *b, const struct hid_part *part)
{
	struct hid_layout *l = b->layout;
	unsigned first = l->n_runs;
	struct hid_field *f;
	int r = add_runs(b, part);

	if (r < 0)
		return r;
	if (!note_keys(b, first)) {
		l->n_runs = first;
		return 0;
	}
	r = grow(&l->fields, l->n_fields, &b->room_fields, sizeof(*l->fields));
	if (r < 0)
		return r;
	f = &l->fields[l->n_fields++];
	*f = (struct hid_field){
		.report = part->id, /* until hid_builder_finish() */
		.array = !(part->flags & HID_VARIABLE),
		.relative = part->flags & HID_RELATIVE,
		.null_state = part->flags & HID_NULL_STATE,
		.buffered = part->flags & HID_BUFFERED_BYTES,
		.size = (uint16_t)part->size,
		.count = (uint16_t)part->count,
		.n_usages = (uint16_t)max_t(uint32_t, part->usages->n, part->count),
		.min = part->min,
		.max = part->max,
		.offset = part->offset,
		.run = first,
		.n_runs = l->n_runs - first,
	};
	if (f->array)
		find_none(f, part);
	b->reports[part->id].has_keys = true;
	return 0;
}

/* ------------------------------------------------------------- pointers */

static bool has_usage(const struct hid_usages *u, uint32_t first, uint32_t last)
{
	for (unsigned i = 0; i < u->n_ranges; i++) {
		const struct hid_usage_range *r = &u->ranges[i];
		uint32_t low = (uint32_t)r->page << 16 | r->id;

		if (low <= last && low + r->n - 1 >= first)
			return true;
	}
	return false;
}

/* Codes that click or touch, less BTN_MISC (include/uapi/linux/input-event-codes.h): BTN_LEFT to
 * BTN_TASK, BTN_TOOL_PEN, BTN_TOOL_FINGER and BTN_TOOL_MOUSE, BTN_TOUCH. */
static const struct {
	uint8_t first, last;
} clicking[] = {{0x10, 0x17}, {0x40, 0x40}, {0x45, 0x46}, {0x4a, 0x4a}};

#define MOUSE_BUTTONS 0x10 /* BTN_MOUSE, less BTN_MISC */

/*
 * Whether one of the buttons is a mouse's. They are numbered from BTN_MOUSE on in a mouse or a pointer; a joystick's
 * and a game pad's never are; all others are numbered from BTN_MISC on, so that the 17th is BTN_LEFT
 * (Linux 6.1, drivers/hid/hid-input.c: hidinput_configure_usage()).
 */
static bool buttons_click(const struct hid_part *part)
{
	uint32_t of = part->application, from;

	if (of != MOUSE && of != POINTER && of != JOYSTICK && of != GAME_PAD)
		of = part->physical;
	if (of == JOYSTICK || of == GAME_PAD)
		return false;
	from = BUTTON_0 + 1 - (of == MOUSE || of == POINTER ? MOUSE_BUTTONS : 0);
	for (size_t i = 0; i < ARRAY_SIZE(clicking); i++)
		if (has_usage(part->usages, from + clicking[i].first, from + clicking[i].last))
			return true;
	return false;
}

static uint8_t pointer_signs(const struct hid_part *part)
{
	const struct hid_usages *u = part->usages;
	bool relative = part->flags & HID_RELATIVE;
	uint8_t signs = 0;

	if (has_usage(u, X, X))
		signs |= relative ? REL_X : ABS_X;
	if (has_usage(u, Y, Y))
		signs |= relative ? REL_Y : ABS_Y;
	if (buttons_click(part) || has_usage(u, TIP_PRESSURE, TIP_PRESSURE) ||
	    has_usage(u, IN_RANGE, TOUCH) || has_usage(u, TIP_SWITCH, SECONDARY_TIP))
		signs |= CLICK;
	return signs;
}

/**
 * hid_builder_field() - an Input item with usages
 * @b:		the builder
 * @part:	the item, of which hid_builder_report() was told
 *
 * Return: 0 or -ENOMEM.
 */
int hid_builder_field(struct hid_builder *b, const struct hid_part *part)
{
	b->reports[part->id].has_fields = true;
	if (part->flags & HID_CONSTANT || !part->count)
		return 0;
	b->reports[part->id].signs |= pointer_signs(part);
	return add_keys(b, part);
}

/* ------------------------------------------------------------- the whole */

static uint8_t device_for(struct hid_builder *b, uint32_t application)
{
	unsigned *n = &b->layout->n_devices;
	bool controls = application == SYSTEM_CONTROL || application == CONSUMER_CONTROL;

	for (unsigned i = 0; i < *n; i++)
		if (b->n_applications <= 1 || b->devices[i] == application ||
		    (controls && b->devices[i] == KEYBOARD))
			return (uint8_t)i;
	b->devices[*n] = application;
	return (uint8_t)(*n)++;
}

/* Linux makes an input device for each application, of all reports that begin in it. */
static void sort_into_devices(struct hid_builder *b)
{
	for (unsigned i = 0; i < b->n_order; i++) {
		uint8_t id = b->order[i];

		if (b->reports[id].has_fields)
			b->reports[id].device = device_for(b, b->reports[id].application);
	}
}

static bool types(const struct hid_keys *keys)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(typing); i++)
		for (unsigned usage = typing[i].first; usage <= typing[i].last; usage++)
			n += hid_keys_has(keys, (uint8_t)usage);
	return n >= HID_KEYS_THAT_TYPE;
}

static bool points(const struct hid_builder *b)
{
	uint8_t signs[256] = {};

	for (unsigned i = 0; i < b->n_order; i++)
		signs[b->reports[b->order[i]].device] |= b->reports[b->order[i]].signs;
	for (unsigned i = 0; i < b->layout->n_devices; i++)
		if (signs[i] & CLICK && ((signs[i] & REL_X && signs[i] & REL_Y) ||
					 (signs[i] & ABS_X && signs[i] & ABS_Y)))
			return true;
	return false;
}

static int name_reports(struct hid_builder *b)
{
	struct hid_layout *l = b->layout;
	uint8_t index[256] = {};

	l->reports = calloc(b->n_order ? b->n_order : 1, sizeof(*l->reports));
	if (!l->reports)
		return -ENOMEM;
	for (unsigned i = 0; i < b->n_order; i++) {
		uint8_t id = b->order[i];

		if (!b->reports[id].has_keys)
			continue;
		index[id] = (uint8_t)l->n_reports;
		l->reports[l->n_reports].id = id;
		l->reports[l->n_reports].device = b->reports[id].device;
		l->reports[l->n_reports].length = (uint16_t)((b->reports[id].bits + 7) / 8);
		l->n_reports++;
	}
	for (unsigned i = 0; i < l->n_fields; i++)
		l->fields[i].report = index[l->fields[i].report];
	return 0;
}

/**
 * hid_builder_finish() - the descriptor was read to its end
 * @b:	the builder; its layout is whole then
 *
 * Return: 0 or -ENOMEM.
 */
int hid_builder_finish(struct hid_builder *b)
{
	struct hid_layout *l = b->layout;

	if (!b->is_input) {
		l->n_fields = l->n_runs = 0;
		return 0;
	}
	sort_into_devices(b);
	l->kinds = (types(&b->keys) ? HID_KEYBOARD : 0u) | (points(b) ? HID_POINTER : 0u);
	return name_reports(b);
}
