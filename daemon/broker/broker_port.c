/* SPDX-License-Identifier: BSD-2-Clause */
/* The power of one port; see broker_port.h. */
#include "daemon/broker/broker_port.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "base/mem.h"
#include "daemon/broker/broker_device.h"

#define SYSFS_DEVICES "/sys/bus/usb/devices"
#define PORT_MAX      255

/* USB 2.0, tables 11-15 to 11-17; USB 3.2, tables 10-5, 10-7 and 10-8: the same numbers. */
#define HUB_CLASS	       9
#define HUB_PROTOCOL_SUPER     3
#define HUB_GET_DESCRIPTOR     0xa0 /* in, class, device */
#define HUB_SET_PORT	       0x23 /* out, class, other */
#define DESCRIPTOR_HUB	       0x29
#define DESCRIPTOR_HUB_SUPER   0x2a
#define REQUEST_CLEAR_FEATURE  1
#define REQUEST_SET_FEATURE    3
#define REQUEST_GET_DESCRIPTOR 6
#define FEATURE_PORT_POWER     8
#define POWER_SWITCHING	       0x0003 /* of wHubCharacteristics: 0 together, 1 one by one */
#define SWITCHES_TOGETHER      0
#define SWITCHES_EACH	       1
#define CONTROL_TIMEOUT_MS     5000

struct hub_port {
	char hub[BROKER_BUSID_SIZE]; /* "usb1", "1-1" */
	unsigned number;
	char child[BROKER_BUSID_SIZE + 4]; /* what is in it is called so */
	char path[160];			   /* its folder in sysfs */
	bool super;
};

/* ------------------------------------------------------------- which port */

static bool exists(const char *busid)
{
	char path[128];

	snprintf(path, sizeof(path), SYSFS_DEVICES "/%s", busid);
	return access(path, F_OK) == 0;
}

static void name_child(const char *hub, unsigned number, char *child, size_t size)
{
	if (!strncmp(hub, "usb", 3))
		snprintf(child, size, "%s-%u", hub + 3, number);
	else
		snprintf(child, size, "%s.%u", hub, number);
}

/* Its folder, and what sysfs says of its hub. */
static int find_port(struct hub_port *port)
{
	unsigned configuration, class, protocol;
	char target[512], path[128];
	ssize_t n;

	snprintf(path, sizeof(path), SYSFS_DEVICES "/%s", port->hub);
	n = readlink(path, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = 0;
	if (n < 0 || strstr(target, "/vhci_hcd") ||
	    broker_device_attr(port->hub, "bDeviceClass", 16, &class) < 0 ||
	    broker_device_attr(port->hub, "bDeviceProtocol", 16, &protocol) < 0 ||
	    broker_device_attr(port->hub, "bConfigurationValue", 10, &configuration) < 0 ||
	    class != HUB_CLASS)
		return -ENODEV;
	port->super = protocol == HUB_PROTOCOL_SUPER;
	name_child(port->hub, port->number, port->child, sizeof(port->child));
	if (!strncmp(port->hub, "usb", 3))
		snprintf(port->path, sizeof(port->path), SYSFS_DEVICES "/%s-0:%u.0/%s-port%u",
			 port->hub + 3, configuration, port->hub, port->number);
	else
		snprintf(port->path, sizeof(port->path), SYSFS_DEVICES "/%s:%u.0/%s-port%u",
			 port->hub, configuration, port->hub, port->number);
	return access(port->path, F_OK) < 0 ? -ENODEV : 0;
}

/* "1-1.2" is in port 2 of "1-1", "1-1" in port 1 of "usb1". */
static int port_of(const char busid[BROKER_BUSID_SIZE], struct hub_port *port)
{
	const char *dot = strrchr(busid, '.'), *last = dot ? dot : strchr(busid, '-');
	unsigned long number = last ? strtoul(last + 1, NULL, 10) : 0;
	int len = last ? (int)(last - busid) : 0;

	if (!number || number > PORT_MAX)
		return -ENODEV;
	port->number = (unsigned)number;
	snprintf(port->hub, sizeof(port->hub), "%s%.*s", dot ? "" : "usb",
		 min_t(int, len, BROKER_BUSID_SIZE - 4), busid);
	return find_port(port);
}

/* The other half of a port's connector: 1, or 0 where there is none. */
static int peer_of(const struct hub_port *port, struct hub_port *peer)
{
	char path[200], target[512];
	const char *name, *dash;
	unsigned long number;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/peer", port->path);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return 0;
	target[n] = 0;
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	dash = strstr(name, "-port");
	number = dash ? strtoul(dash + 5, NULL, 10) : 0;
	if (!number || number > PORT_MAX || dash - name >= (ptrdiff_t)sizeof(peer->hub))
		return -ENODEV;
	peer->number = (unsigned)number;
	snprintf(peer->hub, sizeof(peer->hub), "%.*s", (int)(dash - name), name);
	return find_port(peer) < 0 ? -ENODEV : 1;
}

/* ------------------------------------------------------------- what its hub can do */

static int open_hub(const struct hub_port *port, int *ret_fd, char *text, size_t size)
{
	const char *why = "its hub has gone";
	unsigned busnum, devnum;
	int r = -ENODEV;

	if (broker_device_attr(port->hub, "busnum", 10, &busnum) == 0 &&
	    broker_device_attr(port->hub, "devnum", 10, &devnum) == 0 && busnum && devnum)
		r = broker_device_node(busnum, devnum, ret_fd, &why);
	if (r < 0)
		snprintf(text, size, "%s (hub %s)", why, port->hub);
	return r;
}

/* What the hub itself says; only the first five bytes of its descriptor are read. */
static int read_switching(int fd, const struct hub_port *port, unsigned *ret_how)
{
	uint8_t d[16] = {0};
	struct usbdevfs_ctrltransfer get = {
		.bRequestType = HUB_GET_DESCRIPTOR,
		.bRequest = REQUEST_GET_DESCRIPTOR,
		.wValue = (uint16_t)((port->super ? DESCRIPTOR_HUB_SUPER : DESCRIPTOR_HUB) << 8),
		.wLength = sizeof(d),
		.timeout = CONTROL_TIMEOUT_MS,
		.data = d,
	};
	int n = ioctl(fd, USBDEVFS_CONTROL, &get);

	if (n < 0)
		return -errno;
	if (n < 5 || d[1] != get.wValue >> 8 || port->number > d[2])
		return -EPROTO;
	*ret_how = (d[3] | d[4] << 8) & POWER_SWITCHING;
	return 0;
}

/* Which other devices would go off. */
static void say_together(const struct hub_port *port, char *text, size_t size)
{
	char child[BROKER_BUSID_SIZE + 4], others[80] = "";
	size_t len = 0;

	for (unsigned i = 1; i <= PORT_MAX && len < sizeof(others) - 1; i++) {
		name_child(port->hub, i, child, sizeof(child));
		if (i == port->number || !exists(child))
			continue;
		len += (size_t)snprintf(others + len, sizeof(others) - len, "%s%s", len ? ", " : "",
					child);
	}
	snprintf(text, size, "its hub (%s) switches the power of all ports together%s%s", port->hub,
		 len ? ", which would hit " : "", others);
}

static int may_switch(const struct hub_port *port, char *text, size_t size)
{
	_cleanup_close_ int fd = -1;
	unsigned how = 0;
	int r = open_hub(port, &fd, text, size);

	if (r < 0)
		return r;
	r = read_switching(fd, port, &how);
	if (r < 0) {
		snprintf(text, size, "its hub (%s) does not say how it switches power", port->hub);
		return r;
	}
	if (how == SWITCHES_EACH)
		return 0;
	if (how == SWITCHES_TOGETHER)
		say_together(port, text, size);
	else
		snprintf(text, size, "its hub (%s) can't switch the power of a port", port->hub);
	return -EOPNOTSUPP;
}

/* ------------------------------------------------------------- switched */

static int switch_by_hub(const struct hub_port *port, bool on, char *text, size_t size)
{
	struct usbdevfs_ctrltransfer set = {
		.bRequestType = HUB_SET_PORT,
		.bRequest = on ? REQUEST_SET_FEATURE : REQUEST_CLEAR_FEATURE,
		.wValue = FEATURE_PORT_POWER,
		.wIndex = (uint16_t)port->number,
		.timeout = CONTROL_TIMEOUT_MS,
	};
	_cleanup_close_ int fd = -1;
	int r = open_hub(port, &fd, text, size);

	if (r == 0 && ioctl(fd, USBDEVFS_CONTROL, &set) < 0) {
		r = -errno;
		snprintf(text, size, "asking its hub (%s)", port->hub);
	}
	return r;
}

static int switch_port(const struct hub_port *port, bool on, char *text, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[200];

	snprintf(path, sizeof(path), "%s/disable", port->path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return switch_by_hub(port, on, text, size);
	if (fd < 0 || write(fd, on ? "0" : "1", 1) != 1) {
		int r = -errno;

		snprintf(text, size, "switching port %u of hub %s", port->number, port->hub);
		return r;
	}
	return 0;
}

/* Both halves, or none. */
static int switch_off(const struct hub_port *port, const struct hub_port *peer, char *text,
		      size_t size)
{
	char ignored[8];
	int r = 0;

	/* The empty half goes first, or the device would come up there. */
	if (peer)
		r = switch_port(peer, false, text, size);
	if (r == 0)
		r = switch_port(port, false, text, size);
	if (r < 0 && peer)
		switch_port(peer, true, ignored, sizeof(ignored));
	return r;
}

/**
 * broker_port_off() - switch the port off that a device is in
 * @d:		what the device must be
 * @force:	also where the host uses a disk of it
 * @text:	what went wrong
 * @size:	room there
 *
 * Return: 0 or a negative errno: as broker_device_may_touch() and broker_disks_claim(); -EOPNOTSUPP
 * where its hub can't switch it alone.
 */
int broker_port_off(const struct broker_device *d, bool force, char *text, size_t size)
{
	struct broker_disks disks = {.n = 0};
	struct hub_port port, peer;
	const char *why;
	int r, has_peer;

	r = broker_device_may_touch(d, &why);
	if (r < 0) {
		snprintf(text, size, "%s", why);
		return r;
	}
	snprintf(text, size, "its port can't be found");
	r = port_of(d->busid, &port);
	if (r < 0)
		return r;
	has_peer = peer_of(&port, &peer);
	if (has_peer < 0)
		return has_peer;
	if (has_peer && exists(peer.child)) {
		snprintf(text, size, "%s is in the same connector and would go off, too",
			 peer.child);
		return -EOPNOTSUPP;
	}
	r = may_switch(&port, text, size);
	if (r == 0 && has_peer)
		r = may_switch(&peer, text, size);
	if (r == 0 && !force)
		r = broker_device_claim_disks(d, &disks, text, size);
	if (r == 0)
		r = switch_off(&port, has_peer ? &peer : NULL, text, size);
	broker_disks_release(&disks);
	return r;
}

/**
 * broker_port_on() - switch a port on
 * @busid:	what a device in it would be called
 * @text:	what went wrong
 * @size:	room there
 *
 * Return: 0, also where it was on; or a negative errno: -ENODEV where there is no such port.
 */
int broker_port_on(const char busid[BROKER_BUSID_SIZE], char *text, size_t size)
{
	struct hub_port port, peer;
	int r, has_peer;

	snprintf(text, size, "there is no such port any more; its hub has gone");
	r = port_of(busid, &port);
	if (r < 0)
		return r;
	has_peer = peer_of(&port, &peer);
	if (has_peer < 0)
		return has_peer;
	/* SuperSpeed first: a device takes the fastest that answers. */
	if (has_peer && peer.super) {
		r = switch_port(&peer, true, text, size);
		has_peer = 0;
	} else {
		r = 0;
	}
	if (r == 0)
		r = switch_port(&port, true, text, size);
	if (r == 0 && has_peer)
		r = switch_port(&peer, true, text, size);
	return r;
}
