/* SPDX-License-Identifier: BSD-2-Clause */
/* Options; see options.h. */
#include "base/options.h"

#include <assert.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/near.h"

/* getopt_long(3) gives a row's number and this. */
#define FIRST 256

/* ------------------------------------------------------------- reading */

/* The word that getopt_long(3) has stopped at; it may stop in the middle of -abc. */
static const char *stopped_at(int argc, char **argv)
{
	const char *next = optind < argc ? argv[optind] : "";

	return next[0] == '-' && next[1] && next[1] != '-' && next[2] && next[1] == optopt
		       ? next
		       : argv[optind - 1];
}

static void no_such_option(const struct option_row *rows, size_t n, const char *word,
			   struct options_fault *fault)
{
	size_t dashes = strspn(word, "-"), len = strcspn(word + dashes, "=");
	const char *names[OPTIONS_MAX], *near;
	char name[32];

	for (size_t i = 0; i < n; i++)
		names[i] = rows[i].name;
	snprintf(name, sizeof(name), "%.*s", (int)min_t(size_t, len, sizeof(name) - 1),
		 word + dashes);
	near = near_best(name, names, n);
	fault->unknown = !near;
	if (near)
		snprintf(fault->text, sizeof(fault->text),
			 "%s: there is no such option; did you mean --%s?", word, near);
	else
		snprintf(fault->text, sizeof(fault->text), "%s: there is no such option", word);
}

static bool take(const struct option_row *row, const char *text)
{
	if (row->flag)
		*row->flag = true;
	else if (row->text)
		*row->text = text;
	else
		return row->take(row->ctx, text);
	return true;
}

/**
 * options_scan() - read the options, wherever they stand
 * @rows:	the table; "help" is -h, too
 * @n:		how many rows, at most OPTIONS_MAX
 * @argc:	as of main()
 * @argv:	as of main(); what are no options stand from optind on, in their order
 * @ret_given:	a bit for each row that was given
 * @ret_fault:	what is wrong; written where OPTIONS_WRONG is returned
 *
 * Return: OPTIONS_GOOD, OPTIONS_WRONG or OPTIONS_REFUSED.
 */
int options_scan(const struct option_row *rows, size_t n, int argc, char **argv,
		 unsigned *ret_given, struct options_fault *ret_fault)
{
	struct option options[OPTIONS_MAX + 1] = {0};
	int c;

	assert(n <= OPTIONS_MAX);
	*ret_given = 0;
	*ret_fault = (struct options_fault){0};
	for (size_t i = 0; i < n; i++)
		options[i] = (struct option){
			.name = rows[i].name,
			.has_arg = rows[i].argument ? required_argument : no_argument,
			.val = FIRST + (int)i,
		};
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		size_t at = c >= FIRST ? (size_t)(c - FIRST) : 0;

		while (c == 'h' && strcmp(rows[at].name, "help"))
			at++;
		if (c == ':') {
			snprintf(ret_fault->text, sizeof(ret_fault->text),
				 "%s: expected %s after it", argv[optind - 1],
				 optopt >= FIRST ? rows[optopt - FIRST].argument : "more");
			return OPTIONS_WRONG;
		}
		if (c == '?' && optopt >= FIRST) {
			snprintf(ret_fault->text, sizeof(ret_fault->text),
				 "--%s: expected nothing after it; found \"%s\"",
				 rows[optopt - FIRST].name, argv[optind - 1]);
			return OPTIONS_WRONG;
		}
		if (c == '?') {
			no_such_option(rows, n, stopped_at(argc, argv), ret_fault);
			return OPTIONS_WRONG;
		}
		if (!take(&rows[at], optarg))
			return OPTIONS_REFUSED;
		*ret_given |= 1u << at;
	}
	return OPTIONS_GOOD;
}

/* ------------------------------------------------------------- help, version, errors */

static int heading_len(const struct option_row *row)
{
	return (int)strlen(row->name) + (row->argument ? 1 + (int)strlen(row->argument) : 0);
}

/* A help of several lines goes on below its beginning. */
static void print_row(const struct option_row *row, int width)
{
	const char *line = row->help;

	printf("  --%s%s%s%*s", row->name, row->argument ? " " : "",
	       row->argument ? row->argument : "", width - heading_len(row), "");
	for (size_t n; *line; line += n + !!line[n]) {
		n = strcspn(line, "\n");
		printf("%*s%.*s\n", line == row->help ? 2 : width + 6, "", (int)n, line);
	}
}

static void print_help(const struct options *o, const struct option_row *rows, size_t n)
{
	int width = 0;

	fputs(o->usage, stdout);
	puts("");
	for (size_t i = 0; i < n; i++)
		width = max_t(int, width, heading_len(&rows[i]));
	for (size_t i = 0; i < n; i++)
		if (rows[i].help)
			print_row(&rows[i], width);
	if (o->notes)
		printf("\n%s", o->notes);
}

/**
 * options_wrong() - say that words are wrong, and where it is written how they are typed
 * @options:	the program
 * @format:	what is wrong, as of printf(3)
 *
 * Return: OPTIONS_WRONG.
 */
int options_wrong(const struct options *options, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", options->begins);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\n  try: %s --help\n", options->program);
	return OPTIONS_WRONG;
}

static int take_word(const struct options *options, int n, char **words)
{
	if (!options->word && n)
		return options_wrong(options, "expected options only; found \"%s\"", words[0]);
	if (options->word && !n)
		return options_wrong(options, "expected %s", options->word);
	if (n > 1)
		return options_wrong(options, "expected only %s; found \"%s\" after it",
				     options->word, words[1]);
	if (options->word)
		*options->ret_word = words[0];
	return OPTIONS_GOOD;
}

/**
 * options_read() - read a program's options, its one word if it has one, --help and --version
 * @options:	the program, and its rows but for these two
 * @argc:	as of main()
 * @argv:	as of main()
 *
 * Return: OPTIONS_GOOD; OPTIONS_SHOWN; OPTIONS_WRONG, and it was said why.
 */
int options_read(const struct options *options, int argc, char **argv)
{
	struct option_row rows[OPTIONS_MAX];
	struct options_fault fault;
	bool help = false, version = false;
	unsigned given;
	size_t n = options->n;

	assert(n + 2 <= OPTIONS_MAX);
	for (size_t i = 0; i < n; i++)
		rows[i] = options->rows[i];
	rows[n++] = (struct option_row){"version", .help = "print the version", .flag = &version};
	rows[n++] = (struct option_row){"help", .help = "print this", .flag = &help};
	switch (options_scan(rows, n, argc, argv, &given, &fault)) {
	case OPTIONS_WRONG:
		return options_wrong(options, "%s", fault.text);
	case OPTIONS_REFUSED:
		return OPTIONS_WRONG;
	default:
		break;
	}
	if (help)
		print_help(options, rows, n);
	else if (version)
		printf("%s %s\n", options->program, options->version);
	if (help || version)
		return OPTIONS_SHOWN;
	return take_word(options, argc - optind, argv + optind);
}
