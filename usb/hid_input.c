/* SPDX-License-Identifier: BSD-2-Clause */
/* What a device's keyboards send, watched for chords; see hid_input.h. */
#include "usb/hid_input.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "usb/hid_keyboard.h"
#include "usb/hid_report.h"

/* HID 1.11, 7.2.6. */
#define SET_PROTOCOL_TYPE 0x21
#define SET_PROTOCOL	  0x0b
#define BOOT_PROTOCOL	  0

#define BOOT_REPORT 8 /* bytes of a boot keyboard's report */

struct interface {
	uint8_t number, alternate;
	enum hid_boot boot;		      /* what it does in boot protocol … */
	bool in_boot;			      /* … which it is in */
	bool guessed;			      /* its descriptor could not be had */
	struct hid_keyboard *reports, *boots; /* in report and in boot protocol; or NULL */
};

struct hid_input {
	struct hid_listener *listener;
	struct hid_watch watch;
	unsigned n;
	struct interface interfaces[HID_INTERFACES_MAX];
};

/**
 * hid_input_new() - watch a device
 * @ret_input:	the watch, with no interfaces
 * @listener:	who is told, and of which chords; stays the caller's, and as long as the watch
 *
 * Return: 0 or -ENOMEM.
 */
int hid_input_new(struct hid_input **ret_input, struct hid_listener *listener)
{
	struct hid_input *input = calloc(1, sizeof(*input));

	if (!input)
		return -ENOMEM;
	input->listener = listener;
	*ret_input = input;
	return 0;
}

/**
 * hid_input_free() - watch a device no more
 * @input:	the watch, or NULL
 *
 * Return: NULL.
 */
struct hid_input *hid_input_free(struct hid_input *input)
{
	if (input)
		hid_input_clear(input);
	free(input);
	return NULL;
}

static void drop(struct interface *i)
{
	i->reports = hid_keyboard_free(i->reports);
	i->boots = hid_keyboard_free(i->boots);
}

/**
 * hid_input_clear() - forget all interfaces
 * @input:	the watch
 */
void hid_input_clear(struct hid_input *input)
{
	hid_watch_reset(&input->watch);
	while (input->n)
		drop(&input->interfaces[--input->n]);
}

/**
 * hid_input_empty() - is there no interface to watch?
 * @input:	the watch
 *
 * Return: whether.
 */
bool hid_input_empty(const struct hid_input *input)
{
	return !input->n;
}

static struct hid_keyboard *boot_keyboard(void)
{
	_cleanup_(hid_layout_freep) struct hid_layout *layout = NULL;
	struct hid_keyboard *keyboard = NULL;

	if (hid_report_boot(&layout) == 0 && hid_keyboard_new(&keyboard, layout) == 0)
		layout = NULL;
	return keyboard;
}

/* NULL: it could not be had, Linux refuses it, or it has no keys; @ret_known says which. */
static struct hid_keyboard *report_keyboard(const void *descriptor, size_t len, bool *ret_known)
{
	_cleanup_(hid_layout_freep) struct hid_layout *layout = NULL;
	struct hid_keyboard *keyboard = NULL;

	*ret_known = descriptor && hid_report_parse(&layout, descriptor, len) == 0;
	if (*ret_known && layout->n_fields && hid_keyboard_new(&keyboard, layout) == 0)
		layout = NULL;
	return keyboard;
}

/**
 * hid_input_add() - watch one more interface
 * @input:	the watch
 * @interface:	its bInterfaceNumber
 * @boot:	what it does in boot protocol
 * @descriptor:	its report descriptor; NULL where it could not be had
 * @len:	bytes
 *
 * Return: whether it is watched: it may have keys, and there was room.
 */
bool hid_input_add(struct hid_input *input, uint8_t interface, enum hid_boot boot,
		   const void *descriptor, size_t len)
{
	struct interface *i = &input->interfaces[input->n];
	bool known;

	if (input->n == HID_INTERFACES_MAX)
		return false;
	*i = (struct interface){.number = interface, .boot = boot};
	i->reports = report_keyboard(descriptor, len, &known);
	if (boot == HID_BOOT_KEYBOARD) {
		i->boots = boot_keyboard();
		i->guessed = !known;
	}
	if (!i->reports && !i->boots)
		return false;
	input->n++;
	return true;
}

static struct interface *find(struct hid_input *input, uint8_t number)
{
	for (unsigned i = 0; i < input->n; i++)
		if (input->interfaces[i].number == number)
			return &input->interfaces[i];
	return NULL;
}

/* How to read what an interface sends now; NULL: nobody knows. */
static struct hid_keyboard *keyboard_of(const struct interface *i, size_t len)
{
	if (i->alternate)
		return NULL;
	if (i->in_boot || (i->guessed && len == BOOT_REPORT))
		return i->boots;
	return i->reports;
}

static struct hid_keys all_down(const struct hid_input *input)
{
	struct hid_keys down = {};

	for (unsigned i = 0; i < input->n; i++) {
		if (input->interfaces[i].reports)
			hid_keyboard_down(input->interfaces[i].reports, &down);
		if (input->interfaces[i].boots)
			hid_keyboard_down(input->interfaces[i].boots, &down);
	}
	return down;
}

/**
 * hid_input_report() - an interface sends a report
 * @input:	the watch
 * @interface:	whose interrupt endpoint it came from
 * @data:	the report; changed where a chord is being swallowed
 * @len:	bytes
 */
void hid_input_report(struct hid_input *input, uint8_t interface, uint8_t *data, size_t len)
{
	struct interface *i = find(input, interface);
	struct hid_keyboard *keyboard = i ? keyboard_of(i, len) : NULL;
	struct hid_keys down;
	int report, fired;

	if (!keyboard)
		return;
	report = hid_keyboard_read(keyboard, data, len);
	if (report < 0)
		return;
	down = all_down(input);
	if (hid_watch_keys(&input->watch, &input->listener->chords, &down, &fired))
		hid_keyboard_release(keyboard, report, data);
	if (fired != HID_FIRED_NONE)
		input->listener->struck(input->listener, (unsigned)fired);
}

static void forget_keys(struct interface *i)
{
	if (i->reports)
		hid_keyboard_forget(i->reports);
	if (i->boots)
		hid_keyboard_forget(i->boots);
}

/**
 * hid_input_control() - the device has carried out a control request
 * @input:	the watch
 * @setup:	the request
 */
void hid_input_control(struct hid_input *input, const uint8_t setup[8])
{
	struct interface *i;

	if (setup[0] != SET_PROTOCOL_TYPE || setup[1] != SET_PROTOCOL)
		return;
	i = find(input, setup[4]);
	if (!i || i->boot == HID_BOOT_NONE)
		return;
	i->in_boot = setup[2] == BOOT_PROTOCOL;
	forget_keys(i);
}

/**
 * hid_input_set_alternate() - an interface has another setting
 * @input:	the watch
 * @interface:	its bInterfaceNumber
 * @alternate:	its bAlternateSetting; of others than 0 the reports aren't known
 */
void hid_input_set_alternate(struct hid_input *input, uint8_t interface, uint8_t alternate)
{
	struct interface *i = find(input, interface);

	if (!i)
		return;
	i->alternate = alternate;
	forget_keys(i);
}

/**
 * hid_input_reset() - the device was reset, or has its configuration anew
 * @input:	the watch
 */
void hid_input_reset(struct hid_input *input)
{
	for (unsigned k = 0; k < input->n; k++) {
		struct interface *i = &input->interfaces[k];

		i->alternate = 0;
		i->in_boot = false;
		forget_keys(i);
	}
	hid_watch_reset(&input->watch);
}
