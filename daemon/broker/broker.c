/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's end of the line to its broker; see broker.h. */
#include "daemon/broker/broker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/broker/broker_line.h"

struct broker {
	struct helper_line line;
};

static void broker_answered(struct helper_request *line, int r, int *fds, const char *text)
{
	struct broker_request *req = container_of(line, struct broker_request, line);

	req->done(req, r, fds, text);
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
	r = helper_line_init(&broker->line, loop, line, lost, ctx);
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
	helper_line_deinit(&broker->line);
	free(broker);
	return NULL;
}

static int broker_send(struct broker *broker, struct broker_request *req, struct broker_ask *ask,
		       broker_done done)
{
	ask->id = helper_line_number(&broker->line);
	req->done = done;
	req->line.answered = broker_answered;
	return helper_line_ask(&broker->line, &req->line, ask, sizeof(*ask));
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
 * broker_tap() - have a tap opened; as broker_open()
 *
 * @name: of the network interface, at most 15 bytes. The answer is -ENODEV where there is no such tap.
 */
int broker_tap(struct broker *broker, struct broker_request *req, const char *name,
	       broker_done done)
{
	struct broker_ask ask = {.verb = BROKER_TAP};

	snprintf(ask.device.busid, sizeof(ask.device.busid), "%s", name);
	return broker_send(broker, req, &ask, done);
}

/**
 * broker_listen() - have a TCP socket made that listens; as broker_open()
 *
 * @at: where. The answer is -EADDRINUSE where another program listens there.
 */
int broker_listen(struct broker *broker, struct broker_request *req, const struct ip_endpoint *at,
		  broker_done done)
{
	struct broker_ask ask = {.verb = BROKER_LISTEN, .at = {.v6 = at->v6, .port = at->port}};

	memcpy(ask.at.address, at->address, sizeof(ask.at.address));
	return broker_send(broker, req, &ask, done);
}

/**
 * broker_forget() - let go of a request whose object is about to be freed
 * @broker:	the line, or NULL
 * @req:	answered, under way, or never sent (zeroed)
 */
void broker_forget(struct broker *broker _unused_, struct broker_request *req)
{
	helper_request_forget(&req->line);
}
