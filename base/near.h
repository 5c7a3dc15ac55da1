/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words that a person may have meant: the same but for its case, the beginning of one, or one with
 * a slip of a finger in it. Pure; letters beyond ASCII have no case here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* How near, the nearest first. */
enum near { NEAR_CASE, NEAR_PREFIX, NEAR_SLIP, NEAR_NOT };

enum near near_word(const char *typed, const char *word);
const char *near_best(const char *typed, const char *const *words, size_t n);
