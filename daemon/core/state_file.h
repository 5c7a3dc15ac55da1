/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small files that must survive: read whole, with a bound; written whole or not at all (written
 * aside, fsync, rename, fsync of the folder), so that nothing is lost that was acknowledged.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

#define STATE_FILE_MAX (1024 * 1024)

char *state_file_path(char *buf, size_t size, const char *folder, const char *name);
int state_file_read(const char *path, char **ret_text, size_t *ret_len);
int state_file_write(const char *path, const char *text, size_t len);

/* Prints all that a file is to hold. */
typedef void (*state_file_fn)(FILE *f, const void *ctx);

int state_file_print(const char *path, state_file_fn print, const void *ctx);
