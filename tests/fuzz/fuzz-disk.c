/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What sysfs, mountinfo and swaps say of disks: a tree of block devices that the input makes, and
 * lines of its own. What a disk is used for is said in text that fits and can be shown.
 *
 * Input: block devices, each a byte that says what it is, its name and number; a byte 0xff; then the
 * two files, with a NUL between them.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/disk.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "tests/fuzz/promise.h"

#define BLOCKS 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char sysfs[64];

static int remove_one(const char *path, const struct stat *st _unused_, int flag _unused_,
		      struct FTW *ftw _unused_)
{
	return remove(path);
}

static void make_folder(const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s", sysfs, path);
	/* A disk called as a file of the one that it is in is none that sysfs could have. */
	promise(mkdir(full, 0700) == 0 || errno == EEXIST || errno == ENOTDIR);
}

static void make_file(const char *folder, const char *name, const void *bytes, size_t len)
{
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s/%s", sysfs, folder, name);
	f = fopen(full, "we");
	/* A name that sysfs could not have. */
	if (!f)
		return;
	fwrite(bytes, 1, len, f);
	fclose(f);
}

/* A name of the input's: what no file can be called is left out. */
static bool take_name(struct cursor *c, char name[48])
{
	const uint8_t *n = cursor_take(c, 1);
	size_t len = n ? min_t(size_t, *n % 40u, c->left) : 0;

	if (!len)
		return false;
	snprintf(name, 48, "%.*s", (int)len, (const char *)cursor_take(c, len));
	for (char *p = name; *p; p++)
		if (*p == '/')
			*p = '!';
	return *name && *name != '.';
}

/* Below the stick, below another one, or in one of those before; @what: what it is. */
static void make_block(struct cursor *c, uint8_t what, char folders[BLOCKS][PATH_MAX], unsigned n)
{
	char name[48], link[PATH_MAX], target[PATH_MAX + 16], parent[1104];
	const uint8_t *number;
	size_t len;

	if (!take_name(c, name))
		return;
	snprintf(parent, sizeof(parent), "%.1100s", n ? folders[n - 1] : "");
	if ((what & 3) && strlen(parent) > 1 && strlen(parent) < 1024)
		snprintf(folders[n], PATH_MAX, "%s/%s", parent, name);
	else
		snprintf(folders[n], PATH_MAX, "devices/%s/%s", what & 4 ? "1-10" : "1-1", name);
	make_folder(folders[n]);
	number = cursor_take(c, 1);
	len = number ? min_t(size_t, *number % 24u, c->left) : 0;
	make_file(folders[n], "dev", len ? cursor_take(c, len) : (const void *)"8:0\n",
		  len ? len : 4);
	if (what & 8)
		make_file(folders[n], "partition", "1\n", 2);
	if (what & 16) {
		snprintf(link, sizeof(link), "%.1200s/holders", folders[n]);
		make_folder(link);
		if (take_name(c, name))
			make_file(link, name, "", 0);
	}
	if (what & 32) {
		snprintf(link, sizeof(link), "%.1200s/dm", folders[n]);
		make_folder(link);
		if (take_name(c, name))
			make_file(link, "name", name, strlen(name));
	}
	snprintf(target, sizeof(target), "../../%s", folders[n]);
	snprintf(link, sizeof(link), "%s/class/block%s", sysfs, strrchr(folders[n], '/'));
	(void)!symlink(target, link);
}

static int say(void *ctx, enum disk_use use, const struct disk_node *node, const char *path,
	       uint64_t mount)
{
	const struct disk_tree *tree = ctx;
	/* Exactly as long, so that a sanitizer sees what goes beyond. */
	size_t size = 1 + (mount + strlen(path)) % 150;
	_cleanup_free_ char *text = malloc(size);

	promise(node >= tree->nodes && node < tree->nodes + tree->n);
	promise(use == DISK_MOUNTED || (!*path && !mount));
	if (!text)
		return 0;
	disk_use_text(tree, use, node, path, text, size);
	promise(strlen(text) < size);
	for (const char *p = text; *p; p++)
		promise((unsigned char)*p >= ' ' && *p != 0x7f);
	return 0;
}

static FILE *file_of(const uint8_t *bytes, size_t len)
{
	return len ? fmemopen((void *)bytes, len, "r") : NULL;
}

static void look(struct cursor c)
{
	static struct disk_tree tree;
	char device[PATH_MAX];
	const uint8_t *nul = c.left ? memchr(c.p, 0, c.left) : NULL;
	size_t len = nul ? (size_t)(nul - c.p) : c.left;
	FILE *mounts = file_of(c.p, len);
	FILE *swaps = nul ? file_of(nul + 1, c.left - len - 1) : NULL;

	snprintf(device, sizeof(device), "%s/devices/1-1", sysfs);
	if (disk_tree_read(&tree, sysfs, device) == 0) {
		promise(tree.n <= DISK_NODES_MAX);
		for (unsigned i = 0; i < tree.n; i++)
			promise(tree.nodes[i].on < (int)i && tree.nodes[i].on >= -1);
		disk_uses(&tree, mounts, swaps, say, &tree);
	}
	if (mounts)
		fclose(mounts);
	if (swaps)
		fclose(swaps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const folders[] = {"class", "class/block", "devices", "devices/1-1",
					      "devices/1-10"};
	static char blocks[BLOCKS][PATH_MAX];
	struct cursor c = cursor_of(data, size);
	const uint8_t *what;

	snprintf(sysfs, sizeof(sysfs), "/tmp/fuzz-disk-XXXXXX");
	promise(mkdtemp(sysfs) != NULL);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		make_folder(folders[i]);
	for (unsigned n = 0; n < BLOCKS && (what = cursor_take(&c, 1)) && *what != 0xff; n++) {
		snprintf(blocks[n], PATH_MAX, "devices/1-1");
		make_block(&c, *what, blocks, n);
	}
	look(c);
	nftw(sysfs, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
