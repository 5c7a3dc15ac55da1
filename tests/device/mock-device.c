/* SPDX-License-Identifier: BSD-2-Clause */
/* See mock-device.h. */
#include "mock-device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../unit/hid-keyboards.h"

#define NODE "/dev/bus/usb/001/002"

/* A device with a boot keyboard, which has a second setting, and an interface of bulk and
 * isochronous endpoints; in two
 * configurations, of which the second has the keyboard alone. Numbers at 8 … 11 are set later. */
/* clang-format off */
static uint8_t descriptors[] = {
	18, 1, 0x00, 0x02, 0, 0, 0, 8, 0, 0, 0, 0, 0x02, 0x64, 0, 0, 0, 2,
	9, 2, 87, 0, 2, 1, 0, 0xa0, 49,
	9, 4, 0, 0, 1, 3, 1, 1, 0,
	9, 0x21, 0x10, 1, 0, 1, 0x22, 65, 0,
	7, 5, 0x81, 3, 8, 0, 10,
	9, 4, 0, 1, 1, 3, 1, 1, 0,
	7, 5, 0x83, 3, 8, 0, 10,
	9, 4, 1, 0, 4, 255, 0, 0, 0,
	7, 5, 0x02, 2, 64, 0, 0,
	7, 5, 0x82, 2, 64, 0, 0,
	7, 5, 0x84, 5, 64, 0, 1,
	7, 5, 0x05, 9, 64, 0, 1,
	9, 2, 34, 0, 1, 2, 0, 0xa0, 49,
	9, 4, 0, 0, 1, 3, 1, 1, 0,
	9, 0x21, 0x10, 1, 0, 1, 0x22, 65, 0,
	7, 5, 0x81, 3, 8, 0, 10,
};
/* clang-format on */

static void note(struct mock *mock, const char *what, int number)
{
	size_t used = strlen(mock->log);
	char text[64];

	if (number < 0)
		snprintf(text, sizeof(text), "%s ", what);
	else
		snprintf(text, sizeof(text), "%s%d ", what, number);
	if (used + strlen(text) < sizeof(mock->log))
		memcpy(mock->log + used, text, strlen(text) + 1);
}

static void answer(UMockdevIoctlClient *client, int error)
{
	umockdev_ioctl_client_complete(client, error ? -1 : 0, error);
}

static void finish(struct mock_urb *u, int status, const void *data, int len)
{
	struct usbdevfs_urb *urb = (void *)u->urb->data;
	int offset = urb->type == USBDEVFS_URB_TYPE_CONTROL ? 8 : 0;

	for (int i = 0; urb->type == USBDEVFS_URB_TYPE_ISO && status && i < urb->number_of_packets;
	     i++)
		urb->iso_frame_desc[i].status = (unsigned)status;
	if (len > urb->buffer_length - offset)
		len = urb->buffer_length - offset;
	if (data && len)
		memcpy(u->buffer->data + offset, data, (size_t)len);
	urb->status = status;
	urb->actual_length = len;
	u->done = true;
}

/* What the device answers to a control request. */
static void control(struct mock *mock, struct mock_urb *u)
{
	const uint8_t *setup = u->buffer->data;
	int length = setup[6] | setup[7] << 8;

	mock->control_length = length;
	if (setup[0] == 0x40) {
		finish(u, 0, NULL, length);
	} else if (setup[0] == 0x80 && setup[1] == 6 && setup[3] == 1) {
		finish(u, 0, descriptors, length < 18 ? length : 18);
	} else if (setup[0] == 0x21 && setup[1] == 9) {
		mock->leds = setup[8];
		finish(u, 0, NULL, length);
	} else {
		finish(u, -EPIPE, NULL, 0);
	}
}

/*
 * A struct usbdevfs_urb with the packets behind it. The handler's thread is in the process of its
 * client, who waits for it by a way that ThreadSanitizer doesn't see.
 */
__attribute__((noinline, no_sanitize("thread"))) static size_t urb_size(UMockdevIoctlData *arg)
{
	const struct usbdevfs_urb *theirs;

	memcpy(&theirs, arg->data, sizeof(theirs));
	return sizeof(*theirs) +
	       (theirs->type == USBDEVFS_URB_TYPE_ISO
			? (size_t)theirs->number_of_packets * sizeof(theirs->iso_frame_desc[0])
			: 0);
}

/* As usbfs: no more than 128 packets, and their lengths are the buffer's. */
static bool sound_packets(const struct usbdevfs_urb *urb)
{
	unsigned total = 0;

	if (urb->type != USBDEVFS_URB_TYPE_ISO)
		return true;
	for (int i = 0; i < urb->number_of_packets; i++)
		total += urb->iso_frame_desc[i].length;
	return urb->number_of_packets > 0 && urb->number_of_packets <= 128 &&
	       total == (unsigned)urb->buffer_length && urb->flags & USBDEVFS_URB_ISO_ASAP;
}

static int submit(struct mock *mock, UMockdevIoctlData *arg)
{
	struct usbdevfs_urb *urb;
	struct mock_urb *u;

	if (mock->submit_errno)
		return mock->submit_errno;
	if (mock->n_urbs == MOCK_MAX_URBS)
		return ENOMEM;
	u = &mock->urbs[mock->n_urbs++];
	u->urb = umockdev_ioctl_data_resolve(arg, 0, urb_size(arg), NULL);
	urb = (void *)u->urb->data;
	if (!sound_packets(urb)) {
		g_clear_object(&u->urb);
		mock->n_urbs--;
		return EINVAL;
	}
	u->buffer = umockdev_ioctl_data_resolve(u->urb, offsetof(struct usbdevfs_urb, buffer),
						(size_t)urb->buffer_length, NULL);
	u->done = false;
	mock->n_submitted++;
	if (urb->type == USBDEVFS_URB_TYPE_CONTROL)
		control(mock, u);
	else if (!(urb->endpoint & 0x80) && urb->type != USBDEVFS_URB_TYPE_ISO)
		finish(u, 0, NULL, urb->buffer_length);
	return 0;
}

static void drop_urb(struct mock *mock, unsigned i)
{
	g_clear_object(&mock->urbs[i].buffer);
	g_clear_object(&mock->urbs[i].urb);
	mock->n_urbs--;
	memmove(&mock->urbs[i], &mock->urbs[i + 1], (mock->n_urbs - i) * sizeof(mock->urbs[0]));
}

static void reap(struct mock *mock, UMockdevIoctlClient *client, UMockdevIoctlData *arg)
{
	for (unsigned i = 0; i < mock->n_urbs; i++) {
		UMockdevIoctlData *pointer;

		if (!mock->urbs[i].done)
			continue;
		pointer = umockdev_ioctl_data_resolve(arg, 0, sizeof(void *), NULL);
		umockdev_ioctl_data_set_ptr(pointer, 0, mock->urbs[i].urb);
		answer(client, 0);
		g_object_unref(pointer);
		drop_urb(mock, i);
		return;
	}
	answer(client, EAGAIN);
}

static int discard(struct mock *mock, UMockdevIoctlData *arg)
{
	gulong address;

	memcpy(&address, arg->data, sizeof(address));
	for (unsigned i = 0; i < mock->n_urbs; i++) {
		if (mock->urbs[i].urb->client_addr == address && !mock->urbs[i].done) {
			finish(&mock->urbs[i], -ENOENT, NULL, 0);
			mock->n_discarded++;
			return 0;
		}
	}
	return EINVAL;
}

/* The kernel kills what belongs to an interface that is released or set, or, at a reset, all (-1).
 */
static void kill_urbs(struct mock *mock, int interface)
{
	for (unsigned i = 0; i < mock->n_urbs; i++) {
		struct usbdevfs_urb *urb = (void *)mock->urbs[i].urb->data;
		int of = urb->type == USBDEVFS_URB_TYPE_BULK || urb->type == USBDEVFS_URB_TYPE_ISO;

		if (!mock->urbs[i].done && (interface < 0 || interface == of)) {
			note(mock, "KILLED", -1);
			finish(&mock->urbs[i], -ENOENT, NULL, 0);
		}
	}
}

/* GET_CONFIGURATION, and GET_DESCRIPTOR of the keyboard's reports. */
static void control_now(struct mock *mock, UMockdevIoctlClient *client, UMockdevIoctlData *arg)
{
	/* What boot_keyboard is, and an item that means nothing. */
	static const uint8_t more[] = {0x05, 0x01};
	UMockdevIoctlData *c, *data;
	struct usbdevfs_ctrltransfer *t;
	uint8_t answer_bytes[sizeof(boot_keyboard) + sizeof(more)];
	size_t n = 0;

	c = umockdev_ioctl_data_resolve(arg, 0, sizeof(*t), NULL);
	t = (void *)c->data;
	if (t->bRequestType == 0x80 && t->bRequest == 8) {
		answer_bytes[0] = mock->configuration;
		n = mock->get_configuration_errno ? 0 : 1;
	} else if (t->bRequestType == 0x81 && t->bRequest == 6 && t->wValue == 0x2200 &&
		   t->wIndex == mock->keyboard) {
		note(mock, mock->report_descriptor_errno ? "noreports" : "reports", t->wIndex);
		if (!mock->report_descriptor_errno) {
			memcpy(answer_bytes, boot_keyboard, sizeof(boot_keyboard));
			memcpy(answer_bytes + sizeof(boot_keyboard), more, sizeof(more));
			n = sizeof(answer_bytes) - (size_t)mock->report_descriptor_cut;
		}
	}
	if (!n) {
		answer(client, EPIPE);
	} else {
		n = n < t->wLength ? n : t->wLength;
		data = umockdev_ioctl_data_resolve(c, offsetof(struct usbdevfs_ctrltransfer, data),
						   t->wLength, NULL);
		memcpy(data->data, answer_bytes, n);
		umockdev_ioctl_client_complete(client, (int)n, 0);
		g_object_unref(data);
	}
	g_object_unref(c);
}

/* Calls whose argument is one struct, to be read or written. */
static int with_argument(struct mock *mock, gulong request, UMockdevIoctlData *arg)
{
	UMockdevIoctlData *d = umockdev_ioctl_data_resolve(arg, 0, _IOC_SIZE(request), NULL);
	struct usbdevfs_setinterface *set = (void *)d->data;
	struct usbdevfs_connectinfo *info = (void *)d->data;
	struct usbdevfs_disconnect_claim *claim = (void *)d->data;
	unsigned number = 0;
	int r = 0;

	if (_IOC_SIZE(request) == sizeof(number))
		memcpy(&number, d->data, sizeof(number));
	switch (request) {
	case USBDEVFS_GET_CAPABILITIES:
		number = USBDEVFS_CAP_BULK_SCATTER_GATHER | USBDEVFS_CAP_NO_PACKET_SIZE_LIM |
			 USBDEVFS_CAP_REAP_AFTER_DISCONNECT | USBDEVFS_CAP_ZERO_PACKET;
		memcpy(d->data, &number, sizeof(number));
		break;
	case USBDEVFS_CONNECTINFO:
		info->devnum = 2;
		info->slow = 0;
		break;
	case USBDEVFS_DISCONNECT_CLAIM:
		note(mock, mock->claim_errno ? "busy" : "claim", (int)claim->interface);
		/* usbfs has a bit for each interface in a long. */
		r = claim->interface >= 64 ? EINVAL : mock->claim_errno;
		break;
	case USBDEVFS_CLAIMINTERFACE:
		note(mock, "claim", (int)number);
		r = mock->claim_errno;
		break;
	case USBDEVFS_RELEASEINTERFACE:
		note(mock, "release", (int)number);
		kill_urbs(mock, (int)number);
		break;
	case USBDEVFS_SETCONFIGURATION:
		note(mock, number == UINT32_MAX ? "unconfigured" : "configuration",
		     number == UINT32_MAX ? -1 : (int)number);
		r = mock->set_configuration_errno;
		if (!r)
			mock->configuration = number == UINT32_MAX ? 0 : (uint8_t)number;
		break;
	case USBDEVFS_SETINTERFACE:
		note(mock, "setting", (int)(set->interface * 10 + set->altsetting));
		kill_urbs(mock, (int)set->interface);
		r = mock->set_interface_errno;
		break;
	case USBDEVFS_CLEAR_HALT:
		note(mock, "unhalt", (int)number);
		break;
	default:
		r = ENOTTY;
	}
	g_object_unref(d);
	return r;
}

static gboolean on_ioctl(UMockdevIoctlBase *base, UMockdevIoctlClient *client, gpointer ctx)
{
	struct mock *mock = ctx;
	gulong request = umockdev_ioctl_client_get_request(client);
	UMockdevIoctlData *arg = umockdev_ioctl_client_get_arg(client);

	pthread_mutex_lock(&mock->lock);
	switch (request) {
	case USBDEVFS_SUBMITURB:
		answer(client, submit(mock, arg));
		break;
	case USBDEVFS_REAPURB:
	case USBDEVFS_REAPURBNDELAY:
		reap(mock, client, arg);
		break;
	case USBDEVFS_DISCARDURB:
		answer(client, discard(mock, arg));
		break;
	case USBDEVFS_CONTROL:
		control_now(mock, client, arg);
		break;
	case USBDEVFS_RESET:
		note(mock, "reset", -1);
		kill_urbs(mock, -1);
		answer(client, mock->reset_errno);
		break;
	case USBDEVFS_GET_SPEED:
		umockdev_ioctl_client_complete(client, 2, 0);
		break;
	case USBDEVFS_GET_CAPABILITIES:
	case USBDEVFS_CONNECTINFO:
	case USBDEVFS_DISCONNECT_CLAIM:
	case USBDEVFS_CLAIMINTERFACE:
	case USBDEVFS_RELEASEINTERFACE:
	case USBDEVFS_SETCONFIGURATION:
	case USBDEVFS_SETINTERFACE:
	case USBDEVFS_CLEAR_HALT:
		answer(client, with_argument(mock, request, arg));
		break;
	default:
		answer(client, ENOTTY);
	}
	pthread_mutex_unlock(&mock->lock);
	return TRUE;
}

/* One device on bus 1, number 2, whose usbfs node tells these bytes. */
void mock_new_of(struct mock *mock, const void *node, size_t len, uint8_t configuration)
{
	char *text = malloc(512 + 2 * len), *p = text;
	GError *error = NULL;

	memset(mock, 0, sizeof(*mock));
	pthread_mutex_init(&mock->lock, NULL);
	mock->configuration = configuration;
	mock->testbed = umockdev_testbed_new();
	mock->handler = umockdev_ioctl_base_new();
	g_signal_connect_after(mock->handler, "handle-ioctl", G_CALLBACK(on_ioctl), mock);
	if (!umockdev_testbed_attach_ioctl(mock->testbed, NODE, mock->handler, &error))
		abort();
	p += sprintf(p, "P: /devices/usb1/1-1\nN: bus/usb/001/002=");
	for (size_t i = 0; i < len; i++)
		p += sprintf(p, "%02X", ((const uint8_t *)node)[i]);
	sprintf(p, "\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\nE: DEVNAME=" NODE "\n"
		   "E: BUSNUM=001\nE: DEVNUM=002\n");
	if (!umockdev_testbed_add_from_string(mock->testbed, text, &error))
		abort();
	free(text);
}

/* The device above, with these numbers. */
void mock_new(struct mock *mock, uint16_t vendor, uint16_t product)
{
	descriptors[8] = (uint8_t)vendor;
	descriptors[9] = (uint8_t)(vendor >> 8);
	descriptors[10] = (uint8_t)product;
	descriptors[11] = (uint8_t)(product >> 8);
	mock_new_of(mock, descriptors, sizeof(descriptors), 1);
}

void mock_free(struct mock *mock)
{
	umockdev_testbed_detach_ioctl(mock->testbed, NODE, NULL);
	while (mock->n_urbs)
		drop_urb(mock, mock->n_urbs - 1);
	g_clear_object(&mock->handler);
	g_clear_object(&mock->testbed);
	pthread_mutex_destroy(&mock->lock);
}

int mock_open(void)
{
	return open(NODE, O_RDWR | O_CLOEXEC);
}

/* The keyboard sends a report; false where nobody listens. */
bool mock_report(struct mock *mock, const uint8_t report[8])
{
	bool heard = false;

	pthread_mutex_lock(&mock->lock);
	for (unsigned i = 0; i < mock->n_urbs && !heard; i++) {
		struct usbdevfs_urb *urb = (void *)mock->urbs[i].urb->data;

		if (mock->urbs[i].done || urb->type != USBDEVFS_URB_TYPE_INTERRUPT)
			continue;
		finish(&mock->urbs[i], 0, report, 8);
		heard = true;
	}
	pthread_mutex_unlock(&mock->lock);
	return heard;
}

/* A key is pressed; false where nobody listens. */
bool mock_key(struct mock *mock, uint8_t key)
{
	const uint8_t report[8] = {[2] = key};

	return mock_report(mock, report);
}

/* The oldest isochronous URB's time comes; false where there is none. Of packets in, each fifth is
 * lost, others have up to two bytes less than there is room for, all bytes counted up; bytes out
 * are kept. */
bool mock_packets(struct mock *mock)
{
	bool found = false;

	pthread_mutex_lock(&mock->lock);
	for (unsigned i = 0; i < mock->n_urbs && !found; i++) {
		struct usbdevfs_urb *urb = (void *)mock->urbs[i].urb->data;
		uint8_t *at = mock->urbs[i].buffer->data;

		if (mock->urbs[i].done || urb->type != USBDEVFS_URB_TYPE_ISO)
			continue;
		for (int k = 0; k < urb->number_of_packets; k++) {
			struct usbdevfs_iso_packet_desc *d = &urb->iso_frame_desc[k];

			d->actual_length = d->length;
			d->status = 0;
			if (!(urb->endpoint & 0x80)) {
				for (unsigned b = 0; b < d->length; b++)
					mock->out[mock->n_out++ % sizeof(mock->out)] = at[b];
			} else if (mock->n_packets++ % 5 == 4) {
				d->actual_length = 0;
				d->status = (unsigned)-EXDEV;
			} else {
				d->actual_length -= mock->n_packets % 3;
				for (unsigned b = 0; b < d->actual_length; b++)
					at[b] = mock->next_byte++;
			}
			at += d->length;
		}
		urb->status = 0;
		mock->urbs[i].done = found = true;
	}
	pthread_mutex_unlock(&mock->lock);
	return found;
}

/* As the kernel at unplugging: what is under way comes back, nothing new is taken. */
void mock_unplug(struct mock *mock)
{
	pthread_mutex_lock(&mock->lock);
	for (unsigned i = 0; i < mock->n_urbs; i++) {
		if (!mock->urbs[i].done)
			finish(&mock->urbs[i], -ESHUTDOWN, NULL, 0);
	}
	mock->submit_errno = ENODEV;
	mock->reset_errno = ENODEV;
	pthread_mutex_unlock(&mock->lock);
}

void mock_set(struct mock *mock, int *field, int value)
{
	pthread_mutex_lock(&mock->lock);
	*field = value;
	pthread_mutex_unlock(&mock->lock);
}

bool mock_logged(struct mock *mock, const char *what)
{
	bool there;

	pthread_mutex_lock(&mock->lock);
	there = strstr(mock->log, what) != NULL;
	pthread_mutex_unlock(&mock->lock);
	return there;
}

void mock_forget(struct mock *mock)
{
	pthread_mutex_lock(&mock->lock);
	mock->log[0] = '\0';
	pthread_mutex_unlock(&mock->lock);
}
