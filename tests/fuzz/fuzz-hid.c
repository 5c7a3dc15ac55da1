/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A keyboard that lies: a report descriptor, and reports. First byte: the descriptor's length / 4;
 * second: what the interface does in boot protocol; then the descriptor, then reports, each with a
 * byte of its length in front (0xff: the device was reset, 0xfe: SET_PROTOCOL(0)).
 *
 * A report that comes out other than it went in says that no key is down, and is swallowed.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "usb/hid_found.h"
#include "usb/hid_input.h"
#include "usb/hid_keyboard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_struck;

static void struck(struct hid_listener *listener, unsigned chord)
{
	assert(chord < HID_CHORDS);
	n_struck++;
}

static void check_layout(const struct hid_layout *l)
{
	for (unsigned i = 0; i < l->n_fields; i++) {
		const struct hid_field *f = &l->fields[i];

		assert(f->report < l->n_reports && f->count && f->n_runs);
		assert(l->reports[f->report].device < l->n_devices);
		assert(f->offset + (uint64_t)f->count * f->size <=
		       l->reports[f->report].length * 8u);
		assert(f->run + f->n_runs <= l->n_runs);
		for (unsigned k = f->run; k < f->run + f->n_runs; k++)
			assert(l->runs[k].n &&
			       (l->runs[k].same || l->runs[k].usage + l->runs[k].n <= 0x100));
	}
}

/* Whether each key can be said to be up. */
static bool can_release(const struct hid_layout *l)
{
	for (unsigned i = 0; i < l->n_fields; i++)
		if (l->fields[i].array
			    ? !l->fields[i].has_none || !l->fields[i].size
			    : l->fields[i].min > 0 || l->fields[i].max < 0 || !l->fields[i].size)
			return false;
	return true;
}

/* What is read from a released report is nothing. */
static void check_release(const void *descriptor, size_t descriptor_len, const uint8_t *report,
			  size_t len)
{
	_cleanup_free_ uint8_t *copy = malloc(len + 1);
	struct hid_keyboard *keyboard;
	struct hid_layout *layout;
	struct hid_keys keys = {};
	int r;

	if (!copy || hid_report_parse(&layout, descriptor, descriptor_len) < 0)
		return;
	check_layout(layout);
	if (hid_keyboard_new(&keyboard, layout) < 0)
		return;
	memcpy(copy, report, len);
	r = hid_keyboard_read(keyboard, copy, len);
	if (r >= 0 && len >= layout->reports[r].length + (layout->has_ids ? 1u : 0u)) {
		hid_keyboard_release(keyboard, r, copy);
		hid_keyboard_forget(keyboard);
		assert(hid_keyboard_read(keyboard, copy, len) == r);
		hid_keyboard_down(keyboard, &keys);
		assert(!can_release(layout) || hid_keys_count(&keys) == 0);
	}
	hid_keyboard_free(keyboard);
}

static void send(struct hid_input *input, const uint8_t *report, size_t len)
{
	/* Exactly as long, so that a sanitizer sees what goes beyond. */
	_cleanup_free_ uint8_t *copy = malloc(len);
	unsigned before = n_struck;

	if (len && !copy)
		return;
	if (len)
		memcpy(copy, report, len);
	hid_input_report(input, 0, copy, len);
	assert(n_struck - before <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t set_boot[8] = {0x21, 0x0b};
	struct hid_listener listener = {.struck = struck};
	struct cursor c = cursor_of(data, size);
	const uint8_t *head = cursor_take(&c, 2), *descriptor, *n;
	struct hid_input *input;
	size_t len;

	if (!head)
		return 0;
	len = min_t(size_t, head[0] * 4u, c.left);
	descriptor = cursor_take(&c, len);
	listener.chords.at[0] = (struct hid_chord){{0xe0, 0xe4, 0x29}};
	listener.chords.at[1] = (struct hid_chord){{0x04}};
	if (len >= 9 && descriptor[0] >= 9 && descriptor[0] <= len)
		hid_report_length(descriptor);
	if (hid_input_new(&input, &listener) < 0)
		return 0;
	hid_input_add(input, 0, (enum hid_boot)(head[1] % 3), descriptor, len);
	while ((n = cursor_take(&c, 1))) {
		if (*n == 0xff) {
			hid_input_reset(input);
		} else if (*n == 0xfe) {
			hid_input_control(input, set_boot);
		} else {
			size_t report_len = min_t(size_t, *n, c.left);
			const uint8_t *report = cursor_take(&c, report_len);

			check_release(descriptor, len, report, report_len);
			send(input, report, report_len);
		}
	}
	hid_input_free(input);
	return 0;
}
