// SPDX-License-Identifier: BSD-2-Clause
/* usbreset - resets the device behind a node of /dev/bus/usb, as the tool of this name in usbutils
 * does. */
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdio.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDWR) : -1;

	if (fd < 0 || ioctl(fd, USBDEVFS_RESET)) {
		perror(argc == 2 ? argv[1] : "usage: usbreset NODE");
		return 1;
	}
	return 0;
}
