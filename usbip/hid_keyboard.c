/* SPDX-License-Identifier: BSD-2-Clause */
/* A keyboard's report, to keys and back; see hid_keyboard.h. */
#include "usbip/hid_keyboard.h"

#include "base/mem.h"

/* Usages of an array that tell of too many keys, or of a fault: HID Usage Tables 1.5, section 10.
 */
#define ERROR_ROLLOVER	1
#define ERROR_UNDEFINED 3

static uint32_t bits_get(const uint8_t *data, uint32_t offset, unsigned size)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint32_t)(data[(offset + i) >> 3] >> ((offset + i) & 7) & 1) << i;
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

/* The report's index, where it has keys and all its bytes. */
static int find_report(const struct hid_layout *layout, const uint8_t *data, size_t len)
{
	if (!len)
		return HID_KEYBOARD_OTHER;
	for (unsigned i = 0; i < layout->n_reports; i++) {
		if (layout->reports[i].id != (layout->has_ids ? data[0] : 0))
			continue;
		return len >= layout->reports[i].length ? (int)i : HID_KEYBOARD_OTHER;
	}
	return HID_KEYBOARD_OTHER;
}

/* Return: whether the field can't tell its keys now; then it tells none. */
static bool read_field(const struct hid_field *f, const uint8_t *data, struct hid_keys *keys)
{
	struct hid_keys told = {};

	for (unsigned i = 0; i < f->count; i++) {
		uint32_t value = bits_get(data, f->offset + i * f->size, f->size);
		uint32_t key = f->array ? value - f->value : i;
		unsigned usage;

		if (key >= f->n_keys || (!f->array && !value))
			continue;
		usage = f->usage + key;
		if (f->array && usage >= ERROR_ROLLOVER && usage <= ERROR_UNDEFINED)
			return true;
		if (usage > ERROR_UNDEFINED)
			hid_keys_add(&told, (uint8_t)usage);
	}
	hid_keys_join(keys, &told);
	return false;
}

/**
 * hid_keyboard_read() - what a report says
 * @layout:	the interface's
 * @data:	the report, as it came from the endpoint
 * @len:	bytes
 * @keys:	by report: what each has said last; the report's own is brought up to date
 *
 * A keyboard with more keys down than it can tell goes on telling its modifiers; its other keys
 * count as unchanged.
 *
 * Return: which of the layout's reports it is; HID_KEYBOARD_OTHER, and nothing has changed.
 */
int hid_keyboard_read(const struct hid_layout *layout, const uint8_t *data, size_t len,
		      struct hid_keys keys[HID_REPORTS_MAX])
{
	int report = find_report(layout, data, len);
	struct hid_keys now = {};
	bool lost = false;

	if (report < 0)
		return report;
	for (unsigned i = 0; i < layout->n_fields; i++)
		if (layout->fields[i].report == report)
			lost |= read_field(&layout->fields[i], data, &now);
	if (lost) {
		struct hid_keys before = keys[report];

		before.bits[HID_KEY_LEFT_CTRL >> 6] &= ~(0xffull << (HID_KEY_LEFT_CTRL & 63));
		hid_keys_join(&now, &before);
	}
	keys[report] = now;
	return report;
}

/**
 * hid_keyboard_release() - make a report say that no key is down
 * @layout:	the interface's
 * @report:	which of its reports it is, of hid_keyboard_read()
 * @data:	the report; what isn't keys stays
 */
void hid_keyboard_release(const struct hid_layout *layout, int report, uint8_t *data)
{
	for (unsigned i = 0; i < layout->n_fields; i++) {
		const struct hid_field *f = &layout->fields[i];

		if (f->report != report)
			continue;
		for (unsigned k = 0; k < f->count; k++) {
			uint32_t at = f->offset + k * f->size;

			if (!f->array)
				bits_put(data, at, f->size, 0);
			else if (bits_get(data, at, f->size) - f->value < f->n_keys)
				bits_put(data, at, f->size, f->none);
		}
	}
}
