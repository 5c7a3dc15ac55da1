/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices as the broker touches them: opened by name, and offered to drivers.
 *
 * Names are checked before they become paths, and an open device is compared with the one that was
 * asked for: between a look at sysfs and the open another device may have come into the same place.
 */
#include "daemon/broker/broker_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fd.h"

#define USB_DEVICE_MAJOR   189
#define USB_CLASS_CODE_HUB 9
#define INTERFACES_MAX	   256 /* numbers, which need not be in a row */
#define SYSFS_DEVICES	   "/sys/bus/usb/devices"

/**
 * broker_busid_sound() - whether a name may become part of a path
 * @busid:	as asked; NUL-terminated where this says so
 *
 * "1-1.2": digits, a dash, digits and dots.
 */
bool broker_busid_sound(const char busid[BROKER_BUSID_SIZE])
{
	size_t n = strnlen(busid, BROKER_BUSID_SIZE);

	return n > 0 && n < BROKER_BUSID_SIZE && strspn(busid, "0123456789-.") == n &&
	       busid[0] != '.' && busid[0] != '-' && !strstr(busid, "..");
}

/**
 * broker_device_sound() - whether a device's name may be used at all
 * @d:		as asked
 */
bool broker_device_sound(const struct broker_device *d)
{
	return broker_busid_sound(d->busid) && d->busnum && d->devnum;
}

/**
 * broker_device_attr() - a number that sysfs says of a device
 * @busid:	the device
 * @attr:	the attribute
 * @base:	how it is written there
 * @ret_value:	the number
 *
 * Return: 0 or a negative errno.
 */
int broker_device_attr(const char *busid, const char *attr, int base, unsigned *ret_value)
{
	_cleanup_close_ int fd = -1;
	char path[128], text[32] = {0};
	char *end;
	unsigned long v;

	snprintf(path, sizeof(path), SYSFS_DEVICES "/%s/%s", busid, attr);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (read(fd, text, sizeof(text) - 1) <= 0)
		return -ENODEV;
	v = strtoul(text, &end, base);
	if (end == text)
		return -EINVAL;
	*ret_value = (unsigned)v;
	return 0;
}

/* 0 where sysfs still says of this device what the asker saw, else -ENODEV. */
static int same_device(const struct broker_device *d)
{
	unsigned bus, dev, vendor, product;

	if (broker_device_attr(d->busid, "busnum", 10, &bus) < 0 ||
	    broker_device_attr(d->busid, "devnum", 10, &dev) < 0 ||
	    broker_device_attr(d->busid, "idVendor", 16, &vendor) < 0 ||
	    broker_device_attr(d->busid, "idProduct", 16, &product) < 0)
		return -ENODEV;
	return bus == d->busnum && dev == d->devnum && vendor == d->id_vendor &&
			       product == d->id_product
		       ? 0
		       : -ENODEV;
}

/* Why a device is never given out, whatever the daemon says; NULL where it may be. */
static const char *never_given(const struct broker_device *d)
{
	unsigned class = 0, configuration = 0;
	char path[128], target[512];
	ssize_t n;

	snprintf(path, sizeof(path), SYSFS_DEVICES "/%s", d->busid);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return NULL; /* gone: same_device() says so */
	target[n] = 0;
	if (strstr(target, "/vhci_hcd"))
		return "it came over USB/IP itself, and is never routed";
	if (broker_device_attr(d->busid, "bDeviceClass", 16, &class) == 0 &&
	    class == USB_CLASS_CODE_HUB)
		return "it is a hub, and hubs are never routed";
	if (broker_device_attr(d->busid, "bConfigurationValue", 10, &configuration) < 0)
		return NULL;
	for (unsigned i = 0; i < INTERFACES_MAX; i++) {
		char attr[64];

		snprintf(attr, sizeof(attr), "%s:%u.%u/bInterfaceClass", d->busid, configuration,
			 i);
		if (broker_device_attr(d->busid, attr, 16, &class) == 0 &&
		    class == USB_CLASS_CODE_HUB)
			return "one of its interfaces is a hub, and hubs are never routed";
	}
	return NULL;
}

/* The name of the driver of the device as a whole: "usb", or what has taken its place. */
static void device_driver(const struct broker_device *d, char *name, size_t size)
{
	char path[128], target[512];
	const char *last;
	ssize_t n;

	snprintf(path, sizeof(path), SYSFS_DEVICES "/%s/driver", d->busid);
	n = readlink(path, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = 0;
	last = strrchr(target, '/');
	snprintf(name, size, "%s", last ? last + 1 : "");
}

/**
 * broker_device_may_touch() - whether a device is still that one, and may be touched at all
 * @d:		what the device must be
 * @ret_text:	why not; static
 *
 * Return: 0 or a negative errno: -ENODEV where it is not, or no longer, that device; -EPERM where
 * it is one that is never given out: a hub, or what comes over vhci_hcd; -EBUSY where another
 * USB/IP server has it.
 */
int broker_device_may_touch(const struct broker_device *d, const char **ret_text)
{
	const char *never;
	char driver[32];

	*ret_text = "the device has gone, or another is in its place";
	if (same_device(d) < 0)
		return -ENODEV;
	never = never_given(d);
	if (never) {
		*ret_text = never;
		return -EPERM;
	}
	device_driver(d, driver, sizeof(driver));
	if (!strcmp(driver, "usbip-host")) {
		*ret_text = "the host's own USB/IP server has it (driver usbip-host)";
		return -EBUSY;
	}
	return 0;
}

/**
 * broker_device_node() - open a usbfs node by its numbers
 * @busnum:	the bus
 * @devnum:	the device's number there
 * @ret_fd:	the node
 * @ret_text:	what went wrong; static. Stays as it was where there is no such node
 *
 * Return: 0 or a negative errno.
 */
int broker_device_node(unsigned busnum, unsigned devnum, int *ret_fd, const char **ret_text)
{
	dev_t node = makedev(USB_DEVICE_MAJOR, (busnum - 1u) * 128u + devnum - 1u);
	_cleanup_close_ int fd = -1;
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/dev/bus/usb/%03u/%03u", busnum, devnum);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		int r = -errno;

		if (r != -ENOENT && r != -ENODEV)
			*ret_text = "opening its usbfs node";
		return r;
	}
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != node) {
		*ret_text = "its node in /dev/bus/usb is not a usbfs node";
		return -EINVAL;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

/**
 * broker_device_open() - open a device's usbfs node
 * @d:		what the device must be; compared before and after
 * @ret_fd:	the node
 * @ret_text:	what went wrong; static
 *
 * Return: as broker_device_may_touch(), or why its node can't be opened.
 */
int broker_device_open(const struct broker_device *d, int *ret_fd, const char **ret_text)
{
	_cleanup_close_ int fd = -1;
	uint8_t desc[18];
	int r;

	r = broker_device_may_touch(d, ret_text);
	if (r < 0)
		return r;
	*ret_text = "the device has gone, or another is in its place";
	r = broker_device_node(d->busnum, d->devnum, &fd, ret_text);
	if (r < 0)
		return r;
	/* The descriptor's own words (host order here): the node now belongs to this very device.
	 */
	if (pread(fd, desc, sizeof(desc), 0) != sizeof(desc))
		return -ENODEV;
	if ((desc[8] | desc[9] << 8) != d->id_vendor || (desc[10] | desc[11] << 8) != d->id_product)
		return -ENODEV;
	if (same_device(d) < 0)
		return -ENODEV;
	*ret_fd = take_fd(&fd);
	return 0;
}

/**
 * broker_device_claim_disks() - claim the disks of a device that is open
 * @d:		the device
 * @disks:	filled in
 * @text:	what went wrong
 * @size:	room there
 *
 * Return: as broker_disks_claim(). The node was opened before: so a device that has come into its
 * place has another number.
 */
int broker_device_claim_disks(const struct broker_device *d, struct broker_disks *disks, char *text,
			      size_t size)
{
	char path[128];
	int r;

	snprintf(path, sizeof(path), SYSFS_DEVICES "/%s", d->busid);
	r = broker_disks_claim(disks, path, text, size);
	if (r < 0 || same_device(d) == 0)
		return r;
	broker_disks_release(disks);
	snprintf(text, size, "the device has gone");
	return -ENODEV;
}

/**
 * broker_device_reset() - reset a device that the host has, or that nobody has
 * @d:		what the device must be
 * @force:	also where the host uses a disk of it
 * @text:	what went wrong
 * @size:	room there
 *
 * The kernel tells the drivers of its interfaces, or binds them anew. Where the device comes back
 * with other descriptors, the kernel takes it for unplugged and finds it again: that is -ENODEV
 * (Linux, core/hub.c: usb_reset_and_verify_device()).
 *
 * Return: as broker_device_open() and broker_disks_claim(), or why it could not be reset.
 */
int broker_device_reset(const struct broker_device *d, bool force, char *text, size_t size)
{
	struct broker_disks disks = {.n = 0};
	_cleanup_close_ int fd = -1;
	const char *why;
	int r;

	r = broker_device_open(d, &fd, &why);
	if (r < 0) {
		snprintf(text, size, "%s", why);
		return r;
	}
	if (!force)
		r = broker_device_claim_disks(d, &disks, text, size);
	if (r == 0 && ioctl(fd, USBDEVFS_RESET) < 0) {
		r = -errno;
		snprintf(text, size, "resetting it");
	}
	broker_disks_release(&disks);
	return r;
}

/**
 * broker_device_probe() - offer a device's interfaces to the host's drivers
 * @d:		what the device must be
 * @ret_text:	what went wrong; static
 *
 * Interfaces that have a driver keep it.
 *
 * Return: 0 or a negative errno: -ENODEV where it is not, or no longer, that device.
 */
int broker_device_probe(const struct broker_device *d, const char **ret_text)
{
	_cleanup_close_ int probe = -1;
	unsigned configuration = 0;
	int r = 0;

	*ret_text = "the device has gone";
	if (!broker_device_sound(d) || same_device(d) < 0)
		return -ENODEV;
	probe = open("/sys/bus/usb/drivers_probe", O_WRONLY | O_CLOEXEC);
	if (probe < 0) {
		r = -errno;
		*ret_text = "opening drivers_probe in sysfs";
		return r;
	}
	if (broker_device_attr(d->busid, "bConfigurationValue", 10, &configuration) < 0)
		return 0; /* not configured: no interface, no driver */
	for (unsigned i = 0; i < INTERFACES_MAX; i++) {
		char name[64], path[128];
		int n = snprintf(name, sizeof(name), "%s:%u.%u", d->busid, configuration, i);

		snprintf(path, sizeof(path), SYSFS_DEVICES "/%s", name);
		if (access(path, F_OK) < 0)
			continue;
		if (write(probe, name, (size_t)n) < 0 && errno != ENODEV && errno != EINVAL) {
			r = -errno;
			*ret_text = "probing an interface's drivers";
		}
	}
	return r;
}
