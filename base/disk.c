/* SPDX-License-Identifier: BSD-2-Clause */
/* Disks and their uses; see disk.h. */
#include "base/disk.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/mem.h"

static void dir_closep(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static void file_closep(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define _cleanup_dir_  _cleanup_(dir_closep)
#define _cleanup_file_ _cleanup_(file_closep)

/* ------------------------------------------------------------- what sysfs says */

/* The first line of sysfs/class/block/NAME/ATTR. */
static int read_line(const char *sysfs, const char *name, const char *attr, char *text, size_t size)
{
	_cleanup_file_ FILE *f = NULL;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/class/block/%s/%s", sysfs, name, attr);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	if (!fgets(text, (int)size, f))
		return -ENODATA;
	text[strcspn(text, "\n")] = 0;
	return 0;
}

static int node_find(const struct disk_tree *tree, const char *name)
{
	for (unsigned i = 0; i < tree->n; i++)
		if (!strcmp(tree->nodes[i].name, name))
			return (int)i;
	return -ENOENT;
}

/*
 * Add a block device that is not in the tree yet. One that has gone meanwhile is left out: nothing
 * uses it.
 */
static int node_add(struct disk_tree *tree, const char *sysfs, const char *name, int on,
		    bool holder)
{
	struct disk_node node = {.on = on, .holder = holder};
	char dev[32];

	if (node_find(tree, name) >= 0)
		return 0;
	if (strlen(name) >= sizeof(node.name))
		return -ENAMETOOLONG;
	if (tree->n == DISK_NODES_MAX)
		return -E2BIG;
	if (read_line(sysfs, name, "dev", dev, sizeof(dev)) < 0 ||
	    sscanf(dev, "%u:%u", &node.major, &node.minor) != 2)
		return 0;
	memcpy(node.name, name, strlen(name));
	if (holder && read_line(sysfs, name, "dm/name", node.label, sizeof(node.label)) < 0)
		node.label[0] = 0;
	tree->nodes[tree->n++] = node;
	return 0;
}

/* The folder of sysfs that a block device is; it ends in the device's name. */
static char *node_path(const char *sysfs, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/class/block/%s", sysfs, name);
	return realpath(path, NULL);
}

/* A partition's folder lies in its disk's folder. */
static int partition_of(const struct disk_tree *tree, char *path)
{
	char *end = strrchr(path, '/');

	if (!end)
		return -ENOENT;
	*end = 0;
	end = strrchr(path, '/');
	return end ? node_find(tree, end + 1) : -ENOENT;
}

/* The whole disks that @device has or is; with NULL, the partitions of what is in the tree. */
static int add_below(struct disk_tree *tree, const char *sysfs, const char *device)
{
	size_t len = device ? strlen(device) : 0;
	_cleanup_dir_ DIR *dir = NULL;
	const struct dirent *entry;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/class/block", sysfs);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno; /* a kernel without block devices */
	while ((entry = readdir(dir))) {
		_cleanup_free_ char *where = NULL;
		char number[16];
		bool partition;
		int r = 0, disk;

		if (entry->d_name[0] == '.')
			continue;
		where = node_path(sysfs, entry->d_name);
		if (!where)
			continue;
		partition =
			read_line(sysfs, entry->d_name, "partition", number, sizeof(number)) == 0;
		if (device && !partition && !strncmp(where, device, len) &&
		    (where[len] == '/' || !where[len]))
			r = node_add(tree, sysfs, entry->d_name, -1, false);
		else if (!device && partition && (disk = partition_of(tree, where)) >= 0)
			r = node_add(tree, sysfs, entry->d_name, disk, false);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_holders(struct disk_tree *tree, const char *sysfs, unsigned on)
{
	_cleanup_dir_ DIR *dir = NULL;
	const struct dirent *entry;
	char path[PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/class/block/%s/holders", sysfs, tree->nodes[on].name);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		r = node_add(tree, sysfs, entry->d_name, (int)on, true);
		if (r < 0)
			return r;
	}
	return 0;
}

/**
 * disk_tree_read() - find a device's disks, their partitions, and what is made of them
 * @tree:	filled in; n is 0 where the device has no disks
 * @sysfs:	where sysfs is
 * @device:	the device's folder there, or a link to it
 *
 * Return: 0, -ENODEV where the device is not there, -E2BIG where there are more disks or nodes than
 * there is room for, or another negative errno.
 */
int disk_tree_read(struct disk_tree *tree, const char *sysfs, const char *device)
{
	_cleanup_free_ char *where = realpath(device, NULL);
	unsigned n, looked = 0;
	int r;

	tree->n = 0;
	if (!where)
		return errno == ENOENT ? -ENODEV : -errno;
	r = add_below(tree, sysfs, where);
	if (r < 0)
		return r;
	if (tree->n > DISKS_MAX)
		return -E2BIG;
	/* A device that is made of disks may have partitions, and others may be made of these. */
	do {
		n = tree->n;
		if (n)
			r = add_below(tree, sysfs, NULL);
		for (; r == 0 && looked < tree->n; looked++)
			r = add_holders(tree, sysfs, looked);
	} while (r == 0 && tree->n > n);
	return r;
}

/* ------------------------------------------------------------- what is used */

static bool octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Blanks and backslashes stand as \ooo in these files (proc_pid_mountinfo(5)). In place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && octal(from[1]) && octal(from[2]) && octal(from[3])) {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = 0;
}

/* "/dev/sda1", "/dev/mapper/LABEL": the node of that name, or NULL. */
static const struct disk_node *node_by_path(const struct disk_tree *tree, const char *path)
{
	for (unsigned i = 0; i < tree->n; i++) {
		const struct disk_node *node = &tree->nodes[i];

		if (!strncmp(path, "/dev/mapper/", 12)
			    ? node->label[0] && !strcmp(path + 12, node->label)
			    : !strncmp(path, "/dev/", 5) && !strcmp(path + 5, node->name))
			return node;
	}
	return NULL;
}

struct mount_line {
	uint64_t number;
	unsigned major, minor;
	char *target, *source;
};

/* "36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/sda1 rw"; false: not such a line. */
static bool mount_line_read(char *line, struct mount_line *ret)
{
	char *save = NULL, *word;
	unsigned at = 0, after = 0;
	bool numbered = false;

	*ret = (struct mount_line){0};
	for (word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		at++;
		if (at == 1)
			ret->number = strtoull(word, NULL, 10);
		else if (at == 3)
			numbered = sscanf(word, "%u:%u", &ret->major, &ret->minor) == 2;
		else if (at == 5)
			ret->target = word;
		/* Optional words follow the sixth, and a dash ends them. */
		if (after)
			after++;
		else if (at > 6 && !strcmp(word, "-"))
			after = 1;
		if (after == 3)
			ret->source = word;
	}
	if (!numbered || !ret->target || !ret->source)
		return false;
	unescape(ret->target);
	unescape(ret->source);
	return true;
}

/* Which node a mount is of. Some file systems (btrfs) have numbers of their own, and name theirs.
 */
static const struct disk_node *mount_node(const struct disk_tree *tree, const struct mount_line *m)
{
	for (unsigned i = 0; i < tree->n; i++)
		if (tree->nodes[i].major == m->major && tree->nodes[i].minor == m->minor)
			return &tree->nodes[i];
	return m->major == 0 ? node_by_path(tree, m->source) : NULL;
}

/**
 * disk_uses() - say what a device's disks are used for
 * @tree:	of disk_tree_read()
 * @mountinfo:	/proc/self/mountinfo, or NULL
 * @swaps:	/proc/swaps, or NULL
 * @fn:		called for each mount as the file has them, each swap, and each node that holds
 *		another, in this order
 * @ctx:	for @fn
 *
 * Return: 0, or what @fn returned that is not 0.
 */
int disk_uses(const struct disk_tree *tree, FILE *mountinfo, FILE *swaps, disk_use_fn fn, void *ctx)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	int r = 0;

	while (mountinfo && r == 0 && getline(&line, &size, mountinfo) >= 0) {
		const struct disk_node *node;
		struct mount_line m;

		if (mount_line_read(line, &m) && (node = mount_node(tree, &m)))
			r = fn(ctx, DISK_MOUNTED, node, m.target, m.number);
	}
	while (swaps && r == 0 && getline(&line, &size, swaps) >= 0) {
		const struct disk_node *node;

		line[strcspn(line, " \t\n")] = 0;
		unescape(line);
		node = node_by_path(tree, line);
		if (node)
			r = fn(ctx, DISK_SWAP, node, "", 0);
	}
	for (unsigned i = 0; r == 0 && i < tree->n; i++)
		if (tree->nodes[i].holder)
			r = fn(ctx, DISK_HELD, &tree->nodes[i], "", 0);
	return r;
}

/* "sda1", "dm-0 (backup)" */
static void node_text(const struct disk_node *node, char *text, size_t size)
{
	snprintf(text, size, "%s%s%.40s%s", node->name, node->label[0] ? " (" : "", node->label,
		 node->label[0] ? ")" : "");
}

/**
 * disk_use_text() - a use in words
 * @tree:	where @node is
 * @use:	as disk_uses() says, as are @node and @path
 * @text:	"sda1 is mounted at /mnt", "sda2 is held by dm-0 (backup)"; a path that is too long
 *		is cut, and bytes that are no text are replaced
 * @size:	room there, in bytes
 */
void disk_use_text(const struct disk_tree *tree, enum disk_use use, const struct disk_node *node,
		   const char *path, char *text, size_t size)
{
	const struct disk_node *on = node;
	char name[96], below[48] = "";
	size_t n;

	node_text(node, name, sizeof(name));
	while (on->holder)
		on = &tree->nodes[on->on];
	if (on != node)
		snprintf(below, sizeof(below), " on %s", on->name);
	if (use == DISK_HELD)
		snprintf(text, size, "%s is held by %s", tree->nodes[node->on].name, name);
	else
		snprintf(text, size, "%s%s %s%s", name, below,
			 use == DISK_SWAP ? "is swap space" : "is mounted at ", path);
	n = strlen(text);
	if (n + 1 == size) {
		/* Perhaps cut: not in the middle of a character. */
		while (n && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
			n--;
		if (n && (unsigned char)text[n - 1] >= 0xc0)
			n--;
		text[n] = 0;
	}
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}
