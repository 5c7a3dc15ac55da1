/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Landlock: which files a process can still open, whatever their modes say; see sandbox.h.
 *
 * The kernel's part is of Linux 5.13 and has grown since (Documentation/userspace-api/landlock.rst,
 * 6.12): renaming to another folder with version 2, truncating with 3, TCP with 4, calls to devices'
 * drivers with 5, signals with 6. libc has no functions for it, and Debian 12's headers know version 2:
 * so the numbers stand here.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/sandbox.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

#define ASK_VERSION  1
#define RULE_BENEATH 1

enum {
	MAY_EXECUTE = 1 << 0,
	MAY_WRITE_FILE = 1 << 1,
	MAY_READ_FILE = 1 << 2,
	MAY_READ_DIR = 1 << 3,
	MAY_REMOVE_FILE = 1 << 5,
	MAY_MAKE_REG = 1 << 8,
	MAY_MAKE_SOCK = 1 << 9,
	MAY_TRUNCATE = 1 << 14,
	MAY_CALL_DEVICE = 1 << 15,
	OF_FILES = MAY_EXECUTE | MAY_WRITE_FILE | MAY_READ_FILE | MAY_TRUNCATE | MAY_CALL_DEVICE,
};

#define TCP_BIND      1
#define TCP_CONNECT   2
#define SCOPE_SIGNALS 2

/* The kernel's: what is forbidden unless a rule allows it. */
struct ruleset {
	uint64_t files, network, scoped;
};

/* The kernel's, too. */
struct beneath {
	uint64_t allowed;
	int32_t folder;
} __attribute__((packed));

/* All that a version knows of files. */
static uint64_t known_rights(long version)
{
	static const unsigned bits[] = {0, 13, 14, 15, 15, 16};
	unsigned n = bits[version < 6 ? version : 5];

	return (1u << n) - 1;
}

static uint64_t rights(enum sandbox_use use)
{
	switch (use) {
	case SANDBOX_OPEN:
		return MAY_READ_FILE | MAY_READ_DIR | MAY_WRITE_FILE | MAY_CALL_DEVICE;
	case SANDBOX_OWN:
		return MAY_READ_FILE | MAY_READ_DIR | MAY_WRITE_FILE | MAY_REMOVE_FILE |
		       MAY_MAKE_REG | MAY_MAKE_SOCK | MAY_TRUNCATE;
	case SANDBOX_READ:
	default:
		return MAY_READ_FILE | MAY_READ_DIR;
	}
}

static int allow(int ruleset, const struct sandbox_path *p, uint64_t known)
{
	_cleanup_close_ int fd = open(p->path, O_PATH | O_CLOEXEC);
	struct beneath rule = {.allowed = rights(p->use) & known, .folder = fd};
	struct stat st;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed &= OF_FILES;
	return syscall(SYS_landlock_add_rule, ruleset, RULE_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int restrict_to(const struct sandbox_path *paths, size_t n, uint64_t tcp)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION);
	struct ruleset forbidden = {0};
	_cleanup_close_ int ruleset = -1;

	if (version < 1) {
		log_debug(
			"this kernel has no Landlock (%s): which files can be opened is up to their modes",
			errno_text(errno));
		return 0;
	}
	forbidden.files = known_rights(version);
	forbidden.network = version >= 4 ? tcp : 0;
	forbidden.scoped = version >= 6 ? SCOPE_SIGNALS : 0;
	/* Words that an older kernel does not know are zero, which it accepts. */
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &forbidden, sizeof(forbidden), 0);
	if (ruleset < 0)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		int r = allow(ruleset, &paths[i], forbidden.files);

		if (r < 0)
			return r;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return -errno;
	return 0;
}

/**
 * sandbox_files() - allow only some files to be opened from now on
 * @paths:	which, and what for
 * @n:		how many; 0: none at all
 *
 * For a process with one thread. What is open stays open. With version 4 of the kernel's part TCP
 * is forbidden, too, and with version 6 signals reach only the process itself and its children.
 *
 * Return: 0, also where the kernel has no Landlock; or a negative errno.
 */
int sandbox_files(const struct sandbox_path *paths, size_t n)
{
	return restrict_to(paths, n, TCP_BIND | TCP_CONNECT);
}

/**
 * sandbox_files_and_listen() - the same for a process that makes TCP sockets which listen
 * @paths:	as of sandbox_files()
 * @n:		as of sandbox_files()
 */
int sandbox_files_and_listen(const struct sandbox_path *paths, size_t n)
{
	return restrict_to(paths, n, TCP_CONNECT);
}
