/* SPDX-License-Identifier: BSD-2-Clause */
/* Chords on keyboards of all kinds: what passes, what is swallowed, and how often one fires. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "hid-keyboards.h"
#include "usb/hid_input.h"
#include "usb/hid_keyboard.h"

struct world {
	struct hid_listener listener;
	struct hid_input *input;
	unsigned struck[HID_CHORDS];
};

static void struck(struct hid_listener *listener, unsigned chord)
{
	container_of(listener, struct world, listener)->struck[chord]++;
}

static struct hid_chord chord(const char *text)
{
	struct hid_chord c = {};
	const char *expected;

	assert_int_equal(hid_chord_parse(&c, text, &expected), 0);
	return c;
}

static void open_world(struct world *w)
{
	*w = (struct world){.listener.struck = struck};
	w->listener.chords.at[0] = chord("LeftCtrl+RightCtrl+Esc");
	w->listener.chords.at[1] = chord("LeftCtrl+RightCtrl+Space");
	assert_int_equal(hid_input_new(&w->input, &w->listener), 0);
}

static void close_world(struct world *w)
{
	w->input = hid_input_free(w->input);
}

#define ADD(w, number, boot, descriptor) \
	assert_true(hid_input_add((w)->input, number, boot, descriptor, sizeof(descriptor)))

/* A report of an interface comes out as another, or as itself where @out is NULL. */
static void expect(struct world *w, uint8_t interface, const char *in, const char *out, size_t n)
{
	uint8_t data[64];

	memcpy(data, in, n);
	hid_input_report(w->input, interface, data, n);
	assert_memory_equal(data, out ? out : in, n);
}

#define PASS(w, interface, in)	       expect(w, interface, in, NULL, sizeof(in) - 1)
#define SWALLOW(w, interface, in, out) expect(w, interface, in, out, sizeof(in) - 1)

#define FIRED(w, first, second)                           \
	do {                                              \
		assert_int_equal((w)->struck[0], first);  \
		assert_int_equal((w)->struck[1], second); \
	} while (0)

#define UP "\0\0\0\0\0\0\0\0"

/* Key by key down, key by key up, with a key of another time in between. */
static void strike(struct world *w, uint8_t interface)
{
	PASS(w, interface, "\1\0\0\0\0\0\0\0");
	PASS(w, interface, "\x11\0\0\0\0\0\0\0");
	SWALLOW(w, interface, "\x11\0\x29\0\0\0\0\0", UP);
	SWALLOW(w, interface, "\x11\0\x29\x04\0\0\0\0", UP);
	SWALLOW(w, interface, "\x11\0\x29\0\0\0\0\0", UP);
	SWALLOW(w, interface, "\x10\0\x29\0\0\0\0\0", UP);
	SWALLOW(w, interface, "\x10\0\0\0\0\0\0\0", UP);
	SWALLOW(w, interface, UP, UP);
}

static void test_chord(void **state)
{
	static const struct {
		const uint8_t *descriptor;
		size_t len;
	} kinds[] = {{boot_keyboard, sizeof(boot_keyboard)},
		     {qemu_keyboard, sizeof(qemu_keyboard)},
		     {NULL, 0}};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct world w;

		open_world(&w);
		assert_true(hid_input_add(w.input, 3, HID_BOOT_KEYBOARD, kinds[i].descriptor,
					  kinds[i].len));
		PASS(&w, 3, "\0\0\x04\0\0\0\0\0");
		PASS(&w, 3, UP);
		strike(&w, 3);
		FIRED(&w, 1, 0);
		PASS(&w, 3, "\0\0\x29\0\0\0\0\0");
		PASS(&w, 3, "\1\0\x29\0\0\0\0\0");
		PASS(&w, 3, UP);
		/* The other chord; a modifier besides is no matter, another key is. */
		PASS(&w, 3, "\x11\0\x2c\x04\0\0\0\0");
		PASS(&w, 3, "\x13\0\0\0\0\0\0\0");
		SWALLOW(&w, 3, "\x13\0\0\0\x2c\0\0\0", UP);
		SWALLOW(&w, 3, UP, UP);
		FIRED(&w, 1, 1);
		/* Straight from one into the other: not before all is up. */
		strike(&w, 3);
		SWALLOW(&w, 3, "\x11\0\x29\0\0\0\0\0", UP);
		SWALLOW(&w, 3, "\x11\0\x2c\0\0\0\0\0", UP);
		FIRED(&w, 3, 1);
		/* Another interface's reports are none of a keyboard. */
		PASS(&w, 4, "\x11\0\x29\0\0\0\0\0");
		close_world(&w);
	}
}

/* Every byte that isn't a key stays: reserved ones, and those of other reports. */
static void test_beside(void **state)
{
	struct world w;

	open_world(&w);
	ADD(&w, 0, HID_BOOT_KEYBOARD, boot_keyboard);
	ADD(&w, 1, HID_BOOT_NONE, receiver);
	/* Too many keys to tell: which ones, nobody knows. */
	PASS(&w, 0, "\x11\xaa\x29\1\1\1\1\1\xbb");
	FIRED(&w, 0, 0);
	/* 0x66 is above the logical maximum: no key. */
	SWALLOW(&w, 0, "\x11\xaa\x29\x66\0\0\0\0\xbb", "\0\xaa\0\x66\0\0\0\0\xbb");
	FIRED(&w, 1, 0);
	SWALLOW(&w, 0, "\x11\xaa\1\1\1\1\1\1\xbb", "\0\xaa\0\0\0\0\0\0\xbb");
	SWALLOW(&w, 0, "\0\xaa\1\1\1\1\1\1\xbb", "\0\xaa\0\0\0\0\0\0\xbb");
	SWALLOW(&w, 0, "\0\xaa\0\0\0\0\0\0\xbb", "\0\xaa\0\0\0\0\0\0\xbb");
	PASS(&w, 0, "\0\xaa\x04\0\0\0\0\0\xbb");
	close_world(&w);
}

/* Bits for all keys, modifiers on another interface, and reports without keys meanwhile. */
static void test_interfaces(void **state)
{
	static const char esc[] =
		"\x06\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
	static const char none[] =
		"\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
	struct world w;

	open_world(&w);
	ADD(&w, 0, HID_BOOT_KEYBOARD, boot_keyboard);
	ADD(&w, 1, HID_BOOT_NONE, nkro_keyboard);
	PASS(&w, 0, "\x11\0\0\0\0\0\0\0");
	PASS(&w, 1, "\4\x29\0");
	expect(&w, 1, esc, none, 32);
	FIRED(&w, 1, 0);
	PASS(&w, 1, "\4\x29\0");
	PASS(&w, 1, "\2\1\5\5");
	SWALLOW(&w, 0, "\x10\0\0\0\0\0\0\0", UP);
	expect(&w, 1, none, none, 32);
	SWALLOW(&w, 0, UP, UP);
	PASS(&w, 0, "\x01\0\4\0\0\0\0\0");
	expect(&w, 1, esc, NULL, 32);
	FIRED(&w, 1, 0);
	close_world(&w);
}

static const uint8_t set_boot[8] = {0x21, 0x0b, 0, 0, 0, 0, 0, 0},
		     set_report[8] = {0x21, 0x0b, 1, 0, 0, 0, 0, 0},
		     set_idle[8] = {0x21, 0x0a, 0, 0, 0, 0, 0, 0};

/* One whose reports have ids, and that speaks the boot protocol when asked. */
static void test_protocol(void **state)
{
	struct world w;

	open_world(&w);
	ADD(&w, 0, HID_BOOT_KEYBOARD, receiver);
	PASS(&w, 0, "\x11\0\x29\0\0\0\0\0");
	SWALLOW(&w, 0, "\1\x11\x26\0\0", "\1\0\0\0\0");
	SWALLOW(&w, 0, "\1\0\0\0\0", "\1\0\0\0\0");
	FIRED(&w, 1, 0);
	hid_input_control(w.input, set_idle);
	PASS(&w, 0, "\x11\0\x29\0\0\0\0\0");
	hid_input_control(w.input, set_boot);
	PASS(&w, 0, "\1\x11\x26\0\0");
	strike(&w, 0);
	FIRED(&w, 2, 0);
	hid_input_control(w.input, set_report);
	PASS(&w, 0, "\x11\0\x29\0\0\0\0\0");
	hid_input_control(w.input, set_boot);
	hid_input_reset(w.input);
	PASS(&w, 0, "\x11\0\x29\0\0\0\0\0");
	/* Another setting may have other reports. */
	hid_input_set_alternate(w.input, 0, 1);
	PASS(&w, 0, "\1\x11\x26\0\0");
	hid_input_set_alternate(w.input, 0, 0);
	SWALLOW(&w, 0, "\1\x11\x26\0\0", "\1\0\0\0\0");
	FIRED(&w, 3, 0);
	close_world(&w);
}

/* A mouse with a keyboard's collections: in boot protocol it has none. */
static void test_mouse(void **state)
{
	struct world w;

	open_world(&w);
	assert_false(hid_input_add(w.input, 0, HID_BOOT_MOUSE, mouse, sizeof(mouse)));
	assert_false(hid_input_add(w.input, 0, HID_BOOT_NONE, NULL, 0));
	assert_true(hid_input_empty(w.input));
	ADD(&w, 0, HID_BOOT_MOUSE, receiver);
	hid_input_control(w.input, set_boot);
	PASS(&w, 0, "\1\x11\x26\0\0");
	hid_input_control(w.input, set_report);
	SWALLOW(&w, 0, "\1\x11\x26\0\0", "\1\0\0\0\0");
	close_world(&w);
}

/* A reset while the chord is down, as when the keyboard goes to the next guest. */
static void test_reset(void **state)
{
	struct world w;

	open_world(&w);
	ADD(&w, 0, HID_BOOT_KEYBOARD, boot_keyboard);

	/* Still down: told all at once, and let go of key by key. */
	SWALLOW(&w, 0, "\x11\0\x2c\0\0\0\0\0", UP);
	hid_input_reset(w.input);
	SWALLOW(&w, 0, "\x11\0\x2c\0\0\0\0\0", UP);
	SWALLOW(&w, 0, "\x01\0\x2c\0\0\0\0\0", UP);
	SWALLOW(&w, 0, "\0\0\x2c\0\0\0\0\0", UP);
	SWALLOW(&w, 0, UP, UP);
	FIRED(&w, 0, 1);
	PASS(&w, 0, "\0\0\x2c\0\0\0\0\0");
	PASS(&w, 0, UP);

	/* Let go of meanwhile: the next key is the guest's, whichever it is. */
	SWALLOW(&w, 0, "\x11\0\x2c\0\0\0\0\0", UP);
	hid_input_reset(w.input);
	PASS(&w, 0, "\0\0\x2c\0\0\0\0\0");
	PASS(&w, 0, UP);
	FIRED(&w, 0, 2);

	/* … and the same chord anew moves on. */
	SWALLOW(&w, 0, "\x11\0\x2c\0\0\0\0\0", UP);
	hid_input_reset(w.input);
	PASS(&w, 0, "\1\0\0\0\0\0\0\0");
	PASS(&w, 0, "\x11\0\0\0\0\0\0\0");
	SWALLOW(&w, 0, "\x11\0\x2c\0\0\0\0\0", UP);
	SWALLOW(&w, 0, UP, UP);
	FIRED(&w, 0, 4);

	/* … two of its keys at once, too. */
	SWALLOW(&w, 0, "\x11\0\x2c\0\0\0\0\0", UP);
	hid_input_reset(w.input);
	SWALLOW(&w, 0, "\x11\0\0\0\0\0\0\0", UP);
	SWALLOW(&w, 0, "\x11\0\x2c\0\0\0\0\0", UP);
	SWALLOW(&w, 0, UP, UP);
	FIRED(&w, 0, 6);

	/* A reset without a chord changes nothing. */
	PASS(&w, 0, "\x11\0\0\0\0\0\0\0");
	hid_input_reset(w.input);
	PASS(&w, 0, "\x11\0\x04\0\0\0\0\0");
	close_world(&w);
}

static void test_off(void **state)
{
	struct world w;

	open_world(&w);
	w.listener.chords = (struct hid_chords){};
	ADD(&w, 0, HID_BOOT_KEYBOARD, boot_keyboard);
	PASS(&w, 0, UP);
	PASS(&w, 0, "\x11\0\x29\0\0\0\0\0");
	FIRED(&w, 0, 0);
	close_world(&w);
}

static void test_room(void **state)
{
	struct world w;

	open_world(&w);
	for (uint8_t i = 0; i < HID_INTERFACES_MAX; i++)
		ADD(&w, i, HID_BOOT_KEYBOARD, boot_keyboard);
	assert_false(
		hid_input_add(w.input, 9, HID_BOOT_KEYBOARD, boot_keyboard, sizeof(boot_keyboard)));
	hid_input_clear(w.input);
	assert_true(hid_input_empty(w.input));
	PASS(&w, 0, "\x11\0\x29\0\0\0\0\0");
	close_world(&w);
}

/*
 * Random reports: outside of a chord out is in, inside nothing is down; it fires once for each time
 * it begins to be complete. What is complete is told here from the bytes themselves.
 */
static void test_random(void **state)
{
	struct world w;
	bool swallowing = false;
	unsigned fired = 0, passed = 0;

	open_world(&w);
	ADD(&w, 0, HID_BOOT_KEYBOARD, qemu_keyboard);
	srand(7);
	for (unsigned i = 0; i < 200000; i++) {
		static const uint8_t some[] = {0, 0, 0x29, 0x2c, 0x04, 0x65, 0xff};
		uint8_t in[8] = {}, out[8];
		bool esc = false, space = false, other = false;

		in[0] = (uint8_t)(rand() % 3 ? rand() % 2 * 0x11 : rand());
		in[1] = (uint8_t)rand();
		for (unsigned k = 2; k < 2 + (unsigned)rand() % 7; k++)
			in[k < 8 ? k : 7] = some[(unsigned)rand() % sizeof(some)];
		for (unsigned k = 2; k < 8; k++) {
			esc |= in[k] == 0x29;
			space |= in[k] == 0x2c;
			other |= in[k] != 0x29 && in[k] != 0x2c && in[k] != 0;
		}
		if (!swallowing && (in[0] & 0x11) == 0x11 && !other && esc != space) {
			swallowing = true;
			fired++;
		}
		memcpy(out, in, sizeof(in));
		hid_input_report(w.input, 0, out, sizeof(out));
		passed += !swallowing;
		if (swallowing) {
			if (!in[0] && !esc && !space && !other)
				swallowing = false;
			in[0] = 0;
			memset(in + 2, 0, 6);
		}
		assert_memory_equal(out, in, sizeof(in));
		assert_int_equal(w.struck[0] + w.struck[1], fired);
		if (swallowing && rand() % 4 == 0) {
			memset(out, 0, sizeof(out));
			hid_input_report(w.input, 0, out, sizeof(out));
			swallowing = false;
		}
	}
	assert_true(fired > 1000 && passed > 1000);
	close_world(&w);
}

static void test_names(void **state)
{
	static const char *const bad[] = {
		"",	   "+",	  "Esc+", "+Esc",    "Esc++A",	"Any", "F0",
		"F25",	   "F01", "F1x",  "Esc+ESC", "LeftCtr", "a b", "a+b+c+d+e+f+g+h+i",
		"\xc3\xa4"};
	static const struct {
		const char *text;
		uint8_t usage;
	} good[] = {{"a", 4},	     {"Z", 0x1d},     {"1", 0x1e},	   {"0", 0x27},
		    {"F1", 0x3a},    {"f12", 0x45},   {"F13", 0x68},	   {"F24", 0x73},
		    {"esc", 0x29},   {"SPACE", 0x2c}, {"RightMeta", 0xe7}, {"KeypadDot", 0x63},
		    {"Pause", 0x48}, {"Up", 0x52},    {"Menu", 0x65}};
	struct hid_chord c = {}, off = {};
	const char *expected;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (hid_chord_parse(&c, bad[i], &expected) != -EINVAL)
			fail_msg("%s", bad[i]);
	assert_memory_equal(&c, &off, sizeof(c));
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		c = chord(good[i].text);
		assert_int_equal(c.keys[0], good[i].usage);
		assert_int_equal(c.keys[1], 0);
	}
	c = chord("a+b+c+d+e+f+g+h");
	assert_int_equal(c.keys[7], 0x0b);
	assert_true(hid_chord_contains(&c, &c));
	assert_false(hid_chord_contains(&c, &off));
	assert_false(hid_chord_contains(&off, &c));
	off = chord("h+a");
	assert_true(hid_chord_contains(&c, &off));
	assert_false(hid_chord_contains(&off, &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chord),	   cmocka_unit_test(test_beside),
		cmocka_unit_test(test_interfaces), cmocka_unit_test(test_protocol),
		cmocka_unit_test(test_mouse),	   cmocka_unit_test(test_reset),
		cmocka_unit_test(test_off),	   cmocka_unit_test(test_room),
		cmocka_unit_test(test_random),	   cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
