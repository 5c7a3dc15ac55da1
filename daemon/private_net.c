/* SPDX-License-Identifier: BSD-2-Clause */
/* The private network namespace; see private_net.h. */
#include "daemon/private_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/agent_wire.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/broker.h"
#include "usbip/usbip_op.h"
#include "vhost_user_net/net_rules.h"

#define LISTEN_BACKLOG 16

static int write_sysctl(const char *path, const char *value)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

static int net_socket(int family, int *ret_fd)
{
	*ret_fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return *ret_fd < 0 ? -errno : 0;
}

static int interface_up(int sock, const char *name)
{
	struct ifreq ifr = {0};

	memcpy(ifr.ifr_name, name, strlen(name));
	if (ioctl(sock, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	ifr.ifr_flags |= IFF_UP;
	return ioctl(sock, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

/**
 * private_net_enter() - move the calling process into a new namespace
 * @text:	what went wrong and how to mend it
 * @size:	room there
 *
 * Return: 0 or a negative errno.
 */
int private_net_enter(char *text, size_t size)
{
	/* What new interfaces are born with. A guest's advertisements configure nothing here, an
	 * ARP request is answered on the interface that has the address, and a path need not lead
	 * back. */
	static const char *const sysctls[][2] = {
		{"/proc/sys/net/ipv4/conf/default/rp_filter", "0"},
		{"/proc/sys/net/ipv4/conf/all/rp_filter", "0"},
		{"/proc/sys/net/ipv4/conf/default/arp_ignore", "1"},
		{"/proc/sys/net/ipv4/conf/all/arp_ignore", "1"},
		{"/proc/sys/net/ipv4/ip_forward", "0"},
		{"/proc/sys/net/ipv6/conf/default/accept_ra", "0"},
		{"/proc/sys/net/ipv6/conf/all/accept_ra", "0"},
		{"/proc/sys/net/ipv6/conf/default/accept_dad", "0"},
		{"/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1"},
		{"/proc/sys/net/ipv6/conf/all/forwarding", "0"},
	};
	_cleanup_close_ int sock = -1;
	int flags = CLONE_NEWNET | (geteuid() ? CLONE_NEWUSER : 0);
	int r;

	if (unshare(flags) < 0) {
		r = -errno;
		snprintf(text, size,
			 "making a private network namespace (needs root, or unprivileged user "
			 "namespaces)");
		return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(sysctls); i++) {
		r = write_sysctl(sysctls[i][0], sysctls[i][1]);
		if (r == -ENOENT)
			continue; /* no IPv6 in this kernel */
		if (r < 0) {
			snprintf(text, size, "writing %s (must not be read-only)", sysctls[i][0]);
			return r;
		}
	}
	r = net_socket(AF_INET, &sock);
	if (r == 0)
		r = interface_up(sock, "lo");
	if (r < 0)
		snprintf(text, size, "setting up the private network namespace");
	return r;
}

static int tap_open(const char *name, int *ret_tap, char *text, size_t size)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	_cleanup_close_ int tap = -1;
	int header = 12; /* struct virtio_net_hdr_v1 */
	int r;

	tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (tap < 0) {
		r = -errno;
		snprintf(text, size, "opening /dev/net/tun (try: modprobe tun)");
		return r;
	}
	memcpy(ifr.ifr_name, name, strlen(name));
	if (ioctl(tap, TUNSETIFF, &ifr) < 0 || ioctl(tap, TUNSETVNETHDRSZ, &header) < 0) {
		r = -errno;
		snprintf(text, size, "making tap %s", name);
		return r;
	}
	*ret_tap = take_fd(&tap);
	return 0;
}

static int tap_address4(int sock, const struct broker_port *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = port->daemon};
	struct sockaddr_in mask = {.sin_family = AF_INET, .sin_addr.s_addr = INADDR_BROADCAST};
	struct sockaddr_in guest = {.sin_family = AF_INET, .sin_addr = port->guest};
	struct rtentry route = {.rt_flags = RTF_UP | RTF_HOST, .rt_dev = (char *)port->tap};
	struct ifreq ifr = {0};

	memcpy(ifr.ifr_name, port->tap, strlen(port->tap));
	memcpy(&ifr.ifr_addr, &address, sizeof(address));
	if (ioctl(sock, SIOCSIFADDR, &ifr) < 0)
		return -errno;
	memcpy(&ifr.ifr_netmask, &mask, sizeof(mask));
	if (ioctl(sock, SIOCSIFNETMASK, &ifr) < 0)
		return -errno;
	memcpy(&route.rt_dst, &guest, sizeof(guest));
	memcpy(&route.rt_genmask, &mask, sizeof(mask));
	return ioctl(sock, SIOCADDRT, &route) < 0 ? -errno : 0;
}

static int tap_address6(const char *tap)
{
	_cleanup_close_ int sock = -1;
	struct in6_ifreq ifr = {.ifr6_prefixlen = 64, .ifr6_ifindex = (int)if_nametoindex(tap)};
	int r = net_socket(AF_INET6, &sock);

	if (r == -EAFNOSUPPORT)
		return 0; /* no IPv6 in this kernel: IPv4 alone will do */
	if (r < 0)
		return r;
	inet_pton(AF_INET6, "fe80::1", &ifr.ifr6_addr);
	return ioctl(sock, SIOCSIFADDR, &ifr) < 0 ? -errno : 0;
}

static int tap_configure(const struct broker_port *port, char *text, size_t size)
{
	static const uint8_t mac[6] = NET_DAEMON_MAC;
	_cleanup_close_ int sock = -1;
	struct ifreq ifr = {0};
	int r = net_socket(AF_INET, &sock);

	if (r < 0)
		goto fail;
	memcpy(ifr.ifr_name, port->tap, strlen(port->tap));
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, mac, sizeof(mac));
	if (ioctl(sock, SIOCSIFHWADDR, &ifr) < 0) {
		r = -errno;
		goto fail;
	}
	r = interface_up(sock, port->tap);
	if (r == 0)
		r = tap_address4(sock, port);
	if (r == 0)
		r = tap_address6(port->tap);
	if (r == 0)
		return 0;
fail:
	snprintf(text, size, "setting addresses and routes of tap %s", port->tap);
	return r;
}

/* One socket for both families, where there are both; else IPv4's. */
static int listen_on(const char *tap, uint16_t port, int *ret_listener, char *text, size_t size)
{
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	_cleanup_close_ int fd = -1;
	int one = 1, zero = 0, r;

	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	} else {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		any6.sin6_family = AF_INET;
	}
	if (fd < 0)
		goto fail;
	/* REUSEPORT lets private_net_hang_up() speak from the listener's port. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, tap, (socklen_t)strlen(tap)) < 0)
		goto fail;
	if (any6.sin6_family == AF_INET6 ? bind(fd, (struct sockaddr *)&any6, sizeof(any6)) < 0
					 : bind(fd, (struct sockaddr *)&any4, sizeof(any4)) < 0)
		goto fail;
	if (listen(fd, LISTEN_BACKLOG) < 0)
		goto fail;
	*ret_listener = take_fd(&fd);
	return 0;
fail:
	r = -errno;
	snprintf(text, size, "listening on tap %s", tap);
	return r;
}

/**
 * private_net_port() - make a guest's tap, with addresses, route and listeners
 * @port:		names and addresses; the tap's name is terminated
 * @ret_fds:		three, all non-blocking: the tap, with 12 bytes of virtio-net header a
 *			frame; its listening socket for USB/IP; that for the guest's agent
 * @text:		what went wrong
 * @size:		room there
 *
 * Return: 0 or a negative errno.
 */
int private_net_port(const struct broker_port *port, int *ret_fds, char *text, size_t size)
{
	_cleanup_close_ int tap = -1, usbip = -1, agent = -1;
	int r;

	r = tap_open(port->tap, &tap, text, size);
	if (r < 0)
		return r;
	r = tap_configure(port, text, size);
	if (r < 0)
		return r;
	r = listen_on(port->tap, USBIP_PORT, &usbip, text, size);
	if (r == 0)
		r = listen_on(port->tap, AGENT_PORT, &agent, text, size);
	if (r < 0)
		return r;
	ret_fds[0] = take_fd(&tap);
	ret_fds[1] = take_fd(&usbip);
	ret_fds[2] = take_fd(&agent);
	return 0;
}

/**
 * private_net_hang_up() - tell a guest that a connection of the last daemon's is dead
 * @call:	its two ends
 *
 * What the attempt to connect comes to is of no interest: its first segment does the work, and the
 * guest's answer is met with a reset, whether this socket is still there by then or not.
 *
 * Return: 0 or a negative errno.
 */
int private_net_hang_up(const struct broker_call *call)
{
	struct sockaddr_in from4 = {
		.sin_family = AF_INET, .sin_port = htons(USBIP_PORT), .sin_addr = call->daemon};
	struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = call->guest.sin6_port};
	struct sockaddr_in6 from6 = {.sin6_family = AF_INET6, .sin6_port = htons(USBIP_PORT)};
	struct sockaddr_in6 to6 = call->guest;
	bool v4 = IN6_IS_ADDR_V4MAPPED(&call->guest.sin6_addr);
	struct sockaddr *from = v4 ? (struct sockaddr *)&from4 : (struct sockaddr *)&from6;
	struct sockaddr *to = v4 ? (struct sockaddr *)&to4 : (struct sockaddr *)&to6;
	socklen_t len = v4 ? sizeof(from4) : sizeof(from6);
	_cleanup_close_ int fd = -1;
	int one = 1;

	memcpy(&to4.sin_addr, &call->guest.sin6_addr.s6_addr[12], sizeof(to4.sin_addr));
	inet_pton(AF_INET6, "fe80::1", &from6.sin6_addr);
	from6.sin6_scope_id = to6.sin6_scope_id = if_nametoindex(call->tap);
	to6.sin6_family = AF_INET6;

	fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, call->tap, (socklen_t)strlen(call->tap)) <
		    0 ||
	    bind(fd, from, len) < 0)
		return -errno;
	return connect(fd, to, len) < 0 && errno != EINPROGRESS ? -errno : 0;
}
