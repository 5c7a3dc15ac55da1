/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files that people write: lines of UTF-8. This knows what else an editor may have made of them,
 * and says it in words that follow "expected "; the reader of the file adds its name and the line.
 * Pure.
 */
#pragma once

#include <stddef.h>

/* What a file begins with. */
enum text_file { TEXT_FILE_GOOD, TEXT_FILE_MARKED, TEXT_FILE_OTHER };

#define TEXT_FILE_MARK_LEN 3

enum text_file text_file_begins(const void *data, size_t len, const char **ret_expected);
const char *text_line_fault(const char *line, size_t len);
const char *text_lookalike(const char *text, size_t len);
