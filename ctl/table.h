/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table for people: columns as wide as what is in them, and no line wider than the terminal.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 8

enum colour { COLOUR_NONE, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED, COLOUR_BOLD };

struct table;

int table_new(struct table **ret_table, const char *const *titles, unsigned n_columns,
	      unsigned shrinks);
struct table *table_free(struct table *table);
void table_freep(struct table **table);
int table_add(struct table *table, const char *text, enum colour colour);
void table_print(const struct table *table, FILE *f, size_t width, bool colours);
