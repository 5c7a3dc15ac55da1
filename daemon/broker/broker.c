/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's end of the line to its broker; see broker.h. */
#include "daemon/broker/broker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/broker/broker_line.h"

struct broker {
	struct loop *loop;
	struct loop_watch watch;
	int line;
	uint32_t last_id;
	struct list waiting; /* of struct broker_request */
	void (*lost)(void *ctx);
	void *ctx;
};

static void broker_answered(struct broker *broker, const struct broker_answer *answer, int *fds)
{
	list_for_each_safe(it, &broker->waiting) {
		struct broker_request *req = list_entry(it, struct broker_request, link);

		if (req->id != answer->id)
			continue;
		list_remove(it);
		req->done(req, answer->r, fds, answer->text);
		return;
	}
	/* Its asker has gone: what came with it goes, too. */
	for (unsigned i = 0; i < BROKER_FDS; i++)
		fd_close(fds[i]);
}

static void broker_readable(void *ctx, int res _unused_)
{
	struct broker *broker = ctx;

	for (;;) {
		struct broker_answer answer = {0};
		int fds[BROKER_FDS] = {-1, -1};
		unsigned n_fds;
		ssize_t n;

		n = fd_receive(broker->line, &answer, sizeof(answer), fds, BROKER_FDS, &n_fds,
			       MSG_DONTWAIT);
		if (n == -EAGAIN)
			return;
		if (n == -EMSGSIZE) {
			/* There was no descriptor free for what it brings. */
			answer.r = -EMFILE;
			snprintf(answer.text, sizeof(answer.text), "receiving it from the broker");
		} else if (n != sizeof(answer)) {
			loop_cancel(broker->loop, &broker->watch);
			broker->lost(broker->ctx);
			return;
		}
		answer.text[sizeof(answer.text) - 1] = 0;
		broker_answered(broker, &answer, fds);
	}
}

/**
 * broker_new() - make the daemon's end of the line
 * @ret_broker:	the end
 * @loop:	the control thread's loop
 * @line:	of broker_start(); owned from here on where this succeeds
 * @lost:	called with @ctx once the broker has died: nothing can go on without it
 *
 * Return: 0 or a negative errno.
 */
int broker_new(struct broker **ret_broker, struct loop *loop, int line, void (*lost)(void *ctx),
	       void *ctx)
{
	struct broker *broker = calloc(1, sizeof(*broker));
	int r;

	if (!broker)
		return -ENOMEM;
	broker->loop = loop;
	broker->line = line;
	broker->lost = lost;
	broker->ctx = ctx;
	list_init(&broker->waiting);
	r = loop_watch_fd(loop, &broker->watch, line, POLLIN, LOOP_KEEP, broker_readable, broker);
	if (r < 0) {
		free(broker);
		return r;
	}
	*ret_broker = broker;
	return 0;
}

/**
 * broker_free() - close the line; the broker ends
 * @broker:	the end, or NULL; requests under way are forgotten
 *
 * Return: NULL.
 */
struct broker *broker_free(struct broker *broker)
{
	if (!broker)
		return NULL;
	while (list_pop(&broker->waiting))
		;
	loop_cancel(broker->loop, &broker->watch);
	fd_close(broker->line);
	free(broker);
	return NULL;
}

static int broker_send(struct broker *broker, struct broker_request *req, struct broker_ask *ask,
		       broker_done done)
{
	int r;

	ask->id = ++broker->last_id;
	r = fd_send(broker->line, ask, sizeof(*ask), NULL, 0);
	if (r < 0)
		return r;
	req->id = ask->id;
	req->done = done;
	list_append(&broker->waiting, &req->link);
	return 0;
}

/**
 * broker_open() - ask for a device's usbfs node
 * @broker:	the line
 * @req:	embedded in the asker; broker_forget() before it is freed
 * @device:	which
 * @done:	called with the answer
 *
 * Return: 0, or a negative errno and @done is not called.
 */
int broker_open(struct broker *broker, struct broker_request *req,
		const struct broker_device *device, broker_done done)
{
	struct broker_ask ask = {.verb = BROKER_OPEN, .device = *device};

	return broker_send(broker, req, &ask, done);
}

/**
 * broker_rebind() - have the host's drivers probe a device again; as broker_open()
 */
int broker_rebind(struct broker *broker, struct broker_request *req,
		  const struct broker_device *device, broker_done done)
{
	struct broker_ask ask = {.verb = BROKER_REBIND, .device = *device};

	return broker_send(broker, req, &ask, done);
}

/**
 * broker_reset() - have a device reset that no guest's thread has; as broker_open()
 *
 * @force: also where the host uses a disk of it. The answer is -ENODEV where the device has gone,
 * or came back as another one; -EBUSY where it is in use.
 */
int broker_reset(struct broker *broker, struct broker_request *req,
		 const struct broker_device *device, bool force, broker_done done)
{
	struct broker_ask ask = {.verb = BROKER_RESET, .device = *device, .force = force};

	return broker_send(broker, req, &ask, done);
}

/**
 * broker_power_off() - have the port switched off that a device is in; as broker_open()
 *
 * @force: also where the host uses a disk of it. The answer is -EOPNOTSUPP where this port can't be
 * switched alone.
 */
int broker_power_off(struct broker *broker, struct broker_request *req,
		     const struct broker_device *device, bool force, broker_done done)
{
	struct broker_ask ask = {.verb = BROKER_POWER_OFF, .device = *device, .force = force};

	return broker_send(broker, req, &ask, done);
}

/**
 * broker_power_on() - have a port switched on; as broker_open()
 *
 * @busid: of the device that would be in it. The answer is -ENODEV where there is no such port.
 */
int broker_power_on(struct broker *broker, struct broker_request *req, const char *busid,
		    broker_done done)
{
	struct broker_ask ask = {.verb = BROKER_POWER_ON};

	snprintf(ask.device.busid, sizeof(ask.device.busid), "%s", busid);
	return broker_send(broker, req, &ask, done);
}

/**
 * broker_forget() - let go of a request whose object is about to be freed
 * @broker:	the line, or NULL
 * @req:	answered, under way, or never sent (zeroed)
 */
void broker_forget(struct broker *broker _unused_, struct broker_request *req)
{
	if (req->link.next)
		list_remove(&req->link);
}
