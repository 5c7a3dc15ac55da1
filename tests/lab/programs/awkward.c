// SPDX-License-Identifier: BSD-2-Clause
/*
 * awkward - the device behind a FunctionFS mount that does what it is told, above all what drivers
 * don't like.
 *
 *	awkward MOUNT		prints "ready" once the gadget may be bound; runs until killed
 *
 * Endpoints:
 *	1	bulk IN
 *	2	bulk OUT
 *	3	interrupt IN
 *
 * What to do comes as vendor requests to its interface: wValue is a number of bytes, bRequest is
 * the endpoint times 16 plus one of the enum. What is sent is 0, 1, 2 … 250, and again from 0.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/usb/functionfs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SEND = 1,   /* OUT: have wValue bytes ready on an IN endpoint */
	TAKE = 2,   /* OUT: take up to wValue bytes from the OUT endpoint */
	HALT = 3,   /* OUT: stall the endpoint until the host clears it */
	DONE = 4,   /* IN: how many SEND and TAKE are over, four bytes */
	SHORT = 5,  /* IN: answer with wValue bytes, however many are asked for */
	REFUSE = 6, /* stall the request */
	IGNORE = 7, /* never answer it */
};

#define MOST		65536
#define ENDPOINTS	3
#define IGNORED_SECONDS 3

struct move {
	int fd;
	bool in;
	size_t length;
};

struct descriptors {
	struct usb_interface_descriptor interface;
	struct usb_endpoint_descriptor_no_audio endpoints[ENDPOINTS];
} __attribute__((packed));

static struct {
	struct usb_functionfs_descs_head_v2 head;
	__le32 full_count, high_count;
	struct descriptors full, high;
} __attribute__((packed)) descriptors;

static struct {
	struct usb_functionfs_strings_head head;
	__le16 code;
	char text[8];
} __attribute__((packed)) strings;

static atomic_uint moves_done;
static int endpoint_fds[ENDPOINTS + 1];

static void fill(struct descriptors *d, uint16_t bulk_size)
{
	static const struct {
		uint8_t address, type, interval;
	} ends[ENDPOINTS] = {
		{1 | USB_DIR_IN, USB_ENDPOINT_XFER_BULK, 0},
		{2, USB_ENDPOINT_XFER_BULK, 0},
		{3 | USB_DIR_IN, USB_ENDPOINT_XFER_INT, 4},
	};

	d->interface = (struct usb_interface_descriptor){
		.bLength = sizeof(d->interface),
		.bDescriptorType = USB_DT_INTERFACE,
		.bNumEndpoints = ENDPOINTS,
		.bInterfaceClass = USB_CLASS_VENDOR_SPEC,
		.iInterface = 1,
	};
	for (int i = 0; i < ENDPOINTS; i++)
		d->endpoints[i] = (struct usb_endpoint_descriptor_no_audio){
			.bLength = sizeof(d->endpoints[i]),
			.bDescriptorType = USB_DT_ENDPOINT,
			.bEndpointAddress = ends[i].address,
			.bmAttributes = ends[i].type,
			.wMaxPacketSize =
				htole16(ends[i].type == USB_ENDPOINT_XFER_BULK ? bulk_size : 64),
			.bInterval = ends[i].interval,
		};
}

static void *move(void *argument)
{
	struct move *m = argument;
	uint8_t *data = calloc(1, MOST);

	for (size_t i = 0; i < MOST; i++)
		data[i] = i % 251;
	if ((m->in ? write(m->fd, data, m->length) : read(m->fd, data, m->length)) >= 0)
		moves_done++;
	free(data);
	free(m);
	return NULL;
}

static void start(int endpoint, bool in, size_t length)
{
	struct move *m = malloc(sizeof(*m));
	pthread_t thread;

	*m = (struct move){endpoint_fds[endpoint], in, length};
	if (!pthread_create(&thread, NULL, move, m))
		pthread_detach(thread);
}

/* One request of the host's. Reading an IN request's data, or writing an OUT one's, is how
 * FunctionFS stalls it. */
static void serve(int ep0, const struct usb_ctrlrequest *setup)
{
	uint16_t length = le16toh(setup->wLength), value = le16toh(setup->wValue);
	int endpoint = setup->bRequest >> 4, request = setup->bRequest & 0xf;
	bool in = setup->bRequestType & USB_DIR_IN;
	uint8_t data[1024] = {0};
	uint32_t done = moves_done;
	ssize_t n = 0;

	if (request == IGNORE) {
		/* Touched before the host has given up, it would be stalled. */
		sleep(IGNORED_SECONDS);
		return;
	}
	if (endpoint > ENDPOINTS || request == REFUSE) {
		n = in ? read(ep0, data, 0) : write(ep0, data, 0);
	} else if (in) {
		size_t have = request == DONE ? sizeof(done) : value;

		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = i % 251;
		if (request == DONE)
			memcpy(data, &done, sizeof(done));
		n = write(ep0, data, have < length ? have : length);
	} else {
		if (request == HALT) /* the wrong way, likewise */
			n = endpoint == 2 ? write(endpoint_fds[2], data, 1)
					  : read(endpoint_fds[endpoint], data, 1);
		else
			start(endpoint, endpoint != 2, value);
		n = read(ep0, data, length);
	}
	if (n < 0 && errno != EL2HLT && errno != EIDRM && errno != EBADMSG)
		perror("a request");
}

int main(int argc, char **argv)
{
	struct usb_functionfs_event event;
	char path[256];
	int ep0;

	if (argc != 2)
		return 2;
	snprintf(path, sizeof(path), "%s/ep0", argv[1]);
	ep0 = open(path, O_RDWR);
	descriptors.head = (struct usb_functionfs_descs_head_v2){
		htole32(FUNCTIONFS_DESCRIPTORS_MAGIC_V2), htole32(sizeof(descriptors)),
		htole32(FUNCTIONFS_HAS_FS_DESC | FUNCTIONFS_HAS_HS_DESC)};
	descriptors.full_count = descriptors.high_count = htole32(1 + ENDPOINTS);
	fill(&descriptors.full, 64);
	fill(&descriptors.high, 512);
	strings.head = (struct usb_functionfs_strings_head){htole32(FUNCTIONFS_STRINGS_MAGIC),
							    htole32(sizeof(strings)), htole32(1),
							    htole32(1)};
	strings.code = htole16(0x0409);
	memcpy(strings.text, "awkward", sizeof(strings.text));
	if (ep0 < 0 || write(ep0, &descriptors, sizeof(descriptors)) < 0 ||
	    write(ep0, &strings, sizeof(strings)) < 0) {
		perror(path);
		return 1;
	}
	for (int i = 1; i <= ENDPOINTS; i++) {
		snprintf(path, sizeof(path), "%s/ep%d", argv[1], i);
		endpoint_fds[i] = open(path, O_RDWR);
		if (endpoint_fds[i] < 0) {
			perror(path);
			return 1;
		}
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (read(ep0, &event, sizeof(event)) == sizeof(event)) {
			if (event.type == FUNCTIONFS_SETUP)
				serve(ep0, &event.u.setup);
		} else if (errno != EIDRM && errno != EINTR) { /* the host took its request back */
			break;
		}
	}
	perror("ep0");
	return 1;
}
