/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The broker, and a daemon that was taken over: requests of any bytes, on a machine that the input
 * makes up, whose devices come and go between two looks at them. No path leaves the three folders
 * that the broker may touch, each request is answered once, and no descriptor is left behind.
 *
 * The linker sends the system calls of the broker's files here (--wrap; meson.build), and what
 * takes time there runs at once.
 *
 * Input: requests, each a byte of its verb, one that says how much of it is raw, and what it needs;
 * and what the system calls answer, a byte each.
 */
#include <linux/if_tun.h>
#include <linux/usbdevice_fs.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cursor.h"
#include "base/disk.h"
#include "base/mem.h"
/* Its requests are served by a static function of a process of its own. */
#include "daemon/broker/broker_process.c"
#include "tests/fuzz/promise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cursor input;
static bool armed;   /* the broker runs; else the calls are the fuzzer's own */
static int nodes[8]; /* what was opened as a device's node, or a disk's */
static dev_t numbers[8];
static unsigned n_nodes;
static struct broker_ask asked;

static uint8_t byte(void)
{
	const uint8_t *p = cursor_take(&input, 1);

	return p ? *p : 0;
}

static int wrong(int error)
{
	errno = error;
	return -1;
}

/* Most answers are as they should be; the rest is an error. */
static int fails(uint8_t what)
{
	static const int errors[] = {ENOENT, ENODEV, EACCES, EBUSY, EIO, ENOMEDIUM, EINVAL, EPERM};

	return what < 0xf0 ? 0 : wrong(errors[what & 7]);
}

/* ------------------------------------------------------------- the machine */

int __real_open64(const char *path, int flags, ...);
int __real_fstat64(int fd, struct stat *st);
ssize_t __real_recv(int fd, void *buf, size_t size, int flags);
ssize_t __real_readlink(const char *path, char *buf, size_t size);
int __real_access(const char *path, int mode);
int __real_ioctl(int fd, unsigned long request, ...);
int __real_poll(struct pollfd *fds, nfds_t n, int ms);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_fstat64(int fd, struct stat *st);
ssize_t __wrap_recv(int fd, void *buf, size_t size, int flags);
ssize_t __wrap_readlink(const char *path, char *buf, size_t size);
int __wrap_access(const char *path, int mode);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_poll(struct pollfd *fds, nfds_t n, int ms);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);
int __wrap_disk_tree_read(struct disk_tree *tree, const char *sysfs, const char *device);
FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);

static bool is_below(const char *path, const char *folder)
{
	return !strncmp(path, folder, strlen(folder)) && !strstr(path, "/..");
}

static bool is_sysfs(const char *path)
{
	return is_below(path, "/sys/bus/usb/devices/") ||
	       !strcmp(path, "/sys/bus/usb/drivers_probe");
}

/* What says of a network interface that it is a tap: of one, by a name without a slash. */
static bool is_tap_flags(const char *path)
{
	static const char folder[] = "/sys/class/net/", file[] = "/tun_flags";
	const char *name = path + sizeof(folder) - 1, *end = strrchr(path, '/');

	return is_below(path, folder) && end && end > name && !strcmp(end, file) &&
	       end - name < 16 && memchr(name, '/', (size_t)(end - name)) == NULL &&
	       strncmp(name, "..", (size_t)(end - name)) != 0;
}

/* A file with this in it; the broker's to close. */
static int file_with(const void *bytes, size_t len)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	promise(fd >= 0 && write(fd, bytes, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

/* Whoever is not the device that was asked about is its hub, or the hub of its port's other half. */
static bool is_hub(const char *path)
{
	const char *name = path + strlen("/sys/bus/usb/devices/");
	size_t len = strlen(asked.device.busid);

	return strncmp(name, asked.device.busid, len) || name[len] != '/';
}

static int attribute(const char *path, uint8_t what)
{
	const struct broker_device *d = &asked.device;
	const struct {
		const char *name;
		const char *format;
		unsigned value;
	} attributes[] = {
		{"/busnum", "%u\n", d->busnum},
		{"/devnum", "%u\n", d->devnum},
		{"/idVendor", "%04x\n", d->id_vendor},
		{"/idProduct", "%04x\n", d->id_product},
		{"/bDeviceClass", "%02x\n", (what & 1) != is_hub(path) ? 9 : 0},
		{"/bDeviceProtocol", "%02x\n", what & 2 ? 3 : 1},
		{"/bConfigurationValue", "%u\n", what & 4 ? 255 : 1},
		{"/bInterfaceClass", "%02x\n", what == 0x81 ? 9 : 3},
		{"/tun_flags", "0x%x\n", what & 8 ? 0x1001 : 0x1002},
	};
	char text[64];
	size_t n;

	for (size_t i = 0; what < 0xe0 && i < ARRAY_SIZE(attributes); i++) {
		const char *at = strstr(path, attributes[i].name);

		if (!at)
			continue;
		n = (size_t)snprintf(text, sizeof(text), attributes[i].format, attributes[i].value);
		return file_with(text, n);
	}
	n = min_t(size_t, byte() % 40u, input.left);
	return file_with(cursor_take(&input, n), n);
}

static int node(const char *path, uint8_t what)
{
	const struct broker_device *d = &asked.device;
	const uint8_t desc[18] = {18,
				  1,
				  [8] = (uint8_t)d->id_vendor,
				  (uint8_t)(d->id_vendor >> 8),
				  (uint8_t)d->id_product,
				  (uint8_t)(d->id_product >> 8)};
	unsigned bus, dev;
	int fd = file_with(desc, what & 0x20 ? 7 : 18);

	/* It is what its name says, or not. */
	if (n_nodes < ARRAY_SIZE(nodes)) {
		if (sscanf(path, "/dev/bus/usb/%u/%u", &bus, &dev) != 2)
			numbers[n_nodes] = makedev(8, 0) | (1ull << 63);
		else
			numbers[n_nodes] = makedev(189, (bus - 1) * 128 + dev - 1) + (what & 0x40);
		nodes[n_nodes++] = fd;
	}
	return fd;
}

int __wrap_open64(const char *path, int flags, ...)
{
	uint8_t what;

	if (!armed)
		return __real_open64(path, flags, 0600);
	promise(!(flags & O_CREAT) && (flags & O_CLOEXEC));
	/* Of interfaces by their hundreds the first one alone is there. */
	if (!strncmp(path, "/proc/", 6) ||
	    (strstr(path, "/bInterfaceClass") && !strstr(path, ".0/")))
		return wrong(ENOENT);
	what = byte();
	promise(is_sysfs(path) || is_below(path, "/dev/") || is_tap_flags(path));
	if (strstr(path, "/disable") && (what & 1))
		return wrong(ENOENT);
	if (fails(what) < 0)
		return -1;
	if (is_below(path, "/dev/"))
		return node(path, what);
	promise((flags & O_ACCMODE) == O_RDONLY || strstr(path, "/disable") ||
		strstr(path, "drivers_probe"));
	return attribute(path, what);
}

int __wrap_fstat64(int fd, struct stat *st)
{
	int r = __real_fstat64(fd, st);

	for (unsigned i = 0; armed && r == 0 && i < n_nodes; i++)
		if (nodes[i] == fd) {
			bool disk = numbers[i] >> 63;

			st->st_mode = (disk ? S_IFBLK : S_IFCHR) | 0600;
			st->st_rdev = numbers[i] & ~(1ull << 63);
		}
	return r;
}

/* What a link of sysfs leads to. */
ssize_t __wrap_readlink(const char *path, char *buf, size_t size)
{
	static const char *const targets[] = {
		"../../../devices/pci0000:00/usb1/1-1",
		"../../../devices/platform/vhci_hcd.0/usb9/9-1",
		"../../../bus/usb/drivers/usb",
		"../../../bus/usb/drivers/usbip-host",
	};
	static const char *const peers[] = {
		"../2-0:1.0/usb2-port1",
		"../2-1:1.0/2-1-port4",
		"usb2-port999",
		"-port1",
	};
	bool to_peer = strstr(path, "/peer");
	const char *target;
	uint8_t what;
	size_t n;

	if (!armed)
		return __real_readlink(path, buf, size);
	promise(is_sysfs(path));
	what = byte();
	/* Most ports have no other half. */
	if (to_peer && !(what & 8))
		return wrong(ENOENT);
	if (fails(what) < 0)
		return -1;
	if (what >= 0xc0) {
		n = min_t(size_t, byte() * 4u, input.left);
		n = min_t(size_t, n, size);
		memcpy(buf, n ? cursor_take(&input, n) : "", n);
		return (ssize_t)n;
	}
	target = (to_peer ? peers : targets)[what & 3];
	n = min_t(size_t, strlen(target), size);
	memcpy(buf, target, n);
	return (ssize_t)n;
}

int __wrap_access(const char *path, int mode)
{
	const char *number;

	if (!armed)
		return __real_access(path, mode);
	promise(is_sysfs(path));
	/* Interfaces and ports by their hundreds: the first ones alone are there. */
	if (strstr(path, ":"))
		return strstr(path, ".0") ? fails(byte()) : wrong(ENOENT);
	/* Ports have something in them seldom. */
	number = strrchr(path, '.') ? strrchr(path, '.') : strrchr(path, '-');
	if (!number || strtoul(number + 1, NULL, 10) > 4 || !(byte() & 1))
		return wrong(ENOENT);
	return 0;
}

static bool is_tun(unsigned long request)
{
	return request == TUNSETIFF || request == TUNSETVNETHDRSZ || request == TUNSETOFFLOAD;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct usbdevfs_ctrltransfer *transfer;
	uint8_t what;
	size_t n;
	va_list ap;

	va_start(ap, request);
	transfer = va_arg(ap, void *);
	va_end(ap);
	if (!armed)
		return __real_ioctl(fd, request, transfer);
	promise(request == USBDEVFS_RESET || request == USBDEVFS_CONTROL || is_tun(request));
	what = byte();
	if (fails(what) < 0)
		return -1;
	if (is_tun(request) || request == USBDEVFS_RESET || !(transfer->bRequestType & 0x80))
		return 0;
	if (what >= 0xc0) {
		n = min_t(size_t, transfer->wLength, input.left);
		memcpy(transfer->data, n ? cursor_take(&input, n) : "", n);
		return (int)n;
	}
	/* Four ports, and most hubs switch them one by one. */
	memcpy(transfer->data,
	       (uint8_t[5]){9, (uint8_t)(transfer->wValue >> 8), 4, (what & 3) ^ 1, 0}, 5);
	return 5;
}

/* Disks of the input's: as many as it says, of names as the kernel gives them. */
int __wrap_disk_tree_read(struct disk_tree *tree, const char *sysfs _unused_, const char *device)
{
	uint8_t what = byte();

	promise(is_sysfs(device));
	memset(tree, 0, sizeof(*tree));
	if (fails(what) < 0)
		return -errno;
	for (unsigned i = 0; i < (what & 3u); i++) {
		struct disk_node *d = &tree->nodes[tree->n++];

		*d = (struct disk_node){
			.major = 8, .minor = what & 4, .on = what & 8 && i ? 0 : -1};
		snprintf(d->name, sizeof(d->name), what & 16 ? "cciss!c0d%u" : "sd%u", i);
	}
	return 0;
}

/* What is mounted, and swapped to. */
FILE *__wrap_fopen64(const char *path, const char *mode)
{
	static char mounts[] = "36 35 8:0 / /mnt rw,relatime - ext4 /dev/sda rw\n",
		    swaps[] = "Filename Type Size Used Priority\n/dev/sda partition 8 0 -2\n";

	if (!armed)
		return __real_fopen64(path, mode);
	promise(!strncmp(path, "/proc/", 6) && *mode == 'r');
	if (byte() & 1)
		return NULL;
	return strstr(path, "mountinfo") ? fmemopen(mounts, sizeof(mounts) - 1, "r")
					 : fmemopen(swaps, sizeof(swaps) - 1, "r");
}

/* Whom nobody waits for. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int ms)
{
	return armed ? (int)n : __real_poll(fds, n, ms);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg)
{
	if (!armed)
		return __real_pthread_create(thread, attr, run, arg);
	if (byte() == 0xff)
		return EAGAIN;
	run(arg);
	return 0;
}

/* ------------------------------------------------------------- what is not tried here */

int sandbox_keep_caps(uint64_t keep _unused_)
{
	return -ENOSYS;
}

/* ------------------------------------------------------------- requests */

static int line;
static unsigned n_asked;

/* The answer to the last request, and what came with it. */
static void hear(void)
{
	struct helper_answer answer = {0};
	int fds[BROKER_FDS] = {-1, -1};
	unsigned n_fds;

	if (!n_asked)
		return;
	armed = false;
	promise(fd_receive(line, &answer, sizeof(answer), fds, BROKER_FDS, &n_fds, MSG_DONTWAIT) ==
		sizeof(answer));
	promise(answer.id == n_asked && answer.r <= 0);
	promise(memchr(answer.text, 0, sizeof(answer.text)));
	promise(answer.r == 0 ? !*answer.text : *answer.text && !n_fds);
	for (unsigned i = 0; i < BROKER_FDS; i++)
		fd_close(fds[i]);
	promise(fd_receive(line, &answer, sizeof(answer), fds, BROKER_FDS, &n_fds, MSG_DONTWAIT) ==
		-EAGAIN);
	armed = true;
}

static void make_ask(struct broker_ask *ask, uint8_t verb, uint8_t raw)
{
	static const char *const busids[] = {"1-1",  "1-1.2", "2-1.4.1", "10-255",
					     "usb1", "../..", "1-1.0",	 "1-1:1.0"};
	size_t n = min_t(size_t, sizeof(*ask), input.left);

	memset(ask, 0, sizeof(*ask));
	if (raw & 0x80)
		memcpy(ask, n ? cursor_take(&input, n) : "", n);
	else
		ask->device = (struct broker_device){
			.busnum = 1, .devnum = 5, .id_vendor = 0x46d, .id_product = 0xc31c};
	if (!(raw & 0x40))
		snprintf(ask->device.busid, sizeof(ask->device.busid), "%s", busids[raw & 7]);
	if (!(raw & 0x80))
		ask->force = !!(raw & 8);
	ask->verb = verb < 0xf8 ? verb % 9 : verb;
	ask->id = ++n_asked;
}

ssize_t __wrap_recv(int fd, void *buf, size_t size, int flags)
{
	const uint8_t *head;

	if (!armed || fd != broker_fd)
		return __real_recv(fd, buf, size, flags);
	promise(size == sizeof(asked));
	hear();
	n_nodes = 0;
	head = n_asked < 16 ? cursor_take(&input, 2) : NULL;
	if (!head)
		return 0;
	make_ask(&asked, head[0], head[1]);
	memcpy(buf, &asked, size);
	return (ssize_t)size;
}

/* How many descriptors are open: the lowest free one tells, as all are closed in their turn. */
static int lowest_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2], before = lowest_free();

	input = cursor_of(data, size);
	n_asked = 0;
	promise(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	line = pair[0];
	broker_fd = pair[1];
	armed = true;
	broker_serve();
	armed = false;
	close(pair[0]);
	close(pair[1]);
	promise(lowest_free() == before);
	return 0;
}
