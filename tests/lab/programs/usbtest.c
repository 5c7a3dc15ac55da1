// SPDX-License-Identifier: BSD-2-Clause
/*
 * usbtest - runs cases of the kernel's usbtest driver on one device, as the kernel's own testusb
 * does.
 *
 *	usbtest SERIAL [SECONDS] <CASES		a case a line: TEST ITERATIONS LENGTH VARY SGLEN
 *
 * Prints a line for each case as it ends, and "done" at the end:
 *	TEST ITERATIONS LENGTH VARY SGLEN ok MICROSECONDS
 *	TEST ITERATIONS LENGTH VARY SGLEN error ERRNO
 *	TEST ITERATIONS LENGTH VARY SGLEN stuck		not over within SECONDS; nothing follows
 *							but "done"
 * The device is looked up again for each case, because a case may leave it with another number.
 */
#include <errno.h>
#include <linux/usbdevice_fs.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "by-serial.h"

struct usbtest_param {
	uint32_t test_num;
	uint32_t iterations;
	uint32_t length;
	uint32_t vary;
	uint32_t sglen;
	int32_t duration_sec;
	int32_t duration_usec;
};

#define USBTEST_REQUEST _IOWR('U', 100, struct usbtest_param)

/* In a process of its own: what never ends costs that process. */
static void run_case(const char *serial, struct usbtest_param param, const char *name)
{
	struct usbdevfs_ioctl request = {.ifno = 0, .ioctl_code = USBTEST_REQUEST, .data = &param};
	int fd = open_device(serial);

	if (fd < 0)
		printf("%s error %d\n", name, ENODEV);
	else if (ioctl(fd, USBDEVFS_IOCTL, &request) < 0)
		printf("%s error %d\n", name, errno);
	else
		printf("%s ok %lld\n", name, param.duration_sec * 1000000ll + param.duration_usec);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	int seconds = argc > 2 ? atoi(argv[2]) : 60;
	char line[128];
	sigset_t mask;

	if (argc < 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	while (fgets(line, sizeof(line), stdin)) {
		struct usbtest_param param = {0};
		struct timespec limit = {.tv_sec = seconds};
		pid_t child;

		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%u %u %u %u %u", &param.test_num, &param.iterations,
			   &param.length, &param.vary, &param.sglen) != 5)
			continue;
		child = fork();
		if (child == 0)
			run_case(argv[1], param, line);
		if (sigtimedwait(&mask, NULL, &limit) < 0) {
			kill(child, SIGKILL);
			printf("%s stuck\n", line);
			break;
		}
		waitpid(child, NULL, 0);
	}
	printf("done\n");
	return 0;
}
