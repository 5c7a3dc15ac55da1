/* SPDX-License-Identifier: BSD-2-Clause */
/* A keyboard's reports, to keys and back; see hid_keyboard.h. */
#include "usb/hid_keyboard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Usages of the Keyboard page: HID Usage Tables 1.5, section 10. */
#define ERROR_ROLLOVER 1
#define KEY_FIRST      4

/* The value that the input core takes for a key's repetition, which changes nothing. */
#define REPEATED 2

/* Of all of an interface's reports that have keys together. */
#define REPORTS_BYTES_MAX (64 * 1024)

/* Of all fields together: so much is looked at when a report comes. An element may have no bits. */
#define ELEMENTS_MAX (64 * 1024)

struct hid_keyboard {
	struct hid_layout *layout;
	struct hid_keys *down; /* of each input device */
	struct hid_keys *told; /* of each field that is an array: the keys that it named last */
	uint8_t **before;      /* of each report: its bytes when it came last */
	uint8_t *bytes;	       /* where these are */
	size_t n_bytes;
};

static int alloc_bytes(struct hid_keyboard *k, const struct hid_layout *l)
{
	size_t at = 0;

	for (unsigned i = 0; i < l->n_reports; i++)
		k->n_bytes += l->reports[i].length;
	if (k->n_bytes > REPORTS_BYTES_MAX)
		return -E2BIG;
	k->bytes = calloc(1, k->n_bytes + 1);
	k->before = calloc(l->n_reports + 1, sizeof(*k->before));
	if (!k->bytes || !k->before)
		return -ENOMEM;
	for (unsigned i = 0; i < l->n_reports; i++) {
		k->before[i] = k->bytes + at;
		at += l->reports[i].length;
	}
	return 0;
}

static bool is_too_much(const struct hid_layout *l)
{
	uint32_t elements = 0;

	for (unsigned i = 0; i < l->n_fields && elements <= ELEMENTS_MAX; i++) {
		const struct hid_field *f = &l->fields[i];

		elements += f->array ? f->count : 0;
		for (unsigned k = f->run; k < f->run + f->n_runs && !f->array; k++)
			elements += min_t(uint32_t, l->runs[k].n, f->count);
	}
	return elements > ELEMENTS_MAX;
}

/**
 * hid_keyboard_new() - a keyboard on which no key is down
 * @ret_keyboard:	the keyboard
 * @layout:		what its reports look like; the keyboard's own on success
 *
 * Return: 0, -ENOMEM, or -E2BIG where its reports are longer than any keyboard's, or have more in
 * them.
 */
int hid_keyboard_new(struct hid_keyboard **ret_keyboard, struct hid_layout *layout)
{
	struct hid_keyboard *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	if (is_too_much(layout)) {
		free(k);
		return -E2BIG;
	}
	k->down = calloc(layout->n_devices + 1, sizeof(*k->down));
	k->told = calloc(layout->n_fields + 1, sizeof(*k->told));
	r = k->down && k->told ? alloc_bytes(k, layout) : -ENOMEM;
	if (r < 0) {
		hid_keyboard_free(k);
		return r;
	}
	k->layout = layout;
	hid_keyboard_forget(k);
	*ret_keyboard = k;
	return 0;
}

/**
 * hid_keyboard_free() - free a keyboard
 * @keyboard:	the keyboard, or NULL
 *
 * Return: NULL.
 */
struct hid_keyboard *hid_keyboard_free(struct hid_keyboard *keyboard)
{
	if (!keyboard)
		return NULL;
	hid_layout_free(keyboard->layout);
	free(keyboard->down);
	free(keyboard->told);
	free(keyboard->before);
	free(keyboard->bytes);
	free(keyboard);
	return NULL;
}

/* What a value of an array names; 0: nothing. */
static uint8_t named(const struct hid_layout *l, const struct hid_field *f, int32_t value)
{
	int64_t index = (int64_t)value - f->min;
	unsigned low = f->run, high = f->run + f->n_runs;
	const struct hid_run *run;

	if (index < 0 || value > f->max || index >= f->n_usages)
		return 0;
	/* Runs follow on each other; the last one that begins at @index or before. */
	while (high - low > 1) {
		unsigned middle = low + (high - low) / 2;

		if (l->runs[middle].at <= index)
			low = middle;
		else
			high = middle;
	}
	run = &l->runs[low];
	if (index < run->at || index >= run->at + run->n)
		return 0;
	return (uint8_t)(run->usage + (run->same ? 0 : index - run->at));
}

/**
 * hid_keyboard_forget() - no key is down any more: it was reset, or speaks another protocol
 * @keyboard:	the keyboard
 */
void hid_keyboard_forget(struct hid_keyboard *keyboard)
{
	const struct hid_layout *l = keyboard->layout;

	memset(keyboard->down, 0, (l->n_devices + 1) * sizeof(*keyboard->down));
	memset(keyboard->told, 0, (l->n_fields + 1) * sizeof(*keyboard->told));
	memset(keyboard->bytes, 0, keyboard->n_bytes);
	/* All of an array's elements count as 0 before its first report: a key that 0 names is not
	 * news then. */
	for (unsigned i = 0; i < l->n_fields; i++) {
		uint8_t usage = l->fields[i].array ? named(l, &l->fields[i], 0) : 0;

		if (usage >= KEY_FIRST)
			hid_keys_add(&keyboard->told[i], usage);
	}
}

/* ------------------------------------------------------------- bits */

/* A report without its id. */
struct report {
	const uint8_t *data;
	size_t len;
};

static uint32_t bits_get(const struct report *r, uint32_t offset, unsigned size)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint32_t)(r->data[(offset + i) >> 3] >> ((offset + i) & 7) & 1) << i;
	return value;
}

static void bits_put(uint8_t *data, uint32_t offset, unsigned size, uint32_t value)
{
	for (unsigned i = 0; i < size; i++) {
		uint8_t mask = (uint8_t)(1u << ((offset + i) & 7));

		if (value >> i & 1)
			data[(offset + i) >> 3] |= mask;
		else
			data[(offset + i) >> 3] &= (uint8_t)~mask;
	}
}

static unsigned bits_of(const struct hid_field *f)
{
	return min_t(unsigned, f->size, 32);
}

/* Element number @i; signed where the minimum is below 0. */
static int32_t element(const struct hid_field *f, const struct report *r, unsigned i)
{
	unsigned bits = bits_of(f);
	uint32_t value = bits_get(r, f->offset + i * f->size, bits);

	if (f->min < 0 && bits && bits < 32 && value >> (bits - 1) & 1)
		value |= ~0u << bits;
	return (int32_t)value;
}

/* ------------------------------------------------------------- reading */

static void set_key(struct hid_keys *down, uint8_t usage, bool is_down)
{
	uint64_t bit = 1ull << (usage & 63);

	if (is_down)
		down->bits[usage >> 6] |= bit;
	else
		down->bits[usage >> 6] &= ~bit;
}

/* What an element says of its key: 1, it is down; 0; or -1: nothing new. */
static int says_down(const struct hid_field *f, int32_t value, int32_t before)
{
	if (f->min < f->max) {
		if (f->null_state && (value < f->min || value > f->max))
			return -1;
		value = value < f->min ? f->min : value > f->max ? f->max : value;
	}
	/* A relative key is released at once. */
	if (f->relative)
		return 0;
	/* An unchanged value is no news: another field may tell of the same key. */
	if ((value == before && !f->buffered) || value == REPEATED)
		return -1;
	return value != 0;
}

static void read_elements(const struct hid_layout *l, const struct hid_field *f,
			  const struct report *r, const struct report *before,
			  struct hid_keys *down)
{
	for (unsigned k = f->run; k < f->run + f->n_runs; k++) {
		const struct hid_run *run = &l->runs[k];

		for (unsigned i = 0; i < run->n && run->at + i < f->count; i++) {
			unsigned usage = run->usage + (run->same ? 0 : i);
			int says = says_down(f, element(f, r, run->at + i),
					     element(f, before, run->at + i));

			if (usage >= KEY_FIRST && says >= 0)
				set_key(down, (uint8_t)usage, says);
		}
	}
}

static void read_array(const struct hid_layout *l, const struct hid_field *f,
		       const struct report *r, struct hid_keys *told, struct hid_keys *down)
{
	struct hid_keys now = {};

	for (unsigned i = 0; i < f->count; i++) {
		uint8_t usage = named(l, f, element(f, r, i));

		/* More keys are down than it can tell: nothing changes. */
		if (usage == ERROR_ROLLOVER)
			return;
		if (usage >= KEY_FIRST)
			hid_keys_add(&now, usage);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(now.bits); i++) {
		uint64_t news = now.bits[i] & ~told->bits[i];

		down->bits[i] &= ~(told->bits[i] & ~now.bits[i]);
		if (f->relative)
			down->bits[i] &= ~news;
		else
			down->bits[i] |= news;
	}
	*told = now;
}

/* The report's index, where it is whole, and its bytes after the id. */
static int find_report(const struct hid_layout *l, struct report *r)
{
	uint8_t id = 0;

	if (!r->len)
		return HID_KEYBOARD_OTHER;
	if (l->has_ids) {
		id = r->data[0];
		r->data++;
		r->len--;
	}
	for (unsigned i = 0; i < l->n_reports; i++) {
		if (l->reports[i].id != id)
			continue;
		return r->len >= l->reports[i].length ? (int)i : HID_KEYBOARD_OTHER;
	}
	return HID_KEYBOARD_OTHER;
}

/**
 * hid_keyboard_read() - a report has come
 * @keyboard:	the keyboard
 * @data:	the report, as it came from the endpoint
 * @len:	bytes; one that is too short says nothing
 *
 * A keyboard with more keys down than it can tell goes on telling its modifiers; its other keys
 * count as unchanged.
 *
 * Return: which of the layout's reports it is; HID_KEYBOARD_OTHER, and nothing has changed.
 */
int hid_keyboard_read(struct hid_keyboard *keyboard, const uint8_t *data, size_t len)
{
	const struct hid_layout *l = keyboard->layout;
	struct report r = {data, len}, before;
	int report = find_report(l, &r);
	struct hid_keys *down;

	if (report < 0)
		return report;
	before = (struct report){keyboard->before[report], l->reports[report].length};
	down = &keyboard->down[l->reports[report].device];
	for (unsigned i = 0; i < l->n_fields; i++) {
		const struct hid_field *f = &l->fields[i];

		if (f->report != report)
			continue;
		if (f->array)
			read_array(l, f, &r, &keyboard->told[i], down);
		else
			read_elements(l, f, &r, &before, down);
	}
	memcpy(keyboard->before[report], r.data, before.len);
	return report;
}

/**
 * hid_keyboard_down() - which keys are down
 * @keyboard:	the keyboard
 * @keys:	gets them, besides what is in it
 */
void hid_keyboard_down(const struct hid_keyboard *keyboard, struct hid_keys *keys)
{
	for (unsigned i = 0; i < keyboard->layout->n_devices; i++)
		hid_keys_join(keys, &keyboard->down[i]);
}

/* ------------------------------------------------------------- releasing */

static void release_elements(const struct hid_layout *l, const struct hid_field *f, uint8_t *data)
{
	unsigned bits = bits_of(f);

	for (unsigned k = f->run; k < f->run + f->n_runs; k++) {
		const struct hid_run *run = &l->runs[k];

		for (unsigned i = 0; i < run->n && run->at + i < f->count; i++) {
			uint32_t at = f->offset + (run->at + i) * f->size;

			bits_put(data, at, bits, 0);
		}
	}
}

static void release_array(const struct hid_layout *l, const struct hid_field *f, uint8_t *data)
{
	const struct report r = {data, 0};
	unsigned bits = bits_of(f);

	for (unsigned i = 0; f->has_none && i < f->count; i++) {
		uint32_t at = f->offset + i * f->size;

		/* Also a report of too many keys: its reader would keep the keys that were down. */
		if (named(l, f, element(f, &r, i)))
			bits_put(data, at, bits, f->none);
	}
}

/**
 * hid_keyboard_release() - make a report say that no key is down
 * @keyboard:	the keyboard
 * @report:	which of its reports it is, of hid_keyboard_read()
 * @data:	the report; what isn't keys stays
 *
 * What can't be said stays, too: an array may have no value that means no key.
 */
void hid_keyboard_release(const struct hid_keyboard *keyboard, int report, uint8_t *data)
{
	const struct hid_layout *l = keyboard->layout;
	size_t skip = l->has_ids ? 1 : 0;

	for (unsigned i = 0; i < l->n_fields; i++) {
		const struct hid_field *f = &l->fields[i];

		if (f->report != report)
			continue;
		if (f->array)
			release_array(l, f, data + skip);
		else
			release_elements(l, f, data + skip);
	}
}
