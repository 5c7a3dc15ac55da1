/* SPDX-License-Identifier: BSD-2-Clause */
/* The USB/IP connections of a daemon that was killed; see old_sessions.h. */
#include "daemon/old_sessions.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/state_file.h"

#define OLD_SESSIONS_MAX 1024

struct old_session {
	struct list link;
	struct daemon *daemon;
	char vm[32];
	struct sockaddr_in6 guest;
	struct broker_request req;
};

static void path_of(const struct daemon *daemon, char *path, size_t size)
{
	daemon_path(path, size, daemon->config->runtime_directory, "sessions");
}

/**
 * old_sessions_load() - read what connections the last daemon had
 * @daemon:	the daemon
 *
 * Without the file, or with one that says nothing, there were none.
 */
void old_sessions_load(struct daemon *daemon)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX], *save = NULL;
	unsigned n = 0;
	size_t len;

	path_of(daemon, path, sizeof(path));
	if (state_file_read(path, &text, &len) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line && n < OLD_SESSIONS_MAX;
	     line = strtok_r(NULL, "\n", &save)) {
		struct old_session *s = calloc(1, sizeof(*s));
		char address[INET6_ADDRSTRLEN];
		unsigned port;

		if (!s)
			return;
		if (sscanf(line, "%31s %45s %u", s->vm, address, &port) != 3 || port > 0xffff ||
		    inet_pton(AF_INET6, address, &s->guest.sin6_addr) != 1) {
			free(s);
			continue;
		}
		s->daemon = daemon;
		s->guest.sin6_family = AF_INET6;
		s->guest.sin6_port = htons((uint16_t)port);
		list_append(&daemon->old_sessions, &s->link);
		n++;
	}
}

/**
 * old_sessions_save() - write down what connections there are
 * @daemon:	the daemon
 *
 * A failure is logged and costs nothing now.
 */
void old_sessions_save(struct daemon *daemon)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int r;

	if (!f)
		return;
	list_for_each(it, &daemon->devices) {
		const struct device *d = list_entry(it, struct device, link);
		struct sockaddr_in6 peer = {0};
		socklen_t peer_len = sizeof(peer);
		char address[INET6_ADDRSTRLEN];

		if (!d->route.session ||
		    getpeername(d->route.session_dup, (struct sockaddr *)&peer, &peer_len) < 0 ||
		    peer.sin6_family != AF_INET6)
			continue;
		inet_ntop(AF_INET6, &peer.sin6_addr, address, sizeof(address));
		fprintf(f, "%s %s %u\n", d->route.at->name, address, ntohs(peer.sin6_port));
	}
	if (fclose(f) != 0)
		return;
	path_of(daemon, path, sizeof(path));
	r = state_file_write(path, text, len);
	if (r < 0)
		log_warning("%s: %s; after a crash, guests may keep devices that are dead", path,
			    errno_text(r));
}

static void old_session_free(struct old_session *s)
{
	list_remove(&s->link);
	broker_forget(s->daemon->broker, &s->req);
	free(s);
}

static void old_session_told(struct broker_request *req, int r, int fds[2] _unused_,
			     const char *text)
{
	struct old_session *s = container_of(req, struct old_session, req);

	if (r < 0)
		log_warning("%s: %s: %s", s->vm, text, errno_text(r));
	else
		log_info("%s: hung up a connection that the last daemon left", s->vm);
	old_session_free(s);
}

/**
 * old_sessions_hang_up() - a VM's card is up: tell it which of its connections are dead
 * @vm:		the VM
 */
void old_sessions_hang_up(struct vm *vm)
{
	list_for_each_safe(it, &vm->daemon->old_sessions) {
		struct old_session *s = list_entry(it, struct old_session, link);
		struct broker_call call = {.daemon = vm->daemon->config->address,
					   .guest = s->guest};

		if (strcmp(s->vm, vm->name) || s->req.link.next)
			continue;
		memcpy(call.tap, vm->tap, sizeof(call.tap));
		if (broker_hang_up(vm->daemon->broker, &s->req, &call, old_session_told) < 0)
			old_session_free(s);
	}
}

/**
 * old_sessions_free() - forget them
 * @daemon:	the daemon
 */
void old_sessions_free(struct daemon *daemon)
{
	while (!list_empty(&daemon->old_sessions))
		old_session_free(
			list_entry(list_first(&daemon->old_sessions), struct old_session, link));
}
