/* SPDX-License-Identifier: BSD-2-Clause */
/* `usbrouted --release`; see release.h. */
#include "daemon/release.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/stranger.h"
#include "daemon/broker_device.h"
#include "daemon/claims.h"
#include "protocol/vm_wire.h"

/*
 * Whether a daemon is at work on this folder: then its devices are not ours to give. Its sockets may
 * outlive one that was killed by a moment; its lock does not.
 *
 * Return: the lock, until when none can start; -1: one is, or the folder has none.
 */
static int take_lock(const char *runtime_directory, bool *ret_runs)
{
	char path[PATH_MAX];
	_cleanup_close_ int lock = open(daemon_path(path, sizeof(path), runtime_directory, "lock"),
					O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	*ret_runs = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0;
	return *ret_runs ? -1 : take_fd(&lock);
}

/* ------------------------------------------------------------- processes that are left */

/* Their calls in the kernel may take 5 s to give up on a dead device; then some. */
#define END_SECONDS 15

static bool is_line(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && !strcmp(name + n - 5, ".line");
}

/* Have one VM's process end. Return: its line, whose end is the process's; -1: there is none. */
static int tell_end(const char *path)
{
	struct vm_wire_hello hello = {
		.kind = VM_ASK_HELLO, .version = VM_WIRE_VERSION, .least = VM_WIRE_LEAST};
	struct vm_wire_plain end = {.kind = VM_ASK_END};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int line = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (line < 0 || snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >=
				(int)sizeof(address.sun_path))
		return -1;
	if (connect(line, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    fd_send(line, &hello, sizeof(hello), NULL, 0) < 0 ||
	    fd_send(line, &end, sizeof(end), NULL, 0) < 0)
		return -1;
	return take_fd(&line);
}

/* What it says is of no interest; it may also stop reading us. Return: whether it has ended. */
static bool wait_end(int line, uint64_t until_ns)
{
	for (;;) {
		uint64_t now = loop_now();
		struct pollfd wait = {.fd = line, .events = POLLIN};
		char scratch[1024];

		if (now >= until_ns || poll(&wait, 1, (int)((until_ns - now) / 1000000) + 1) == 0)
			return false;
		if (stranger_receive(line, scratch, sizeof(scratch)) <= 0)
			return true;
	}
}

/* All at once, and then their ends are waited for. */
static void end_processes(const char *runtime_directory)
{
	uint64_t until_ns = loop_now() + END_SECONDS * 1000000000ull;
	DIR *dir = opendir(runtime_directory);
	int lines[CONFIG_VMS_MAX];
	unsigned n = 0;
	struct dirent *e;

	while (dir && n < ARRAY_SIZE(lines) && (e = readdir(dir))) {
		char path[PATH_MAX];

		if (!is_line(e->d_name))
			continue;
		daemon_path(path, sizeof(path), runtime_directory, e->d_name);
		lines[n] = tell_end(path);
		n += lines[n] >= 0;
		unlink(path);
		memcpy(path + strlen(path) - 5, ".sock", 6);
		unlink(path);
	}
	if (dir)
		closedir(dir);
	for (unsigned i = 0; i < n; i++) {
		if (!wait_end(lines[i], until_ns))
			log_err("a VM's process does not end; its devices can't be given back: see "
				"\"pgrep -a usbrouted-vm\"");
		stranger_close(lines[i]);
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
		unlink(daemon_path(path, sizeof(path), runtime_directory, "claimed"));
	return failed;
}
