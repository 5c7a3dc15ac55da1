/* SPDX-License-Identifier: BSD-2-Clause */
/* A USB device of this machine by its serial, as usbfs has it. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_text(const char *device, const char *name, char *text, size_t size)
{
	char path[512];
	ssize_t n;
	int file;

	snprintf(path, sizeof(path), "/sys/bus/usb/devices/%s/%s", device, name);
	file = open(path, O_RDONLY);
	if (file < 0)
		return -1;
	n = read(file, text, size - 1);
	close(file);
	if (n < 0)
		return -1;
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
	return 0;
}

/* Return: its usbfs node, open; -1 where there is none. */
static int open_device(const char *serial)
{
	DIR *dir = opendir("/sys/bus/usb/devices");
	char text[256], bus[32], number[32], path[128];
	struct dirent *entry;
	int found = -1;

	while (found < 0 && dir && (entry = readdir(dir))) {
		if (read_text(entry->d_name, "serial", text, sizeof(text)) ||
		    strcmp(text, serial) || read_text(entry->d_name, "busnum", bus, sizeof(bus)) ||
		    read_text(entry->d_name, "devnum", number, sizeof(number)))
			continue;
		snprintf(path, sizeof(path), "/dev/bus/usb/%03d/%03d", atoi(bus), atoi(number));
		found = open(path, O_RDWR);
	}
	if (dir)
		closedir(dir);
	return found;
}
