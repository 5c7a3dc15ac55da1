/* SPDX-License-Identifier: BSD-2-Clause */
/* A service's word to its starter; see service.h. */
#include "base/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/**
 * service_notify() - tell who started this how it stands
 * @state:	lines as of sd_notify(3): "READY=1", "STATUS=…", "STOPPING=1"
 *
 * Without such a starter nothing happens; what can't be told is logged.
 */
void service_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	size_t n = path ? strlen(path) : 0;

	if (n < 2 || n >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(address.sun_path, path, n);
	if (path[0] == '@')
		address.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_warning("NOTIFY_SOCKET: %s", errno_text(errno));
}

#define FIRST_PASSED 3

static int number_of(int sock, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(sock, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

/* Whether it listens for TCP connections. */
static bool listens_tcp(int sock)
{
	int domain = number_of(sock, SO_DOMAIN);

	return (domain == AF_INET || domain == AF_INET6) &&
	       number_of(sock, SO_TYPE) == SOCK_STREAM && number_of(sock, SO_ACCEPTCONN) == 1;
}

/**
 * service_take_sockets() - take the TCP sockets that whoever started this has handed over
 * @fds:	gets them; they do not block
 * @max:	room there; others are closed, and that is logged
 *
 * To be called once, before any descriptor is opened and any thread started.
 *
 * Return: how many.
 */
size_t service_take_sockets(int *fds, size_t max)
{
	const char *pid = getenv("LISTEN_PID"), *n_text = getenv("LISTEN_FDS");
	long n = pid && n_text && strtol(pid, NULL, 10) == getpid() ? strtol(n_text, NULL, 10) : 0;
	size_t taken = 0;

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (int fd = FIRST_PASSED; fd < FIRST_PASSED + n; fd++) {
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			break;
		if (taken < max && listens_tcp(fd) && fcntl(fd, F_SETFL, O_NONBLOCK) == 0) {
			fds[taken++] = fd;
			continue;
		}
		log_warning(
			"descriptor %d, passed by whoever started this, is not used: expected at most %zu TCP sockets that listen",
			fd, max);
		close(fd);
	}
	return taken;
}
