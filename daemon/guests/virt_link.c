/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's end of usbrouted-libvirt; see virt_link.h. */
#include "daemon/guests/virt_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/stranger.h"
#include "base/unix_socket.h"
#include "daemon/guests/guests.h"
#include "daemon/core/state_file.h"
#include "daemon/guests/virt_private.h"

#define GROUP	    "usbrouted"
#define SOCKET_NAME "libvirt"
#define DOMAINS_MAX 1024

/* ------------------------------------------------------------- domains */

/**
 * virt_domain_of() - the name of the libvirt domain that a VM is, if it is one
 * @vm:		the VM
 */
const char *virt_domain_of(const struct vm *vm)
{
	return vm->domain ? vm->domain : vm->name;
}

static struct virt_domain *domain_find(const struct virt_link *link, const char *name)
{
	list_for_each(it, &link->domains) {
		struct virt_domain *d = list_entry(it, struct virt_domain, link);

		if (!strcmp(d->name, name))
			return d;
	}
	return NULL;
}

struct virt_domain *virt_domain_find(const struct vm *vm)
{
	struct virt_link *link = vm->side->guests->virt;

	return link ? domain_find(link, virt_domain_of(vm)) : NULL;
}

static struct vm *vm_of(const struct virt_link *link, const char *domain)
{
	list_for_each(it, &link->guests->vms->all) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (!strcmp(virt_domain_of(vm), domain))
			return vm;
	}
	return NULL;
}

/**
 * virt_domain_state() - the state of a VM's domain
 * @vm:		the VM
 *
 * Return: "running", "paused", "shutoff" or "crashed"; NULL where libvirt knows of none, or where
 * nobody can say.
 */
const char *virt_domain_state(const struct vm *vm)
{
	const struct virt_domain *d = virt_domain_find(vm);

	return d ? virt_state_name(d->state) : NULL;
}

static void domains_forget(struct virt_link *link)
{
	struct list *l;

	while ((l = list_pop(&link->domains)))
		free(list_entry(l, struct virt_domain, link));
	link->n_domains = 0;
}

static struct virt_domain *domain_add(struct virt_link *link, const char *name)
{
	struct virt_domain *d;

	if (link->n_domains == DOMAINS_MAX)
		return NULL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	strcpy(d->name, name);
	list_append(&link->domains, &d->link);
	link->n_domains++;
	return d;
}

/* ------------------------------------------------------------- saying */

static void link_lost(struct virt_link *link, const char *why)
{
	if (link->sock < 0)
		return;
	log_limited(&link->limit, LOG_LEVEL_WARNING, "usbrouted-libvirt: %s", why);
	loop_cancel(link->guests->core->loop, &link->watch);
	link->sock = stranger_close(link->sock);
	link->libvirt = false;
	domains_forget(link);
	virt_asks_forget(link, NULL);
}

/* A client that does not read is cut off; its end comes by the poll, and nothing is freed in here.
 */
void virt_say(struct virt_link *link, const struct virt_line *line)
{
	char buf[VIRT_LINE_MAX];
	int len = virt_line_format(buf, line);

	if (len < 0)
		log_err("usbrouted-libvirt: a line can't be made: %s", errno_text(len));
	else if (link->sock >= 0 &&
		 send(link->sock, buf, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) != len)
		shutdown(link->sock, SHUT_RDWR);
}

/* ------------------------------------------------------------- hearing */

static void heard_agent(struct virt_link *link, const struct virt_line *line)
{
	struct virt_domain *d = domain_find(link, line->domain);
	struct vm *vm = vm_of(link, line->domain);

	if (!d || d->agent == line->yes)
		return;
	d->agent = line->yes;
	if (!vm)
		return;
	log_limited(&vm->limit, LOG_LEVEL_INFO, "%s: its QEMU guest agent %s", vm->name,
		    line->yes ? "answers" : "has gone");
	virt_asks_forget(link, vm);
	guest_side_changed(vm);
}

static void heard_domain(struct virt_link *link, const struct virt_line *line)
{
	struct virt_domain *d = domain_find(link, line->domain);
	struct vm *vm = vm_of(link, line->domain);

	if (!d && line->state != VIRT_GONE)
		d = domain_add(link, line->domain);
	if (!d)
		return;
	if (vm && (d->state != line->state || line->state == VIRT_GONE))
		log_limited(&vm->limit,
			    line->state == VIRT_CRASHED ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
			    "%s: its domain %s is %s", vm->name, line->domain,
			    virt_state_name(line->state));
	d->state = line->state;
	if (line->state != VIRT_GONE)
		return;
	if (vm)
		virt_asks_forget(link, vm);
	list_remove(&d->link);
	link->n_domains--;
	free(d);
}

/* Return: whether the helper may say that. */
static bool link_heard(struct virt_link *link, const struct virt_line *line)
{
	switch (line->verb) {
	case VIRT_LIBVIRT:
		if (!line->yes) {
			domains_forget(link);
			virt_asks_forget(link, NULL);
		}
		link->libvirt = line->yes;
		log_limited(&link->limit, LOG_LEVEL_INFO, "libvirt %s",
			    line->yes ? "is there" : "can't be reached");
		return true;
	case VIRT_DOMAIN:
		heard_domain(link, line);
		return true;
	case VIRT_AGENT:
		heard_agent(link, line);
		return true;
	case VIRT_DONE:
	case VIRT_FAILED:
		virt_asks_answered(link, line);
		return true;
	default:
		return false;
	}
}

static void link_readable(void *ctx, int res _unused_)
{
	struct virt_link *link = ctx;
	struct virt_line line;
	size_t room;
	char *space = virt_reader_space(&link->reader, &room);
	ssize_t n = stranger_receive(link->sock, space, room);
	int r;

	if (n == 0 || (n < 0 && n != -EAGAIN)) {
		link_lost(link, n == 0 ? "it has gone" : errno_text((int)n));
		return;
	}
	if (n > 0)
		virt_reader_filled(&link->reader, (size_t)n);
	while ((r = virt_reader_next(&link->reader, &line)) == 0) {
		if (!link_heard(link, &line)) {
			r = -EPROTO;
			break;
		}
	}
	if (r < 0)
		link_lost(link, "it does not keep to the protocol; install the same version");
	else
		loop_watch_again(link->guests->core->loop, &link->watch);
}

/* ------------------------------------------------------------- coming in */

static bool peer_may(struct virt_link *link, int sock)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	if (peer.uid == 0 || peer.uid == geteuid() ||
	    (link->group != (gid_t)-1 && peer.gid == link->group))
		return true;
	log_limited(&link->limit, LOG_LEVEL_WARNING,
		    "usbrouted-libvirt: uid %u may not be it: only root and group %s", peer.uid,
		    GROUP);
	return false;
}

/* Whether the client that there is has gone already, and only its end was not read yet. */
static bool client_is_dead(const struct virt_link *link)
{
	char byte;

	return recv(link->sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void link_accept(void *ctx, int res _unused_)
{
	struct virt_link *link = ctx;
	_cleanup_stranger_ int sock = listener_accept(&link->door, "usbrouted-libvirt");

	if (sock < 0 || !peer_may(link, sock))
		return;
	if (link->sock >= 0 && client_is_dead(link))
		link_lost(link, "it has gone");
	if (link->sock >= 0) {
		log_limited(&link->limit, LOG_LEVEL_WARNING,
			    "usbrouted-libvirt: a second one is sent away");
		return;
	}
	if (loop_watch_fd(link->guests->core->loop, &link->watch, sock, POLLIN, 0, link_readable,
			  link) < 0)
		return;
	link->sock = take_fd(&sock);
	link->reader = (struct virt_reader){0};
	log_limited(&link->limit, LOG_LEVEL_INFO, "usbrouted-libvirt is there");
	virt_say(link, &(struct virt_line){.verb = VIRT_STATE});
}

/* ------------------------------------------------------------- for people */

/**
 * virt_warning() - what a person should mend about a VM's domain
 * @vm:		the VM
 * @buf:	where it goes
 * @size:	room there
 *
 * Return: whether there is something.
 */
bool virt_warning(const struct vm *vm, char *buf, size_t size)
{
	const struct virt_link *link = vm->side->guests->virt;
	const struct virt_domain *d = virt_domain_find(vm);
	const char *name = virt_domain_of(vm);

	*buf = 0;
	if (!link)
		return false;
	if (!d && vm->domain) {
		if (link->sock < 0)
			snprintf(
				buf, size,
				"%s: nothing is known of its domain \"%s\", for usbrouted-libvirt is not there; try: systemctl start usbrouted-libvirt",
				vm->name, name);
		else if (!link->libvirt)
			snprintf(
				buf, size,
				"%s: nothing is known of its domain \"%s\", for libvirt can't be reached",
				vm->name, name);
		else
			snprintf(buf, size, "%s: libvirt has no domain \"%s\"", vm->name, name);
	} else if (d && d->state == VIRT_CRASHED) {
		snprintf(buf, size, "%s: its domain \"%s\" has crashed", vm->name, name);
	} else if (d && d->state == VIRT_RUNNING && !vm->connected) {
		snprintf(
			buf, size,
			"%s: its domain \"%s\" runs, and its card is not connected; try: usbroutectl vm add \"%s\"",
			vm->name, name, name);
	}
	return *buf;
}

/* ------------------------------------------------------------- life */

/**
 * virt_link_new() - make the helper's socket; nobody is served yet
 * @ret_link:	the link
 * @guests:	the ways to the guests' insides
 *
 * Return: 0, or a negative errno and it was logged.
 */
int virt_link_new(struct virt_link **ret_link, struct guests *guests)
{
	const char *folder = guests->core->config->runtime_directory;
	const struct group *group = getgrnam(GROUP);
	struct virt_link *link = calloc(1, sizeof(*link));

	if (!link)
		return -ENOMEM;
	link->guests = guests;
	link->sock = -1;
	link->group = group ? group->gr_gid : (gid_t)-1;
	list_init(&link->domains);
	list_init(&link->asks);
	link->listener = unix_listen(&(struct unix_place){.folder = folder,
							  .name = SOCKET_NAME,
							  .type = SOCK_STREAM,
							  .backlog = 2,
							  .mode = group ? 0660 : 0600,
							  .group = link->group});
	if (link->listener < 0) {
		int r = link->listener;

		log_err("%s/" SOCKET_NAME ": %s", folder, errno_text(r));
		free(link);
		return r;
	}
	stranger_listener(link->listener);
	*ret_link = link;
	return 0;
}

/**
 * virt_link_start() - serve the helper
 * @link:	the link
 *
 * Return: 0 or a negative errno.
 */
int virt_link_start(struct virt_link *link)
{
	return listener_start(&link->door, link->guests->core->loop, link->listener, link_accept,
			      link);
}

/**
 * virt_link_free() - send the helper away and close its socket
 * @link:	the link, or NULL
 *
 * Return: NULL.
 */
struct virt_link *virt_link_free(struct virt_link *link)
{
	char path[PATH_MAX];

	if (!link)
		return NULL;
	loop_cancel(link->guests->core->loop, &link->watch);
	listener_stop(&link->door);
	virt_asks_forget(link, NULL);
	domains_forget(link);
	stranger_close(link->sock);
	stranger_listener_close(link->listener);
	unlink(state_file_path(path, sizeof(path), link->guests->core->config->runtime_directory,
			       SOCKET_NAME));
	free(link);
	return NULL;
}
