/* SPDX-License-Identifier: BSD-2-Clause */
/* USB/IP connections whose process has died; see old_sessions.h. */
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
#define PER_VM		 64
/* A process that was told of one tries for six minutes (vhost_user_net/tcp_dead.c). */
#define LASTS_NS (600 * 1000000000ull)

struct old_session {
	struct list link;
	char vm[32];
	struct guest_peer peer;
	bool dead;	  /* else: of the last run, whose process may live */
	uint64_t told_ns; /* 0: nobody was told */
	uint64_t told_to; /* since when the process stands that was told; 0: it did not yet */
};

static void path_of(const struct routing *routing, char *path, size_t size)
{
	state_file_path(path, size, routing->core->config->runtime_directory, "sessions");
}

static void old_session_free(struct old_session *s)
{
	list_remove(&s->link);
	free(s);
}

static bool same_peer(const struct guest_peer *a, const struct guest_peer *b)
{
	return a->v6 == b->v6 && a->port == b->port &&
	       !memcmp(a->address, b->address, a->v6 ? 16 : 4);
}

/* ------------------------------------------------------------- the file */

/* Return: 0; -EINVAL where the line says nothing. */
static int line_read(const char *line, struct old_session *s)
{
	char address[INET6_ADDRSTRLEN], word[8] = "";
	struct in6_addr in6;
	unsigned port;
	int n = sscanf(line, "%31s %45s %u %7s", s->vm, address, &port, word);

	if (n < 3 || port > 0xffff || inet_pton(AF_INET6, address, &in6) != 1)
		return -EINVAL;
	s->peer.v6 = !IN6_IS_ADDR_V4MAPPED(&in6);
	if (s->peer.v6)
		memcpy(s->peer.address, &in6, 16);
	else
		memcpy(s->peer.address, (const uint8_t *)&in6 + 12, 4);
	s->peer.port = (uint16_t)port;
	s->dead = !strcmp(word, "dead");
	return 0;
}

/**
 * old_sessions_load() - read what connections the last daemon had
 * @routing:	the routing
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

		if (!s)
			return;
		list_init(&s->link);
		if (line_read(line, s) < 0) {
			free(s);
			continue;
		}
		list_append(&routing->old_sessions, &s->link);
		n++;
	}
}

static void print_one(FILE *f, const char *vm, const struct guest_peer *peer, bool dead)
{
	uint8_t in6[16] = {[10] = 0xff, 0xff};
	char address[INET6_ADDRSTRLEN];

	memcpy(peer->v6 ? in6 : in6 + 12, peer->address, peer->v6 ? 16 : 4);
	inet_ntop(AF_INET6, in6, address, sizeof(address));
	fprintf(f, "%s %s %u%s\n", vm, address, peer->port, dead ? " dead" : "");
}

static void sessions_print(FILE *f, const void *ctx)
{
	const struct routing *routing = ctx;

	list_for_each(it, &routing->old_sessions) {
		const struct old_session *s = list_entry(it, struct old_session, link);

		print_one(f, s->vm, &s->peer, s->dead);
	}
	list_for_each(it, &routing->devices->all) {
		const struct device *d = list_entry(it, struct device, link);

		list_for_each(at, &d->route->placements) {
			const struct placement *p = list_entry(at, struct placement, link);

			/* The kernel closes a dead process's connections, and tells a machine on the LAN. */
			if (p->session && !p->vm->is_lan)
				print_one(f, p->vm->name, &p->peer, false);
		}
	}
}

/* Whom its process has told for so long it tells no more. */
static void forget_told(struct routing *routing)
{
	list_for_each_safe(it, &routing->old_sessions) {
		struct old_session *s = list_entry(it, struct old_session, link);

		if (s->told_ns && loop_now() - s->told_ns > LASTS_NS)
			old_session_free(s);
	}
}

/**
 * old_sessions_save() - write down what connections there are
 * @routing:	the routing
 *
 * A failure is logged and costs nothing now.
 */
void old_sessions_save(struct routing *routing)
{
	char path[PATH_MAX];
	int r;

	forget_told(routing);
	path_of(routing, path, sizeof(path));
	r = state_file_print(path, sessions_print, routing);
	if (r < 0)
		log_warning("%s: %s; after a crash, guests may keep devices that are dead", path,
			    errno_text(r));
}

/* ------------------------------------------------------------- a process dies, another one comes */

/**
 * old_sessions_lost() - a VM's process has died, and a connection with it
 * @routing:	the routing
 * @vm:		the VM
 * @peer:	the guest's end
 */
void old_sessions_lost(struct routing *routing, struct vm *vm, const struct guest_peer *peer)
{
	struct old_session *oldest = NULL, *s;
	unsigned n = 0;

	list_for_each_safe(it, &routing->old_sessions) {
		s = list_entry(it, struct old_session, link);
		if (strcmp(s->vm, vm->name))
			continue;
		if (same_peer(&s->peer, peer)) {
			old_session_free(s);
			continue;
		}
		oldest = oldest ? oldest : s;
		n++;
	}
	if (n >= PER_VM)
		old_session_free(oldest);
	s = calloc(1, sizeof(*s));
	if (!s) {
		log_warning(
			"%s: no memory for a connection of its process, which has died; its guest may keep a device that is dead",
			vm->name);
		return;
	}
	snprintf(s->vm, sizeof(s->vm), "%s", vm->name);
	s->peer = *peer;
	s->dead = true;
	list_append(&routing->old_sessions, &s->link);
}

/**
 * old_sessions_hang_up() - a VM's card is up: have its guest told which of its connections are dead
 * @routing:	the routing
 * @vm:		the VM
 *
 * They stay known until the process has had the time to do it: where it dies, too, the next one is told.
 */
void old_sessions_hang_up(struct routing *routing, struct vm *vm)
{
	bool told = false;

	forget_told(routing);
	list_for_each(it, &routing->old_sessions) {
		struct old_session *s = list_entry(it, struct old_session, link);

		if (strcmp(s->vm, vm->name) || (s->told_ns && s->told_to == vm->process.stood_ns))
			continue;
		if (guest_hang_up(vm->guest, &s->peer) < 0) {
			log_warning(
				"%s: no memory to tell its guest that a connection of the last process is dead; it may keep a device that is dead",
				vm->name);
			continue;
		}
		s->dead = told = true;
		s->told_ns = loop_now();
		s->told_to = vm->process.stood_ns;
	}
	if (told)
		old_sessions_save(routing);
}

/**
 * old_sessions_forget() - a VM's process has outlived the last daemon: its connections live
 * @routing:	the routing
 * @vm:		the VM; what the process before had stays dead
 */
void old_sessions_forget(struct routing *routing, struct vm *vm)
{
	list_for_each_safe(it, &routing->old_sessions) {
		struct old_session *s = list_entry(it, struct old_session, link);

		if (!strcmp(s->vm, vm->name) && !s->dead)
			old_session_free(s);
	}
}

/**
 * old_sessions_free() - forget them
 * @routing:	the routing
 */
void old_sessions_free(struct routing *routing)
{
	while (!list_empty(&routing->old_sessions))
		old_session_free(
			list_entry(list_first(&routing->old_sessions), struct old_session, link));
}
