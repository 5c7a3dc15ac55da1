/* SPDX-License-Identifier: BSD-2-Clause */
/* Options; see options.h. */
#include "ctl/options.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/near.h"

#define SECONDS_MAX 86400
#define FOR_MAX	    (366.0 * 86400)

struct spec {
	const char *name;
	const char *argument; /* what is expected after it; NULL: nothing */
	unsigned takes;	      /* COMMAND_…: who takes it; 0: every command */
	bool (*set)(struct ctl *ctl, const char *text);
};

/* ------------------------------------------------------------- what each one sets */

static bool parse_number(const char *text, size_t len, double *ret_number)
{
	char *end;

	if (!len || strspn(text, "0123456789.") != len)
		return false;
	*ret_number = strtod(text, &end);
	return end == text + len && isfinite(*ret_number);
}

static bool set_wait(struct ctl *ctl, const char *text)
{
	ctl->has_wait = true;
	if (parse_number(text, strlen(text), &ctl->wait_seconds) &&
	    ctl->wait_seconds <= SECONDS_MAX)
		return true;
	ctl_error("usage", "--wait: expected seconds, 0 to %d; found \"%s\"", SECONDS_MAX, text);
	return false;
}

static bool set_no_wait(struct ctl *ctl, const char *text _unused_)
{
	if (ctl->has_wait) {
		ctl_error("usage", "--wait and --no-wait: expected one of them");
		return false;
	}
	ctl->has_wait = true;
	ctl->wait_seconds = 0;
	return true;
}

/* 90, 90s, 10m, 8h, 2d */
static bool set_for(struct ctl *ctl, const char *text)
{
	static const struct {
		char unit;
		double seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	size_t len = strlen(text);
	double unit = 1;

	for (size_t i = 0; len && i < ARRAY_SIZE(units); i++)
		if (text[len - 1] == units[i].unit) {
			unit = units[i].seconds;
			len--;
			break;
		}
	if (parse_number(text, len, &ctl->for_seconds)) {
		ctl->for_seconds *= unit;
		if (ctl->for_seconds >= 1 && ctl->for_seconds <= FOR_MAX)
			return true;
	}
	ctl_error("usage",
		  "--for: expected how long, such as 90s, 10m, 8h or 2d, a second to a year; "
		  "found \"%s\"",
		  text);
	return false;
}

#define SETS_FLAG(member)                                                    \
	static bool set_##member(struct ctl *ctl, const char *text _unused_) \
	{                                                                    \
		ctl->member = true;                                          \
		return true;                                                 \
	}
#define SETS_TEXT(member)                                           \
	static bool set_##member(struct ctl *ctl, const char *text) \
	{                                                           \
		ctl->member = text;                                 \
		return true;                                        \
	}

SETS_FLAG(json)
SETS_FLAG(until_unplug)
SETS_FLAG(force)
SETS_FLAG(dry_run)
SETS_FLAG(unmount)
SETS_FLAG(off)
SETS_FLAG(apply)
SETS_FLAG(help)
SETS_FLAG(version)
SETS_TEXT(devices)
SETS_TEXT(connect)

static bool set_socket(struct ctl *ctl, const char *text)
{
	ctl->socket = text;
	if (*text)
		return true;
	ctl_error("usage", "--socket: expected a path after it; found \"\"");
	return false;
}

static const struct spec specs[] = {
	{"json", NULL, 0, set_json},
	{"socket", "a path", 0, set_socket},
	{"wait", "seconds", COMMAND_WAITS, set_wait},
	{"no-wait", NULL, COMMAND_WAITS, set_no_wait},
	{"for", "how long, such as 10m,", COMMAND_ENDS, set_for},
	{"until-unplug", NULL, COMMAND_ENDS, set_until_unplug},
	{"force", NULL, COMMAND_FORCES, set_force},
	{"dry-run", NULL, COMMAND_TRIES, set_dry_run},
	{"unmount", NULL, COMMAND_UNMOUNTS, set_unmount},
	{"off", NULL, COMMAND_OFF, set_off},
	{"devices", "a path", COMMAND_TESTS, set_devices},
	{"apply", NULL, COMMAND_APPLIES, set_apply},
	{"connect", "libvirt's address", COMMAND_APPLIES, set_connect},
	{"help", NULL, 0, set_help},
	{"version", NULL, 0, set_version},
};

/* ------------------------------------------------------------- the command line */

#define FIRST 256

/* The word that getopt_long(3) has stopped at: of -abc it stops within. */
static const char *stopped_at(int argc, char **argv)
{
	const char *next = optind < argc ? argv[optind] : "";

	return next[0] == '-' && next[1] && next[1] != '-' && next[2] && next[1] == optopt
		       ? next
		       : argv[optind - 1];
}

static enum status no_such_option(const char *word)
{
	size_t dashes = strspn(word, "-"), len = strcspn(word + dashes, "=");
	const char *names[ARRAY_SIZE(specs)], *near;
	char name[32];

	/* It takes nothing, and was given something. */
	if (optopt >= FIRST) {
		ctl_error("usage", "--%s: expected nothing after it; found \"%s\"",
			  specs[optopt - FIRST].name, word);
		return ctl_usage(NULL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		names[i] = specs[i].name;
	snprintf(name, sizeof(name), "%.*s", (int)min_t(size_t, len, sizeof(name) - 1),
		 word + dashes);
	near = near_best(name, names, ARRAY_SIZE(names));
	ctl_error("usage", "%s: there is no such option%s%s%s", word,
		  near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
	if (!near)
		ctl_note("a word that begins with - and is no option comes after --, as in: "
			 "usbroutectl show -- -name");
	return ctl_usage(NULL);
}

/**
 * options_parse() - read the options, wherever they stand
 * @ctl:	gets what they say
 * @argc:	as of main()
 * @argv:	as of main(); its words are put in front of nothing else, from optind on
 *
 * Return: STATUS_DONE, or STATUS_USAGE and it has been said why.
 */
enum status options_parse(struct ctl *ctl, int argc, char **argv)
{
	struct option options[ARRAY_SIZE(specs) + 1] = {0};
	int c;

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		options[i] = (struct option){
			.name = specs[i].name,
			.has_arg = specs[i].argument ? required_argument : no_argument,
			.val = FIRST + (int)i,
		};
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		const struct spec *s = c >= FIRST ? &specs[c - FIRST] : NULL;

		if (c == 'h') {
			ctl->help = true;
		} else if (c == ':') {
			ctl_error("usage", "%s: expected %s after it", argv[optind - 1],
				  optopt >= FIRST ? specs[optopt - FIRST].argument : "more");
			return ctl_usage(NULL);
		} else if (!s) {
			return no_such_option(stopped_at(argc, argv));
		} else if (!s->set(ctl, optarg)) {
			return ctl_usage(NULL);
		} else {
			ctl->given |= 1u << (c - FIRST);
		}
	}
	return STATUS_DONE;
}

/**
 * options_check() - whether the command takes the options that were given
 * @ctl:	with its command
 *
 * Return: STATUS_DONE, or STATUS_USAGE and it has been said why.
 */
enum status options_check(const struct ctl *ctl)
{
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		if (ctl->given >> i & 1 && specs[i].takes &&
		    !(specs[i].takes & ctl->command->options)) {
			ctl_error("usage", "%s: it does not take --%s", ctl->command->name,
				  specs[i].name);
			return ctl_usage(ctl->command);
		}
	return STATUS_DONE;
}
