/* SPDX-License-Identifier: BSD-2-Clause */
/* `events`: what happens to devices and VMs, in words. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/ctl.h"
#include "ctl/watch.h"

#define LINE_MAX_LEN 1024

/* ------------------------------------------------------------- an event in words */

static void local_time(const char *utc, char *text, size_t size)
{
	struct tm tm = {0};
	time_t t;

	snprintf(text, size, "%s", utc);
	if (!strptime(utc, "%Y-%m-%dT%H:%M:%S", &tm))
		return;
	t = timegm(&tm);
	localtime_r(&t, &tm);
	strftime(text, size, "%H:%M:%S", &tm);
}

static void times_text(const json_t *e, char *text, size_t size)
{
	static const struct {
		const char *key, *what;
	} parts[] = {
		{"daemon_ms", "usbrouted"},
		{"import_ms", "import"},
		{"guest_ms", "guest"},
	};
	const json_t *total = json_object_get(e, "milliseconds");
	size_t n = 0;

	*text = '\0';
	if (!json_is_number(total))
		return;
	n = (size_t)snprintf(text, size, " after %.1f ms", json_number_value(total));
	for (size_t i = 0, said = 0; i < ARRAY_SIZE(parts); i++) {
		const json_t *ms = json_object_get(e, parts[i].key);

		if (json_is_number(ms))
			n += (size_t)snprintf(text + n, size - n, "%s%s %.1f", said++ ? ", " : " (",
					      parts[i].what, json_number_value(ms));
	}
	snprintf(text + n, size - n, strchr(text, '(') ? ")" : "");
}

/* What an event says, by its kind: {device}, {vm} and so on stand for what is in it. */
static const struct {
	const char *event, *words;
} lines[] = {
	{"plugged", "{device}  {id} in {port}"},
	{"unplugged", "{device}  {id} from {port}"},
	{"wanted", "{device}  at {vm}, by {wanted_by}"},
	{"routed", "{device}  {from} -> {vm}"},
	{"attached", "{device}  {vm} has it{times}"},
	{"ready", "{device}  {vm} has set it up{times}"},
	{"detached", "{device}  {vm} has it no more"},
	{"refused", "{device}  not at {vm}: {reason}"},
	{"failed", "{device}  {reason}"},
	{"vm_up", "{vm}"},
	{"vm_down", "{vm}"},
};

static void fill(const json_t *e, const char *words, char *line, size_t size)
{
	char times[160], name[32];
	size_t n = 0;

	times_text(e, times, sizeof(times));
	while (*words && n < size) {
		size_t plain = strcspn(words, "{"), len;
		const char *value;

		n += (size_t)snprintf(line + n, size - n, "%.*s", (int)plain, words);
		words += plain;
		if (!*words || n >= size)
			return;
		len = strcspn(words, "}") - 1;
		snprintf(name, sizeof(name), "%.*s", (int)len, words + 1);
		words += len + 2;
		value = !strcmp(name, "times") ? times : ctl_text(e, name);
		if (!strcmp(name, "device"))
			value = *ctl_text(e, "alias") ? ctl_text(e, "alias") : ctl_text(e, "port");
		n += (size_t)snprintf(line + n, size - n, "%s",
				      *value || value == times ? value : "-");
	}
}

static bool print_event(void *ctx, const json_t *e)
{
	const struct ctl *ctl = ctx;
	const char *event = ctl_text(e, "event"), *words = "{device}  {vm}";
	char line[LINE_MAX_LEN], text[LINE_MAX_LEN + 64], when[40];

	if (ctl->json)
		return !ctl_print_json(e) && fflush(stdout) == 0;
	if (!strcmp(event, "listening"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (!strcmp(lines[i].event, event))
			words = lines[i].words;
	fill(e, words, line, sizeof(line));
	local_time(ctl_text(e, "time"), when, sizeof(when));
	snprintf(text, sizeof(text), "%s  %-9s  %s", when, event, line);
	ctl_print_clean(text);
	return fflush(stdout) == 0;
}

/**
 * ctl_events() - `events`: what happens, a line each
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_events(struct ctl *ctl)
{
	return watch_events(ctl, print_event, NULL, ctl);
}
