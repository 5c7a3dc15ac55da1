/* SPDX-License-Identifier: BSD-2-Clause */
/* A socket that listens; see broker_listen.h. */
#include "daemon/broker/broker_listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/fd.h"

#define BACKLOG 64

/* Linux 4.15, include/uapi/linux/in6.h; libc's header has it not. */
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static int say(char *text, size_t size, const char *what)
{
	int r = -errno;

	snprintf(text, size, "%s", what);
	return r;
}

static int set(int sock, int level, int option)
{
	int yes = 1;

	return setsockopt(sock, level, option, &yes, sizeof(yes));
}

static const char *why_not_bound(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "another program listens there";
	case EACCES:
	case EPERM:
		return "usbrouted has no right to listen there: expected a port from 1024 on";
	default:
		return "binding it";
	}
}

/**
 * broker_listen_at() - make a socket that listens
 * @at:		where
 * @ret_fd:	does not block; the caller's
 * @text:	what went wrong, for a person
 * @size:	room there
 *
 * Return: 0; -EADDRINUSE; or another negative errno.
 */
int broker_listen_at(const struct ip_endpoint *at, int *ret_fd, char *text, size_t size)
{
	struct sockaddr_storage address;
	socklen_t len = (socklen_t)ip_endpoint_to(at, &address);
	_cleanup_close_ int sock =
		socket(at->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (sock < 0)
		return say(text, size, "making a socket");
	/*
	 * A process that outlived the last control listens at the same address until this socket is with it, so that
	 * nobody is refused in between. SO_REUSEPORT lets them share it: sockets of the same user, which is root's
	 * (socket(7)). To all others the address is taken.
	 */
	if (set(sock, SOL_SOCKET, SO_REUSEADDR) < 0 || set(sock, SOL_SOCKET, SO_REUSEPORT) < 0 ||
	    set(sock, at->v6 ? IPPROTO_IPV6 : IPPROTO_IP, at->v6 ? IPV6_FREEBIND : IP_FREEBIND) <
		    0 ||
	    (at->v6 && set(sock, IPPROTO_IPV6, IPV6_V6ONLY) < 0))
		return say(text, size, "setting it up");
	if (bind(sock, (const struct sockaddr *)&address, len) < 0)
		return say(text, size, why_not_bound(errno));
	if (listen(sock, BACKLOG) < 0)
		return say(text, size, "listening there");
	*ret_fd = take_fd(&sock);
	return 0;
}
