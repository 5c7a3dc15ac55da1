/* SPDX-License-Identifier: BSD-2-Clause */
/* Chords: their names, and what happens to the reports in which one is struck; see hid_chord.h. */
#include "usb/hid_chord.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* HID Usage Tables 1.5, section 10. Letters, digits and F keys are computed. */
static const struct {
	const char *name;
	uint8_t usage;
} names[] = {
	{"LeftCtrl", 0xe0},	{"LeftShift", 0xe1},   {"LeftAlt", 0xe2},    {"LeftMeta", 0xe3},
	{"RightCtrl", 0xe4},	{"RightShift", 0xe5},  {"RightAlt", 0xe6},   {"RightMeta", 0xe7},
	{"Enter", 0x28},	{"Esc", 0x29},	       {"Backspace", 0x2a},  {"Tab", 0x2b},
	{"Space", 0x2c},	{"Minus", 0x2d},       {"Equal", 0x2e},	     {"LeftBracket", 0x2f},
	{"RightBracket", 0x30}, {"Backslash", 0x31},   {"Semicolon", 0x33},  {"Apostrophe", 0x34},
	{"Grave", 0x35},	{"Comma", 0x36},       {"Dot", 0x37},	     {"Slash", 0x38},
	{"CapsLock", 0x39},	{"PrintScreen", 0x46}, {"ScrollLock", 0x47}, {"Pause", 0x48},
	{"Insert", 0x49},	{"Home", 0x4a},	       {"PageUp", 0x4b},     {"Delete", 0x4c},
	{"End", 0x4d},		{"PageDown", 0x4e},    {"Right", 0x4f},	     {"Left", 0x50},
	{"Down", 0x51},		{"Up", 0x52},	       {"NumLock", 0x53},    {"KeypadSlash", 0x54},
	{"KeypadStar", 0x55},	{"KeypadMinus", 0x56}, {"KeypadPlus", 0x57}, {"KeypadEnter", 0x58},
	{"Keypad1", 0x59},	{"Keypad2", 0x5a},     {"Keypad3", 0x5b},    {"Keypad4", 0x5c},
	{"Keypad5", 0x5d},	{"Keypad6", 0x5e},     {"Keypad7", 0x5f},    {"Keypad8", 0x60},
	{"Keypad9", 0x61},	{"Keypad0", 0x62},     {"KeypadDot", 0x63},  {"Key102nd", 0x64},
	{"Menu", 0x65},
};

/* Return: the usage of F1 to F24, or 0. */
static uint8_t function_key(const char *digits, size_t len)
{
	unsigned n = 0;

	if (len < 1 || len > 2 || digits[0] == '0')
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return 0;
		n = n * 10 + (unsigned)(digits[i] - '0');
	}
	if (n <= 12)
		return (uint8_t)(0x3a + n - 1);
	return n <= 24 ? (uint8_t)(0x68 + n - 13) : 0;
}

/* Return: the usage of a key's name, or 0. */
static uint8_t key_of(const char *name, size_t len)
{
	char c = name[0];

	if (len == 1 && c >= '1' && c <= '9')
		return (uint8_t)(0x1e + c - '1');
	if (len == 1 && c == '0')
		return 0x27;
	if (len == 1 && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
		return (uint8_t)(0x04 + (c | 0x20) - 'a');
	if (c == 'F' || c == 'f')
		return function_key(name + 1, len - 1);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i].name) == len && !strncasecmp(names[i].name, name, len))
			return names[i].usage;
	return 0;
}

static unsigned size_of(const struct hid_chord *chord)
{
	return (unsigned)strnlen((const char *)chord->keys, HID_CHORD_KEYS);
}

/**
 * hid_chord_parse() - read a chord
 * @chord:		the chord; written only on success
 * @text:		names of keys joined by +, in any case, such as LeftCtrl+RightCtrl+Esc
 * @ret_expected:	where it is refused, static text that follows "expected "
 *
 * Return: 0 or -EINVAL.
 */
int hid_chord_parse(struct hid_chord *chord, const char *text, const char **ret_expected)
{
	struct hid_chord c = {};
	unsigned n = 0;

	for (;; text++) {
		size_t len = strcspn(text, "+");
		uint8_t usage = len ? key_of(text, len) : 0;

		*ret_expected = "names of keys joined by +, such as LeftCtrl+RightCtrl+Esc";
		if (!usage)
			return -EINVAL;
		*ret_expected = "each key once";
		if (memchr(c.keys, usage, n))
			return -EINVAL;
		*ret_expected = "at most 8 keys";
		if (n == HID_CHORD_KEYS)
			return -EINVAL;
		c.keys[n++] = usage;
		text += len;
		if (!*text)
			break;
	}
	*chord = c;
	return 0;
}

/**
 * hid_chord_contains() - does a chord have all keys of another?
 * @chord:	a chord
 * @part:	another
 *
 * The larger one could never be struck: key by key, the smaller one is complete first.
 *
 * Return: whether; false where @part is off.
 */
bool hid_chord_contains(const struct hid_chord *chord, const struct hid_chord *part)
{
	unsigned n = size_of(part);

	for (unsigned i = 0; i < n; i++)
		if (!memchr(chord->keys, part->keys[i], size_of(chord)))
			return false;
	return n > 0;
}

static bool is_complete(const struct hid_chord *chord, const struct hid_keys *down)
{
	unsigned n = size_of(chord);
	struct hid_keys allowed = {};

	for (unsigned i = 0; i < n; i++) {
		if (!hid_keys_has(down, chord->keys[i]))
			return false;
		hid_keys_add(&allowed, chord->keys[i]);
	}
	for (unsigned usage = HID_KEY_LEFT_CTRL; usage <= HID_KEY_RIGHT_META; usage++)
		hid_keys_add(&allowed, (uint8_t)usage);
	return n > 0 && hid_keys_within(down, &allowed);
}

/* Nothing is swallowed now. Return: whether a chord begins to be. */
static bool pass(struct hid_watch *watch, const struct hid_chords *chords,
		 const struct hid_keys *down, int *ret_fired)
{
	watch->state = HID_PASSING;
	for (int i = 0; i < HID_CHORDS; i++) {
		if (!is_complete(&chords->at[i], down))
			continue;
		watch->state = HID_SWALLOWING;
		watch->held = *down;
		*ret_fired = i;
		return true;
	}
	return false;
}

/**
 * hid_watch_keys() - a keyboard has told which keys are down
 * @watch:	the keyboard's watch
 * @chords:	what to watch for
 * @down:	the keys, of all its interfaces
 * @ret_fired:	which chord has just been struck, or HID_FIRED_NONE
 *
 * Return: whether the report that told it has to say that all keys are up.
 */
bool hid_watch_keys(struct hid_watch *watch, const struct hid_chords *chords,
		    const struct hid_keys *down, int *ret_fired)
{
	unsigned n = hid_keys_count(down);

	*ret_fired = HID_FIRED_NONE;
	switch (watch->state) {
	case HID_SWALLOWING:
		hid_keys_join(&watch->held, down);
		break;
	case HID_DOUBTING:
		if (n < 2 || !hid_keys_within(down, &watch->held))
			return pass(watch, chords, down, ret_fired);
		watch->state = HID_FADING;
		watch->held = *down;
		break;
	case HID_FADING:
		if (!hid_keys_within(down, &watch->held))
			return pass(watch, chords, down, ret_fired);
		watch->held = *down;
		break;
	default:
		return pass(watch, chords, down, ret_fired);
	}
	if (!n)
		watch->state = HID_PASSING;
	return true;
}

/**
 * hid_watch_reset() - the keyboard was reset: what it has told is void
 * @watch:	its watch
 */
void hid_watch_reset(struct hid_watch *watch)
{
	if (watch->state != HID_PASSING)
		watch->state = HID_DOUBTING;
}
