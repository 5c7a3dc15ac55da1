/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which boot of the guest this is: a random number in a file that does not outlive it. (The kernel's
 * own, /proc/sys/kernel/random/boot_id, is not to be seen in usbroute-agent.service.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "agent/agent.h"

static bool is_boot(const char *text)
{
	return strspn(text, "0123456789abcdef") == AGENT_BOOT_SIZE - 1;
}

/**
 * boot_read() - find out, or make a number for it
 * @folder:	of this program, under /run; where nothing can be kept there, each start counts as a
 *		boot
 * @boot:	the number
 */
void boot_read(const char *folder, char boot[AGENT_BOOT_SIZE])
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	uint64_t number;

	memset(boot, 0, AGENT_BOOT_SIZE);
	mkdir(folder, 0755);
	if (snprintf(path, sizeof(path), "%s/boot", folder) < (int)sizeof(path))
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && read(fd, boot, AGENT_BOOT_SIZE - 1) == AGENT_BOOT_SIZE - 1 && is_boot(boot))
		return;
	/* Early in a boot the kernel may have no random numbers yet; then the clock is enough. */
	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number))
		number = agent_now();
	snprintf(boot, AGENT_BOOT_SIZE, "%016llx", (unsigned long long)number);
	if (fd >= 0 && (ftruncate(fd, 0) < 0 || pwrite(fd, boot, AGENT_BOOT_SIZE - 1, 0) < 0))
		log_debug("%s: %s", path, errno_text(errno));
}
