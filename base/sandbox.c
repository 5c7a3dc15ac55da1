/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose a process is, and its capabilities; see sandbox.h. */
#include "base/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

/**
 * sandbox_user_find() - look a user up
 * @ret_user:	the user
 * @name:	the name, or a number, which is the group's, too
 *
 * Return: 0, -ENOENT where there is no such user, or another negative errno.
 */
int sandbox_user_find(struct sandbox_user *ret_user, const char *name)
{
	const struct passwd *pw;
	unsigned long number;
	char *end;

	errno = 0;
	pw = getpwnam(name);
	if (pw) {
		*ret_user = (struct sandbox_user){pw->pw_uid, pw->pw_gid};
		return 0;
	}
	number = strtoul(name, &end, 10);
	if (end == name || *end || number >= UINT32_MAX)
		return -ENOENT;
	*ret_user = (struct sandbox_user){(uid_t)number, (gid_t)number};
	return 0;
}

/* No program that is executed later can have one of these. */
static void empty_bounding_set(uint64_t keep)
{
	for (unsigned c = 0; c <= CAP_LAST_CAP; c++)
		if (!(keep >> c & 1))
			prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
}

/**
 * sandbox_become() - be a user for good
 * @user:	whom
 * @groups:	the groups that it is in besides its own
 * @n_groups:	how many
 *
 * For root, with one thread. All three ids are set, so that there is no way back. The capabilities
 * are lost with them, unless the user is root. The process can't be traced, nor its memory read, by
 * others of the same user.
 *
 * Return: 0 or a negative errno; then the process is to end.
 */
int sandbox_become(const struct sandbox_user *user, const gid_t *groups, size_t n_groups)
{
	empty_bounding_set(0); /* takes a right that goes with the user */
	if (setgroups(n_groups, groups) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	if (user->uid && (setuid(0) == 0 || geteuid() != user->uid))
		return -EPERM;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

/**
 * sandbox_keep_caps() - drop all capabilities but some, for good
 * @keep:	the ones to keep where they are held, a bit each (1 << CAP_…)
 *
 * For a process with one thread. The bounding set is emptied of the others where that is allowed,
 * and no program that is executed later can give new ones.
 *
 * Return: 0 or a negative errno.
 */
int sandbox_keep_caps(uint64_t keep)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	empty_bounding_set(keep);
	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	for (unsigned i = 0; i < 2; i++) {
		uint32_t mask = (uint32_t)(keep >> (32 * i));

		data[i].effective &= mask;
		data[i].permitted &= mask;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return -errno;
	return 0;
}
