/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A USB/IP client that has not imported anything yet; see usbip_client.h.
 *
 * States: asking (its request is being read, no further than its end, so that nothing of what
 * follows an IMPORT is read here) -> listing (a DEVLIST's answer is being sent), or probing (it
 * asks for a device that it holds already: the old connection is being asked whether it lives) ->
 * gone.
 */
#include "daemon/usbip_client.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/route.h"

#define CLIENTS_MAX    8
#define CLIENT_SECONDS 5
#define CLIENT_REQUEST 40 /* bytes of the longest request */
#define PROBE_STEP_NS  100000000ull
#define PROBE_STEPS    40 /* two keepalives, a second apart, and some */
#define NS_PER_SECOND  1000000000ull

struct usbip_client {
	struct list link;
	struct vm *vm;
	int sock;
	struct loop_watch watch, deadline;
	uint8_t request[CLIENT_REQUEST];
	size_t got, want;
	struct usbip_op op;
	uint8_t *answer; /* listing */
	size_t answer_len, answer_sent;
	unsigned probes; /* probing */
};

static struct usbip_client *client_free(struct usbip_client *c)
{
	list_remove(&c->link);
	c->vm->n_clients--;
	loop_cancel(c->vm->daemon->loop, &c->watch);
	loop_cancel(c->vm->daemon->loop, &c->deadline);
	fd_close(c->sock);
	free(c->answer);
	free(c);
	return NULL;
}

static void client_refuse(struct usbip_client *c, enum usbip_op_status status)
{
	uint8_t buf[16];
	size_t n = usbip_op_refuse(buf, sizeof(buf), &c->op, status);

	if (send(c->sock, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		/* It has gone already. */
	}
	client_free(c);
}

/* ------------------------------------------------------------- DEVLIST */

static void client_send(void *ctx, int res _unused_)
{
	struct usbip_client *c = ctx;

	while (c->answer_sent < c->answer_len) {
		ssize_t n = send(c->sock, c->answer + c->answer_sent,
				 c->answer_len - c->answer_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			if (loop_watch_fd(c->vm->daemon->loop, &c->watch, c->sock, POLLOUT, 0,
					  client_send, c) < 0)
				break;
			return;
		}
		if (n <= 0)
			break;
		c->answer_sent += (size_t)n;
	}
	client_free(c);
}

static void client_list(struct usbip_client *c)
{
	_cleanup_free_ const struct usbip_device_info **infos = NULL;
	struct daemon *daemon = c->vm->daemon;
	size_t n = 0, max = 0;

	list_for_each(it, &daemon->devices)
		max++;
	infos = calloc(max + 1, sizeof(*infos));
	if (!infos) {
		client_free(c);
		return;
	}
	list_for_each(it, &daemon->devices) {
		struct device *d = list_entry(it, struct device, link);

		if (route_exported_to(d, c->vm) && !d->route.session && !d->route.importing)
			infos[n++] = &d->info;
	}
	c->answer_len = usbip_op_devlist_size(infos, n);
	c->answer = malloc(c->answer_len);
	if (!c->answer) {
		client_free(c);
		return;
	}
	usbip_op_devlist_reply(c->answer, c->answer_len, infos, n);
	client_send(c, 0);
}

/* ------------------------------------------------------------- IMPORT */

static struct device *client_device(struct usbip_client *c)
{
	list_for_each(it, &c->vm->daemon->devices) {
		struct device *d = list_entry(it, struct device, link);

		if (!route_exported_to(d, c->vm))
			continue;
		if (!strcmp(d->busid, c->op.busid) ||
		    (device_alias(d) && !strcmp(device_alias(d), c->op.busid)))
			return d;
	}
	return NULL;
}

/*
 * Ask the connection that holds the device whether its other end still knows it. The guest lives,
 * for it is asking; so its kernel answers a keepalive at once: by an acknowledgement, or by a reset
 * where it was restarted and knows nothing of the connection.
 */
static void client_probe_begin(const struct device *d)
{
	int sock = d->route.session_dup, one = 1, count = 2;

	setsockopt(sock, IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof(one));
	setsockopt(sock, IPPROTO_TCP, TCP_KEEPINTVL, &one, sizeof(one));
	setsockopt(sock, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(sock, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

static void client_probe_end(const struct device *d)
{
	int zero = 0;

	if (d->route.session_dup >= 0)
		setsockopt(d->route.session_dup, SOL_SOCKET, SO_KEEPALIVE, &zero, sizeof(zero));
}

static void client_import(void *ctx, int res _unused_)
{
	struct usbip_client *c = ctx;
	struct device *d = client_device(c);
	struct loop *loop = c->vm->daemon->loop;
	int r;

	if (!d) {
		log_limited(&c->vm->limit, LOG_LEVEL_INFO,
			    "%s: asked for \"%s\", which is not routed to it", c->vm->name,
			    c->op.busid);
		client_refuse(c, USBIP_ST_NODEV);
		return;
	}
	r = route_import(d, c->vm, c->sock, &c->op);
	if (r == 0) {
		if (c->probes)
			log_info("%s: %s: the old connection was dead", c->vm->name, d->tag);
		c->sock = -1;
		client_free(c);
	} else if (r == -EBUSY && c->probes < PROBE_STEPS) {
		if (!c->probes++) {
			client_probe_begin(d);
			loop_cancel(loop, &c->deadline);
		}
		if (loop_watch_time(loop, &c->deadline, PROBE_STEP_NS, client_import, c) < 0)
			client_refuse(c, USBIP_ST_DEV_BUSY);
	} else {
		client_probe_end(d);
		client_refuse(c, r == -EBUSY ? USBIP_ST_DEV_BUSY : USBIP_ST_NODEV);
	}
}

/* ------------------------------------------------------------- asking */

static void client_late(void *ctx, int res _unused_)
{
	struct usbip_client *c = ctx;

	log_limited(&c->vm->limit, LOG_LEVEL_INFO, "%s: a USB/IP client said nothing for %d s",
		    c->vm->name, CLIENT_SECONDS);
	client_free(c);
}

static void client_readable(void *ctx, int res _unused_)
{
	struct usbip_client *c = ctx;
	struct loop *loop = c->vm->daemon->loop;

	for (;;) {
		ssize_t n = recv(c->sock, c->request + c->got, c->want - c->got, MSG_DONTWAIT);
		int r;

		if (n < 0 && errno == EAGAIN) {
			loop_watch_again(loop, &c->watch);
			return;
		}
		if (n <= 0) {
			client_free(c);
			return;
		}
		c->got += (size_t)n;
		r = usbip_op_parse(c->request, c->got, &c->op);
		if (r == USBIP_OP_SHORT && c->got < sizeof(c->request)) {
			/* The first 8 bytes tell the kind; only an IMPORT has more, to its end. */
			if (c->got >= 8)
				c->want = sizeof(c->request);
			continue;
		}
		if (r != 0) {
			log_limited(&c->vm->limit, LOG_LEVEL_INFO,
				    "%s: a USB/IP client sent something else than a request",
				    c->vm->name);
			client_free(c);
			return;
		}
		break;
	}
	loop_cancel(loop, &c->watch);
	if (c->op.kind == USBIP_OP_DEVLIST)
		client_list(c);
	else
		client_import(c, 0);
}

/**
 * usbip_client_accept() - somebody has connected to a VM's USB/IP port
 * @ctx:	the VM
 * @res:	of the listener's poll
 */
void usbip_client_accept(void *ctx, int res _unused_)
{
	struct vm *vm = ctx;
	struct loop *loop = vm->daemon->loop;
	_cleanup_close_ int sock = listener_accept(&vm->door, vm->name);
	struct usbip_client *c;

	if (sock < 0)
		return;
	if (vm->n_clients >= CLIENTS_MAX) {
		log_limited(&vm->limit, LOG_LEVEL_WARNING,
			    "%s: %d USB/IP clients at a time are enough; one more was hung up on",
			    vm->name, CLIENTS_MAX);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return;
	c->vm = vm;
	c->sock = take_fd(&sock);
	c->want = 8;
	list_append(&vm->clients, &c->link);
	vm->n_clients++;
	if (loop_watch_fd(loop, &c->watch, c->sock, POLLIN, 0, client_readable, c) < 0 ||
	    loop_watch_time(loop, &c->deadline, CLIENT_SECONDS * NS_PER_SECOND, client_late, c) < 0)
		client_free(c);
}

/**
 * usbip_clients_close() - a VM has gone: so have its clients
 * @vm:		the VM
 */
void usbip_clients_close(struct vm *vm)
{
	while (!list_empty(&vm->clients))
		client_free(list_entry(list_first(&vm->clients), struct usbip_client, link));
}
