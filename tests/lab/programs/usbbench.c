// SPDX-License-Identifier: BSD-2-Clause
/*
 * usbbench - what tests/bench/usb does at either end of a USB device, timed where it is done.
 *
 *	usbbench read FILE SIZE COUNT	COUNT reads of SIZE bytes, one after the other, past the
 *					page cache
 *	usbbench echo EVENT		each key that goes down or up switches the LED "caps lock"
 *					on or off, for ever; prints "ready" at first
 *	usbbench press HIDG COUNT	a gadget's end: COUNT times a report (the key A down, up,
 *					down …), each followed by the LED report that the echo
 *					causes
 *
 * Prints "ok MICROSECONDS", or "error TEXT" and ends with 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEY_CODE_A   4	  /* HID usage of the key, as in the boot keyboard's report */
#define LED_CAPS     0x02 /* its bit in the LED report */
#define REPLY_MS     60000
#define REPORT_BYTES 8

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("error ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	exit(1);
}

static long long now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ll + ts.tv_nsec / 1000;
}

static int open_or_fail(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	return fd;
}

static void read_file(const char *path, size_t size, int count)
{
	int fd = open_or_fail(path, O_RDONLY | O_DIRECT);
	long long began;
	void *buffer;

	if (posix_memalign(&buffer, 4096, size))
		fail("no memory");
	began = now_us();
	for (int i = 0; i < count; i++) {
		ssize_t n = read(fd, buffer, size);

		if (n != (ssize_t)size)
			fail("%s: read %d of %zu bytes gave %zd: %s", path, i, size, n,
			     n < 0 ? strerror(errno) : "short");
	}
	printf("ok %lld\n", now_us() - began);
}

static void echo(const char *path)
{
	int fd = open_or_fail(path, O_RDWR);
	struct input_event ev;

	printf("ready\n");
	fflush(stdout);
	while (read(fd, &ev, sizeof(ev)) == sizeof(ev)) {
		struct input_event led = {.type = EV_LED, .code = LED_CAPSL, .value = ev.value};

		if (ev.type != EV_KEY || ev.value > 1)
			continue;
		if (write(fd, &led, sizeof(led)) != sizeof(led))
			fail("%s: the LED: %s", path, strerror(errno));
	}
	fail("%s: has gone", path);
}

static void press(const char *path, int count)
{
	int fd = open_or_fail(path, O_RDWR | O_NONBLOCK);
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	unsigned char report[REPORT_BYTES] = {0}, led;
	long long began;

	while (read(fd, &led, 1) == 1)
		continue;
	began = now_us();
	for (int i = 0; i < count; i++) {
		int wanted = i % 2 ? 0 : LED_CAPS;

		report[2] = i % 2 ? 0 : KEY_CODE_A;
		while (write(fd, report, sizeof(report)) < 0) {
			struct pollfd room = {.fd = fd, .events = POLLOUT};

			if (errno != EAGAIN)
				fail("%s: report %d: %s", path, i, strerror(errno));
			if (poll(&room, 1, REPLY_MS) <= 0)
				fail("report %d is not fetched", i);
		}
		do {
			if (poll(&ready, 1, REPLY_MS) <= 0)
				fail("no LED report follows report %d", i);
			if (read(fd, &led, 1) != 1)
				fail("%s: LED %d: %s", path, i, strerror(errno));
		} while ((led & LED_CAPS) != wanted);
	}
	printf("ok %lld\n", now_us() - began);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (!strcmp(what, "read") && argc == 5)
		read_file(argv[2], strtoul(argv[3], NULL, 10), atoi(argv[4]));
	else if (!strcmp(what, "echo"))
		echo(argv[2]);
	else if (!strcmp(what, "press") && argc == 4)
		press(argv[2], atoi(argv[3]));
	else
		return 2;
	return 0;
}
