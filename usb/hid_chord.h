/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chords: keys that mean something to the daemon when they are down together. Their names, and what
 * happens to a keyboard's reports when one is struck. Pure.
 *
 * A chord is complete when all its keys are down and no other key is but modifiers. Then it fires,
 * once. From that report on the keyboard's user sees all keys up until they really are: the keys
 * that it saw down are released, and it never sees the chord's own release.
 *
 * States of a watch:
 *
 *   PASSING --a chord is complete: fires--> SWALLOWING --all keys up--> PASSING
 *   SWALLOWING --the device was reset--> DOUBTING --two keys or more of those--> FADING
 *                                        DOUBTING --anything else--> PASSING
 *   FADING --all keys up, or a key that wasn't down--> PASSING
 *
 * A keyboard that changes its guest is reset, and forgets in a reset what it has told. Nobody knows
 * then whether the chord's keys are still down. If it tells of several of them at once afterwards,
 * they were down all the time, because fingers come one by one. Those fade away unseen; else the
 * chord would fire in each guest that the keyboard comes to.
 */
#pragma once

#include <stddef.h>

#include "usb/hid_keys.h"

#define HID_CHORD_KEYS 8
#define HID_CHORDS     2

/* Usages, ended by a 0 where there are fewer than the most; no keys: off. */
struct hid_chord {
	uint8_t keys[HID_CHORD_KEYS];
};

struct hid_chords {
	struct hid_chord at[HID_CHORDS];
};

enum hid_watch_state { HID_PASSING, HID_SWALLOWING, HID_DOUBTING, HID_FADING };

struct hid_watch {
	enum hid_watch_state state;
	struct hid_keys held; /* DOUBTING, FADING: what may still be down of the chord */
};

#define HID_FIRED_NONE (-1)

int hid_chord_parse(struct hid_chord *chord, const char *text, const char **ret_expected);
bool hid_chord_contains(const struct hid_chord *chord, const struct hid_chord *part);

bool hid_watch_keys(struct hid_watch *watch, const struct hid_chords *chords,
		    const struct hid_keys *down, int *ret_fired);
void hid_watch_reset(struct hid_watch *watch);
