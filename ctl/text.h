/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text that a device or the daemon chose, made safe for a terminal. A product's name may hold
 * anything: a character that a terminal would obey, or that would hide or turn around other text,
 * becomes "?".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

void text_init(void);
char *text_clean(const char *text, bool lines);
size_t text_width(const char *text);
size_t text_fit(const char *text, size_t width);
