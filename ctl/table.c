/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cells are added in reading order, and cleaned as they are added, so that the terminal gets only
 * clean text. If a line would be too wide, one column shrinks first, down to SHRINK_MIN, then the
 * last one.
 */
#include "ctl/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/text.h"

#define GAP	   2
#define SHRINK_MIN 12
#define LAST_MIN   8

struct cell {
	char *text;
	size_t width;
	enum colour colour;
};

struct table {
	unsigned n_columns, shrinks;
	struct cell *cells;
	size_t n_cells, size;
};

static const char *const colour_codes[] = {
	[COLOUR_NONE] = "",	   [COLOUR_GREEN] = "\033[32m", [COLOUR_YELLOW] = "\033[33m",
	[COLOUR_RED] = "\033[31m", [COLOUR_BOLD] = "\033[1m",
};

/**
 * table_new() - a table with its head
 * @ret_table:	the table, to be freed with table_free()
 * @titles:	one a column
 * @n_columns:	how many, at most TABLE_COLUMNS_MAX
 * @shrinks:	the column that gives way where there is no room
 *
 * Return: 0 or -ENOMEM.
 */
int table_new(struct table **ret_table, const char *const *titles, unsigned n_columns,
	      unsigned shrinks)
{
	_cleanup_(table_freep) struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->n_columns = n_columns;
	t->shrinks = shrinks;
	for (unsigned i = 0; i < n_columns; i++)
		if (table_add(t, titles[i], COLOUR_BOLD) < 0)
			return -ENOMEM;
	*ret_table = take_ptr(t);
	return 0;
}

/**
 * table_free() - free a table
 * @table:	the table, or NULL
 *
 * Return: NULL.
 */
struct table *table_free(struct table *table)
{
	if (!table)
		return NULL;
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
	return NULL;
}

/**
 * table_freep() - table_free() as a cleanup
 * @table:	where the table is kept
 */
void table_freep(struct table **table)
{
	*table = table_free(*table);
}

/**
 * table_add() - add the next cell, from left to right and from top to bottom
 * @table:	the table
 * @text:	any text; NULL or empty shows as "-"
 * @colour:	its colour
 *
 * Return: 0 or -ENOMEM.
 */
int table_add(struct table *table, const char *text, enum colour colour)
{
	struct cell *c;

	if (table->n_cells == table->size) {
		size_t size = table->size ? table->size * 2 : 64;

		c = reallocarray(table->cells, size, sizeof(*c));
		if (!c)
			return -ENOMEM;
		table->cells = c;
		table->size = size;
	}
	c = &table->cells[table->n_cells];
	c->text = text_clean(text && *text ? text : "-", false);
	if (!c->text)
		return -ENOMEM;
	c->width = text_width(c->text);
	c->colour = colour;
	table->n_cells++;
	return 0;
}

static void shrink(size_t *width, size_t min, size_t *too_much)
{
	size_t by = *width > min ? *width - min : 0;

	by = min_t(size_t, by, *too_much);
	*width -= by;
	*too_much -= by;
}

static void print_cell(const struct cell *c, size_t width, bool last, FILE *f, bool colours)
{
	bool cut = c->width > width;
	size_t n = cut ? text_fit(c->text, width - 1) : strlen(c->text);
	bool coloured = colours && c->colour != COLOUR_NONE;

	fprintf(f, "%s%.*s%s%s", coloured ? colour_codes[c->colour] : "", (int)n, c->text,
		cut ? "…" : "", coloured ? "\033[0m" : "");
	if (!last) {
		/* A wide character that did not fit leaves a blank. */
		size_t used = c->width;

		if (cut) {
			_cleanup_free_ char *shown = strndup(c->text, n);

			used = 1 + (shown ? text_width(shown) : width - 1);
		}
		fprintf(f, "%*s", (int)(width - used + GAP), "");
	}
}

/**
 * table_print() - print a table
 * @table:	the table; a row that is not whole is left out
 * @f:		where to
 * @width:	of the terminal, in columns; 0: as wide as it needs to be
 * @colours:	whether to use them
 */
void table_print(const struct table *table, FILE *f, size_t width, bool colours)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0}, total = 0;
	unsigned n = table->n_columns;
	size_t rows = table->n_cells / n;

	for (size_t i = 0; i < rows * n; i++)
		widths[i % n] = max_t(size_t, widths[i % n], table->cells[i].width);
	for (unsigned i = 0; i < n; i++)
		total += widths[i] + (i ? GAP : 0);
	if (width && total > width) {
		total -= width;
		shrink(&widths[table->shrinks], SHRINK_MIN, &total);
		shrink(&widths[n - 1], LAST_MIN, &total);
	}
	for (size_t i = 0; i < rows * n; i++) {
		bool last = i % n == n - 1;

		print_cell(&table->cells[i], widths[i % n], last, f, colours);
		if (last)
			fputc('\n', f);
	}
}
