/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One claimed USB device: its states, its URBs' way back, its descriptors to watch.
 *
 * All of it runs in the user's thread, but for the worker's part of a job (usb_device_call.c).
 * Nothing here waits: what is wanted (@end_wanted, @close_wanted) is begun as soon as no job is
 * under way and all URBs are back. progress() is called after everything that may bring that about.
 *
 * The back-end says which descriptors are watched, and may change that at any time, in the worker
 * too. The watches are brought in line in the user's thread; before a job all are taken away, so
 * that no watched descriptor is closed. The session and the user are told of things outside the
 * back-end's calls: their callbacks may ask for anything, closing included.
 *
 * If a job never returns, the device, its session and their memory stay with the worker, and the
 * user forgets them.
 */
#include "usb/usb_device.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "usb/usb_device_private.h"
#include "usb/usb_memory.h"

/* Past these a call is stuck; usbfs waits 5 s for a control request that nobody answers. */
#define DEADLINE_OPEN_MS    30000
#define DEADLINE_REQUEST_MS 20000
#define DEADLINE_CLOSE_MS   30000

static void progress(struct usb_device *dev);

static const struct usb_backend_ops *const usbfs[] = {
	&usb_backend_libusb,
	&usb_backend_direct,
	NULL,
};
static const struct usb_backend_ops *const *ways = usbfs;

/**
 * usb_device_use() - say what devices can be driven by
 * @backends:	the best first, and NULL at the end; not copied
 *
 * Call it before there is a device or a thread. Without it, it is usbfs, by libusb or without.
 */
void usb_device_use(const struct usb_backend_ops *const *backends)
{
	ways = backends;
}

static void enter(struct usb_device_guard *guard, struct usb_device *dev)
{
	guard->dev = dev;
	guard->outer = dev->guard;
	dev->guard = guard;
}

static void leave(struct usb_device_guard *guard)
{
	if (guard->dev)
		guard->dev->guard = guard->outer;
}

/* From now on the device is somebody else's, or nobody's. */
static void let_go(struct usb_device *dev)
{
	for (struct usb_device_guard *g = dev->guard; g; g = g->outer)
		g->dev = NULL;
	dev->guard = NULL;
}

static void watch_fd(struct usb_device *dev, int fd, short events)
{
	if (dev->n_watched == MAX_WATCHED)
		return;
	dev->watched[dev->n_watched].fd = fd;
	dev->watched[dev->n_watched].events = events;
	dev->n_watched++;
	dev->ops->watch(dev->ops_ctx, fd, events);
}

static void unwatch_all(struct usb_device *dev)
{
	while (dev->n_watched)
		dev->ops->unwatch(dev->ops_ctx, dev->watched[--dev->n_watched].fd);
}

static bool is_watched(const struct usb_device *dev, int fd)
{
	for (unsigned i = 0; i < dev->n_watched; i++) {
		if (dev->watched[i].fd == fd)
			return true;
	}
	return false;
}

static bool is_wanted(const struct pollfd *fds, int n, int fd, short events)
{
	for (int i = 0; i < n; i++) {
		if (fds[i].fd == fd && fds[i].events == events)
			return true;
	}
	return false;
}

/* Bring what is watched in line with what the back-end has. */
static void refresh_watches(struct usb_device *dev)
{
	struct pollfd fds[MAX_WATCHED];
	int n;

	if (!dev->started || !dev->ops)
		return;
	dev->backend.watches_changed = false;
	n = dev->backend.ops->watches(&dev->backend, fds, MAX_WATCHED);
	if (n < 0)
		return;
	for (unsigned i = dev->n_watched; i-- > 0;) {
		int fd = dev->watched[i].fd;

		if (is_wanted(fds, n, fd, dev->watched[i].events))
			continue;
		dev->watched[i] = dev->watched[--dev->n_watched];
		dev->ops->unwatch(dev->ops_ctx, fd);
	}
	for (int i = 0; i < n; i++) {
		if (!is_watched(dev, fds[i].fd))
			watch_fd(dev, fds[i].fd, fds[i].events);
	}
}

static void run_job(struct usb_job *job)
{
	usb_device_call_run(container_of(job, struct usb_device, job));
}

static void forget_client(struct usb_device *dev)
{
	struct usb_client *client = take_ptr(dev->carrier.client);

	if (client)
		client->ops->lost(client);
}

static void cancel(struct usb_device *dev, struct usb_urb *urb)
{
	urb->cancel_later = false;
	dev->backend.ops->cancel(&dev->backend, urb);
}

static void cancel_all(struct usb_device *dev)
{
	list_for_each_safe(l, &dev->backend.aloft)
		cancel(dev, list_entry(l, struct usb_urb, device_link));
}

static void opened(struct usb_device *dev)
{
	int r = dev->result;

	if (r < 0) {
		dev->state = USB_DEVICE_CLOSED;
		if (dev->close_wanted)
			dev->ops->closed(dev->ops_ctx);
		else
			dev->ops->opened(dev->ops_ctx, r, dev->reason);
		return;
	}
	dev->state = USB_DEVICE_READY;
	refresh_watches(dev);
	if (!dev->close_wanted)
		dev->ops->opened(dev->ops_ctx, 0, NULL);
}

static void request_ended(struct usb_device *dev)
{
	struct usb_client *client = dev->carrier.client;
	struct usb_device_guard guard;

	enter(&guard, dev);
	if (dev->result == -ENODEV)
		dev->backend.gone = true;
	refresh_watches(dev);
	list_for_each_safe(l, &dev->backend.aloft) {
		struct usb_urb *urb = list_entry(l, struct usb_urb, device_link);

		if (urb->cancel_later)
			cancel(dev, urb);
	}
	if (dev->end_wanted || dev->close_wanted)
		cancel_all(dev);
	if (client)
		client->ops->request_done(client, dev->result);
	/* What was held may have begun the next one. */
	if (guard.dev && !dev->busy)
		dev->ops->resumed(dev->ops_ctx);
	leave(&guard);
}

static void session_ended(struct usb_device *dev, int r, const char *reason)
{
	dev->end_wanted = false;
	if (r == 0)
		dev->dirty = false;
	if (r == -ENODEV)
		dev->backend.gone = true;
	forget_client(dev);
	dev->ops->session_ended(dev->ops_ctx, r, reason);
}

/* A job has ended: in the user's thread. */
static void job_done(struct usb_job *job)
{
	struct usb_device *dev = container_of(job, struct usb_device, job);
	struct usb_device_guard guard;

	enter(&guard, dev);
	dev->busy = false;
	dev->carrier.parked = false;
	switch (dev->call) {
	case USB_CALL_OPEN:
		opened(dev);
		break;
	case USB_CALL_REQUEST:
		request_ended(dev);
		break;
	case USB_CALL_RESTORE:
		refresh_watches(dev);
		if (dev->carrier.input)
			hid_input_reset(dev->carrier.input);
		session_ended(dev, dev->result, dev->result < 0 ? dev->reason : NULL);
		break;
	case USB_CALL_CLOSE:
		dev->state = USB_DEVICE_CLOSED;
		dev->ops->closed(dev->ops_ctx);
		break;
	}
	if (guard.dev)
		progress(dev);
	leave(&guard);
}

static void start_job(struct usb_device *dev, enum usb_device_call call, const char *what,
		      unsigned deadline_ms)
{
	unwatch_all(dev);
	dev->busy = true;
	dev->carrier.parked = true;
	dev->call = call;
	dev->job.run = run_job;
	dev->job.done = job_done;
	dev->job.what = what;
	dev->job.deadline_ms = deadline_ms;
	dev->ops->job(dev->ops_ctx, &dev->job);
}

/* Do what is due. Ends in callbacks: afterwards the device may be somebody else's. */
static void progress(struct usb_device *dev)
{
	if (dev->busy || dev->state != USB_DEVICE_READY || !dev->ops)
		return;
	if (dev->backend.gone && !dev->gone_told && !dev->close_wanted) {
		struct usb_device_guard guard;

		dev->gone_told = true;
		enter(&guard, dev);
		dev->ops->gone(dev->ops_ctx);
		if (!guard.dev)
			return;
		leave(&guard);
	}
	if (dev->busy || dev->state != USB_DEVICE_READY || dev->in_flight)
		return;
	if (dev->close_wanted) {
		dev->state = USB_DEVICE_CLOSING;
		/* Before the handle goes: the session's transfers name it. */
		forget_client(dev);
		start_job(dev, USB_CALL_CLOSE, "close", DEADLINE_CLOSE_MS);
	} else if (dev->end_wanted && dev->backend.gone) {
		session_ended(dev, -ENODEV, "it was unplugged");
	} else if (dev->end_wanted) {
		start_job(dev, USB_CALL_RESTORE, "reset", DEADLINE_CLOSE_MS);
	}
}

static int carrier_submit(struct usb_carrier *carrier, struct usb_urb *urb)
{
	struct usb_device *dev = container_of(carrier, struct usb_device, carrier);
	int r;

	assert(!dev->busy);
	if (dev->state != USB_DEVICE_READY || dev->backend.gone || dev->end_wanted ||
	    dev->close_wanted)
		return -ENODEV;
	if (dev->memory) {
		r = usb_memory_charge(dev->memory, urb);
		if (r < 0)
			return r;
	}
	dev->dirty = true;
	urb->device = &dev->backend;
	urb->cancel_later = false;
	r = dev->backend.ops->submit(&dev->backend, urb);
	if (r < 0) {
		if (dev->memory)
			usb_memory_release(dev->memory, urb);
		return r;
	}
	list_append(&dev->backend.aloft, &urb->device_link);
	dev->in_flight++;
	return 0;
}

static void carrier_cancel(struct usb_carrier *carrier, struct usb_urb *urb)
{
	struct usb_device *dev = container_of(carrier, struct usb_device, carrier);

	if (dev->busy)
		urb->cancel_later = true;
	else
		cancel(dev, urb);
}

static int carrier_start(struct usb_carrier *carrier, const struct usb_request *request)
{
	static const char *const names[] = {
		[USB_REQUEST_SET_CONFIGURATION] = "set the configuration",
		[USB_REQUEST_SET_INTERFACE] = "set an interface",
		[USB_REQUEST_CLEAR_HALT] = "clear a halt",
		[USB_REQUEST_RESET] = "reset",
	};
	struct usb_device *dev = container_of(carrier, struct usb_device, carrier);

	if (dev->state != USB_DEVICE_READY || dev->backend.gone || dev->end_wanted ||
	    dev->close_wanted)
		return -ENODEV;
	dev->dirty = true;
	dev->request = *request;
	start_job(dev, USB_CALL_REQUEST, names[request->kind], DEADLINE_REQUEST_MS);
	return 0;
}

static const struct usb_carrier_ops carrier_ops = {
	.submit = carrier_submit,
	.cancel = carrier_cancel,
	.start = carrier_start,
};

/**
 * usb_device_carrier() - what a session sees of a device
 * @dev:	the device
 *
 * Return: the carrier, as long as the device.
 */
struct usb_carrier *usb_device_carrier(struct usb_device *dev)
{
	return &dev->carrier;
}

static void keyboard_struck(struct hid_listener *listener, unsigned chord)
{
	struct usb_device *dev = container_of(listener, struct usb_device, keyboard);

	if (dev->ops->struck)
		dev->ops->struck(dev->ops_ctx, chord);
}

/**
 * usb_device_new() - a device on a descriptor
 * @ret_dev:	the device, bound to nobody
 * @name:	for log lines
 * @fd:		a usbfs node opened for reading and writing; the device's own on success
 *
 * Return: 0; -ENOMEM.
 */
int usb_device_new(struct usb_device **ret_dev, const char *name, int fd)
{
	struct usb_device *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return -ENOMEM;
	dev->carrier.ops = &carrier_ops;
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->backend.fd = fd;
	dev->ways = ways;
	dev->keyboard.struck = keyboard_struck;
	dev->configuration = dev->found_configuration = USB_NO_CONFIGURATION;
	dev->expected_configuration = dev->watched_configuration = USB_NO_CONFIGURATION;
	list_init(&dev->backend.aloft);
	list_init(&dev->backend.done);
	*ret_dev = dev;
	return 0;
}

/**
 * usb_device_expect() - which configuration a device had when it was listed
 * @dev:		the device, not opened yet
 * @configuration:	bConfigurationValue; 0 where it had none, or one of that number
 *
 * The device itself is asked when it is opened; this counts if it does not answer.
 */
void usb_device_expect(struct usb_device *dev, uint8_t configuration)
{
	dev->expected_configuration = configuration;
}

/**
 * usb_device_free() - forget a device
 * @dev:	the device, closed or never opened, or NULL; may be called from its callbacks
 *
 * Return: NULL.
 */
struct usb_device *usb_device_free(struct usb_device *dev)
{
	if (!dev)
		return NULL;
	assert(dev->state == USB_DEVICE_NEW || dev->state == USB_DEVICE_CLOSED);
	forget_client(dev);
	let_go(dev);
	dev->backend.fd = fd_close(dev->backend.fd);
	hid_input_free(dev->carrier.input);
	free(dev);
	return NULL;
}

/**
 * usb_device_bind() - say who uses a device, from now on in this thread
 * @dev:	the device, bound to nobody
 * @ops:	what is asked of the user
 * @ctx:	given to @ops
 */
void usb_device_bind(struct usb_device *dev, const struct usb_device_ops *ops, void *ctx)
{
	assert(!dev->ops && !dev->busy);
	dev->ops = ops;
	dev->ops_ctx = ctx;
	if (dev->state == USB_DEVICE_READY)
		refresh_watches(dev);
}

/**
 * usb_device_unbind() - the user has done with a device
 * @dev:	the device; no job under way, no session. From callbacks too
 *
 * On return another thread may bind it.
 */
void usb_device_unbind(struct usb_device *dev)
{
	assert(!dev->busy);
	if (dev->ops)
		unwatch_all(dev);
	dev->ops = NULL;
	dev->ops_ctx = NULL;
	dev->memory = NULL;
	let_go(dev);
}

/**
 * usb_device_charge_to() - say whose share of the kernel's memory a device's URBs take
 * @dev:	the device, bound, without a URB in flight; usb_device_unbind() ends it
 * @memory:	an account of this thread, or NULL: they are not counted
 */
void usb_device_charge_to(struct usb_device *dev, struct usb_memory *memory)
{
	assert(!dev->in_flight);
	dev->memory = memory;
}

/**
 * usb_device_open() - begin to claim a device
 * @dev:	the device, new and bound
 *
 * ops->opened() tells how it ended, perhaps from within. After a failure all is rolled back and the
 * device is closed. Where usb_device_close() overtakes it, ops->closed() comes instead.
 */
void usb_device_open(struct usb_device *dev)
{
	assert(dev->state == USB_DEVICE_NEW && dev->ops);
	dev->state = USB_DEVICE_OPENING;
	start_job(dev, USB_CALL_OPEN, "open", DEADLINE_OPEN_MS);
}

/**
 * usb_device_close() - begin to give a device up
 * @dev:	the device, bound, in any state; also one that could not be opened
 *
 * Cancels and drains what is left, sets the device back where a session has used it, releases it.
 * ops->closed() comes when nothing is under way any more, perhaps from within.
 */
void usb_device_close(struct usb_device *dev)
{
	dev->close_wanted = true;
	if (dev->state == USB_DEVICE_NEW || dev->state == USB_DEVICE_CLOSED) {
		dev->state = USB_DEVICE_CLOSED;
		dev->backend.fd = fd_close(dev->backend.fd);
		dev->ops->closed(dev->ops_ctx);
	} else if (!dev->busy && dev->state == USB_DEVICE_READY) {
		cancel_all(dev);
		progress(dev);
	}
}

/**
 * usb_device_end_session() - begin to bring a device back to how it was before its session
 * @dev:	the device, ready; its session closed
 *
 * Cancels and drains what is left, sets the configuration that it was found in, resets.
 * ops->session_ended() comes then, perhaps from within.
 */
void usb_device_end_session(struct usb_device *dev)
{
	dev->end_wanted = true;
	if (!dev->busy && dev->state == USB_DEVICE_READY) {
		cancel_all(dev);
		progress(dev);
	}
}

/**
 * usb_device_watch_for() - say which chords are to be told of
 * @dev:	the device, bound; may have no keyboard
 * @chords:	copied
 */
void usb_device_watch_for(struct usb_device *dev, const struct hid_chords *chords)
{
	dev->keyboard.chords = *chords;
}

static void deliver(struct usb_device *dev)
{
	struct usb_client *client;
	struct list *l;

	if (list_empty(&dev->backend.done))
		return;
	while ((l = list_pop(&dev->backend.done))) {
		struct usb_urb *urb = list_entry(l, struct usb_urb, device_link);

		dev->in_flight--;
		if (dev->memory)
			usb_memory_release(dev->memory, urb);
		/* Each URB in flight is a session's, and a session stays until they are back. */
		dev->carrier.client->ops->completed(dev->carrier.client, urb);
	}
	client = dev->carrier.client;
	client->ops->settled(client);
}

/**
 * usb_device_events() - see what is ready
 * @dev:	the device
 *
 * To be called when a watched descriptor is ready. Bounded: a back-end hands back some at a time, and
 * the descriptor stays ready while there are more. The session gets its URBs; the user sends
 * then.
 */
void usb_device_events(struct usb_device *dev)
{
	struct usb_device_guard guard;

	if (dev->busy || dev->state != USB_DEVICE_READY)
		return;
	enter(&guard, dev);
	dev->backend.ops->reap(&dev->backend);
	if (dev->backend.watches_changed)
		refresh_watches(dev);
	deliver(dev);
	if (guard.dev)
		progress(dev);
	leave(&guard);
}

/**
 * usb_device_ready() - can a session begin?
 * @dev:	the device
 *
 * Return: whether it is open, there, and not on its way out or back.
 */
bool usb_device_ready(const struct usb_device *dev)
{
	return dev->state == USB_DEVICE_READY && !dev->backend.gone && !dev->end_wanted &&
	       !dev->close_wanted;
}

/**
 * usb_device_parked() - is a blocking call under way?
 * @dev:	the device
 *
 * Return: whether.
 */
bool usb_device_parked(const struct usb_device *dev)
{
	return dev->busy;
}

/**
 * usb_device_in_flight() - URBs that the kernel has
 * @dev:	the device
 *
 * Return: how many.
 */
unsigned usb_device_in_flight(const struct usb_device *dev)
{
	return dev->in_flight;
}

/**
 * usb_device_found() - what the interfaces of a device are
 * @dev:	the device, opened and not parked
 *
 * Return: what was found so far; more may come whenever a request has ended.
 */
const struct hid_found *usb_device_found(const struct usb_device *dev)
{
	return &dev->found;
}
