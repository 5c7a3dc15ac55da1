/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which word a person may have meant who typed another one: in another case, only its beginning, or
 * with a typing mistake. Pure; letters beyond ASCII have no case here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* How near, the nearest first. */
enum near { NEAR_CASE, NEAR_PREFIX, NEAR_SLIP, NEAR_NOT };

enum near near_word(const char *typed, const char *word);
const char *near_best(const char *typed, const char *const *words, size_t n);
