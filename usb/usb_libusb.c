/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device on a usbfs node, whose transfers are libusb's; see usb_backend.h. Each device has a
 * libusb context of its own.
 *
 * Timeouts are 0: a guest unlinks what it no longer waits for. SHORT_NOT_OK isn't passed on: the
 * guest's own USB stack turns a short success into its error, and libusb would only tell of an
 * ERROR.
 *
 * A transfer stays with its URB while that lies in the pool, with room for as many packets as it
 * ever had. libusb itself allocates what the kernel is given at each submit.
 *
 * A callback runs under libusb's locks, where opening and closing handles would deadlock: it only
 * notes the result and puts the URB into the device's list of done ones.
 */
#include <assert.h>
#include <errno.h>
#include <libusb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/mem.h"
#include "usb/usb_backend.h"
#include "usb/usb_device.h"
#include "usb/usb_status.h"
#include "usb/usb_usbfs.h"

static_assert(sizeof(struct libusb_control_setup) == USB_URB_SETUP_SIZE, "setup packet");

/*
 * Of one usbfs URB; for more packets libusb makes several (linux_usbfs.c: MAX_ISO_PACKETS_PER_URB).
 */
#define PACKETS_PER_PART 128

struct own {
	libusb_context *context;
	libusb_device_handle *handle;
};

static void transfer_free(void *transfer)
{
	libusb_free_transfer(transfer);
}

/*
 * What became of each packet. libusb tells of packets that were cancelled as done with 0 bytes. It
 * files the results of several parts in the order in which they come back, which is the order of
 * the packets unless some were cancelled: those come back last part first, and whose is whose can't
 * be told any more.
 */
static void take_packets(struct usb_urb *urb, const struct libusb_transfer *t)
{
	if (urb->n_packets > PACKETS_PER_PART && t->status != LIBUSB_TRANSFER_COMPLETED) {
		usb_urb_fail_packets(urb);
		return;
	}
	for (unsigned i = 0; i < urb->n_packets; i++) {
		const struct libusb_iso_packet_descriptor *d = &t->iso_packet_desc[i];
		struct usb_packet *p = &urb->packets[i];

		p->actual_length = d->actual_length;
		p->status = usb_status_of_packet(d->status);
		if (urb->cancelled && p->status == 0 && p->actual_length == 0)
			p->status = -EXDEV;
	}
}

static void LIBUSB_CALL on_done(struct libusb_transfer *transfer)
{
	struct usb_urb *urb = transfer->user_data;
	struct usb_backend *backend = urb->device;

	urb->status = usb_status_of_transfer(transfer->status);
	urb->cancelled = transfer->status == LIBUSB_TRANSFER_CANCELLED;
	urb->actual = (uint32_t)max_t(int, transfer->actual_length, 0);
	if (urb->type == USB_ISOCHRONOUS) {
		take_packets(urb, transfer);
		/* Packets have errors, their URB has none; drivers end a stream at one. */
		if (transfer->status == LIBUSB_TRANSFER_ERROR)
			urb->status = 0;
	}
	if (transfer->status == LIBUSB_TRANSFER_NO_DEVICE)
		backend->gone = true;
	usb_backend_done(backend, urb);
}

static void fill_packets(struct usb_urb *urb, struct libusb_transfer *t)
{
	t->type = LIBUSB_TRANSFER_TYPE_ISOCHRONOUS;
	t->length = (int)urb->packets_length;
	t->num_iso_packets = (int)urb->n_packets;
	for (unsigned i = 0; i < urb->n_packets; i++) {
		/* The status of a packet of which libusb never hears again. */
		t->iso_packet_desc[i] = (struct libusb_iso_packet_descriptor){
			.length = urb->packets[i].length,
			.status = LIBUSB_TRANSFER_ERROR,
		};
	}
}

static void fill(const struct own *own, struct usb_urb *urb, struct libusb_transfer *t)
{
	t->dev_handle = own->handle;
	t->user_data = urb;
	t->callback = on_done;
	t->timeout = 0;
	t->flags = 0;
	t->num_iso_packets = 0;
	t->endpoint = urb->endpoint;
	t->buffer = urb->data;
	t->length = (int)urb->length;
	if (urb->type == USB_CONTROL) {
		/* wLength may be less than the client's buffer; the session has seen that it isn't
		 * more. */
		t->buffer = urb->data - USB_URB_SETUP_SIZE;
		memcpy(t->buffer, urb->setup, USB_URB_SETUP_SIZE);
		t->length = USB_URB_SETUP_SIZE + (urb->setup[6] | urb->setup[7] << 8);
		t->type = LIBUSB_TRANSFER_TYPE_CONTROL;
		return;
	}
	if (urb->type == USB_ISOCHRONOUS) {
		fill_packets(urb, t);
		return;
	}
	t->type =
		urb->type == USB_BULK ? LIBUSB_TRANSFER_TYPE_BULK : LIBUSB_TRANSFER_TYPE_INTERRUPT;
	if (urb->zero_packet)
		t->flags |= LIBUSB_TRANSFER_ADD_ZERO_PACKET;
}

/* A transfer with room for the URB's packets. */
static int provide(struct usb_urb *urb)
{
	unsigned n = 8;

	if (urb->transfer && urb->transfer_packets >= urb->n_packets)
		return 0;
	while (n < urb->n_packets)
		n *= 2;
	if (urb->transfer)
		libusb_free_transfer(urb->transfer);
	urb->transfer_packets = urb->n_packets ? n : 0;
	urb->transfer = libusb_alloc_transfer((int)urb->transfer_packets);
	if (!urb->transfer)
		return -ENOMEM;
	urb->transfer_free = transfer_free;
	return 0;
}

static int submit(struct usb_backend *backend, struct usb_urb *urb)
{
	int r = provide(urb);

	if (r < 0)
		return r;
	fill(backend->own, urb, urb->transfer);
	errno = 0;
	r = libusb_submit_transfer(urb->transfer);
	if (r == LIBUSB_ERROR_NO_DEVICE)
		backend->gone = true;
	/* libusb calls it ERROR_IO, but leaves errno as it was (linux_usbfs.c). */
	if (r == LIBUSB_ERROR_IO && errno == ENOMEM)
		return -ENOMEM;
	/* A packet that is too large for the endpoint or for usbfs. */
	if (r == LIBUSB_ERROR_INVALID_PARAM && urb->type == USB_ISOCHRONOUS)
		return -EMSGSIZE;
	return r < 0 ? usb_status_of_submit(r) : 0;
}

static void cancel(struct usb_backend *backend, struct usb_urb *urb)
{
	if (libusb_cancel_transfer(urb->transfer) == LIBUSB_ERROR_NO_DEVICE)
		backend->gone = true;
}

/* At most 26 URBs a call; the descriptor stays ready while there are more. */
static void reap(struct usb_backend *backend)
{
	const struct own *own = backend->own;
	struct timeval now = {};

	libusb_handle_events_timeout_completed(own->context, &now, NULL);
}

/* ------------------------------------------------------------- its descriptors, its beginning and end */

static void LIBUSB_CALL on_fd_added(int fd, short events, void *ctx)
{
	((struct usb_backend *)ctx)->watches_changed = true;
}

static void LIBUSB_CALL on_fd_removed(int fd, void *ctx)
{
	struct usb_backend *backend = ctx;

	backend->watches_changed = true;
	/*
	 * While the handle is open, its descriptor goes only if the device was unplugged. With no
	 * URB in flight nothing else tells that.
	 */
	if (fd == backend->fd)
		backend->gone = true;
}

static int watches(struct usb_backend *backend, struct pollfd *fds, unsigned max)
{
	const struct own *own = backend->own;
	const struct libusb_pollfd **all = libusb_get_pollfds(own->context);
	unsigned n = 0;

	if (!all)
		return -ENOMEM;
	for (const struct libusb_pollfd **p = all; *p && n < max; p++)
		fds[n++] = (struct pollfd){.fd = (*p)->fd, .events = (*p)->events};
	libusb_free_pollfds(all);
	return (int)n;
}

static int errno_of(int error)
{
	switch (error) {
	case LIBUSB_ERROR_NO_DEVICE:
	case LIBUSB_ERROR_NOT_FOUND:
		return -ENODEV;
	case LIBUSB_ERROR_BUSY:
		return -EBUSY;
	case LIBUSB_ERROR_ACCESS:
		return -EACCES;
	case LIBUSB_ERROR_NO_MEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static void stop(struct usb_backend *backend)
{
	struct own *own = take_ptr(backend->own);

	if (own->context)
		libusb_set_pollfd_notifiers(own->context, NULL, NULL, NULL);
	if (own->handle)
		libusb_close(own->handle);
	if (own->context)
		libusb_exit(own->context);
	free(own);
}

static int start(struct usb_backend *backend, const char **ret_reason)
{
	struct own *own = calloc(1, sizeof(*own));
	int r;

	*ret_reason = "there is no memory for it";
	if (!own)
		return -ENOMEM;
	backend->own = own;
	r = libusb_init(&own->context);
	if (r == 0)
		r = libusb_wrap_sys_device(own->context, backend->fd, &own->handle);
	if (r == 0) {
		libusb_set_pollfd_notifiers(own->context, on_fd_added, on_fd_removed, backend);
		return 0;
	}
	*ret_reason = libusb_strerror(r);
	if (!own->context)
		r = errno_of(r);
	else
		/* libusb can't read descriptors that we could read. */
		r = r == LIBUSB_ERROR_IO ? USB_BACKEND_NEXT : errno_of(r);
	stop(backend);
	return r;
}

const struct usb_backend_ops usb_backend_libusb = {
	.name = "libusb",
	USB_USBFS_CALLS,
	.start = start,
	.stop = stop,
	.submit = submit,
	.cancel = cancel,
	.reap = reap,
	.watches = watches,
};

/**
 * usb_device_library_init() - prepare libusb, once in the process
 *
 * Before any thread: libusb 1.0.26 keeps this setting for the whole process. Without it every
 * context would read all of sysfs and start a thread of its own.
 *
 * Return: 0; -EOPNOTSUPP.
 */
int usb_device_library_init(void)
{
	return libusb_set_option(NULL, LIBUSB_OPTION_NO_DEVICE_DISCOVERY) == 0 ? 0 : -EOPNOTSUPP;
}
