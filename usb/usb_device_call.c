/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What blocks in the kernel: open, claim, configure, reset, release, close. Run by a worker, which
 * owns the device meanwhile; no transfer is under way that these calls would kill.
 *
 * All but the transfers themselves are usbfs' calls (include/uapi/linux/usbdevice_fs.h), and libusb
 * doesn't know of them: see usb_interfaces.c.
 */
#include <errno.h>
#include <linux/usbdevice_fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "usb/usb_device_private.h"
#include "usb/usb_model.h"
#include "usb/usb_status.h"

/**
 * usb_device_fail() - note why a call has failed
 * @dev:	the device, whose reason is set
 * @r:		a negative errno
 * @format:	the reason, for people
 *
 * Return: @r.
 */
int _printf_(3, 4) usb_device_fail(struct usb_device *dev, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(dev->reason, sizeof(dev->reason), format, args);
	va_end(args);
	return r;
}

static int errno_of(int error)
{
	switch (error) {
	case LIBUSB_ERROR_NO_DEVICE:
	case LIBUSB_ERROR_NOT_FOUND:
		return -ENODEV;
	case LIBUSB_ERROR_BUSY:
		return -EBUSY;
	case LIBUSB_ERROR_ACCESS:
		return -EACCES;
	case LIBUSB_ERROR_NO_MEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/*
 * The reset unbinds usbfs like any driver that knows nothing of resets, and then the kernel binds
 * the host's drivers: so nothing is claimed while it lasts (core/hub.c: usb_reset_device).
 * -ENODEV where the device is another one now.
 */
static int reset(struct usb_device *dev)
{
	int r, claimed;

	usb_interfaces_release(dev);
	r = ioctl(dev->fd, USBDEVFS_RESET, NULL) < 0 ? -errno : 0;
	if (r == -ENODEV)
		return r;
	claimed = usb_interfaces_claim(dev);
	return r < 0 ? r : claimed;
}

/* A configuration anew, the same one too: nothing may be claimed meanwhile. */
static int configure(struct usb_device *dev, int configuration)
{
	int r, claimed;

	usb_interfaces_release(dev);
	r = usb_interfaces_configure(dev, configuration);
	claimed = usb_interfaces_claim(dev);
	if (r == 0 && claimed == 0)
		usb_keyboard_find(dev);
	return r < 0 ? r : claimed;
}

static int clear_halt(struct usb_device *dev, uint8_t address)
{
	unsigned number = address;

	return ioctl(dev->fd, USBDEVFS_CLEAR_HALT, &number) < 0 ? -errno : 0;
}

static int run_request(struct usb_device *dev)
{
	const struct usb_request *request = &dev->request;
	int r = -EOPNOTSUPP;

	switch (request->kind) {
	case USB_REQUEST_SET_CONFIGURATION:
		r = configure(dev, request->configuration);
		break;
	case USB_REQUEST_SET_INTERFACE:
		r = usb_interfaces_set(dev, request->interface, request->alternate);
		break;
	case USB_REQUEST_CLEAR_HALT:
		r = clear_halt(dev, request->endpoint);
		break;
	case USB_REQUEST_RESET:
		/* What must never be reset says that it was. */
		r = dev->never_reset ? 0 : reset(dev);
		break;
	default:
		break;
	}
	return usb_status_of_call(r);
}

/* Back to how it was found: its configuration, and a reset. */
static int restore(struct usb_device *dev)
{
	int r;

	/* For a device that stands no reset, its configuration anew comes nearest to one. */
	if (dev->configuration != dev->found_configuration || dev->never_reset) {
		r = configure(dev, dev->found_configuration);
		if (r < 0)
			return usb_device_fail(dev, r,
					       "it can't be set back to configuration %d: %s",
					       dev->found_configuration, errno_text(-r));
	}
	if (dev->never_reset)
		return 0;
	r = reset(dev);
	if (r == -ENODEV)
		return usb_device_fail(dev, r, "it didn't come back from a reset");
	if (r < 0)
		return usb_device_fail(dev, r, "it can't be reset: %s", errno_text(-r));
	return 0;
}

static void close_all(struct usb_device *dev)
{
	usb_interfaces_release(dev);
	usb_interfaces_close(dev);
	if (dev->handle)
		libusb_close(dev->handle);
	if (dev->context)
		libusb_exit(dev->context);
	dev->handle = NULL;
	dev->context = NULL;
	dev->fd = fd_close(dev->fd);
}

static void look_up_quirks(struct usb_device *dev)
{
	const struct usb_descriptors *d = &dev->descriptors;

	dev->never_reset = !usb_model_stands_reset(d->id_vendor, d->id_product);
}

static int start_libusb(struct usb_device *dev)
{
	int r = libusb_init(&dev->context);

	if (r < 0)
		return usb_device_fail(dev, errno_of(r), "libusb can't be started: %s",
				       libusb_strerror(r));
	r = libusb_wrap_sys_device(dev->context, dev->fd, &dev->handle);
	/* Of reading descriptors that we could read. */
	dev->direct = r == LIBUSB_ERROR_IO;
	if (r < 0 && !dev->direct)
		return usb_device_fail(dev, errno_of(r), "libusb can't use its descriptor: %s",
				       libusb_strerror(r));
	return 0;
}

static int open_and_claim(struct usb_device *dev)
{
	int r = usb_interfaces_open(dev);

	if (r < 0)
		return r;
	r = start_libusb(dev);
	if (r < 0)
		return r;
	look_up_quirks(dev);
	r = usb_interfaces_claim(dev);
	if (r < 0)
		return r;
	/* Keys held, protocols, rates: nothing of the host's use of it goes to the guest. Not all
	 * devices and hosts can do it, and most work all the same. */
	r = dev->never_reset ? 0 : reset(dev);
	if (r == -ENODEV)
		return usb_device_fail(dev, r, "it didn't come back from a reset");
	usb_keyboard_find(dev);
	return 0;
}

/**
 * usb_device_call_run() - carry out the device's call
 * @dev:	the device, whose @call says which, and whose @result and @reason are set
 */
void usb_device_call_run(struct usb_device *dev)
{
	dev->reason[0] = '\0';
	switch (dev->call) {
	case USB_CALL_OPEN:
		dev->result = open_and_claim(dev);
		if (dev->result < 0)
			close_all(dev);
		break;
	case USB_CALL_REQUEST:
		dev->result = run_request(dev);
		break;
	case USB_CALL_RESTORE:
		dev->result = restore(dev);
		break;
	case USB_CALL_CLOSE:
		if (dev->dirty && !dev->gone)
			restore(dev);
		close_all(dev);
		dev->result = 0;
		break;
	}
}
