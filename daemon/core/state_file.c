/* SPDX-License-Identifier: BSD-2-Clause */
/* Small files that must survive; see state_file.h. */
#include "daemon/core/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"

/**
 * state_file_path() - a file's path
 * @buf:	where it goes
 * @size:	room there
 * @folder:	the folder
 * @name:	the file in it
 *
 * Return: @buf.
 */
char *state_file_path(char *buf, size_t size, const char *folder, const char *name)
{
	snprintf(buf, size, "%s/%s", folder, name);
	return buf;
}

/**
 * state_file_read() - read a file whole
 * @path:	the file
 * @ret_text:	its bytes, with a NUL after them; the caller's
 * @ret_len:	how many, without the NUL
 *
 * Return: 0 or a negative errno: -ENOENT where there is none, -EFBIG above STATE_FILE_MAX.
 */
int state_file_read(const char *path, char **ret_text, size_t *ret_len)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > STATE_FILE_MAX)
		return -EFBIG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (len < (size_t)st.st_size) {
		ssize_t n = read(fd, text + len, (size_t)st.st_size - len);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	text[len] = 0;
	*ret_text = take_ptr(text);
	*ret_len = len;
	return 0;
}

static int write_aside(const char *path, const char *text, size_t len)
{
	_cleanup_close_ int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int sync_folder_of(const char *path)
{
	_cleanup_close_ int fd = -1;
	char folder[PATH_MAX];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (!slash)
		return 0;
	slash[slash == folder] = 0;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

/**
 * state_file_write() - put a file's whole content in place, for good
 * @path:	the file; one of the same name is replaced
 * @text:	the content
 * @len:	its bytes
 *
 * Return: 0 once it would survive a power cut, or a negative errno and the old content stands.
 */
int state_file_write(const char *path, const char *text, size_t len)
{
	char aside[PATH_MAX];
	int r;

	if (snprintf(aside, sizeof(aside), "%s.new", path) >= (int)sizeof(aside))
		return -ENAMETOOLONG;
	r = write_aside(aside, text, len);
	if (r == 0 && rename(aside, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(aside);
		return r;
	}
	return sync_folder_of(path);
}

/**
 * state_file_print() - put what is printed in a file's place, for good
 * @path:	the file
 * @print:	called once
 * @ctx:	for it
 *
 * Return: as state_file_write(), or -ENOMEM.
 */
int state_file_print(const char *path, state_file_fn print, const void *ctx)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -ENOMEM;
	print(f, ctx);
	return fclose(f) == 0 ? state_file_write(path, text, len) : -ENOMEM;
}
