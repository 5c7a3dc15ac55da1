/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UTF-8 (RFC 3629), and what of a stranger's text may be shown to a person.
 *
 * A device's name, a guest's words or a line of a file may hold anything. Characters that a
 * terminal would obey (control characters, C1 ones too), and those that would hide or turn around
 * other text (marks of direction, characters without a width), are *unsafe*. Each of them becomes
 * one "?", and so does each byte that is no UTF-8. Pure; no locale is asked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t utf8_next(const char *text, size_t len, uint32_t *ret_c);
size_t utf8_valid_len(const char *text, size_t len);
size_t utf8_cut(const char *text, size_t max);
bool utf8_unsafe(uint32_t c);
void utf8_make_safe(char *text, bool lines);
char *utf8_safe_copy(const char *text, size_t json_max, bool lines);
