/* SPDX-License-Identifier: BSD-2-Clause */
/* The USB/IP connections of a daemon that was killed; see old_sessions.h. */
#include "daemon/routing/old_sessions.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <netinet/in.h>

#include "base/log.h"
#include "daemon/routing/route.h"
#include "daemon/core/state_file.h"
#include "daemon/routing/route_private.h"

#define OLD_SESSIONS_MAX 1024

struct old_session {
	struct list link;
	char vm[32];
	struct guest_peer peer;
};

static void path_of(const struct routing *routing, char *path, size_t size)
{
	state_file_path(path, size, routing->core->config->runtime_directory, "sessions");
}

/**
 * old_sessions_load() - read what connections the last daemon had
 * @routing:	the daemon
 *
 * Without the file, or with one that says nothing, there were none.
 */
void old_sessions_load(struct routing *routing)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX], *save = NULL;
	unsigned n = 0;
	size_t len;

	path_of(routing, path, sizeof(path));
	if (state_file_read(path, &text, &len) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line && n < OLD_SESSIONS_MAX;
	     line = strtok_r(NULL, "\n", &save)) {
		struct old_session *s = calloc(1, sizeof(*s));
		char address[INET6_ADDRSTRLEN];
		struct in6_addr in6;
		unsigned port;

		if (!s)
			return;
		if (sscanf(line, "%31s %45s %u", s->vm, address, &port) != 3 || port > 0xffff ||
		    inet_pton(AF_INET6, address, &in6) != 1) {
			free(s);
			continue;
		}
		s->peer.v6 = !IN6_IS_ADDR_V4MAPPED(&in6);
		if (s->peer.v6)
			memcpy(s->peer.address, &in6, 16);
		else
			memcpy(s->peer.address, (const uint8_t *)&in6 + 12, 4);
		s->peer.port = (uint16_t)port;
		list_append(&routing->old_sessions, &s->link);
		n++;
	}
}

static void sessions_print(FILE *f, const void *ctx)
{
	const struct routing *routing = ctx;

	list_for_each(it, &routing->devices->all) {
		const struct device *d = list_entry(it, struct device, link);
		const struct guest_peer *peer = &d->route->peer;
		uint8_t in6[16] = {[10] = 0xff, 0xff};
		char address[INET6_ADDRSTRLEN];

		if (!d->route->session)
			continue;
		memcpy(peer->v6 ? in6 : in6 + 12, peer->address, peer->v6 ? 16 : 4);
		inet_ntop(AF_INET6, in6, address, sizeof(address));
		fprintf(f, "%s %s %u\n", d->route->at->name, address, peer->port);
	}
}

/**
 * old_sessions_save() - write down what connections there are
 * @routing:	the daemon
 *
 * A failure is logged and costs nothing now.
 */
void old_sessions_save(struct routing *routing)
{
	char path[PATH_MAX];
	int r;

	path_of(routing, path, sizeof(path));
	r = state_file_print(path, sessions_print, routing);
	if (r < 0)
		log_warning("%s: %s; after a crash, guests may keep devices that are dead", path,
			    errno_text(r));
}

static void old_session_free(struct old_session *s)
{
	list_remove(&s->link);
	free(s);
}

/**
 * old_sessions_hang_up() - a VM's card is up: tell it which of its connections are dead
 * @routing:	the routing
 * @vm:		the VM
 */
void old_sessions_hang_up(struct routing *routing, struct vm *vm)
{
	list_for_each_safe(it, &routing->old_sessions) {
		struct old_session *s = list_entry(it, struct old_session, link);

		if (strcmp(s->vm, vm->name))
			continue;
		if (guest_hang_up(vm->guest, &s->peer) < 0)
			log_warning("%s: no memory to tell its guest that a connection of the last "
				    "daemon is dead; it may keep a device that is dead",
				    vm->name);
		old_session_free(s);
	}
}

/**
 * old_sessions_forget() - a VM's process has outlived the last daemon: its connections live
 * @routing:	the routing
 * @vm:		the VM
 */
void old_sessions_forget(struct routing *routing, struct vm *vm)
{
	list_for_each_safe(it, &routing->old_sessions) {
		struct old_session *s = list_entry(it, struct old_session, link);

		if (!strcmp(s->vm, vm->name))
			old_session_free(s);
	}
}

/**
 * old_sessions_free() - forget them
 * @routing:	the daemon
 */
void old_sessions_free(struct routing *routing)
{
	while (!list_empty(&routing->old_sessions))
		old_session_free(
			list_entry(list_first(&routing->old_sessions), struct old_session, link));
}
