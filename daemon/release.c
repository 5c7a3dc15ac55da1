/* SPDX-License-Identifier: BSD-2-Clause */
/* `usbrouted --release`; see release.h. */
#include "daemon/release.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/sandbox.h"
#include "base/stranger.h"
#include "daemon/broker/broker_device.h"
#include "daemon/routing/claims.h"
#include "daemon/broker/starter.h"
#include "daemon/core/state_file.h"
#include "daemon/vms/vm_door.h"

/*
 * Take the lock of this folder. While a daemon runs, we must not give its devices back. The sockets
 * of a killed one may stay for a moment; its lock does not.
 *
 * Return: the lock, while which no daemon can start; -1: one runs, or the folder has none.
 */
static int take_lock(const char *runtime_directory, bool *ret_runs)
{
	char path[PATH_MAX];
	_cleanup_close_ int lock =
		open(state_file_path(path, sizeof(path), runtime_directory, "lock"),
		     O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	*ret_runs = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0;
	return *ret_runs ? -1 : take_fd(&lock);
}

/* ------------------------------------------------------------- processes that are left */

/* Their calls in the kernel may take 5 s to give up on a dead device; this leaves time for more. */
#define END_SECONDS 15

/* A process that has not ended by then is killed, and has this long to be gone. */
#define KILL_SECONDS 5

struct left {
	char name[STARTER_NAME_SIZE]; /* the VM's */
	int line;		      /* its end is the process's */
	int process;		      /* a pidfd, or -1: it is not known for a VM's process */
};

/* Return: whether the process with this number is the VM's. */
static bool is_vm_process(pid_t pid, const char *name)
{
	char path[32], said[16], expected[16];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	snprintf(expected, sizeof(expected), "vm:%.12s", name);
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, said, sizeof(said));
	return n > 0 && (size_t)n == strlen(expected) + 1 &&
	       !strncmp(said, expected, (size_t)n - 1);
}

/*
 * A VM's process has listened there itself, so the kernel knows which one it is. Any other process
 * that listens at that path is left alone.
 *
 * Return: a pidfd, or -1.
 */
static int find_process(int line, const char *name)
{
	struct sandbox_user vm = {geteuid(), getegid()};
	struct ucred who;
	socklen_t len = sizeof(who);
	_cleanup_close_ int fd = -1;

	if (geteuid() == 0)
		starter_vm_user(&vm);
	if (getsockopt(line, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.pid <= 1 ||
	    who.uid != vm.uid)
		return -1;
	fd = (int)syscall(SYS_pidfd_open, who.pid, 0);
	/* From here on no other process can have the number: look once more. */
	return fd >= 0 && is_vm_process(who.pid, name) ? take_fd(&fd) : -1;
}

/* Tell one VM's process to end. Return: its line; -1: there is none. */
static int tell_end(const char *runtime_directory, const char *name)
{
	_cleanup_close_ int line = vm_door_connect(runtime_directory, name);

	return line >= 0 && vm_door_tell_end(line) == 0 ? take_fd(&line) : -1;
}

/* Wait for its end, and drop what it says. Return: whether it has ended. */
static bool wait_end(const struct left *left, uint64_t until_ns)
{
	for (;;) {
		uint64_t now = loop_now();
		/*
		 * A process that has gone has closed its devices; the end of its line alone does
		 * not say that.
		 */
		bool known = left->process >= 0;
		struct pollfd wait[] = {{.fd = known ? -1 : left->line, .events = POLLIN},
					{.fd = left->process, .events = POLLIN}};
		char scratch[1024];

		if (now >= until_ns || poll(wait, 2, (int)((until_ns - now) / 1000000) + 1) == 0)
			return false;
		if (known ? wait[1].revents != 0
			  : stranger_receive(left->line, scratch, sizeof(scratch)) <= 0)
			return true;
	}
}

static void end_late(const struct left *left)
{
	uint64_t until_ns = loop_now() + KILL_SECONDS * 1000000000ull;

	if (left->process < 0) {
		log_err("%s: what listens at its process's socket does not end, and is no process of usbrouted's; it is left alone",
			left->name);
		return;
	}
	log_warning("%s: its process does not end when it is told to, and is killed", left->name);
	if (syscall(SYS_pidfd_send_signal, left->process, SIGKILL, NULL, 0) < 0 ||
	    !wait_end(left, until_ns))
		log_err("%s: its process can't be killed; its devices can't be given back: try: pgrep -a vm:%.12s",
			left->name, left->name);
}

/* Tell all of them, then wait for their ends. */
static void end_processes(const char *runtime_directory)
{
	uint64_t until_ns = loop_now() + END_SECONDS * 1000000000ull;
	DIR *dir = opendir(runtime_directory);
	struct left left[CONFIG_VMS_MAX];
	unsigned n = 0;
	struct dirent *e;

	while (dir && n < ARRAY_SIZE(left) && (e = readdir(dir))) {
		struct left *l = &left[n];
		char path[PATH_MAX];

		if (!vm_door_is(e->d_name, l->name))
			continue;
		state_file_path(path, sizeof(path), runtime_directory, e->d_name);
		l->line = tell_end(runtime_directory, l->name);
		l->process = l->line < 0 ? -1 : find_process(l->line, l->name);
		n += l->line >= 0;
		vm_door_forget(runtime_directory, l->name);
		memcpy(path + strlen(path) - 5, ".sock", 6);
		unlink(path);
	}
	if (dir)
		closedir(dir);
	for (unsigned i = 0; i < n; i++) {
		if (!wait_end(&left[i], until_ns))
			end_late(&left[i]);
		stranger_close(left[i].line);
		fd_close(left[i].process);
	}
}

/**
 * release_claimed() - end the VMs' processes, give back what is on the list of claimed devices, and empty it
 * @runtime_directory:	where the list lies
 *
 * Return: 0, or a negative errno and it was logged.
 */
int release_claimed(const char *runtime_directory)
{
	struct list claims = LIST_INIT(claims);
	char path[PATH_MAX];
	const char *text;
	bool runs;
	_cleanup_close_ int lock _unused_ = take_lock(runtime_directory, &runs);
	int r, failed = 0;

	if (runs) {
		log_err("usbrouted is running; try: usbroutectl detach DEVICE");
		return -EBUSY;
	}
	end_processes(runtime_directory);
	r = claims_load(runtime_directory, &claims);
	if (r < 0) {
		log_err("reading the list of claimed devices: %s", errno_text(r));
		return r;
	}
	list_for_each(it, &claims) {
		const struct broker_device *d = &list_entry(it, struct claim, link)->device;

		r = broker_device_probe(d, &text);
		if (r == 0)
			log_info("%s: given back to the host's drivers", d->busid);
		else if (r != -ENODEV) /* unplugged meanwhile: nothing to give back */
			log_err("%s: %s: %s", d->busid, text, errno_text(failed = r));
	}
	claims_clear(&claims);
	if (!failed)
		unlink(state_file_path(path, sizeof(path), runtime_directory, "claimed"));
	return failed;
}
