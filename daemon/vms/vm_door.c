/* SPDX-License-Identifier: BSD-2-Clause */
/* The door of a VM's process; see vm_door.h. */
#include "daemon/vms/vm_door.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/unix_socket.h"
#include "protocol/vm_wire.h"

#define ENDING ".line"
#define ASIDE  ".line.new"

static int address_of(const char *folder, const char *name, const char *ending,
		      struct sockaddr_un *address)
{
	char file[VM_DOOR_NAME_SIZE + sizeof(ASIDE)];

	snprintf(file, sizeof(file), "%s%s", name, ending);
	return unix_address(address, folder, file);
}

/**
 * vm_door_is() - whether a file is a door
 * @file:	its name in the runtime directory
 * @ret_name:	the VM's
 */
bool vm_door_is(const char *file, char ret_name[VM_DOOR_NAME_SIZE])
{
	size_t n = strlen(file), end = sizeof(ENDING) - 1;

	if (n <= end || n - end >= VM_DOOR_NAME_SIZE || strcmp(file + n - end, ENDING) != 0)
		return false;
	memcpy(ret_name, file, n - end);
	ret_name[n - end] = 0;
	return true;
}

/**
 * vm_door_connect() - a line to a process that the last control has left behind
 * @folder:	the runtime directory
 * @name:	the VM's
 *
 * Return: the line, or a negative errno: there is no process.
 */
int vm_door_connect(const char *folder, const char *name)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	int r = address_of(folder, name, ENDING, &address);

	if (r < 0)
		return r;
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return take_fd(&fd);
}

/**
 * vm_door_process() - which process listens at the other end of a line
 * @line:	of vm_door_connect()
 *
 * A process listens at its door itself, and the kernel notes who did last.
 *
 * Return: a pidfd, or a negative errno.
 */
int vm_door_process(int line)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	int fd;

	if (getsockopt(line, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return -errno;
	if (who.pid <= 0)
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, who.pid, 0);
	return fd < 0 ? -errno : fd;
}

/**
 * vm_door_tell_end() - tell a process of any version to end
 * @line:	to it; nothing was said yet
 *
 * Return: 0 or a negative errno.
 */
int vm_door_tell_end(int line)
{
	struct vm_wire_hello hello = vm_wire_hello(VM_ASK_HELLO, false);
	struct vm_wire_plain end = {.kind = VM_ASK_END};
	int r = fd_send(line, &hello, sizeof(hello), NULL, 0);

	return r < 0 ? r : fd_send(line, &end, sizeof(end), NULL, 0);
}

/**
 * vm_door_make() - make a door for the next control, which nobody finds yet
 * @folder:	the runtime directory
 * @name:	the VM's
 *
 * Return: a listener, or a negative errno.
 */
int vm_door_make(const char *folder, const char *name)
{
	char file[VM_DOOR_NAME_SIZE + sizeof(ASIDE)];

	snprintf(file, sizeof(file), "%s" ASIDE, name);
	return unix_listen(&(struct unix_place){.folder = folder,
						.name = file,
						.type = SOCK_SEQPACKET,
						.backlog = 4,
						.mode = 0600,
						.group = UNIX_NO_GROUP});
}

/**
 * vm_door_open() - let the door that was made last take the old one's place: the process has it, or
 * there is no process
 * @folder:	the runtime directory
 * @name:	the VM's
 *
 * Return: 0 or a negative errno.
 */
int vm_door_open(const char *folder, const char *name)
{
	struct sockaddr_un from, to;
	int r = address_of(folder, name, ASIDE, &from);

	if (r == 0)
		r = address_of(folder, name, ENDING, &to);
	if (r == 0 && rename(from.sun_path, to.sun_path) < 0)
		r = -errno;
	return r;
}

/**
 * vm_door_forget() - no process is behind a door any more
 * @folder:	the runtime directory
 * @name:	the VM's
 */
void vm_door_forget(const char *folder, const char *name)
{
	struct sockaddr_un address;

	if (address_of(folder, name, ASIDE, &address) == 0)
		unlink(address.sun_path);
	if (address_of(folder, name, ENDING, &address) == 0)
		unlink(address.sun_path);
}
