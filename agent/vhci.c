/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest kernel's virtual USB host controller; see vhci.h. */
#include "agent/vhci.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/fd.h"

#define SPEED_SUPER  5
#define FILE_SIZE    8192 /* sysfs gives a page at the most */
#define CONTROLLERS  128
#define ATTACH_TRIES 8

/* ------------------------------------------------------------- files */

static int read_file(const char *path, char *text, size_t size, size_t *ret_len)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	while (len < size) {
		ssize_t n = read(fd, text + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

static int write_file(const char *path, const char *text, size_t len)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, len) < 0 ? -errno : 0;
}

static int path_of(char *path, const char *folder, const char *name)
{
	return snprintf(path, PATH_MAX, "%s/%s", folder, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/**
 * vhci_init() - find the controller
 * @vhci:	what to fill in
 * @sysfs:	where sysfs is mounted
 * @run:	the folder of `usbip port`'s files, made when the first is written
 *
 * Return: 0, -ENOENT where there is no controller (its module is not loaded), or another negative
 * errno.
 */
int vhci_init(struct vhci *vhci, const char *sysfs, const char *run)
{
	/* The second is its name in kernels before 4.9. */
	static const char *const names[] = {"vhci_hcd.0", "vhci_hcd"};
	char path[PATH_MAX];
	int r;

	*vhci = (struct vhci){0};
	if (snprintf(vhci->files, sizeof(vhci->files), "%s", run) >= (int)sizeof(vhci->files) ||
	    snprintf(vhci->devices, sizeof(vhci->devices), "%s/bus/usb/devices", sysfs) >=
		    (int)sizeof(vhci->devices))
		return -ENAMETOOLONG;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (snprintf(vhci->folder, sizeof(vhci->folder), "%s/devices/platform/%s", sysfs,
			     names[i]) >= (int)sizeof(vhci->folder))
			return -ENAMETOOLONG;
		r = path_of(path, vhci->folder, "status");
		if (r < 0)
			return r;
		if (access(path, F_OK) == 0)
			return 0;
	}
	vhci->folder[0] = 0;
	return -ENOENT;
}

/* ------------------------------------------------------------- the ports */

/* The next word of a line; its length, 0 at the line's end. */
static size_t next_word(const char **at, const char *end, const char **ret_word)
{
	const char *p = *at;

	while (p < end && *p == ' ')
		p++;
	*ret_word = p;
	while (p < end && *p != ' ')
		p++;
	*at = p;
	return (size_t)(p - *ret_word);
}

static bool read_number(const char *word, size_t n, unsigned base, uint32_t *ret)
{
	char text[16], *end;
	unsigned long value;

	if (n == 0 || n >= sizeof(text) || word[0] == '-' || word[0] == '+')
		return false;
	memcpy(text, word, n);
	text[n] = 0;
	errno = 0;
	value = strtoul(text, &end, (int)base);
	if (errno || *end || value > UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

/* A device's name becomes a path: digits, dots and a dash, and no more. */
static bool read_local(const char *word, size_t n, char local[VHCI_NAME_SIZE])
{
	if (n == 0 || n >= VHCI_NAME_SIZE || word[0] < '0' || word[0] > '9')
		return false;
	for (size_t i = 0; i < n; i++)
		if ((word[i] < '0' || word[i] > '9') && word[i] != '.' && word[i] != '-')
			return false;
	memcpy(local, word, n);
	local[n] = 0;
	return true;
}

static bool parse_port(const char *at, const char *end, struct vhci_port *port)
{
	const char *word;
	uint32_t number, status, speed;
	size_t n = next_word(&at, end, &word);

	*port = (struct vhci_port){0};
	if (n == 2 && (!memcmp(word, "hs", 2) || !memcmp(word, "ss", 2))) {
		port->super = word[0] == 's';
		n = next_word(&at, end, &word);
	}
	if (!read_number(word, n, 10, &number))
		return false;
	n = next_word(&at, end, &word);
	if (!read_number(word, n, 10, &status))
		return false;
	port->number = number;
	port->status = status;
	if (status != VHCI_USED)
		return true;
	n = next_word(&at, end, &word);
	if (!read_number(word, n, 10, &speed))
		return false;
	n = next_word(&at, end, &word);
	if (!read_number(word, n, 16, &port->devid))
		return false;
	next_word(&at, end, &word); /* a descriptor's number; older kernels: a pointer */
	n = next_word(&at, end, &word);
	return read_local(word, n, port->local);
}

/**
 * vhci_status_parse() - add the ports of one controller
 * @text:	a status file
 * @len:	its bytes
 * @status:	where the ports are added
 *
 * Return: how many lines told of a port; others (the first one) are passed over.
 */
int vhci_status_parse(const char *text, size_t len, struct vhci_status *status)
{
	const char *end = text + len;
	int n = 0;

	while (text < end && status->n < VHCI_PORTS_MAX) {
		const char *eol = memchr(text, '\n', (size_t)(end - text)) ?: end;

		if (parse_port(text, eol, &status->ports[status->n])) {
			status->n++;
			n++;
		}
		text = eol < end ? eol + 1 : end;
	}
	return n;
}

/*
 * Whether a controller has its root hubs: one, and from Linux 4.13 on a second one for SuperSpeed.
 *
 * Before that, and while the module is being unloaded, reading its status makes the kernel follow a
 * null pointer (seen with 6.1: an oops, and the guest stands still). The files of all controllers
 * appear together with the first one's.
 */
static bool is_ready(const struct vhci *vhci, unsigned controller)
{
	unsigned major = 0, minor = 0, hubs = 0;
	size_t n = strlen(vhci->folder);
	struct utsname system;
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *folder;

	if (n < 2 || uname(&system) < 0 || sscanf(system.release, "%u.%u", &major, &minor) != 2)
		return false;
	/* The folder is "….0", in old kernels without a number. */
	if (!strcmp(vhci->folder + n - 2, ".0"))
		n -= 2;
	if ((controller || n < strlen(vhci->folder)
		     ? snprintf(path, sizeof(path), "%.*s.%u", (int)n, vhci->folder, controller)
		     : snprintf(path, sizeof(path), "%s", vhci->folder)) >= (int)sizeof(path))
		return false;
	folder = opendir(path);
	if (!folder)
		return false;
	while ((entry = readdir(folder)))
		/* There is usbip_debug, too. */
		hubs += !strncmp(entry->d_name, "usb", 3) && entry->d_name[3] >= '0' &&
			entry->d_name[3] <= '9';
	closedir(folder);
	return hubs >= (major > 4 || (major == 4 && minor >= 13) ? 2 : 1);
}

/**
 * vhci_read() - all ports as they are now
 * @vhci:	the controller
 * @status:	what to fill in
 *
 * Controllers that are being set up are left out: news of their root hubs will come.
 *
 * Return: 0, -EAGAIN where not even the first controller is ready, or another negative errno.
 */
int vhci_read(const struct vhci *vhci, struct vhci_status *status)
{
	char path[PATH_MAX], name[32] = "status", text[FILE_SIZE];
	size_t len;
	int r;

	status->n = 0;
	if (!vhci->folder[0])
		return -ENOENT;
	for (unsigned i = 0; i < CONTROLLERS; i++) {
		if (i)
			snprintf(name, sizeof(name), "status.%u", i);
		r = path_of(path, vhci->folder, name);
		if (r == 0 && access(path, F_OK) < 0)
			r = -ENOENT;
		if (r == 0 && !is_ready(vhci, i))
			r = -EAGAIN;
		if (r == 0)
			r = read_file(path, text, sizeof(text), &len);
		if (r == -EAGAIN && i)
			continue;
		if (r == -ENOENT && i)
			return 0;
		if (r < 0)
			return r;
		vhci_status_parse(text, len, status);
	}
	return 0;
}

/**
 * vhci_find() - a port by its number
 * @status:	all ports
 * @number:	its number
 *
 * Return: the port, or NULL.
 */
const struct vhci_port *vhci_find(const struct vhci_status *status, unsigned number)
{
	for (unsigned i = 0; i < status->n; i++)
		if (status->ports[i].number == number)
			return &status->ports[i];
	return NULL;
}

/**
 * vhci_count_free() - how many ports are free
 * @status:	all ports
 * @super:	those of SuperSpeed, else the others
 */
unsigned vhci_count_free(const struct vhci_status *status, bool super)
{
	unsigned n = 0;

	for (unsigned i = 0; i < status->n; i++)
		n += status->ports[i].super == super && status->ports[i].status == VHCI_FREE;
	return n;
}

/**
 * vhci_attach() - put a connection on a free port
 * @vhci:	the controller
 * @sock:	connected, the import answered; the kernel takes a reference of its own
 * @devid:	the device at the server
 * @speed:	its speed, as the server's answer has it
 * @ret_number:	the port
 *
 * Somebody else may take a port at the same time: then the next free one is tried.
 *
 * Return: 0, -ENOSPC where no port is free, or another negative errno.
 */
int vhci_attach(const struct vhci *vhci, int sock, uint32_t devid, unsigned speed,
		unsigned *ret_number)
{
	_cleanup_free_ struct vhci_status *status = malloc(sizeof(*status));
	char path[PATH_MAX], text[64];
	unsigned tries = 0;
	int r, last = -ENOSPC;

	if (!status)
		return -ENOMEM;
	r = vhci_read(vhci, status);
	if (r == 0)
		r = path_of(path, vhci->folder, "attach");
	if (r < 0)
		return r;
	for (unsigned i = 0; i < status->n && tries < ATTACH_TRIES; i++) {
		const struct vhci_port *port = &status->ports[i];

		if (port->super != (speed >= SPEED_SUPER) || port->status != VHCI_FREE)
			continue;
		tries++;
		snprintf(text, sizeof(text), "%u %d %u %u", port->number, sock, devid, speed);
		last = write_file(path, text, strlen(text));
		if (last == 0)
			*ret_number = port->number;
		/* A port that was taken meanwhile is -EBUSY, in older kernels -EINVAL. */
		if (last != -EBUSY && last != -EINVAL)
			break;
	}
	return last;
}

/**
 * vhci_detach() - take what is on a port off it
 * @vhci:	the controller
 * @number:	the port
 *
 * Return: 0, or a negative errno: -EINVAL where nothing is on it.
 */
int vhci_detach(const struct vhci *vhci, unsigned number)
{
	char path[PATH_MAX], text[16];
	int r = path_of(path, vhci->folder, "detach");

	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%u", number);
	return write_file(path, text, strlen(text));
}

/**
 * vhci_configured() - whether the kernel has enumerated the device on a port
 * @vhci:	the controller
 * @port:	the port, VHCI_USED
 */
bool vhci_configured(const struct vhci *vhci, const struct vhci_port *port)
{
	char name[VHCI_NAME_SIZE + 32], path[PATH_MAX], text[16];
	size_t len;

	if (port->status != VHCI_USED)
		return false;
	snprintf(name, sizeof(name), "%s/bConfigurationValue", port->local);
	if (path_of(path, vhci->devices, name) < 0)
		return false;
	/* The folder's entries are links, the file itself is none. */
	return read_file(path, text, sizeof(text), &len) == 0 && len && text[0] >= '1' &&
	       text[0] <= '9';
}

/* ------------------------------------------------------------- `usbip port` */

/**
 * vhci_peer_parse() - read a port's file: "host port busid"
 * @text:	the file
 * @len:	its bytes
 * @peer:	what it says
 *
 * Return: 0 or -EINVAL.
 */
int vhci_peer_parse(const char *text, size_t len, struct vhci_peer *peer)
{
	const char *end = memchr(text, '\n', len) ?: text + len, *word;
	size_t n;

	for (const char *p = text; p < end; p++)
		if (*p < 0x20 || *p > 0x7e)
			return -EINVAL;
	n = next_word(&text, end, &word);
	if (n == 0 || n >= sizeof(peer->host))
		return -EINVAL;
	memcpy(peer->host, word, n);
	peer->host[n] = 0;
	n = next_word(&text, end, &word);
	if (!read_number(word, n, 10, &peer->port))
		return -EINVAL;
	n = next_word(&text, end, &word);
	if (n == 0 || n >= sizeof(peer->busid))
		return -EINVAL;
	memcpy(peer->busid, word, n);
	peer->busid[n] = 0;
	return 0;
}

static int peer_path(const struct vhci *vhci, unsigned number, char *path)
{
	char name[24];

	snprintf(name, sizeof(name), "port%u", number);
	return path_of(path, vhci->files, name);
}

/**
 * vhci_peer_read() - who is at the other end of a port's connection
 * @vhci:	the controller
 * @number:	the port
 * @peer:	what its file says
 *
 * Return: 0, or a negative errno: -ENOENT where nobody has written one.
 */
int vhci_peer_read(const struct vhci *vhci, unsigned number, struct vhci_peer *peer)
{
	char path[PATH_MAX], text[256];
	size_t len;
	int r = peer_path(vhci, number, path);

	if (r == 0)
		r = read_file(path, text, sizeof(text), &len);
	return r < 0 ? r : vhci_peer_parse(text, len, peer);
}

/**
 * vhci_peer_write() - tell `usbip port` who is at the other end
 * @vhci:	the controller
 * @number:	the port
 * @peer:	who
 *
 * Return: 0 or a negative errno.
 */
int vhci_peer_write(const struct vhci *vhci, unsigned number, const struct vhci_peer *peer)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX], text[128];
	int n, r = peer_path(vhci, number, path);

	if (r < 0)
		return r;
	if (mkdir(vhci->files, 0755) < 0 && errno != EEXIST)
		return -errno;
	n = snprintf(text, sizeof(text), "%s %u %s\n", peer->host, peer->port, peer->busid);
	/* Its readers have room for so much. */
	if (n >= 100)
		return -ENAMETOOLONG;
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	return write(fd, text, (size_t)n) == n ? 0 : -EIO;
}

/**
 * vhci_peer_remove() - nobody is at the other end any more
 * @vhci:	the controller
 * @number:	the port
 */
void vhci_peer_remove(const struct vhci *vhci, unsigned number)
{
	char path[PATH_MAX];

	if (peer_path(vhci, number, path) == 0)
		unlink(path);
}
