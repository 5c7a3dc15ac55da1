/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file system that is served by a stranger: one file, which can be opened, and whose every close waits for an
 * answer that never comes. usage: mute-fuse FOLDER
 *
 * Says "ready" when FOLDER/file can be opened, or "impossible" where this machine lets nobody mount; serves until
 * its input ends, and then whoever waits goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static void answer(int fuse, const struct fuse_in_header *in, int error, const void *data,
		   size_t len)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + len), .error = error, .unique = in->unique};
	struct iovec iov[] = {{&out, sizeof(out)}, {(void *)data, len}};

	(void)!writev(fuse, iov, 2);
}

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){
		.ino = node, .mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0666, .nlink = 1};
}

static void serve(int fuse)
{
	static char buf[1 << 18];
	const struct fuse_in_header *in = (const void *)buf;
	ssize_t n = read(fuse, buf, sizeof(buf));

	if (n < (ssize_t)sizeof(*in))
		return;
	switch (in->opcode) {
	case FUSE_INIT: {
		struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
					    .minor = FUSE_KERNEL_MINOR_VERSION,
					    .max_write = 4096};

		answer(fuse, in, 0, &out, sizeof(out));
		break;
	}
	case FUSE_LOOKUP: {
		struct fuse_entry_out out = {.nodeid = 2, .attr = attributes(2)};

		answer(fuse, in, 0, &out, sizeof(out));
		break;
	}
	case FUSE_GETATTR: {
		struct fuse_attr_out out = {.attr = attributes(in->nodeid)};

		answer(fuse, in, 0, &out, sizeof(out));
		break;
	}
	case FUSE_OPEN: {
		struct fuse_open_out out = {.fh = 1};

		answer(fuse, in, 0, &out, sizeof(out));
		break;
	}
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_INTERRUPT:
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		break;
	default:
		answer(fuse, in, -ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	char options[128];
	struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (argc != 2)
		return 2;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	if (fuse < 0 || mount("mute", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
		puts("impossible");
		return 0;
	}
	puts("ready");
	fflush(stdout);
	p[1].fd = fuse;
	while (poll(p, 2, -1) > 0) {
		if (p[0].revents)
			break;
		if (p[1].revents & POLLERR)
			break;
		serve(fuse);
	}
	umount2(argv[1], MNT_FORCE);
	umount2(argv[1], MNT_DETACH);
	return 0;
}
