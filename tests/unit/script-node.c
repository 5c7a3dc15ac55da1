/* SPDX-License-Identifier: BSD-2-Clause */
/* See script-node.h. */
#include "script-node.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

#define ENDPOINTS 16
#define KEPT	  65536 /* bytes that an endpoint has for its other side */

/* One configuration; interface 0 with an interrupt IN and bulk both ways, in two alternate settings. */
static const uint8_t descriptors[] = {
	18,   1, 0x00, 0x02, 0xff, 0,	 0,  64,   0x34, 0x12, 0x78, 0x56, 0x00, 0x01, 0, 0,
	0,    1,				       /* device */
	9,    2, 69,   0,    1,	   1,	 0,  0x80, 50, /* configuration 1 */
	9,    4, 0,    0,    3,	   0xff, 0,  0,	   0,  /* setting 0 */
	7,    5, 0x81, 3,    64,   0,	 10, 7,	   5,	 0x02, 2,    64,   0,	 0,    7, 5,
	0x82, 2, 64,   0,    0,	   9,	 4,  0,	   1,	 3,    0xff, 0,	   0,	 0, /* setting 1 */
	7,    5, 0x81, 3,    64,   0,	 10, 7,	   5,	 0x02, 2,    64,   0,	 0,    7, 5,
	0x82, 2, 64,   0,    0,
};
static_assert(sizeof(descriptors) == 18 + 69, "as long as it says");

struct own {
	int wake; /* ready when something can be reaped */
	uint8_t kept[ENDPOINTS][KEPT];
	size_t n_kept[ENDPOINTS];
};

struct script_node script_node;

static void _printf_(1, 2) note(const char *format, ...)
{
	size_t used = strlen(script_node.log);
	va_list args;

	if (used + 32 > sizeof(script_node.log))
		return;
	if (used)
		script_node.log[used++] = ' ';
	va_start(args, format);
	vsnprintf(script_node.log + used, sizeof(script_node.log) - used, format, args);
	va_end(args);
}

/* Return: a descriptor that a device can be made of. */
int script_node_open(void)
{
	int fd = memfd_create("device", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && write(fd, descriptors, sizeof(descriptors)) != sizeof(descriptors))
		return -1;
	return fd;
}

static bool takes(int fd)
{
	return fcntl(fd, F_GET_SEALS) >= 0;
}

/* ------------------------------------------------------------- what may block */

static int gone(void)
{
	return script_node.unplugged ? -ENODEV : 0;
}

static ssize_t node_read(struct usb_backend *backend, void *to, size_t len, off_t at)
{
	ssize_t n = pread(backend->fd, to, len, at);

	return n < 0 ? -errno : n;
}

/* Of the standard requests those that a device has to answer; any other has no data. */
static int answer(int fd, const uint8_t setup[8], uint8_t *data)
{
	size_t len = (size_t)(setup[6] | setup[7] << 8);
	off_t at = setup[3] == 2 ? descriptors[0] : 0;

	if (setup[0] == 0x80 && setup[1] == 8 && len) {
		data[0] = 1;
		return 1;
	}
	if (setup[0] != 0x80 || setup[1] != 6 || setup[3] < 1 || setup[3] > 2)
		return setup[0] & 0x80 ? 0 : (int)len;
	if (setup[3] == 1)
		len = min_t(size_t, len, descriptors[0]);
	return (int)pread(fd, data, len, at);
}

static int control(struct usb_backend *backend, const uint8_t setup[8], void *data,
		   unsigned timeout_ms)
{
	int r = gone();

	return r < 0 ? r : answer(backend->fd, setup, data);
}

static int claim(struct usb_backend *backend, uint8_t interface)
{
	note("claim%u", interface);
	return script_node.claim_result ? script_node.claim_result : gone();
}

static void release(struct usb_backend *backend, uint8_t interface)
{
	note("release%u", interface);
}

static int set_configuration(struct usb_backend *backend, int value)
{
	note("set_configuration%d", value);
	return gone();
}

static int reset(struct usb_backend *backend)
{
	note("reset");
	return script_node.reset_result ? script_node.reset_result : gone();
}

static int set_interface(struct usb_backend *backend, uint8_t interface, uint8_t alternate)
{
	note("set_interface%u.%u", interface, alternate);
	return gone();
}

static int clear_halt(struct usb_backend *backend, uint8_t endpoint)
{
	note("clear_halt%02x", endpoint);
	return gone();
}

static int start(struct usb_backend *backend, const char **ret_reason)
{
	struct own *own = calloc(1, sizeof(*own));

	*ret_reason = "no memory, or no descriptor";
	if (!own)
		return -ENOMEM;
	own->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (own->wake < 0) {
		free(own);
		return -errno;
	}
	backend->own = own;
	script_node.n_started++;
	return 0;
}

static void stop(struct usb_backend *backend)
{
	struct own *own = take_ptr(backend->own);

	fd_close(own->wake);
	free(own);
	script_node.n_stopped++;
}

/* ------------------------------------------------------------- transfers */

static void wake(const struct own *own)
{
	eventfd_write(own->wake, 1);
}

static int submit(struct usb_backend *backend, struct usb_urb *urb)
{
	if (script_node.unplugged)
		backend->gone = true;
	if (urb->type == USB_ISOCHRONOUS)
		return -EOPNOTSUPP;
	wake(backend->own);
	return gone();
}

static void finish(struct usb_backend *backend, struct usb_urb *urb, int status, size_t actual)
{
	urb->status = status;
	urb->cancelled = status == -ECONNRESET;
	urb->actual = (uint32_t)actual;
	usb_backend_done(backend, urb);
}

static void cancel(struct usb_backend *backend, struct usb_urb *urb)
{
	finish(backend, urb, -ECONNRESET, 0);
	wake(backend->own);
}

/* Return: whether it has ended. */
static bool carry_out(struct usb_backend *backend, struct usb_urb *urb)
{
	struct own *own = backend->own;
	unsigned n = urb->endpoint & 0x0f;
	size_t len;

	if (urb->type == USB_CONTROL) {
		int r = answer(backend->fd, urb->setup, urb->data);

		finish(backend, urb, r < 0 ? -EPIPE : 0, (size_t)max_t(int, r, 0));
		return true;
	}
	if (urb->endpoint & 0x80) {
		len = min_t(size_t, urb->length, own->n_kept[n]);
		if (!own->n_kept[n])
			return false;
		memcpy(urb->data, own->kept[n], len);
		own->n_kept[n] -= len;
		memmove(own->kept[n], own->kept[n] + len, own->n_kept[n]);
	} else {
		len = min_t(size_t, urb->length, KEPT - own->n_kept[n]);
		memcpy(own->kept[n] + own->n_kept[n], urb->data, len);
		own->n_kept[n] += len;
	}
	finish(backend, urb, 0, len);
	return true;
}

static void reap(struct usb_backend *backend)
{
	const struct own *own = backend->own;
	bool more = true;
	eventfd_t x;

	eventfd_read(own->wake, &x);
	if (script_node.unplugged) {
		backend->gone = true;
		list_for_each_safe(l, &backend->aloft)
			finish(backend, list_entry(l, struct usb_urb, device_link), -ESHUTDOWN, 0);
	}
	/* An OUT may be what an IN before it waits for. */
	while (more) {
		more = false;
		list_for_each_safe(l, &backend->aloft)
			more |= carry_out(backend, list_entry(l, struct usb_urb, device_link));
	}
}

static int watches(struct usb_backend *backend, struct pollfd *fds, unsigned max)
{
	const struct own *own = backend->own;

	fds[0] = (struct pollfd){.fd = own->wake, .events = POLLIN};
	return 1;
}

const struct usb_backend_ops usb_backend_script = {
	.name = "the script",
	.takes = takes,
	.read = node_read,
	.control = control,
	.claim = claim,
	.release = release,
	.set_configuration = set_configuration,
	.reset = reset,
	.set_interface = set_interface,
	.clear_halt = clear_halt,
	.start = start,
	.stop = stop,
	.submit = submit,
	.cancel = cancel,
	.reap = reap,
	.watches = watches,
};
