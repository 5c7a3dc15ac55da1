/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The calls of a usbfs node that block (include/uapi/linux/usbdevice_fs.h, core/devio.c in Linux). No
 * state of its own: the node has it.
 *
 * libusb is not told of them. It takes no interface above 31, though devices have such ones, and it
 * releases only what it has claimed itself.
 */
#include "usb/usb_usbfs.h"

#include <errno.h>
#include <linux/usbdevice_fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "usb/usb_backend.h"

static int call(struct usb_backend *backend, unsigned long request, void *arg)
{
	int r = ioctl(backend->fd, request, arg);

	return r < 0 ? -errno : r;
}

ssize_t usb_usbfs_read(struct usb_backend *backend, void *to, size_t len, off_t at)
{
	ssize_t n = pread(backend->fd, to, len, at);

	return n < 0 ? -errno : n;
}

int usb_usbfs_control(struct usb_backend *backend, const uint8_t setup[8], void *data,
		      unsigned timeout_ms)
{
	struct usbdevfs_ctrltransfer transfer = {
		.bRequestType = setup[0],
		.bRequest = setup[1],
		.wValue = (uint16_t)(setup[2] | setup[3] << 8),
		.wIndex = (uint16_t)(setup[4] | setup[5] << 8),
		.wLength = (uint16_t)(setup[6] | setup[7] << 8),
		.timeout = timeout_ms,
		.data = data,
	};

	return call(backend, USBDEVFS_CONTROL, &transfer);
}

int usb_usbfs_claim(struct usb_backend *backend, uint8_t interface)
{
	struct usbdevfs_disconnect_claim claim = {
		.interface = interface,
		.flags = USBDEVFS_DISCONNECT_CLAIM_EXCEPT_DRIVER,
		.driver = "usbfs",
	};

	return call(backend, USBDEVFS_DISCONNECT_CLAIM, &claim);
}

void usb_usbfs_release(struct usb_backend *backend, uint8_t interface)
{
	unsigned number = interface;

	call(backend, USBDEVFS_RELEASEINTERFACE, &number);
}

int usb_usbfs_set_configuration(struct usb_backend *backend, int value)
{
	return call(backend, USBDEVFS_SETCONFIGURATION, &value);
}

int usb_usbfs_reset(struct usb_backend *backend)
{
	return call(backend, USBDEVFS_RESET, NULL);
}

int usb_usbfs_set_interface(struct usb_backend *backend, uint8_t interface, uint8_t alternate)
{
	struct usbdevfs_setinterface set = {.interface = interface, .altsetting = alternate};

	return call(backend, USBDEVFS_SETINTERFACE, &set);
}

int usb_usbfs_clear_halt(struct usb_backend *backend, uint8_t endpoint)
{
	unsigned number = endpoint;

	return call(backend, USBDEVFS_CLEAR_HALT, &number);
}
