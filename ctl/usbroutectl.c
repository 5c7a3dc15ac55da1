/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usbroutectl: words on a command line to one call of the daemon.
 *
 * commands.c has every command with its words, its help and its function; options may stand anywhere.
 * Nothing here asks questions or keeps anything.
 */
#include "ctl/ctl.h"

#include <build_info.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/output.h"
#include "base/utf8.h"
#include "ctl/options.h"
#include "ctl/text.h"

#define WORD_MAX       4096 /* bytes, as of a path */
#define DEFAULT_SOCKET "/run/usbrouted/control"

/* How long the words of a command's line are, without its options. */
static int words_len(const char *args)
{
	size_t n = strcspn(args, "[");

	while (n && args[n - 1] == ' ')
		n--;
	return (int)n;
}

static void print_help(void)
{
	int width = 0;

	for (const struct command *c = ctl_commands; c->name; c++)
		width = max_t(int, width, (int)strlen(c->name) + !!*c->args + words_len(c->args));
	puts("usage: usbroutectl [--json] [--host HOST] [--socket PATH] COMMAND\n"
	     "\n"
	     "Commands:");
	for (const struct command *c = ctl_commands; c->name; c++) {
		int n = printf("  %s%s%.*s", c->name, *c->args ? " " : "", words_len(c->args),
			       c->args);

		printf("%*s  %s\n", width + 2 - n, "", c->help);
	}
	puts("\n"
	     "Options:\n"
	     "  --json             print the daemon's reply as one line of JSON\n"
	     "  --host HOST        of another machine's daemon, by ssh: usbroutectl there does it\n"
	     "  --socket PATH      the daemon's control socket (" DEFAULT_SOCKET ")\n"
	     "  --help             this text; `usbroutectl COMMAND --help` about one command\n"
	     "  --version          print the version of usbroutectl\n"
	     "\n"
	     "Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 ambiguous, 5 denied, 6 busy,\n"
	     "7 not within the wait, 8 no daemon, 9 found by doctor. Errors go to stderr, also with\n"
	     "--json.");
}

static void print_command_help(const struct command *c)
{
	printf("usage: usbroutectl [--json] [--host HOST] [--socket PATH] %s%s%s\n\n%c%s.\n",
	       c->name, *c->args ? " " : "", c->args, c->help[0] - 'a' + 'A', c->help + 1);
	if (*c->details)
		printf("\n%s", c->details);
}

/**
 * ctl_usage() - say how to find out how a command is typed
 * @c:	the command; NULL: it is not known
 *
 * Return: STATUS_USAGE.
 */
enum status ctl_usage(const struct command *c)
{
	ctl_try("usbroutectl %s%s--help", c ? c->name : "", c ? " " : "");
	return STATUS_USAGE;
}

/*
 * Messages are JSON, which is UTF-8: if a word is not, the error would name another one. And
 * messages have a bound, which words must not exceed.
 */
static enum status check_text(const struct command *c, int n, char **words)
{
	const char *name = c->args;

	for (int i = 0; i < n; i++) {
		size_t len = strcspn(name, " ]");

		if (strlen(words[i]) > WORD_MAX) {
			ctl_error("usage", "%.*s: expected at most %d bytes; found %zu",
				  (int)(len - (*name == '[')), name + (*name == '['), WORD_MAX,
				  strlen(words[i]));
			return ctl_usage(c);
		}
		if (utf8_valid_len(words[i], strlen(words[i])) < strlen(words[i])) {
			ctl_error("usage", "%.*s: expected text in UTF-8; found \"%s\"",
				  (int)(len - (*name == '[')), name + (*name == '['), words[i]);
			return ctl_usage(c);
		}
		name += len;
		name += strspn(name, " ]");
	}
	return STATUS_DONE;
}

/* Whether the words after the options are what the command takes. */
static enum status check_words(const struct ctl *ctl, int n, char **words)
{
	const struct command *c = ctl->command;
	unsigned words_max = c->n_args + c->n_optional;

	if (n < (int)c->n_args) {
		ctl_error("usage", "%s: expected %.*s after it", c->name, words_len(c->args),
			  c->args);
		return ctl_usage(c);
	}
	if (n > (int)words_max) {
		if (!words_max)
			ctl_error("usage", "%s: expected nothing more after it; found \"%s\"",
				  c->name, words[0]);
		else
			ctl_error(
				"usage",
				"%s: expected nothing more after \"%s\"; found \"%s\" (words with blanks in them stand in quotes)",
				c->name, words[words_max - 1], words[words_max]);
		return ctl_usage(c);
	}
	return check_text(c, n, words);
}

/**
 * ctl_look_at_terminal() - see what there is to print on
 * @ctl:	gets it
 */
void ctl_look_at_terminal(struct ctl *ctl)
{
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	bool obeys = term && strcmp(term, "dumb");
	struct winsize ws;

	if (isatty(STDOUT_FILENO)) {
		bool known = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws);

		ctl->width = known && ws.ws_col ? ws.ws_col : 80;
		ctl->height = known && ws.ws_row ? ws.ws_row : 24;
		ctl->colours = obeys && (!no_colour || !*no_colour);
	}
	ctl->progress = obeys && isatty(STDERR_FILENO);
}

/* List the words that a command line may begin with, after a mistyped one. */
static void no_such_command(const char *typed)
{
	const char *near = command_near(typed);

	ctl_error("usage", "\"%s\": there is no such command%s%s%s", typed,
		  near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/**
 * ctl_help() - `help [COMMAND]`: how to type it
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_help(struct ctl *ctl)
{
	const struct command *c = ctl->args[0] ? command_find(ctl->args[0]) : NULL;

	if (ctl->args[0] && !c) {
		no_such_command(ctl->args[0]);
		return ctl_usage(NULL);
	}
	if (c)
		print_command_help(c);
	else
		print_help();
	return STATUS_DONE;
}

static enum status no_command(const struct ctl *ctl)
{
	char names[256] = "";

	if (ctl->help) {
		print_help();
		return STATUS_DONE;
	}
	for (const struct command *c = ctl_commands; c->name; c++) {
		strncat(names, " ", sizeof(names) - strlen(names) - 1);
		strncat(names, c->name, sizeof(names) - strlen(names) - 1);
	}
	ctl_error("usage", "expected a command:%s", names);
	return ctl_usage(NULL);
}

static enum status run(int argc, char **argv)
{
	struct ctl ctl = {.socket = DEFAULT_SOCKET};
	/* What is no option is put behind the options. */
	_cleanup_free_ char **typed = calloc((size_t)argc + 1, sizeof(*typed));
	enum status status;

	for (int i = 0; typed && i < argc; i++)
		typed[i] = argv[i];
	status = options_parse(&ctl, argc, argv);
	if (status)
		return status;
	if (ctl.version) {
		puts("usbroutectl " USBROUTED_VERSION);
		return STATUS_DONE;
	}
	if (optind == argc)
		return no_command(&ctl);
	if (ctl.host && !ctl.help && typed)
		return remote_run(&ctl, argc, typed);
	ctl.command = command_find(argv[optind]);
	if (!ctl.command) {
		no_such_command(argv[optind]);
		return ctl_usage(NULL);
	}
	if (ctl.help) {
		print_command_help(ctl.command);
		return STATUS_DONE;
	}
	ctl.args = argv + optind + 1;
	status = options_check(&ctl);
	if (!status)
		status = check_words(&ctl, argc - optind - 1, ctl.args);
	if (status)
		return status;
	ctl_look_at_terminal(&ctl);
	return ctl.command->run(&ctl);
}

int main(int argc, char **argv)
{
	output_init();
	text_init();
	return output_end("error[failed]", (int)run(argc, argv));
}
