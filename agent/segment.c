/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of the guest's interfaces is on the private segment; see segment.h. */
#include "agent/segment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_arp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "protocol/agent_wire.h"
#include "base/fd.h"

#define LINKS_MAX      64
#define REPLY_SIZE     (32 * 1024)
#define UEVENT_SIZE    8192
#define UEVENT_BACKLOG (256 * 1024)
/* Of the kernel's own answer; it takes no time. */
#define REPLY_SECONDS 2

static const uint8_t daemon_mac[6] = AGENT_DAEMON_MAC;
static const uint8_t daemon_v6[16] = {0xfe, 0x80, [15] = 1};

struct link {
	int index;
	char name[IF_NAMESIZE];
	bool ethernet, up;
};

struct links {
	unsigned n;
	struct link link[LINKS_MAX];
};

/* ------------------------------------------------------------- asking the kernel */

static int netlink_open(int protocol, uint32_t groups, int *ret_fd)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
	_cleanup_close_ int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Receive one datagram of the kernel's own; others' are dropped. 0 where there is none. */
static ssize_t netlink_receive(int fd, void *buf, size_t size, int flags)
{
	struct sockaddr_nl from = {0};
	socklen_t len;
	ssize_t n;

	do {
		len = sizeof(from);
		n = recvfrom(fd, buf, size, flags, (struct sockaddr *)&from, &len);
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));
	return n < 0 ? -errno : n;
}

typedef void (*dump_fn)(void *ctx, const struct nlmsghdr *message);

static int dump(uint16_t type, unsigned char family, dump_fn each, void *ctx)
{
	struct {
		struct nlmsghdr header;
		union {
			struct ifinfomsg link;
			struct ndmsg neighbour;
		};
	} ask = {.header = {.nlmsg_len = NLMSG_LENGTH(type == RTM_GETLINK ? sizeof(ask.link)
									  : sizeof(ask.neighbour)),
			    .nlmsg_type = type,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
	struct timeval limit = {.tv_sec = REPLY_SECONDS};
	_cleanup_free_ char *buf = malloc(REPLY_SIZE);
	_cleanup_close_ int fd = -1;
	int r = buf ? netlink_open(NETLINK_ROUTE, 0, &fd) : -ENOMEM;

	if (r < 0)
		return r;
	if (type == RTM_GETNEIGH)
		ask.neighbour.ndm_family = family;
	/* This socket may wait: the kernel answers within the call. */
	if (fcntl(fd, F_SETFL, 0) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    send(fd, &ask, ask.header.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = netlink_receive(fd, buf, REPLY_SIZE, 0);
		const struct nlmsghdr *m = (const void *)buf;

		if (n <= 0)
			return n < 0 ? (int)n : -EPIPE;
		for (; NLMSG_OK(m, (size_t)n); m = NLMSG_NEXT(m, n)) {
			if (m->nlmsg_type == NLMSG_DONE)
				return 0;
			if (m->nlmsg_type == NLMSG_ERROR)
				return -EIO;
			each(ctx, m);
		}
	}
}

static void each_link(void *ctx, const struct nlmsghdr *message)
{
	const struct ifinfomsg *info = NLMSG_DATA(message);
	const struct rtattr *a = IFLA_RTA(info);
	unsigned left = (unsigned)IFLA_PAYLOAD(message);
	struct links *links = ctx;
	struct link *link = &links->link[links->n];

	if (message->nlmsg_type != RTM_NEWLINK || links->n == LINKS_MAX)
		return;
	*link = (struct link){.index = info->ifi_index,
			      .ethernet = info->ifi_type == ARPHRD_ETHER,
			      .up = (info->ifi_flags & IFF_UP) && (info->ifi_flags & IFF_LOWER_UP)};
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == IFLA_IFNAME)
			snprintf(link->name, sizeof(link->name), "%.*s", (int)RTA_PAYLOAD(a),
				 (const char *)RTA_DATA(a));
	links->n++;
}

struct neighbour {
	int index;
	struct in_addr v4;
	bool found;
};

static void each_neighbour(void *ctx, const struct nlmsghdr *message)
{
	const struct ndmsg *info = NLMSG_DATA(message);
	const struct rtattr *a = (const void *)((const char *)info + NLMSG_ALIGN(sizeof(*info)));
	unsigned left = (unsigned)(message->nlmsg_len - NLMSG_LENGTH(sizeof(*info)));
	struct neighbour *sought = ctx;
	bool is_daemon = false, has_mac = false;

	if (message->nlmsg_type != RTM_NEWNEIGH || info->ndm_ifindex != sought->index ||
	    info->ndm_state & (NUD_INCOMPLETE | NUD_FAILED))
		return;
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		const void *data = RTA_DATA(a);
		size_t n = RTA_PAYLOAD(a);

		if (a->rta_type == NDA_DST)
			is_daemon = (info->ndm_family == AF_INET6 && n == 16 &&
				     !memcmp(data, daemon_v6, 16)) ||
				    (info->ndm_family == AF_INET && n == 4 &&
				     !memcmp(data, &sought->v4, 4));
		else if (a->rta_type == NDA_LLADDR)
			has_mac = n == 6 && !memcmp(data, daemon_mac, 6);
	}
	sought->found = sought->found || (is_daemon && has_mac);
}

/* ------------------------------------------------------------- finding it */

static void addresses(int index, struct in_addr daemon, uint16_t port, struct sockaddr_in6 *v6,
		      struct sockaddr_in *v4)
{
	*v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
				    .sin6_port = htons(port),
				    .sin6_scope_id = (uint32_t)index};
	memcpy(&v6->sin6_addr, daemon_v6, sizeof(daemon_v6));
	*v4 = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = daemon};
}

/**
 * segment_addresses() - the daemon's addresses, for the agent's port
 * @segment:	found
 * @ret_v6:	fe80::1 on the interface
 * @ret_v4:	its IPv4 address
 */
void segment_addresses(const struct segment *segment, struct sockaddr_in6 *ret_v6,
		       struct sockaddr_in *ret_v4)
{
	addresses(segment->index, segment->daemon, AGENT_PORT, ret_v6, ret_v4);
}

/* An empty datagram, for which the kernel has to find out who the neighbour is. */
static void ask_neighbour(const struct segment *segment, const struct link *link)
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;
	_cleanup_close_ int s6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	_cleanup_close_ int s4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t n = (socklen_t)strlen(link->name);

	addresses(link->index, segment->daemon, AGENT_PORT, &v6, &v4);
	/* Where a family is not there, or has no address yet, the other will do. */
	if (s6 >= 0 && setsockopt(s6, SOL_SOCKET, SO_BINDTODEVICE, link->name, n) == 0 &&
	    sendto(s6, "", 0, 0, (struct sockaddr *)&v6, sizeof(v6)) < 0)
		s6 = fd_close(s6);
	if (s4 >= 0 && setsockopt(s4, SOL_SOCKET, SO_BINDTODEVICE, link->name, n) == 0 &&
	    sendto(s4, "", 0, 0, (struct sockaddr *)&v4, sizeof(v4)) < 0)
		s4 = fd_close(s4);
}

static void choose(struct segment *segment, const struct link *link)
{
	segment->index = link->index;
	segment->up = link->up;
	memcpy(segment->name, link->name, sizeof(segment->name));
}

/**
 * segment_find() - find the interface
 * @segment:	where it is written down
 *
 * Return: 0, SEGMENT_NONE, SEGMENT_ASKED, or a negative errno.
 */
int segment_find(struct segment *segment)
{
	_cleanup_free_ struct links *links = calloc(1, sizeof(*links));
	bool asked = false;
	int r = links ? dump(RTM_GETLINK, AF_UNSPEC, each_link, links) : -ENOMEM;

	segment->index = 0;
	segment->up = false;
	if (r < 0)
		return r;
	for (unsigned i = 0; i < links->n; i++) {
		const struct link *link = &links->link[i];
		struct neighbour sought = {.index = link->index, .v4 = segment->daemon};

		if (segment->wanted) {
			if (strcmp(link->name, segment->wanted) || !link->up)
				continue;
			choose(segment, link);
			return 0;
		}
		if (!link->ethernet || !link->up)
			continue;
		r = dump(RTM_GETNEIGH, AF_UNSPEC, each_neighbour, &sought);
		if (r < 0)
			return r;
		if (sought.found) {
			choose(segment, link);
			return 0;
		}
		ask_neighbour(segment, link);
		asked = true;
	}
	return asked ? SEGMENT_ASKED : SEGMENT_NONE;
}

/* ------------------------------------------------------------- news */

/**
 * segment_init() - begin, and be told of links
 * @segment:	to fill in
 * @wanted:	the interface that the user names, or NULL; must outlive @segment
 * @daemon:	the daemon's IPv4 address
 *
 * Return: 0 or a negative errno.
 */
int segment_init(struct segment *segment, const char *wanted, struct in_addr daemon)
{
	*segment = (struct segment){.wanted = wanted, .daemon = daemon, .links = -1};
	return netlink_open(NETLINK_ROUTE, RTMGRP_LINK | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_IFADDR,
			    &segment->links);
}

/**
 * segment_deinit() - be told no more
 * @segment:	initialised
 */
void segment_deinit(struct segment *segment)
{
	segment->links = fd_close(segment->links);
}

/**
 * segment_news() - the kernel has news of links
 * @segment:	its descriptor is readable
 *
 * Return: whether the interface's carrier, or what might become the interface, has changed: look
 * again.
 */
bool segment_news(struct segment *segment)
{
	_Alignas(struct nlmsghdr) char buf[REPLY_SIZE];
	bool changed = false;

	for (;;) {
		ssize_t n = netlink_receive(segment->links, buf, sizeof(buf), MSG_DONTWAIT);
		const struct nlmsghdr *m = (const void *)buf;

		if (n == -ENOBUFS) {
			changed = true;
			continue;
		}
		if (n <= 0)
			return changed;
		for (; NLMSG_OK(m, (size_t)n); m = NLMSG_NEXT(m, n)) {
			const struct ifinfomsg *info = NLMSG_DATA(m);
			bool up;

			if (m->nlmsg_type == RTM_NEWADDR)
				changed = changed || !segment->index;
			if (m->nlmsg_type != RTM_NEWLINK && m->nlmsg_type != RTM_DELLINK)
				continue;
			up = m->nlmsg_type == RTM_NEWLINK && (info->ifi_flags & IFF_UP) &&
			     (info->ifi_flags & IFF_LOWER_UP);
			if (!segment->index) {
				changed = changed || up;
			} else if (info->ifi_index == segment->index && up != segment->up) {
				segment->up = up;
				changed = true;
			}
			if (m->nlmsg_type == RTM_DELLINK && info->ifi_index == segment->index)
				segment->index = 0;
		}
	}
}

/**
 * uevent_open() - be told by the kernel of devices
 * @ret_fd:	readable when there is news
 *
 * Return: 0 or a negative errno.
 */
int uevent_open(int *ret_fd)
{
	int size = UEVENT_BACKLOG, r = netlink_open(NETLINK_KOBJECT_UEVENT, 1, ret_fd);

	if (r == 0)
		setsockopt(*ret_fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return r;
}

/**
 * uevent_news() - read what the kernel tells of devices
 * @fd:		readable
 *
 * Return: whether a USB device or interface has come, gone or changed, or news was lost.
 */
bool uevent_news(int fd)
{
	static const char subsystem[] = "SUBSYSTEM=usb";
	char buf[UEVENT_SIZE];
	bool usb = false;

	for (;;) {
		ssize_t n = netlink_receive(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n == -ENOBUFS)
			usb = true;
		else if (n <= 0)
			return usb;
		/* Strings, each with its NUL. */
		else if (memmem(buf, (size_t)n, subsystem, sizeof(subsystem)))
			usb = true;
	}
}
