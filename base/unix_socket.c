/* SPDX-License-Identifier: BSD-2-Clause */
/* A Unix socket that has a place in a folder; see unix_socket.h. */
#include "base/unix_socket.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

#define CLOSED 0600 /* to all but its owner */

/**
 * unix_address() - the address of a socket in a folder
 * @ret_address:	the address
 * @folder:		where its file is
 * @name:		the file's
 *
 * Return: 0, or -ENAMETOOLONG: an address holds 107 bytes.
 */
int unix_address(struct sockaddr_un *ret_address, const char *folder, const char *name)
{
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	return snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "%s/%s", folder,
			name) < (int)sizeof(ret_address->sun_path)
		       ? 0
		       : -ENAMETOOLONG;
}

/* Without its group the file stays closed: the mode was meant for that group. */
static int open_file(const char *path, const struct unix_place *place)
{
	if (place->group != UNIX_NO_GROUP && chown(path, (uid_t)-1, place->group) < 0) {
		log_warning("%s: can't be given to its group, and only its owner may open it: %s",
			    path, errno_text(errno));
		return 0;
	}
	return chmod(path, place->mode) < 0 ? -errno : 0;
}

/**
 * unix_listen() - listen at a place
 * @place:	where, and who may connect; a file that is there already is replaced
 *
 * Return: the socket, which does not block and is the caller's; or a negative errno.
 */
int unix_listen(const struct unix_place *place)
{
	_cleanup_close_ int fd = socket(AF_UNIX, place->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	int r = unix_address(&address, place->folder, place->name);

	if (r < 0)
		return r;
	if (fd < 0)
		return -errno;
	unlink(address.sun_path);
	/* A socket's file is made with the mode that the socket has. */
	if (fchmod(fd, CLOSED) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	r = place->mode == CLOSED ? 0 : open_file(address.sun_path, place);
	if (r < 0)
		return r;
	if (listen(fd, place->backlog) < 0)
		return -errno;
	return take_fd(&fd);
}
