// SPDX-License-Identifier: BSD-2-Clause
/*
 * evwatch - prints every key event as this machine's kernel reports it.
 *
 * Owns the open event devices: those that are there and those that come later,
 * each until the kernel says that it is gone. One line an event:
 *	ready
 *	device eventN add NAME
 *	device eventN remove
 *	key eventN CODE VALUE SECONDS		(value: 1 down, 0 up, 2 repeat)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEVICES 64

static int devices[MAX_DEVICES]; /* fd by event number, -1: none */

static void add(const char *file)
{
	unsigned char bits[EV_MAX / 8 + 1] = {0};
	char path[300], name[128] = "";
	int n, fd;

	if (sscanf(file, "event%d", &n) != 1 || n < 0 || n >= MAX_DEVICES || devices[n] >= 0)
		return;
	snprintf(path, sizeof(path), "/dev/input/%s", file);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return; /* not ready, or gone again; a change of rights tells us */
	if (ioctl(fd, EVIOCGBIT(0, sizeof(bits)), bits) < 0 || !(bits[EV_KEY / 8] & 1 << EV_KEY)) {
		close(fd);
		return;
	}
	ioctl(fd, EVIOCGNAME(sizeof(name) - 1), name);
	devices[n] = fd;
	printf("device event%d add %s\n", n, name);
}

static void take(int n)
{
	struct input_event ev[64];
	ssize_t got = read(devices[n], ev, sizeof(ev));

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		close(devices[n]);
		devices[n] = -1;
		printf("device event%d remove\n", n);
		return;
	}
	for (size_t i = 0; i < got / sizeof(ev[0]); i++)
		if (ev[i].type == EV_KEY)
			printf("key event%d %d %d %ld.%06ld\n", n, ev[i].code, ev[i].value,
			       (long)ev[i].input_event_sec, (long)ev[i].input_event_usec);
}

int main(void)
{
	int watch = inotify_init1(IN_CLOEXEC);
	struct dirent *entry;
	DIR *dir;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < MAX_DEVICES; i++)
		devices[i] = -1;
	mkdir("/dev/input", 0755);
	if (inotify_add_watch(watch, "/dev/input", IN_CREATE | IN_ATTRIB) < 0) {
		perror("/dev/input");
		return 1;
	}
	dir = opendir("/dev/input");
	while (dir && (entry = readdir(dir)))
		add(entry->d_name);
	printf("ready\n");

	for (;;) {
		struct pollfd p[1 + MAX_DEVICES] = {{.fd = watch, .events = POLLIN}};

		for (int i = 0; i < MAX_DEVICES; i++)
			p[1 + i] = (struct pollfd){.fd = devices[i], .events = POLLIN};
		if (poll(p, 1 + MAX_DEVICES, -1) < 0)
			return 1;
		for (int i = 0; i < MAX_DEVICES; i++)
			if (p[1 + i].revents)
				take(i);
		if (p[0].revents) {
			char buf[4096] __attribute__((aligned(8)));
			ssize_t got = read(watch, buf, sizeof(buf));

			for (char *at = buf; at < buf + got;) {
				struct inotify_event *ev = (void *)at;

				if (ev->len)
					add(ev->name);
				at += sizeof(*ev) + ev->len;
			}
		}
	}
}
