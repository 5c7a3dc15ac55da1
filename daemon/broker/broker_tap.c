/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening a tap; see broker_tap.h. */
#include "daemon/broker/broker_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* virtio 1.2, 5.1.6: with the number of buffers, as in a guest's rings. */
#define HEADER 12

/* What a tap may leave to be done with a frame. Linux before 6.2 has no word for the second, and leaves no such frames. */
#define OFFLOADS     (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
#define OFFLOADS_UDP (TUN_F_USO4 | TUN_F_USO6)
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/**
 * broker_tap_sound() - whether a text may be the name of a network interface
 * @name:	the text
 */
bool broker_tap_sound(const char name[BROKER_BUSID_SIZE])
{
	size_t n = strnlen(name, BROKER_BUSID_SIZE);

	/* The rules of the kernel's dev_valid_name(); and no "%", which the kernel would fill in. */
	if (!n || n >= IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~' || strchr("/:%", name[i]))
			return false;
	return true;
}

/* Which of an interface's flags, in hexadecimal; 0: it is neither tun nor tap, or there is none. */
static unsigned tun_flags(const char *name)
{
	char path[64], text[24];
	_cleanup_close_ int fd = -1;
	unsigned flags = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/class/net/%s/tun_flags", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n > 0) {
		text[n] = 0;
		sscanf(text, "%x", &flags);
	}
	return flags;
}

static int say(char *text, size_t size, const char *what, int r)
{
	snprintf(text, size, "%s", what);
	return r;
}

static const char *why_not_attached(int r)
{
	switch (r) {
	case -ENODEV:
		return "there is no such tap; make it with: ip tuntap add … mode tap user root";
	case -EPERM:
		return "it is another user's; make it with: ip tuntap add … mode tap user root";
	case -EINVAL:
		return "it is a tap of another kind; make it without multi_queue";
	case -EBUSY:
		return "another program has it";
	default:
		return "attaching to it";
	}
}

/**
 * broker_tap_open() - attach to a tap that is there
 * @name:	its name, sound
 * @ret_fd:	does not block; the caller's
 * @text:	what went wrong, for a person
 * @size:	room there
 *
 * Return: 0; -ENODEV where there is no such tap; -EBUSY where another program has it; or another
 * negative errno.
 */
int broker_tap_open(const char *name, int *ret_fd, char *text, size_t size)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	_cleanup_close_ int fd = -1;
	int header = HEADER, r;

	/* TUNSETIFF makes a tap that is not there yet, where the kernel lets the broker. */
	if (!(tun_flags(name) & IFF_TAP))
		return say(text, size, why_not_attached(-ENODEV), -ENODEV);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return say(text, size, "opening /dev/net/tun", -errno);
	memcpy(ifr.ifr_name, name, strnlen(name, sizeof(ifr.ifr_name) - 1));
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		r = -errno;
		/* It has gone meanwhile, and the broker may make none. */
		if (!(tun_flags(name) & IFF_TAP))
			r = -ENODEV;
		return say(text, size, why_not_attached(r), r);
	}
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ||
	    (ioctl(fd, TUNSETOFFLOAD, OFFLOADS | OFFLOADS_UDP) < 0 &&
	     ioctl(fd, TUNSETOFFLOAD, OFFLOADS) < 0))
		return say(text, size, "setting up its headers", -errno);
	*ret_fd = take_fd(&fd);
	return 0;
}
