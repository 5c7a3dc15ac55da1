/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The calls of a usbfs node that block, in the form of usb_backend.h; for the back-ends on such a
 * node.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct usb_backend;

ssize_t usb_usbfs_read(struct usb_backend *backend, void *to, size_t len, off_t at);
int usb_usbfs_control(struct usb_backend *backend, const uint8_t setup[8], void *data,
		      unsigned timeout_ms);
int usb_usbfs_claim(struct usb_backend *backend, uint8_t interface);
void usb_usbfs_release(struct usb_backend *backend, uint8_t interface);
int usb_usbfs_set_configuration(struct usb_backend *backend, int value);
int usb_usbfs_reset(struct usb_backend *backend);
int usb_usbfs_set_interface(struct usb_backend *backend, uint8_t interface, uint8_t alternate);
int usb_usbfs_clear_halt(struct usb_backend *backend, uint8_t endpoint);

/* What the back-ends on such a node have in common, in their struct usb_backend_ops. */
#define USB_USBFS_CALLS                                                                 \
	.read = usb_usbfs_read, .control = usb_usbfs_control, .claim = usb_usbfs_claim, \
	.release = usb_usbfs_release, .set_configuration = usb_usbfs_set_configuration, \
	.reset = usb_usbfs_reset, .set_interface = usb_usbfs_set_interface,             \
	.clear_halt = usb_usbfs_clear_halt
