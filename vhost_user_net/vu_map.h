/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A piece of a front-end's file, mapped: a region of its guest's memory, or a log of what was written
 * there.
 *
 * The file is memory, and the piece lies wholly in it at the time of mapping. A file that is cut off
 * later costs only its own owner: see vu_map_guard().
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct vu_map {
	uint8_t *at; /* the piece's first byte; NULL: nothing is mapped */
	void *start;
	size_t len;
	unsigned guard; /* its place in the table of vu_map_guard() */
};

int vu_map_guard(void);
int vu_map_open(struct vu_map *map, int fd, uint64_t offset, uint64_t size, atomic_bool *lost);
void vu_map_close(struct vu_map *map);
void vu_map_blame(const struct vu_map *map, atomic_bool *lost);
