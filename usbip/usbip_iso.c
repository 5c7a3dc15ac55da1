/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An isochronous URB's packets. Pure.
 *
 * The same descriptors place a URB's bytes in three buffers:
 *
 *   the client's buffer   packet i at its own offset, gaps where the client likes; OUT comes so
 *   the device's buffer   back to back by length (devio.c makes each offset the sum of the lengths)
 *   the answer to IN      back to back by actual_length (usbip_common.c: usbip_pad_iso)
 *
 * Descriptors stay as the client sent them, but for actual_length and status: vhci writes what
 * comes back over its own, usbip-win2 fails the URB where an offset differs. The header's
 * actual_length is the sum of theirs, for OUT too, or vhci drops the connection
 * (usbip_common.c: usbip_recv_iso).
 */
#include "usbip/usbip_iso.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "usb/usb_urb.h"

/**
 * usbip_iso_check() - do a client's packets fit its buffer?
 * @packets:	as they came
 * @n:		how many
 * @length:	bytes of the client's buffer
 * @ret_total:	sum of the packets' lengths: bytes of the device's buffer
 *
 * Packets that add up to more than the buffer overlap. No driver does that, and no answer to such
 * an IN could be right, because its actual_length may not exceed the buffer's.
 *
 * Return: 0; -EINVAL.
 */
int usbip_iso_check(const struct usb_packet *packets, unsigned n, uint32_t length,
		    uint32_t *ret_total)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct usb_packet *p = &packets[i];

		if (p->offset > length || p->length > length - p->offset)
			return -EINVAL;
		total += p->length;
	}
	if (total > length)
		return -EINVAL;
	*ret_total = (uint32_t)total;
	return 0;
}

/**
 * usbip_iso_in_place() - can packets be gathered within one buffer?
 * @packets:	checked
 * @n:		how many
 *
 * Return: whether each packet moves towards the front only, so that none is written over before it
 * has been moved.
 */
bool usbip_iso_in_place(const struct usb_packet *packets, unsigned n)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct usb_packet *p = &packets[i];

		if (p->offset < at)
			return false;
		at += p->length;
	}
	return true;
}

/**
 * usbip_iso_gather() - bring packets together for the device
 * @to:		where they go, back to back
 * @from:	the client's buffer; @to where usbip_iso_in_place() says so
 * @packets:	checked
 * @n:		how many
 */
void usbip_iso_gather(uint8_t *to, const uint8_t *from, const struct usb_packet *packets,
		      unsigned n)
{
	size_t at = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct usb_packet *p = &packets[i];

		if (to + at != from + p->offset)
			memmove(to + at, from + p->offset, p->length);
		at += p->length;
	}
}

/**
 * usbip_iso_finish() - make an answer of what the device did
 * @packets:	checked, with each packet's actual_length and status as the device tells them
 * @n:		how many
 * @data:	IN: the device's buffer, of which the answer's data are made; else NULL
 * @ret_errors:	packets whose status isn't 0
 *
 * Return: bytes that have moved: the answer's actual_length.
 */
uint32_t usbip_iso_finish(struct usb_packet *packets, unsigned n, uint8_t *data,
			  int32_t *ret_errors)
{
	uint32_t from = 0, to = 0;
	int32_t errors = 0;

	for (unsigned i = 0; i < n; i++) {
		struct usb_packet *p = &packets[i];

		if (p->actual_length > p->length)
			p->actual_length = p->length;
		if (data && from != to)
			memmove(data + to, data + from, p->actual_length);
		from += p->length;
		to += p->actual_length;
		errors += p->status != 0;
	}
	*ret_errors = errors;
	return to;
}
