/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What blocks in the kernel: open, claim, configure, reset, release, close. Run by a worker, which
 * owns the device meanwhile; no transfer is under way that these calls would kill.
 *
 * Automatic detaching of host drivers is on while interfaces are claimed and off while they are
 * released: else libusb would bind the host's drivers again in the middle of things.
 */
#include <errno.h>
#include <linux/usbdevice_fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "base/mem.h"
#include "usbip/usb_device_private.h"
#include "usbip/usb_status.h"

/* Devices that don't stand a reset: the ones that usbredir leaves out as well. */
static const struct {
	uint16_t vendor, product;
} never_reset[] = {
	{0x1210, 0x001c},
	{0x2798, 0x0001},
};

static int _printf_(3, 4) fail(struct usb_device *dev, int r, const char *format, ...)
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

static int read_configuration(struct usb_device *dev, struct libusb_config_descriptor **ret)
{
	int r = libusb_get_active_config_descriptor(libusb_get_device(dev->handle), ret);

	/* A device without a configuration has no interfaces: that is fine. */
	if (r == LIBUSB_ERROR_NOT_FOUND) {
		*ret = NULL;
		return 0;
	}
	if (r < 0)
		return fail(dev, errno_of(r), "its configuration can't be read: %s",
			    libusb_strerror(r));
	return 0;
}

static void add_endpoints(struct usb_device *dev, const struct libusb_interface *interface,
			  uint8_t alternate)
{
	for (int a = 0; a < interface->num_altsetting; a++) {
		const struct libusb_interface_descriptor *d = &interface->altsetting[a];

		if (d->bAlternateSetting != alternate)
			continue;
		for (unsigned e = 0; e < d->bNumEndpoints; e++) {
			const struct libusb_endpoint_descriptor *ep = &d->endpoint[e];

			if (!(ep->bEndpointAddress & 0x0f))
				continue;
			dev->backend.endpoints.at[usb_endpoint_slot(ep->bEndpointAddress)] =
				(struct usb_endpoint){
					.exists = true,
					.interface = d->bInterfaceNumber,
					.attributes = ep->bmAttributes,
					.max_packet = ep->wMaxPacketSize,
				};
		}
		return;
	}
}

/* Put down what the device has now: all interfaces at alternate setting 0. */
static int load_interfaces(struct usb_device *dev)
{
	struct libusb_config_descriptor *config;
	int r = read_configuration(dev, &config);

	memset(&dev->backend.endpoints, 0, sizeof(dev->backend.endpoints));
	dev->n_interfaces = 0;
	if (r < 0)
		return r;
	for (unsigned i = 0; config && i < config->bNumInterfaces && i < MAX_INTERFACES; i++) {
		const struct libusb_interface *interface = &config->interface[i];

		if (interface->num_altsetting <= 0)
			continue;
		dev->interfaces[dev->n_interfaces++] = interface->altsetting[0].bInterfaceNumber;
		add_endpoints(dev, interface, 0);
	}
	libusb_free_config_descriptor(config);
	return 0;
}

static void release_all(struct usb_device *dev)
{
	libusb_set_auto_detach_kernel_driver(dev->handle, 0);
	for (unsigned i = 0; i < dev->n_interfaces; i++)
		libusb_release_interface(dev->handle, dev->interfaces[i]);
}

static int claim_all(struct usb_device *dev)
{
	int r = load_interfaces(dev);

	if (r < 0)
		return r;
	libusb_set_auto_detach_kernel_driver(dev->handle, 1);
	for (unsigned i = 0; i < dev->n_interfaces; i++) {
		r = libusb_claim_interface(dev->handle, dev->interfaces[i]);
		if (r == LIBUSB_ERROR_BUSY)
			return fail(dev, -EBUSY, "its interface %u is claimed by another program",
				    dev->interfaces[i]);
		if (r == LIBUSB_ERROR_NO_DEVICE)
			return fail(dev, -ENODEV, "it was unplugged meanwhile");
		if (r < 0)
			return fail(dev, errno_of(r), "its interface %u can't be claimed: %s",
				    dev->interfaces[i], libusb_strerror(r));
	}
	return 0;
}

/* After a reset that failed: libusb has released the interfaces and believes that it hasn't. */
static void claim_again(struct usb_device *dev)
{
	for (unsigned i = 0; i < dev->n_interfaces; i++) {
		struct usbdevfs_disconnect_claim claim = {
			.interface = dev->interfaces[i],
			.flags = USBDEVFS_DISCONNECT_CLAIM_EXCEPT_DRIVER,
			.driver = "usbfs",
		};

		ioctl(dev->fd, USBDEVFS_DISCONNECT_CLAIM, &claim);
	}
}

/* As libusb_reset_device(): LIBUSB_ERROR_NOT_FOUND where the device is another one now. */
static int reset(struct usb_device *dev)
{
	int r = libusb_reset_device(dev->handle);

	if (r == 0)
		return load_interfaces(dev) < 0 ? LIBUSB_ERROR_IO : 0;
	if (r != LIBUSB_ERROR_NOT_FOUND && r != LIBUSB_ERROR_NO_DEVICE)
		claim_again(dev);
	return r;
}

/* A configuration anew, the same one too: nothing may be claimed meanwhile. 0 is none. */
static int configure(struct usb_device *dev, uint8_t value)
{
	int r, claimed;

	release_all(dev);
	r = libusb_set_configuration(dev->handle, value ? value : -1);
	if (r == 0)
		dev->configuration = value;
	claimed = claim_all(dev);
	if (r == 0 && claimed == 0)
		usb_keyboard_find(dev);
	if (r == 0 && claimed < 0)
		return claimed == -ENODEV ? LIBUSB_ERROR_NO_DEVICE : LIBUSB_ERROR_BUSY;
	return r;
}

static int set_interface(struct usb_device *dev, uint8_t number, uint8_t alternate)
{
	struct libusb_config_descriptor *config;
	int r = libusb_set_interface_alt_setting(dev->handle, number, alternate);

	if (r < 0)
		return r;
	if (read_configuration(dev, &config) < 0 || !config)
		return LIBUSB_ERROR_IO;
	usb_endpoints_clear_interface(&dev->backend.endpoints, number);
	for (unsigned i = 0; i < config->bNumInterfaces; i++) {
		const struct libusb_interface *interface = &config->interface[i];

		if (interface->num_altsetting > 0 &&
		    interface->altsetting[0].bInterfaceNumber == number)
			add_endpoints(dev, interface, alternate);
	}
	libusb_free_config_descriptor(config);
	return 0;
}

static int run_request(struct usb_device *dev)
{
	const struct usb_request *request = &dev->request;
	int r = LIBUSB_ERROR_NOT_SUPPORTED;

	switch (request->kind) {
	case USB_REQUEST_SET_CONFIGURATION:
		r = configure(dev, request->configuration);
		break;
	case USB_REQUEST_SET_INTERFACE:
		r = set_interface(dev, request->interface, request->alternate);
		break;
	case USB_REQUEST_CLEAR_HALT:
		r = libusb_clear_halt(dev->handle, request->endpoint);
		break;
	case USB_REQUEST_RESET:
		/* What must never be reset says that it was. */
		r = dev->never_reset ? 0 : reset(dev);
		if (r == LIBUSB_ERROR_NOT_FOUND)
			r = LIBUSB_ERROR_NO_DEVICE;
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
			return fail(dev, errno_of(r),
				    "it can't be set back to configuration %u: %s",
				    dev->found_configuration, libusb_strerror(r));
	}
	if (dev->never_reset)
		return 0;
	r = reset(dev);
	if (r == LIBUSB_ERROR_NOT_FOUND || r == LIBUSB_ERROR_NO_DEVICE)
		return fail(dev, -ENODEV, "it didn't come back from a reset");
	if (r < 0)
		return fail(dev, -EIO, "it can't be reset: %s", libusb_strerror(r));
	return 0;
}

static void close_all(struct usb_device *dev)
{
	if (dev->handle) {
		release_all(dev);
		libusb_close(dev->handle);
	}
	if (dev->context)
		libusb_exit(dev->context);
	dev->handle = NULL;
	dev->context = NULL;
	dev->n_interfaces = 0;
	memset(&dev->backend.endpoints, 0, sizeof(dev->backend.endpoints));
	dev->fd = fd_close(dev->fd);
}

static void look_up_quirks(struct usb_device *dev)
{
	struct libusb_device_descriptor d;

	if (libusb_get_device_descriptor(libusb_get_device(dev->handle), &d) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(never_reset); i++) {
		if (d.idVendor == never_reset[i].vendor && d.idProduct == never_reset[i].product)
			dev->never_reset = true;
	}
}

static int open_and_claim(struct usb_device *dev)
{
	int configuration, r;

	r = libusb_init(&dev->context);
	if (r < 0)
		return fail(dev, errno_of(r), "libusb can't be started: %s", libusb_strerror(r));
	r = libusb_wrap_sys_device(dev->context, dev->fd, &dev->handle);
	if (r < 0)
		return fail(dev, errno_of(r), "libusb can't use its descriptor: %s",
			    libusb_strerror(r));
	r = libusb_get_configuration(dev->handle, &configuration);
	if (r < 0)
		return fail(dev, errno_of(r), "it doesn't tell its configuration: %s",
			    libusb_strerror(r));
	dev->configuration = dev->found_configuration = (uint8_t)configuration;
	look_up_quirks(dev);
	r = claim_all(dev);
	if (r < 0)
		return r;
	/* Keys held, protocols, rates: nothing of the host's use of it goes to the guest. Not all
	 * devices and hosts can do it, and most work all the same. */
	r = dev->never_reset ? 0 : reset(dev);
	if (r == LIBUSB_ERROR_NOT_FOUND || r == LIBUSB_ERROR_NO_DEVICE)
		return fail(dev, -ENODEV, "it didn't come back from a reset");
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
