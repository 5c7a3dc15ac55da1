/* SPDX-License-Identifier: BSD-2-Clause */
/* Options; see options.h. */
#include "ctl/options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"

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
	ctl_error(
		"usage",
		"--for: expected how long, such as 90s, 10m, 8h or 2d, a second to a year; found \"%s\"",
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
SETS_FLAG(watch)
SETS_FLAG(prometheus)
SETS_FLAG(apply)
SETS_FLAG(script)
SETS_FLAG(cloud_init)
SETS_FLAG(help)
SETS_FLAG(version)
SETS_TEXT(devices)
SETS_TEXT(connect)
SETS_TEXT(guest_agent)
SETS_TEXT(file)

static bool set_socket(struct ctl *ctl, const char *text)
{
	ctl->socket = text;
	if (*text)
		return true;
	ctl_error("usage", "--socket: expected a path after it; found \"\"");
	return false;
}

/* ssh would take one that begins with a dash for an option. */
static bool set_host(struct ctl *ctl, const char *text)
{
	ctl->host = text;
	if (*text && *text != '-')
		return true;
	ctl_error("usage", "--host: expected a machine's name after it; found \"%s\"", text);
	return false;
}

static const struct spec specs[] = {
	{"json", NULL, 0, set_json},
	{"host", "a machine's name", 0, set_host},
	{"socket", "a path", 0, set_socket},
	{"wait", "seconds", COMMAND_WAITS, set_wait},
	{"no-wait", NULL, COMMAND_WAITS, set_no_wait},
	{"for", "how long, such as 10m,", COMMAND_ENDS, set_for},
	{"until-unplug", NULL, COMMAND_ENDS, set_until_unplug},
	{"force", NULL, COMMAND_FORCES, set_force},
	{"dry-run", NULL, COMMAND_TRIES, set_dry_run},
	{"unmount", NULL, COMMAND_UNMOUNTS, set_unmount},
	{"off", NULL, COMMAND_OFF, set_off},
	{"watch", NULL, COMMAND_WATCHES, set_watch},
	{"prometheus", NULL, COMMAND_EXPORTS, set_prometheus},
	{"devices", "a path", COMMAND_TESTS, set_devices},
	{"apply", NULL, COMMAND_APPLIES, set_apply},
	{"connect", "libvirt's address", COMMAND_APPLIES | COMMAND_CONNECTS, set_connect},
	{"guest-agent", "a socket's path", COMMAND_INSTALLS, set_guest_agent},
	{"file", "a program's path", COMMAND_INSTALLS, set_file},
	{"script", NULL, COMMAND_INSTALLS, set_script},
	{"cloud-init", NULL, COMMAND_INSTALLS, set_cloud_init},
	{"help", NULL, 0, set_help},
	{"version", NULL, 0, set_version},
};

/* ------------------------------------------------------------- the command line */

/* The row's own reader, with the run that it is for. */
struct setting {
	struct ctl *ctl;
	bool (*set)(struct ctl *ctl, const char *text);
};

static bool take(void *ctx, const char *text)
{
	const struct setting *setting = ctx;

	return setting->set(setting->ctl, text);
}

/**
 * options_parse() - read the options, wherever they stand
 * @ctl:	gets what they say
 * @argc:	as of main()
 * @argv:	as of main(); the words that are no options stand from optind on afterwards
 *
 * Return: STATUS_DONE, or STATUS_USAGE and it has been said why.
 */
enum status options_parse(struct ctl *ctl, int argc, char **argv)
{
	struct setting settings[ARRAY_SIZE(specs)];
	struct option_row rows[ARRAY_SIZE(specs)];
	struct options_fault fault;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		settings[i] = (struct setting){ctl, specs[i].set};
		rows[i] = (struct option_row){specs[i].name, specs[i].argument, .take = take,
					      .ctx = &settings[i]};
	}
	r = options_scan(rows, ARRAY_SIZE(rows), argc, argv, &ctl->given, &fault);
	if (r == OPTIONS_GOOD)
		return STATUS_DONE;
	if (r == OPTIONS_WRONG) {
		ctl_error("usage", "%s", fault.text);
		if (fault.unknown)
			ctl_note(
				"a word that begins with - and is no option comes after --, as in: usbroutectl show -- -name");
	}
	return ctl_usage(NULL);
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

/**
 * options_given() - whether an option was given
 * @ctl:	the run
 * @name:	the option, without its dashes
 */
bool options_given(const struct ctl *ctl, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		if (!strcmp(specs[i].name, name))
			return ctl->given >> i & 1;
	return false;
}
