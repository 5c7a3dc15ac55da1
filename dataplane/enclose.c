/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's process shuts itself in; see enclose.h.
 *
 * None of it needs a right: in a user namespace of its own the process has the rights that making
 * an empty root takes, and they are worth nothing outside. If such namespaces are forbidden, the
 * process keeps its user's files and network; so its user should be one that has none.
 */
#include "dataplane/enclose.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "base/sanitizer.h"

/* A card has a dozen descriptors, a device half of that, each other guest on each network two. */
#define DESCRIPTORS 2048

/*
 * Of its own memory: buffers of URBs, and what the allocator keeps. The guest's memory does not
 * count.
 */
#define OWN_MEMORY (256ull << 20)

/* A process that dies leaves nothing of its guest's on a disk. */
static void set_limits(void)
{
	static const struct {
		int what;
		rlim_t most;
	} limits[] = {{RLIMIT_CORE, 0}, {RLIMIT_NOFILE, DESCRIPTORS}, {RLIMIT_DATA, OWN_MEMORY}};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit limit = {.rlim_cur = limits[i].most, .rlim_max = limits[i].most};

		/* Memory in which sanitizers keep their books does not count. */
		if (WITH_SANITIZER && limits[i].what == RLIMIT_DATA)
			continue;
		setrlimit((__rlimit_resource_t)limits[i].what, &limit);
	}
}

/* Return: 0, or a negative errno and all is as it was, or nearly. */
static int leave_all_files(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "size=4k,nr_inodes=2,mode=0555") < 0 ||
	    chdir("/proc") < 0)
		return -errno;
	/* The new root over the old one, and the old one away. */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

/**
 * enclose() - shut the calling process in, for good
 * @name:	the VM's, for the log
 *
 * For a process with one thread, which has opened what it works with. What can't be had is logged.
 */
void enclose(const char *name)
{
	int r;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	set_limits();
	if (unshare(SANDBOX_NAMESPACES) < 0) {
		log_warning("%s: its process has the files and the network of its user: %s", name,
			    errno_text(errno));
	} else {
		r = leave_all_files();
		if (r < 0)
			log_warning("%s: its process has the files of its user: %s", name,
				    errno_text(r));
	}
	r = sandbox_keep_caps(0);
	if (r < 0)
		log_err("%s: its process keeps its capabilities: %s", name, errno_text(r));
	/* Also where it has no empty root; what is open stays open. */
	r = sandbox_files(NULL, 0);
	if (r < 0)
		log_err("%s: its process can open files: %s", name, errno_text(r));
}
