/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rings of a link.
 *
 * Barriers, each with its partner at the other side:
 *   A  tail is written with release     the record's bytes, then tail
 *      tail is read with acquire        tail, then the record's bytes
 *   B  head is written with release     the record was read, then head
 *      head is read with acquire        head, then others' bytes over it
 *   C  tail, full fence, asleep         asleep, full fence, tail
 */
#include "vhost_user_net/net_link.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "vhost_user_net/net_rules.h"
#include "vhost_user_net/net_spec.h"
#include "vhost_user_net/shared_word.h"
#include "vhost_user_net/vu_memory.h"

/* After so many bytes the other side is shown them, so that it begins while more is written. */
#define SHOW_AT (32u << 10)

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int fault(struct net_link *link, const char *what)
{
	link->fault = what;
	return -EPROTO;
}

/* ------------------------------------------------------------- its making */

/**
 * net_link_make() - what a link consists of
 * @ret_memory:	the memory file, for both sides
 * @ret_wake:	what wakes side 0 and side 1, for both sides; all three are the caller's
 *
 * Return: 0 or a negative errno.
 */
int net_link_make(int *ret_memory, int ret_wake[2])
{
	_cleanup_close_ int memory = memfd_create("link", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	_cleanup_close_ int low = -1, high = -1;

	if (memory < 0 || ftruncate(memory, sizeof(struct net_link_memory)) < 0 ||
	    fcntl(memory, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	low = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	high = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (low < 0 || high < 0)
		return -errno;
	*ret_memory = take_fd(&memory);
	ret_wake[0] = take_fd(&low);
	ret_wake[1] = take_fd(&high);
	return 0;
}

/**
 * net_link_make_ends() - what a link consists of, for two processes
 * @ret_ends:	side 0 and side 1, each with descriptors of its own; the caller's
 *
 * Return: 0 or a negative errno.
 */
int net_link_make_ends(struct net_link_end ret_ends[2])
{
	_cleanup_close_ int memory = -1, memory_too = -1, low = -1, high = -1;
	int wake[2], r = net_link_make(&memory, wake);

	if (r < 0)
		return r;
	memory_too = fcntl(memory, F_DUPFD_CLOEXEC, 0);
	low = fcntl(wake[0], F_DUPFD_CLOEXEC, 0);
	high = fcntl(wake[1], F_DUPFD_CLOEXEC, 0);
	if (memory_too < 0 || low < 0 || high < 0) {
		r = -errno;
		close(wake[0]);
		close(wake[1]);
		return r;
	}
	ret_ends[0] = (struct net_link_end){take_fd(&memory), wake[0], take_fd(&high)};
	ret_ends[1] = (struct net_link_end){take_fd(&memory_too), wake[1], take_fd(&low)};
	return 0;
}

/**
 * net_link_on() - one side of a link, whose memory is mapped
 * @link:	the side; whatever it was before is forgotten
 * @memory:	its memory, fresh from net_link_make(); outlives the link, and isn't unmapped by it
 * @side:	which, 0 or 1
 */
void net_link_on(struct net_link *link, struct net_link_memory *memory, unsigned side)
{
	*link = (struct net_link){
		.memory = memory,
		.out = &memory->way[side],
		.in = &memory->way[!side],
		.out_bytes = memory->bytes[side],
		.in_bytes = memory->bytes[!side],
	};
}

/**
 * net_link_open() - map one side of a link
 * @link:	the side, closed
 * @memory:	the memory file; may be closed afterwards
 * @side:	which, 0 or 1
 *
 * Return: 0; -EINVAL where the file is none of net_link_make(): a file that its other holder could
 * cut off would end this process; or another negative errno.
 */
int net_link_open(struct net_link *link, int memory, unsigned side)
{
	int seals = fcntl(memory, F_GET_SEALS);
	struct stat st;
	void *map;

	if (seals < 0 || (seals & SEALS) != SEALS || fd_stat(memory, &st) < 0 ||
	    st.st_size != (off_t)sizeof(struct net_link_memory))
		return -EINVAL;
	map = mmap(NULL, sizeof(struct net_link_memory), PROT_READ | PROT_WRITE, MAP_SHARED, memory,
		   0);
	if (map == MAP_FAILED)
		return -errno;
	/* Guests' frames are no matter for a core dump. */
	(void)madvise(map, sizeof(struct net_link_memory), MADV_DONTDUMP);
	net_link_on(link, map, side);
	return 0;
}

/**
 * net_link_close() - unmap one side of a link
 * @link:	opened by net_link_open(), or closed; closed afterwards
 */
void net_link_close(struct net_link *link)
{
	if (link->memory)
		munmap(link->memory, sizeof(*link->memory));
	*link = (struct net_link){0};
}

/* ------------------------------------------------------------- writing */

static uint32_t record_size(size_t len)
{
	size_t size = sizeof(struct net_link_record) + len;

	return (uint32_t)((size + NET_LINK_ALIGN - 1) & ~(size_t)(NET_LINK_ALIGN - 1));
}

static bool has_room(struct net_link *link, uint32_t size)
{
	uint32_t used = link->tail - link->head_seen;

	if (size <= NET_LINK_RING - used)
		return true;
	link->head_seen = shared_u32_acquire(&link->out->head); /* B */
	used = link->tail - link->head_seen;
	if (used > NET_LINK_RING) {
		fault(link, "the reader is ahead of what was written");
		return false;
	}
	return size <= NET_LINK_RING - used;
}

/* @at: how far the writer is, modulo 2^32. Return: how far it is then. */
static uint32_t put(struct net_link *link, uint32_t at, const void *from, size_t len)
{
	uint32_t to = at & (NET_LINK_RING - 1);
	size_t n = min_t(size_t, len, NET_LINK_RING - to);

	memcpy(link->out_bytes + to, from, n);
	if (n < len)
		memcpy(link->out_bytes, (const uint8_t *)from + n, len - n);
	return at + (uint32_t)len;
}

/**
 * net_link_send() - write a frame
 * @link:	the link
 * @hdr:	what is left to do with it
 * @parts:	the frame; may lie in shared memory
 * @n_parts:	how many
 * @len:	bytes in them, at least an Ethernet header and at most NET_FRAME_MAX
 *
 * The other side sees it after net_link_show() at the latest.
 *
 * Return: 0; NET_LINK_FULL where there is no room, and the frame is lost; -EPROTO where the link is
 * broken.
 */
int net_link_send(struct net_link *link, const struct virtio_net_hdr *hdr,
		  const struct iovec *parts, unsigned n_parts, size_t len)
{
	struct net_link_record record = {.len = (uint32_t)len, .hdr = *hdr};
	uint32_t size = record_size(len), at = link->tail;

	if (link->fault)
		return -EPROTO;
	if (!has_room(link, size))
		return link->fault ? -EPROTO : NET_LINK_FULL;
	at = put(link, at, &record, sizeof(record));
	for (unsigned i = 0; i < n_parts; i++)
		at = put(link, at, parts[i].iov_base, parts[i].iov_len);
	link->tail += size;
	if (link->tail - link->shown >= SHOW_AT)
		net_link_show(link);
	return 0;
}

/**
 * net_link_show() - let the other side see what was written
 * @link:	the link
 */
void net_link_show(struct net_link *link)
{
	if (link->tail == link->shown)
		return;
	link->shown = link->tail;
	link->looked = false;
	shared_u32_release(&link->out->tail, link->tail); /* A */
}

/**
 * net_link_wakes() - ask whether the other side has to be woken for what it was shown
 * @link:	the link
 *
 * The caller wakes it, or remembers that it must: this does not say it again for what was shown
 * before.
 */
bool net_link_wakes(struct net_link *link)
{
	uint32_t asleep;

	if (link->looked || !link->memory)
		return false;
	link->looked = true;
	shared_fence(); /* C */
	asleep = shared_u32(&link->out->asleep);
	if (!asleep || asleep == link->woken)
		return false;
	link->woken = asleep;
	return true;
}

/* ------------------------------------------------------------- reading */

static bool look(struct net_link *link)
{
	uint32_t tail = shared_u32_acquire(&link->in->tail); /* A */
	uint32_t left = tail - link->head;

	if (left > NET_LINK_RING || left % NET_LINK_ALIGN) {
		fault(link, "more is written than there is room for, or a part of a record");
		return false;
	}
	link->tail_seen = tail;
	return left;
}

/**
 * net_link_peek() - look at the next frame without taking it
 * @link:	the link
 * @ret_frame:	the frame; its length can be relied on, and nothing in it
 *
 * Return: 1; 0 where there is none; -EPROTO where the link is broken.
 */
int net_link_peek(struct net_link *link, struct net_link_frame *ret_frame)
{
	uint32_t at = link->head & (NET_LINK_RING - 1), size;
	struct net_link_record record;
	size_t first;

	if (link->fault)
		return -EPROTO;
	if (link->tail_seen == link->head && !look(link))
		return link->fault ? -EPROTO : 0;
	if (link->asleep) {
		link->asleep = false;
		shared_u32_set(&link->in->asleep, 0);
	}
	memcpy(&record, link->in_bytes + at, sizeof(record));
	vu_read_once();
	if (record.len < sizeof(struct ethernet_header) || record.len > NET_FRAME_MAX)
		return fault(link, "a frame is too short or too long");
	size = record_size(record.len);
	if (size > link->tail_seen - link->head)
		return fault(link, "a frame is longer than what is written");
	link->peeked = size;

	/* The virtio-net header ends the record's head, so both are one piece, or two. */
	at += (uint32_t)offsetof(struct net_link_record, hdr);
	ret_frame->len = sizeof(record.hdr) + record.len;
	first = min_t(size_t, ret_frame->len, NET_LINK_RING - at);
	ret_frame->segs[0] =
		(struct iovec){.iov_base = (void *)(link->in_bytes + at), .iov_len = first};
	ret_frame->segs[1] = (struct iovec){.iov_base = (void *)link->in_bytes,
					    .iov_len = ret_frame->len - first};
	ret_frame->n_segs = first < ret_frame->len ? 2 : 1;
	return 1;
}

/**
 * net_link_take() - be done with the frame that was peeked at
 * @link:	the link; its writer may use the room from here on
 */
void net_link_take(struct net_link *link)
{
	link->head += link->peeked;
	link->peeked = 0;
	shared_u32_release(&link->in->head, link->head); /* B */
}

/**
 * net_link_sleep() - ask to be woken at the next frame
 * @link:	the link
 *
 * Return: true where there is one already, and no wake-up may come.
 */
bool net_link_sleep(struct net_link *link)
{
	if (link->fault || !link->memory)
		return false;
	if (++link->sleeps == 0)
		link->sleeps = 1;
	link->asleep = true;
	shared_u32_set(&link->in->asleep, link->sleeps);
	shared_fence(); /* C */
	return look(link);
}

/**
 * net_link_skip() - take all that has come, unread
 * @link:	the link
 */
void net_link_skip(struct net_link *link)
{
	if (link->fault || !link->memory || !look(link))
		return;
	link->peeked = link->tail_seen - link->head;
	net_link_take(link);
}
