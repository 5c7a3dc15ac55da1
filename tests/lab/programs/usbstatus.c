// SPDX-License-Identifier: BSD-2-Clause
/*
 * usbstatus - how transfers with awkward.c end, by usbfs: the same lines wherever the device is.
 *
 *	usbstatus SERIAL [CASE]		each case by itself, "CASE: WHAT" a line, "done" at the end
 *	usbstatus SERIAL vanish		a read in flight: "waiting", and its line once the device
 *					has gone
 *
 * A line has what each step came to: a URB's status and bytes as -32/0, or what a call gave back,
 * as -32. Numbers are Linux's. What was wrong beside that is said in words.
 */
#include <errno.h>
#include <linux/usb/ch9.h>
#include <linux/usbdevice_fs.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "by-serial.h"

/* As in awkward.c. */
enum { SEND = 1, TAKE, HALT, DONE, SHORT, REFUSE, IGNORE };
enum { BULK_IN = 1, BULK_OUT, INTERRUPT_IN, ENDPOINTS = INTERRUPT_IN };

#define MOST	   65536
#define SETUP_SIZE 8
#define LIMIT_MS   30000
#define BRIEF_MS   500 /* for what never comes */

static int fd;
static unsigned char addresses[ENDPOINTS + 1]; /* which the gadget's controller has chosen */
static unsigned char data[MOST], answer[1024];

/* The endpoints in the order of the descriptors. */
static int find_endpoints(void)
{
	unsigned char all[1024];
	ssize_t size = read(fd, all, sizeof(all));
	int found = 0;

	for (ssize_t at = 0; at + 2 < size && all[at] > 1 && found < ENDPOINTS; at += all[at])
		if (all[at + 1] == USB_DT_ENDPOINT)
			addresses[++found] = all[at + 2];
	return found == ENDPOINTS ? 0 : -1;
}

/* A control request: bytes that came, or a negative errno. */
static int control(uint8_t type, uint8_t request, uint16_t value, uint16_t index, uint16_t length,
		   unsigned int ms)
{
	struct usbdevfs_ctrltransfer c = {type, request, value, index, length, ms, answer};
	int r = ioctl(fd, USBDEVFS_CONTROL, &c);

	return r < 0 ? -errno : r;
}

/* Tells the device what to do; that must work. */
static void tell(uint8_t request, int endpoint, uint16_t value)
{
	int r = control(0x41, (uint8_t)(endpoint << 4 | request), value, 0, 0, LIMIT_MS);

	if (r < 0) {
		printf(" [request %d of endpoint %d: %d]\n", request, endpoint, r);
		exit(1);
	}
}

static uint32_t moves_done(void)
{
	uint32_t done = 0;

	if (control(0xc1, DONE, 0, 0, sizeof(done), LIMIT_MS) == sizeof(done))
		memcpy(&done, answer, sizeof(done));
	return done;
}

static int submit(struct usbdevfs_urb *urb, uint8_t type, int endpoint, int length,
		  unsigned int flags)
{
	*urb = (struct usbdevfs_urb){.type = type,
				     .endpoint = addresses[endpoint],
				     .flags = flags,
				     .buffer = data,
				     .buffer_length = length};
	memset(data, 0xff, sizeof(data));
	if (ioctl(fd, USBDEVFS_SUBMITURB, urb)) {
		printf(" submit %d", -errno);
		return -1;
	}
	return 0;
}

static bool came(int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, ms) > 0;
}

/* How it ended, with its bytes, which must be the device's own. */
static void reap(struct usbdevfs_urb *urb, int from)
{
	struct usbdevfs_urb *reaped = NULL;
	int wrong = 0;

	if (!came(LIMIT_MS) || ioctl(fd, USBDEVFS_REAPURBNDELAY, &reaped) || reaped != urb) {
		printf(" not reaped %d", -errno);
		return;
	}
	for (int i = 0; i < urb->actual_length && urb->endpoint & 0x80; i++)
		wrong += data[from + i] != i % 251;
	printf(" %d/%d", urb->status, urb->actual_length);
	if (wrong)
		printf(" [%d bytes differ]", wrong);
}

static void transfer(int endpoint, int length, unsigned int flags)
{
	struct usbdevfs_urb urb;

	if (!submit(&urb,
		    endpoint == INTERRUPT_IN ? USBDEVFS_URB_TYPE_INTERRUPT : USBDEVFS_URB_TYPE_BULK,
		    endpoint, length, flags))
		reap(&urb, 0);
}

/* It must come to nothing by itself, and then be taken back. */
static void take_back(struct usbdevfs_urb *urb)
{
	if (came(BRIEF_MS))
		printf(" early");
	else if (ioctl(fd, USBDEVFS_DISCARDURB, urb))
		printf(" discard %d", -errno);
	reap(urb, 0);
}

static void clear_halt(int endpoint)
{
	unsigned int number = addresses[endpoint];

	if (ioctl(fd, USBDEVFS_CLEAR_HALT, &number))
		printf(" clear %d", -errno);
}

static void in(int sent, int length, unsigned int flags)
{
	tell(SEND, BULK_IN, (uint16_t)sent);
	transfer(BULK_IN, length, flags);
}

static void in_short(void)
{
	in(100, 512, 0);
}
static void in_short_not_ok(void)
{
	in(100, 512, USBDEVFS_URB_SHORT_NOT_OK);
	in(512, 512, USBDEVFS_URB_SHORT_NOT_OK);
}
static void in_long_short_not_ok(void)
{
	in(5000, 8192, USBDEVFS_URB_SHORT_NOT_OK);
}
static void in_whole(void)
{
	in(512, 512, 0);
	in(20000, 20000, 0);
}
static void in_babble(void)
{
	in(512, 100, 0);
	in(64, 64, 0);
}
static void in_babble_later(void)
{
	in(1024, 700, 0);
	in(64, 64, 0);
}

static void in_stall(void)
{
	tell(HALT, BULK_IN, 0);
	transfer(BULK_IN, 512, 0);
	transfer(BULK_IN, 512, 0);
	clear_halt(BULK_IN);
	in(10, 512, 0);
}

static void in_never(void)
{
	struct usbdevfs_bulktransfer bulk = {addresses[BULK_IN], 512, BRIEF_MS, data};
	struct usbdevfs_urb urb;
	int r = ioctl(fd, USBDEVFS_BULK, &bulk);

	printf(" %d", r < 0 ? -errno : r);
	if (!submit(&urb, USBDEVFS_URB_TYPE_BULK, BULK_IN, 512, 0))
		take_back(&urb);
	in(10, 512, 0);
}

/* Two packets of a larger read, then nothing: they are there after the read is taken back. */
static void in_half(void)
{
	uint32_t before = moves_done();
	struct usbdevfs_urb urb;

	if (submit(&urb, USBDEVFS_URB_TYPE_BULK, BULK_IN, 4096, 0))
		return;
	tell(SEND, BULK_IN, 1024);
	while (moves_done() == before)
		usleep(10000);
	take_back(&urb);
	in(10, 512, 0);
}

static void out_whole(void)
{
	tell(TAKE, BULK_OUT, 4096);
	transfer(BULK_OUT, 4096, 0);
	tell(TAKE, BULK_OUT, 512);
	transfer(BULK_OUT, 100, USBDEVFS_URB_ZERO_PACKET);
}

static void out_stall(void)
{
	tell(HALT, BULK_OUT, 0);
	transfer(BULK_OUT, 512, 0);
	clear_halt(BULK_OUT);
	tell(TAKE, BULK_OUT, 512);
	transfer(BULK_OUT, 512, 0);
}

static void out_never(void)
{
	struct usbdevfs_urb urb;

	if (!submit(&urb, USBDEVFS_URB_TYPE_BULK, BULK_OUT, 4096, 0))
		take_back(&urb);
	tell(TAKE, BULK_OUT, 512);
	transfer(BULK_OUT, 512, 0);
}

static void interrupt(void)
{
	struct usbdevfs_urb urb;

	tell(SEND, INTERRUPT_IN, 8);
	transfer(INTERRUPT_IN, 64, 0);
	tell(SEND, INTERRUPT_IN, 8);
	transfer(INTERRUPT_IN, 64, USBDEVFS_URB_SHORT_NOT_OK);
	tell(SEND, INTERRUPT_IN, 64);
	transfer(INTERRUPT_IN, 8, 0);
	if (!submit(&urb, USBDEVFS_URB_TYPE_INTERRUPT, INTERRUPT_IN, 64, 0))
		take_back(&urb);
	tell(HALT, INTERRUPT_IN, 0);
	transfer(INTERRUPT_IN, 64, 0);
	clear_halt(INTERRUPT_IN);
	tell(SEND, INTERRUPT_IN, 64);
	transfer(INTERRUPT_IN, 64, 0);
}

static void control_short(void)
{
	printf(" %d", control(0xc1, SHORT, 10, 0, 64, LIMIT_MS));
}
static void control_none(void)
{
	printf(" %d", control(0xc1, SHORT, 0, 0, 64, LIMIT_MS));
}

static void control_stall(void)
{
	printf(" %d", control(0xc1, REFUSE, 0, 0, 64, LIMIT_MS));
	printf(" %d", control(0x41, REFUSE, 0, 0, 0, LIMIT_MS));
	printf(" %d", control(0x41, REFUSE, 0, 0, 8, LIMIT_MS));
	control_short();
}

static void control_never(void)
{
	printf(" %d", control(0xc1, IGNORE, 0, 0, 64, BRIEF_MS));
	control_short();
	printf(" %d", control(0x41, IGNORE, 0, 0, 0, BRIEF_MS));
	control_short();
}

static void control_urb(void)
{
	struct usbdevfs_urb urb = {.type = USBDEVFS_URB_TYPE_CONTROL,
				   .flags = USBDEVFS_URB_SHORT_NOT_OK,
				   .buffer = data,
				   .buffer_length = SETUP_SIZE + 64};
	const unsigned char setup[SETUP_SIZE] = {0xc1, SHORT, 10, 0, 0, 0, 64, 0};

	memcpy(data, setup, sizeof(setup));
	urb.endpoint = 0x80;
	if (ioctl(fd, USBDEVFS_SUBMITURB, &urb))
		printf(" submit %d", -errno);
	else
		reap(&urb, SETUP_SIZE);
}

static const struct {
	const char *name;
	void (*does)(void);
} cases[] = {
	{"in-whole", in_whole},
	{"in-short", in_short},
	{"in-short-not-ok", in_short_not_ok},
	{"in-long-short-not-ok", in_long_short_not_ok},
	{"in-stall", in_stall},
	{"in-never", in_never},
	{"in-half", in_half},
	{"in-babble", in_babble},
	{"in-babble-later", in_babble_later},
	{"out-whole", out_whole},
	{"out-stall", out_stall},
	{"out-never", out_never},
	{"interrupt", interrupt},
	{"control-short", control_short},
	{"control-none", control_none},
	{"control-urb-short-not-ok", control_urb},
	{"control-stall", control_stall},
	{"control-never", control_never},
	{"in-whole-again", in_whole},
};

int main(int argc, char **argv)
{
	unsigned int interface = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = argc > 1 ? open_device(argv[1]) : -1;
	if (fd < 0 || find_endpoints() || ioctl(fd, USBDEVFS_CLAIMINTERFACE, &interface)) {
		perror("no such device");
		return 1;
	}
	if (argc > 2 && !strcmp(argv[2], "vanish")) {
		struct usbdevfs_urb urb;

		if (submit(&urb, USBDEVFS_URB_TYPE_BULK, BULK_IN, 512, 0))
			return 1;
		puts("waiting");
		printf("vanish:");
		reap(&urb, 0);
		printf(" %d\n", control(0xc1, SHORT, 10, 0, 64, LIMIT_MS));
		return 0;
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (argc > 2 && strcmp(argv[2], cases[i].name))
			continue;
		printf("%s:", cases[i].name);
		cases[i].does();
		putchar('\n');
	}
	puts("done");
	return 0;
}
