/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A set of keys, by their usages on the Keyboard/Keypad page (HID Usage Tables, page 0x07).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HID_KEY_LEFT_CTRL  0xe0
#define HID_KEY_RIGHT_META 0xe7

struct hid_keys {
	uint64_t bits[4];
};

static inline bool hid_keys_has(const struct hid_keys *keys, uint8_t usage)
{
	return keys->bits[usage >> 6] >> (usage & 63) & 1;
}

static inline void hid_keys_add(struct hid_keys *keys, uint8_t usage)
{
	keys->bits[usage >> 6] |= 1ull << (usage & 63);
}

static inline void hid_keys_join(struct hid_keys *keys, const struct hid_keys *more)
{
	for (unsigned i = 0; i < 4; i++)
		keys->bits[i] |= more->bits[i];
}

static inline unsigned hid_keys_count(const struct hid_keys *keys)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 4; i++)
		n += (unsigned)__builtin_popcountll(keys->bits[i]);
	return n;
}

static inline bool hid_keys_within(const struct hid_keys *keys, const struct hid_keys *all)
{
	for (unsigned i = 0; i < 4; i++)
		if (keys->bits[i] & ~all->bits[i])
			return false;
	return true;
}

/* Ctrl, Shift, Alt and Meta, left and right. */
static inline bool hid_key_is_modifier(uint8_t usage)
{
	return usage >= HID_KEY_LEFT_CTRL && usage <= HID_KEY_RIGHT_META;
}
