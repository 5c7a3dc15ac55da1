/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program's options: a table says which there are, what stands after each, what its help is, and
 * where its value goes. Options may stand anywhere; every program says the same of a wrong one.
 *
 * A program that takes options, and one other word at the most, calls options_read(), which also
 * prints help and version. usbroutectl calls options_scan(): its errors and its help have a form of
 * their own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

#define OPTIONS_MAX 24

/* One of @flag, @text and @take says where the value goes. */
struct option_row {
	const char *name;     /* without its dashes */
	const char *argument; /* what stands after it, as messages name it; NULL: nothing */
	const char *help;     /* a line or more; NULL: options_read() prints none */
	bool *flag;	      /* becomes true */
	const char **text;    /* becomes what stands after it, which is argv's */
	bool (*take)(void *ctx, const char *text); /* false: it is refused, and it was said why */
	void *ctx;
};

/* Outcomes of options_scan() and options_read(). */
enum {
	OPTIONS_GOOD,
	OPTIONS_WRONG, /* of options_scan(): @fault says why; of options_read(): it was said why */
	OPTIONS_REFUSED, /* by a take(), which said why */
	OPTIONS_SHOWN,	 /* help or version was printed */
};

struct options_fault {
	char text[256];
	bool unknown; /* there is no such option, and none comes near */
};

struct options {
	const char *program, *version;
	const char *begins;    /* what an error begins with, before ": " */
	const char *usage;     /* --help: what comes before the options */
	const char *notes;     /* --help: what comes after them; NULL: nothing */
	const char *word;      /* what has to stand beside the options; NULL: nothing may */
	const char **ret_word; /* becomes that word, which is argv's */
	const struct option_row *rows;
	size_t n;
};

int options_scan(const struct option_row *rows, size_t n, int argc, char **argv,
		 unsigned *ret_given, struct options_fault *ret_fault);
int options_read(const struct options *options, int argc, char **argv);
int options_wrong(const struct options *options, const char *format, ...) _printf_(2, 3);
