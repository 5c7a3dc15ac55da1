/* SPDX-License-Identifier: BSD-2-Clause */
/* One URB as a device carries it out; see usb_urb.h. */
#include "usb/usb_urb.h"

#include <errno.h>

#include "base/mem.h"

/**
 * usb_urb_fail_packets() - say of each packet that nothing became of it
 * @urb:	the URB; one without packets is left as it is
 */
void usb_urb_fail_packets(struct usb_urb *urb)
{
	for (unsigned i = 0; i < urb->n_packets; i++) {
		urb->packets[i].actual_length = 0;
		urb->packets[i].status = -EXDEV;
	}
}

/**
 * usb_urb_drop_transfer() - free what a device has kept for the next URB in this place
 * @urb:	the URB, which no device has
 */
void usb_urb_drop_transfer(struct usb_urb *urb)
{
	if (urb->transfer)
		urb->transfer_free(urb->transfer);
	urb->transfer = NULL;
}
