/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chords: keys that mean something to the daemon when they are down together; their names, and
 * what becomes of the reports of a keyboard on which one is struck. Pure.
 *
 * A chord is complete when all its keys are down and no other key is but modifiers. Then it fires,
 * once, and from that report on the keyboard's user sees all keys up, until they are: what was
 * down for it is released, and nothing of the chord's release reaches it.
 *
 * States of a watch:
 *
 *   PASSING --a chord is complete: fires--> SWALLOWING --all keys up--> PASSING
 *   SWALLOWING --the device was reset--> DOUBTING --two keys or more of those--> FADING
 *                                        DOUBTING --anything else--> PASSING
 *   FADING --all keys up, or a key that wasn't down--> PASSING
 *
 * A keyboard forgets what it has told in a reset, and a keyboard that changes its guest is reset
 * with the chord's keys still down, or up since then: nobody knows. One that tells of several keys
 * at once afterwards has had them down all the time, for fingers come one by one; those fade away
 * unseen. Else the chord would strike in each guest that the keyboard comes to.
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
