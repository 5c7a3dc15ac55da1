/* SPDX-License-Identifier: BSD-2-Clause */
/* Chords of a keyboard that a client has. */
#include "tests/unit/usbip-world.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct keyboard {
	struct world w;
	struct hid_listener listener;
	unsigned n_struck;
	uint32_t seqnum;
};

static void on_struck(struct hid_listener *listener, unsigned chord)
{
	struct keyboard *k = container_of(listener, struct keyboard, listener);

	assert_int_equal(chord, 0);
	k->n_struck++;
}

/* The keyboard of interface 0 sends a report; all that the client gets, byte for byte. */
static void type(struct keyboard *k, const char *in, const char *out)
{
	uint8_t want[56] = {0, 0, 0, 3}, got[128];
	uint32_t seqnum = k->seqnum += 2;

	ask(&k->w, &(struct pdu_submit){.seqnum = seqnum, .in = true, .ep = 1, .length = 8}, NULL);
	assert_int_equal(receive(&k->w), 0);
	assert_true(script_complete_with(&k->w.script, seqnum, in, 8));
	script_settle(&k->w.script);
	assert_int_equal(answers(&k->w), 0);
	want[6] = (uint8_t)(seqnum >> 8);
	want[7] = (uint8_t)seqnum;
	want[27] = 8; /* actual_length */
	memcpy(want + 48, out, 8);
	assert_int_equal(recv(k->w.client, got, sizeof(got), MSG_DONTWAIT), sizeof(want));
	/* The number of packets of what has none is as asked, or -1. */
	memcpy(want + 28, got + 28, 8);
	assert_memory_equal(got, want, sizeof(want));
}

static void ask_raw(struct keyboard *k, const uint8_t setup[8], int status)
{
	struct pdu_submit s = {.seqnum = k->seqnum += 2};

	memcpy(s.setup, setup, 8);
	ask(&k->w, &s, NULL);
	assert_int_equal(receive(&k->w), 0);
	assert_true(script_complete(&k->w.script, s.seqnum, status, 0, false));
	script_settle(&k->w.script);
	assert_int_equal(send_all(&k->w), 0);
}

#define UP "\0\0\0\0\0\0\0\0"

/* A keyboard whose reports have ids, until it is told to speak the boot protocol. */
static void test_chord(void **state)
{
	static const uint8_t descriptor[] = {0x85, 1,	 0x05, 7,    0x19, 0xe0, 0x29, 0xe7, 0x15,
					     0,	   0x25, 1,    0x75, 1,	   0x95, 8,    0x81, 2};
	static const uint8_t boot[8] = {0x21, 0x0b};
	struct keyboard k = {.listener.struck = on_struck};

	k.listener.chords.at[0] = (struct hid_chord){{0xe0, 0xe4, 0x29}};
	open_world(&k.w);
	assert_int_equal(hid_input_new(&k.w.script.carrier.input, &k.listener), 0);
	assert_true(hid_input_add(k.w.script.carrier.input, 0, HID_BOOT_KEYBOARD, descriptor,
				  sizeof(descriptor)));

	type(&k, "\x11\0\x29\0\0\0\0\0", "\x11\0\x29\0\0\0\0\0");
	ask_raw(&k, boot, -EPIPE); /* refused by the device: nothing has changed */
	type(&k, "\x11\0\x29\0\0\0\0\0", "\x11\0\x29\0\0\0\0\0");
	assert_int_equal(k.n_struck, 0);
	ask_raw(&k, boot, 0);
	type(&k, "\0\0\x04\x05\0\0\0\0", "\0\0\x04\x05\0\0\0\0");
	type(&k, UP, UP);
	type(&k, "\x01\0\0\0\0\0\0\0", "\x01\0\0\0\0\0\0\0");
	type(&k, "\x11\x7f\0\0\0\0\0\0", "\x11\x7f\0\0\0\0\0\0");
	type(&k, "\x11\x7f\x29\0\0\0\0\0", "\0\x7f\0\0\0\0\0\0");
	assert_int_equal(k.n_struck, 1);
	type(&k, "\x11\0\x29\x04\0\0\0\0", UP);
	type(&k, "\0\0\x29\0\0\0\0\0", UP);
	type(&k, UP, UP);
	type(&k, "\0\0\x29\0\0\0\0\0", "\0\0\x29\0\0\0\0\0");
	assert_int_equal(k.n_struck, 1);

	/* Out of the boot protocol by a reset, and by another setting. */
	ask(&k.w, &(struct pdu_submit){.seqnum = k.seqnum += 2, .setup = {0x23, 3, 4, 0, 1}}, NULL);
	assert_int_equal(receive(&k.w), USBIP_SESSION_HELD);
	script_finish(&k.w.script, 0);
	assert_int_equal(send_all(&k.w), 0);
	type(&k, "\x11\0\x29\0\0\0\0\0", "\x11\0\x29\0\0\0\0\0");
	ask_raw(&k, boot, 0);
	type(&k, "\x11\0\x29\0\0\0\0\0", UP);
	type(&k, UP, UP);
	ask(&k.w, &(struct pdu_submit){.seqnum = k.seqnum += 2, .setup = {1, 11, 1}}, NULL);
	assert_int_equal(receive(&k.w), USBIP_SESSION_HELD);
	script_finish(&k.w.script, 0);
	assert_int_equal(send_all(&k.w), 0);
	type(&k, "\x11\0\x29\0\0\0\0\0", "\x11\0\x29\0\0\0\0\0");
	assert_int_equal(k.n_struck, 2);
	hid_input_free(k.w.script.carrier.input);
	k.w.script.carrier.input = NULL;
	close_world(&k.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chord),
	};
	int failed = cmocka_run_group_tests_name("by a socket", tests, NULL, NULL);

	by_stream = true;
	return failed + cmocka_run_group_tests_name("by a stream", tests, NULL, NULL);
}
