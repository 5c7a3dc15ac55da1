/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What blocks in the kernel: open, claim, configure, reset, release, close. Run by a worker, which
 * owns the device meanwhile; no transfer is under way that these calls would kill.
 *
 * This file has the order of the calls; the calls themselves are the back-end's.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

/*
 * A reset unbinds usbfs, as it does any driver that does not support resets, and then the kernel
 * binds the host's drivers. So nothing may be claimed while it lasts (core/hub.c:
 * usb_reset_device). -ENODEV: the device is another one now.
 */
static int reset(struct usb_device *dev)
{
	int r, claimed;

	usb_interfaces_release(dev);
	r = dev->backend.ops->reset(&dev->backend);
	if (r == -ENODEV)
		return r;
	claimed = usb_interfaces_claim(dev);
	return r < 0 ? r : claimed;
}

/* Set a configuration, even if it is the active one. Nothing may be claimed meanwhile. */
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
		r = dev->backend.ops->clear_halt(&dev->backend, request->endpoint);
		break;
	case USB_REQUEST_RESET:
		/* A device that must never be reset is said to have been. */
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

	/*
	 * For a device that must not be reset, setting its configuration again comes nearest to a
	 * reset.
	 */
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
	if (dev->started)
		dev->backend.ops->stop(&dev->backend);
	dev->started = false;
	dev->backend.fd = fd_close(dev->backend.fd);
}

static void look_up_quirks(struct usb_device *dev)
{
	const struct usb_descriptors *d = &dev->descriptors;

	dev->never_reset = !usb_model_stands_reset(d->id_vendor, d->id_product);
}

/* The first back-end that takes such a descriptor. */
static int choose_way(struct usb_device *dev)
{
	while (*dev->ways && (*dev->ways)->takes && !(*dev->ways)->takes(dev->backend.fd))
		dev->ways++;
	dev->backend.ops = *dev->ways;
	if (!dev->backend.ops)
		return usb_device_fail(dev, -ENOTTY, "nothing can use its descriptor");
	return 0;
}

static int start(struct usb_device *dev)
{
	const char *reason = NULL;
	int r;

	while ((r = dev->backend.ops->start(&dev->backend, &reason)) == USB_BACKEND_NEXT) {
		dev->ways++;
		r = choose_way(dev);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return usb_device_fail(dev, r, "%s can't use its descriptor: %s",
				       dev->backend.ops->name, reason);
	dev->started = true;
	return 0;
}

static int open_and_claim(struct usb_device *dev)
{
	int r = choose_way(dev);

	if (r == 0)
		r = usb_interfaces_open(dev);
	if (r < 0)
		return r;
	r = start(dev);
	if (r < 0)
		return r;
	look_up_quirks(dev);
	r = usb_interfaces_claim(dev);
	if (r < 0)
		return r;
	/*
	 * The guest is to see nothing of the host's use of it: keys held, protocols, rates. Not all
	 * devices and hosts can reset, and most devices work all the same.
	 */
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
		if (dev->dirty && !dev->backend.gone)
			restore(dev);
		close_all(dev);
		dev->result = 0;
		break;
	}
}
