/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * base/loop.h for fuzz targets: the target says how late it is and when there is a turn, so that an
 * hour passes at once, and the same input does the same each time. It takes the place of base/loop.c
 * in the linker, and there is one of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

void clock_begin(void);
void clock_pass(uint64_t ns);
void clock_turn(void);
bool clock_waits(void);
