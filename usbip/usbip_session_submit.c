/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A SUBMIT while it comes: what it is, memory for it, and its packets.
 *
 * The wire's direction tells which bytes follow a SUBMIT, and so does the endpoint if it is
 * isochronous. A request that can't be carried out is read whole all the same, then refused:
 * urb->refusal says why.
 */
#include <errno.h>

#include "usb/usb_request.h"
#include "usbip/usbip_iso.h"
#include "usbip/usbip_session_private.h"

/*
 * Bytes of data of a control request. More is taken neither by libusb (linux_usbfs.c:
 * MAX_CTRL_BUFFER_LENGTH) nor by the kernel's USBDEVFS_CONTROL (devio.c: do_proc_control, a page).
 * By USBDEVFS_SUBMITURB the kernel takes all 64 KiB, but nobody beside libusb can reap a URB on
 * libusb's descriptor without reaping libusb's as well, and a second descriptor can't claim the
 * interfaces.
 *
 * More is refused by a stall, as a device would refuse it: drivers understand that, and none clears
 * a halt of endpoint 0. Requests for descriptors are shortened instead.
 */
#define CONTROL_MAX 4096

/* A control request that the device must not see: 0 or the errno to refuse it with. */
static int judge_control(struct usbip_urb *urb)
{
	uint32_t length = (uint32_t)(urb->usb.setup[6] | urb->usb.setup[7] << 8);
	bool in = urb->usb.setup[0] & 0x80;

	/* Without data the direction bit means nothing (Linux says OUT, others as they like). */
	if (length && in != urb->usb.in)
		return -EPIPE;
	if (length > urb->usb.length)
		return -EPIPE;
	if (length > CONTROL_MAX && !usb_request_shorten(urb->usb.setup, CONTROL_MAX))
		return -EPIPE;
	return 0;
}

/**
 * usbip_session_judge() - which kind of URB a SUBMIT is, and so which bytes follow
 * @s:		the session
 * @urb:	as its header says; its type, and why it is refused, are set
 *
 * Return: 0; a negative errno: broken.
 */
int usbip_session_judge(struct usbip_session *s, struct usbip_urb *urb)
{
	const struct usb_endpoint *endpoint;

	urb->usb.type = USB_CONTROL;
	if (urb->ep == 0) {
		urb->refusal = judge_control(urb);
		return 0;
	}
	urb->usb.endpoint = (uint8_t)(urb->ep | (urb->usb.in ? 0x80 : 0));
	endpoint = usb_carrier_endpoint(s->carrier, urb->usb.endpoint);
	if (endpoint)
		urb->usb.type = usb_endpoint_type(endpoint);
	else
		/* Others say 0 (Linux) or -1 (Windows). */
		urb->usb.type = urb->n_packets > 0 ? USB_ISOCHRONOUS : USB_BULK;
	if (urb->usb.type != USB_ISOCHRONOUS)
		return 0;
	if (urb->n_packets < -1 || urb->n_packets > USBIP_MAX_ISO_PACKETS)
		return usbip_session_break(s, -EPROTO, "sent a SUBMIT of %d packets",
					   urb->n_packets);
	urb->usb.n_packets = urb->n_packets > 0 ? (unsigned)urb->n_packets : 0;
	urb->refusal = !endpoint ? -ENOENT : urb->usb.n_packets ? 0 : -EINVAL;
	return 0;
}

/**
 * usbip_session_provide() - get memory for what comes with a URB and for what comes back
 * @s:		the session
 * @urb:	judged; refused where the session may have no more
 *
 * Return: 0; a negative errno: broken.
 */
int usbip_session_provide(struct usbip_session *s, struct usbip_urb *urb)
{
	struct usbip_urb_pool *pool = &s->pool;

	if (urb->usb.n_packets && usbip_urb_pool_add_packets(pool, urb, urb->usb.n_packets) < 0)
		return usbip_session_break(s, -ENOMEM, "can't be served: no memory");
	if (!urb->refusal && (pool->n_live > USBIP_SESSION_MAX_URBS ||
			      usbip_urb_pool_cost(urb->usb.length) >
				      USBIP_SESSION_MAX_BYTES - min_t(size_t, pool->live_bytes,
								      USBIP_SESSION_MAX_BYTES) ||
			      usbip_urb_pool_add_data(pool, urb, urb->usb.length) < 0))
		urb->refusal = -ENOMEM;
	return 0;
}

/**
 * usbip_session_arrange() - lay an isochronous URB's data out as the device takes them
 * @s:		the session
 * @urb:	all of it is here
 *
 * Return: 0, or the negative errno to refuse it with: its packets are not sound.
 */
int usbip_session_arrange(struct usbip_session *s, struct usbip_urb *urb)
{
	struct usbip_urb gathered = {};
	int r;

	r = usbip_iso_check(urb->usb.packets, urb->usb.n_packets, urb->usb.length,
			    &urb->usb.packets_length);
	if (r < 0 || urb->usb.in)
		return r;
	if (usbip_iso_in_place(urb->usb.packets, urb->usb.n_packets)) {
		usbip_iso_gather(urb->usb.data, urb->usb.data, urb->usb.packets,
				 urb->usb.n_packets);
		return 0;
	}
	/* Packets in another order than their offsets': through a second buffer. */
	if (usbip_urb_pool_add_data(&s->pool, &gathered, urb->usb.length) < 0)
		return -ENOMEM;
	usbip_iso_gather(gathered.usb.data, urb->usb.data, urb->usb.packets, urb->usb.n_packets);
	usbip_urb_pool_drop_data(&s->pool, urb);
	urb->usb.data = gathered.usb.data;
	urb->data_class = gathered.data_class;
	return 0;
}
