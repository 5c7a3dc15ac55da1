/* SPDX-License-Identifier: BSD-2-Clause */
/* What rights a process keeps; see sandbox.h. */
#include "daemon/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

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
	for (unsigned c = 0; c <= CAP_LAST_CAP; c++)
		if (!(keep >> c & 1))
			prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
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
