/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages of 64 KiB, as some arm64 kernels have: the C library says so, and what such a kernel refuses
 * is refused here (the linker's --wrap). What the kernel that runs this maps keeps its own pages.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/code_pages.h"
#include "base/mem.h"
#include "vhost_user_net/net_link.h"
#include "vhost_user_net/vhost_user_spec.h"
#include "vhost_user_net/vu_map.h"
#include "vhost_user_net/vu_memory.h"

#define PAGE 65536u

static unsigned maps, refused, advised;

long __real_sysconf(int name);
long __wrap_sysconf(int name);
void *__real_mmap64(void *at, size_t len, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t len, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len);
int __wrap_madvise(void *at, size_t len, int advice);

long __wrap_sysconf(int name)
{
	return name == _SC_PAGESIZE ? (long)PAGE : __real_sysconf(name);
}

static int refuse(void)
{
	refused++;
	errno = EINVAL;
	return -1;
}

/* At the beginning of a page, and from the beginning of one. */
void *__wrap_mmap64(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
	uintptr_t room;

	maps++;
	if (offset % PAGE || (flags & MAP_FIXED && (uintptr_t)at % PAGE)) {
		refuse();
		return MAP_FAILED;
	}
	if (flags & MAP_FIXED)
		return __real_mmap64(at, len, protection, flags, fd, offset);
	room = (uintptr_t)__real_mmap64(NULL, len + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
					-1, 0);
	return __real_mmap64((void *)((room + PAGE - 1) / PAGE * PAGE), len, protection,
			     flags | MAP_FIXED, fd, offset);
}

int __wrap_munmap(void *at, size_t len)
{
	if ((uintptr_t)at % PAGE)
		return refuse();
	/* The room around it stays: it is little. */
	return __real_munmap(at, len);
}

/* Nothing is done: pages of this program lie less far apart than such a kernel has them. */
int __wrap_madvise(void *at, size_t len _unused_, int advice _unused_)
{
	advised++;
	return (uintptr_t)at % PAGE ? refuse() : 0;
}

static int set_up(void **state _unused_)
{
	maps = refused = advised = 0;
	return vu_map_guard();
}

/* Regions that begin and end within such a page, as QEMU's may on a host with small ones. */
static void memory_is_mapped_from_whole_pages(void **state _unused_)
{
	static const struct vhost_user_memory_region regions[] = {
		{.guest_phys_addr = 0, .memory_size = 0x3000, .mmap_offset = 0},
		{.guest_phys_addr = 0x100000, .memory_size = 0x21000, .mmap_offset = 0x1000},
		{.guest_phys_addr = 0x200000, .memory_size = 0x10000, .mmap_offset = 0x3f000},
		{.guest_phys_addr = 0x300000, .memory_size = 0x20000, .mmap_offset = 0x20000},
	};
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct vu_memory memory;
	uint8_t byte;

	assert_int_equal(ftruncate(fd, 0x50000), 0);
	for (uint32_t at = 0; at < 0x50000; at += 0x1000) {
		byte = (uint8_t)(at >> 12);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	vu_memory_init(&memory);
	for (size_t i = 0; i < ARRAY_SIZE(regions); i++)
		assert_int_equal(vu_memory_add(&memory, &regions[i], fd), 0);
	assert_int_equal(maps, ARRAY_SIZE(regions));
	for (size_t i = 0; i < ARRAY_SIZE(regions); i++)
		for (uint64_t at = 0; at < regions[i].memory_size; at += 0x1000) {
			struct vu_memory_hint hint = {0};

			assert_true(vu_memory_read(&memory, &hint, regions[i].guest_phys_addr + at,
						   &byte, 1));
			assert_int_equal(byte, (regions[i].mmap_offset + at) >> 12);
		}
	assert_int_equal(vu_memory_remove(&memory, &regions[1]), 0);
	vu_memory_clear(&memory);
	assert_int_equal(refused, 0);
	close(fd);
}

static void links_are_mapped_from_whole_pages(void **state _unused_)
{
	struct net_link link[2];
	int memory, wake[2];

	assert_int_equal(net_link_make(&memory, wake), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(net_link_open(&link[i], memory, i), 0);
		net_link_close(&link[i]);
		close(wake[i]);
	}
	close(memory);
	assert_int_equal(refused, 0);
	assert_true(maps >= 2);
}

static void whole_pages_of_code_are_given_back(void **state _unused_)
{
	code_pages_give_back();
	assert_true(advised > 0);
	assert_int_equal(refused, 0);
}

int main(void)
{
	/* Where they are that large, the other tests show it. */
	if (__real_sysconf(_SC_PAGESIZE) >= PAGE)
		return 77;

	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(memory_is_mapped_from_whole_pages, set_up),
		cmocka_unit_test_setup(links_are_mapped_from_whole_pages, set_up),
		cmocka_unit_test_setup(whole_pages_of_code_are_given_back, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
