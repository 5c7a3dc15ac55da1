/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands that explain: why a device is where it is, and what a file of the policy would do. They
 * change nothing.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text_file.h"
#include "base/utf8.h"
#include "protocol/varlink_wire.h"
#include "ctl/table.h"
#include "ctl/text.h"

#define FOLDER	      "policy.d/"
#define WORDS_MAX     1024
#define TEST_TEXT_MAX (48 * 1024)
/* Of a call, with room for what is around its parameters. */
#define PARAMETERS_MAX (VARLINK_MESSAGE_MAX - 256)

static enum status out_of_memory(void)
{
	ctl_error("failed", "no memory");
	return STATUS_FAILED;
}

static bool is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static long long number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* All files of rules lie in one folder. */
static const char *rule_words(const char *by)
{
	return strncmp(by, FOLDER, strlen(FOLDER)) ? by : by + strlen(FOLDER);
}

/* ------------------------------------------------------------- why */

/* The table of `why`, with the device as its head. */
static int new_table(struct table **ret_table, const json_t *d)
{
	const char *alias = ctl_text(d, "alias"), *port = ctl_text(d, "port");
	char words[WORDS_MAX];

	snprintf(words, sizeof(words), "%s%s%s%s%s", alias, *alias ? "  " : "", ctl_text(d, "id"),
		 *port ? "  port=" : "", port);
	return table_new(ret_table, (const char *const[]){"device", words}, 2, 1);
}

/* What makes it a keyboard or a mouse. */
static int add_classes(struct table *t, const json_t *d)
{
	char words[WORDS_MAX];

	ctl_words(json_object_get(d, "classes_by"), "; ", words, sizeof(words));
	if (!*words)
		return 0;
	return table_add(t, "class", COLOUR_NONE) | table_add(t, words, COLOUR_NONE);
}

/* What gave it its name. */
static int add_name(struct table *t, const json_t *d)
{
	const char *by = ctl_text(d, "named_by"), *why_not = ctl_text(d, "unnamed_because");
	char words[WORDS_MAX];

	if (!*by && !*why_not)
		return 0;
	if (*by)
		snprintf(words, sizeof(words), "%s, by %s", ctl_text(d, "alias"), by);
	else
		snprintf(words, sizeof(words), "none: %s", why_not);
	return table_add(t, "name", COLOUR_NONE) | table_add(t, words, COLOUR_NONE);
}

static int add_place(struct table *t, const json_t *d)
{
	const char *reason = ctl_text(d, "reason"), *on = ctl_text(d, "wish_on");
	char words[WORDS_MAX];
	int r = add_name(t, d);

	r |= table_add(t, "wanted", COLOUR_NONE);
	snprintf(words, sizeof(words), "%s, by %s%s%s", ctl_text(d, "wanted"),
		 ctl_text(d, "wanted_by"), *on ? ", which hangs on " : "", on);
	r |= table_add(t, words, COLOUR_NONE);
	r |= table_add(t, "now", COLOUR_NONE);
	/* The name's row says why it is ambiguous. */
	if (!strcmp(reason, ctl_text(d, "unnamed_because")))
		reason = "";
	snprintf(words, sizeof(words), "%s, %s%s%s", ctl_text(d, "actual"), ctl_text(d, "state"),
		 *reason ? ": " : "", reason);
	return r | table_add(t, words, COLOUR_NONE);
}

static int add_verdicts(struct table *t, const json_t *verdicts)
{
	char words[WORDS_MAX];
	const json_t *v;
	int r = 0;
	size_t i;

	json_array_foreach(verdicts, i, v) {
		bool allowed = is_true(v, "allowed");

		snprintf(words, sizeof(words), "%s: %s", allowed ? "may have it" : "denied",
			 ctl_text(v, "by"));
		r |= table_add(t, ctl_text(v, "vm"), COLOUR_NONE);
		r |= table_add(t, words, allowed ? COLOUR_GREEN : COLOUR_RED);
	}
	return r;
}

/* What the caller may do: for several VMs only their names, for one also what says so. */
static int add_rights(struct table *t, const json_t *verdicts)
{
	char words[WORDS_MAX], vms[WORDS_MAX / 2];
	json_auto_t *may = json_array();
	const json_t *v;
	size_t i;

	json_array_foreach(verdicts, i, v)
		if (is_true(v, "may_route"))
			json_array_append(may, json_object_get(v, "vm"));
	ctl_words(may, " ", vms, sizeof(vms));
	v = json_array_get(verdicts, 0);
	if (json_array_size(verdicts) == 1)
		snprintf(words, sizeof(words), "%s route it to %s: %s", *vms ? "may" : "may not",
			 ctl_text(v, "vm"), ctl_text(v, "may_route_by"));
	else
		snprintf(words, sizeof(words), *vms ? "may route it to %s" : "may not route it%s",
			 vms);
	return table_add(t, "you", COLOUR_NONE) | table_add(t, words, COLOUR_NONE);
}

static int add_attach(struct table *t, const json_t *reply)
{
	const char *vm = ctl_text(reply, "attach"), *by = ctl_text(reply, "attach_by");
	char words[WORDS_MAX];

	if (!*by)
		return 0;
	snprintf(words, sizeof(words), "%s%s: %s", *vm ? "to " : "by no rule", vm, by);
	return table_add(t, "attach", COLOUR_NONE) | table_add(t, words, COLOUR_NONE);
}

static void print_rule(const struct ctl *ctl, const json_t *rule, bool one_vm)
{
	const json_t *decides = json_object_get(rule, "decides");
	bool decided = json_array_size(decides) > 0, attaches = is_true(rule, "attaches");
	const char *why = ctl_text(rule, "why");
	_cleanup_free_ char *line = NULL, *clean = NULL;
	char vms[WORDS_MAX] = "";

	if (!one_vm)
		ctl_words(decides, " ", vms, sizeof(vms));
	if (asprintf(&line, "%s:%lld %s  — %s%s%s%s%s%s%s", rule_words(ctl_text(rule, "file")),
		     number(rule, "line"), ctl_text(rule, "text"),
		     is_true(rule, "matched") ? "match" : "no match", *why ? ": " : "", why,
		     decided ? "; decides" : "", *vms ? " for " : "", vms,
		     attaches ? "; decides about attaching" : "") < 0) {
		line = NULL;
		return;
	}
	clean = text_clean(line, false);
	if (!clean)
		return;
	decided = decided || attaches;
	printf("%s%s %s%s\n", decided && ctl->colours ? "\033[1m" : "", decided ? ">" : " ", clean,
	       decided && ctl->colours ? "\033[0m" : "");
}

static void print_rules(const struct ctl *ctl, const json_t *reply)
{
	bool one_vm = json_array_size(json_object_get(reply, "verdicts")) == 1;
	const json_t *rules = json_object_get(reply, "rules"), *rule;
	long long left_out = number(reply, "rules_left_out");
	size_t i;

	if (!json_array_size(rules))
		puts("\nThe policy has no rules.");
	else
		puts("\nRules, in the order in which they were tried:");
	json_array_foreach(rules, i, rule)
		print_rule(ctl, rule, one_vm);
	if (left_out)
		printf("  (%lld more, for which there was no room)\n", left_out);
}

/**
 * ctl_why() - `why DEVICE [VM]`: where a device should be and is, and what says so
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_why(struct ctl *ctl)
{
	_cleanup_(client_answer_deinit) struct client_answer answer;
	_cleanup_(table_freep) struct table *t = NULL;
	struct client_ask ask = {
		.method = "io.usbrouted.Why",
		.parameters = json_pack("{s:s, s:s*}", "device", ctl->args[0], "vm", ctl->args[1])};
	enum status status = ctl_call(ctl, &ask, &answer);
	const json_t *verdicts = json_object_get(answer.parameters, "verdicts");
	const json_t *device = json_object_get(answer.parameters, "device");

	if (status)
		return status;
	if (ctl->json)
		return ctl_print_json(answer.parameters);
	if (new_table(&t, device) < 0 || add_classes(t, device) < 0 || add_place(t, device) < 0 ||
	    add_verdicts(t, verdicts) < 0 || add_attach(t, answer.parameters) < 0 ||
	    (json_array_size(verdicts) && add_rights(t, verdicts) < 0))
		return out_of_memory();
	table_print(t, stdout, 0, ctl->colours);
	print_rules(ctl, answer.parameters);
	return STATUS_DONE;
}

/* ------------------------------------------------------------- policy test */

/* Whether the file can be sent. Where it can't, the line that is wrong was named. */
static bool text_is_good(const char *path, const char *text, size_t len)
{
	const char *expected;
	unsigned line = 1;

	if (text_file_begins(text, len, &expected) == TEXT_FILE_OTHER) {
		ctl_error("failed", "%s:1: expected %s", path, expected);
		return false;
	}
	for (; len; line++) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		/* A file with other mistakes can be sent: the daemon finds them all. */
		if (utf8_valid_len(text, n) < n || memchr(text, '\0', n)) {
			ctl_error("failed", "%s:%u: expected %s", path, line,
				  text_line_fault(text, n));
			return false;
		}
		text += end ? n + 1 : n;
		len -= end ? n + 1 : n;
	}
	return true;
}

/* The whole file as a string; NULL, and it was said why. */
static json_t *read_text(const char *path)
{
	_cleanup_free_ char *text = malloc(TEST_TEXT_MAX + 1);
	FILE *f = fopen(path, "re");
	json_t *string = NULL;
	size_t len = 0;
	bool failed;

	if (text && f)
		len = fread(text, 1, TEST_TEXT_MAX + 1, f);
	failed = !f || ferror(f);
	if (failed)
		ctl_error("failed", "%s: %s", path, errno_text(errno));
	if (f)
		fclose(f);
	if (failed || !text)
		return NULL;
	if (len > TEST_TEXT_MAX)
		ctl_error("failed", "%s: expected at most 48 KiB", path);
	else if (text_is_good(path, text, len) && !(string = json_stringn(text, len)))
		ctl_error("failed", "no memory");
	return string;
}

/* The devices of what `usbroutectl --json list` once printed; NULL, and it was said why. */
static json_t *read_devices(const char *path)
{
	json_error_t error;
	json_auto_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	json_t *devices = json_object_get(root, "devices");

	if (!root)
		ctl_error("failed", "%s: line %d: %s", path, error.line, error.text);
	else if (!json_is_array(devices))
		ctl_error("failed", "%s: expected what `usbroutectl --json list` prints", path);
	return json_is_array(devices) ? json_incref(devices) : NULL;
}

static enum status make_test(const struct ctl *ctl, json_t **ret_parameters)
{
	const char *file = ctl->args[1];
	json_auto_t *text = read_text(file), *devices = NULL, *parameters = NULL;

	if (!text)
		return STATUS_FAILED;
	if (ctl->devices) {
		devices = read_devices(ctl->devices);
		if (!devices)
			return STATUS_FAILED;
	}
	parameters = json_pack("{s:O, s:s, s:O*}", "text", text, "file", file, "devices", devices);
	if (!parameters) {
		ctl_error("failed", "%s: expected a name in UTF-8", file);
		return STATUS_FAILED;
	}
	if (json_dumpb(parameters, NULL, 0, JSON_COMPACT) > PARAMETERS_MAX) {
		ctl_error("failed", "%s and %s: expected at most 64 KiB in all", file,
			  ctl->devices ? ctl->devices : "its quotes");
		return STATUS_FAILED;
	}
	*ret_parameters = json_incref(parameters);
	return STATUS_DONE;
}

/* What is different from the policy in force: "+vm1 -vm2 attach: vm1 -> none". */
static void change_words(const json_t *d, char *buf, size_t size)
{
	char gains[WORDS_MAX / 2], loses[WORDS_MAX / 2];
	const char *then = ctl_text(d, "attach"), *now = ctl_text(d, "attach_now");
	bool attach = strcmp(then, now) != 0;

	ctl_words(json_object_get(d, "gains"), " +", gains, sizeof(gains));
	ctl_words(json_object_get(d, "loses"), " -", loses, sizeof(loses));
	snprintf(buf, size, "%s%s%s%s%s%s%s%s%s%s", *gains ? "+" : "", gains,
		 *gains && *loses ? " " : "", *loses ? "-" : "", loses,
		 attach && (*gains || *loses) ? " " : "", attach ? "attach: " : "",
		 attach ? (*now ? now : "none") : "", attach ? " -> " : "",
		 attach ? (*then ? then : "none") : "");
}

/* A row for each thing that says something of it. */
static int add_tested(struct table *t, const json_t *d)
{
	const json_t *rulings = json_object_get(d, "rulings"), *ruling;
	const char *alias = ctl_text(d, "alias");
	char changes[WORDS_MAX + 128], vms[WORDS_MAX], words[WORDS_MAX + 8];
	int r = 0;
	size_t i;

	change_words(d, changes, sizeof(changes));
	json_array_foreach(rulings, i, ruling) {
		bool allowed = is_true(ruling, "allowed");

		ctl_words(json_object_get(ruling, "vms"), " ", vms, sizeof(vms));
		snprintf(words, sizeof(words), "%s%s", allowed ? "" : "not ", vms);
		r |= table_add(t, i ? " " : *alias ? alias : ctl_text(d, "id"), COLOUR_NONE);
		r |= table_add(t, i ? " " : ctl_text(d, "port"), COLOUR_NONE);
		r |= table_add(t, words, allowed ? COLOUR_GREEN : COLOUR_RED);
		r |= table_add(t, i ? " " : ctl_text(d, "attach"), COLOUR_NONE);
		r |= table_add(t, i ? " " : changes, *changes ? COLOUR_YELLOW : COLOUR_NONE);
		r |= table_add(t, rule_words(ctl_text(ruling, "by")), COLOUR_NONE);
	}
	return r;
}

static enum status print_errors(const json_t *errors)
{
	const json_t *e;
	size_t i;

	json_array_foreach(errors, i, e) {
		_cleanup_free_ char *clean =
			text_clean(json_string_value(e) ? json_string_value(e) : "?", false);

		fprintf(stderr, "%s\n", clean ? clean : "no memory");
	}
	return STATUS_FAILED;
}

static enum status print_tested(const struct ctl *ctl, const json_t *reply)
{
	static const char *const titles[] = {"DEVICE", "PORT", "VMS", "ATTACH", "CHANGE", "BY"};
	_cleanup_(table_freep) struct table *t = NULL;
	const json_t *devices = json_object_get(reply, "devices"), *d;
	long long left_out = number(reply, "devices_left_out");
	size_t i;

	if (table_new(&t, titles, ARRAY_SIZE(titles), ARRAY_SIZE(titles) - 1) < 0)
		return out_of_memory();
	json_array_foreach(devices, i, d)
		if (add_tested(t, d) < 0)
			return out_of_memory();
	table_print(t, stdout, ctl->width, ctl->colours);
	if (left_out)
		printf("(%lld more devices, for which there was no room)\n", left_out);
	if (ctl->width) {
		_cleanup_free_ char *file = text_clean(ctl_text(reply, "file"), false);

		printf("%lld rules in all, with this file %s %s.\n", number(reply, "rules"),
		       is_true(reply, "replaces") ? "in the place of" : "put in as",
		       file ? file : "?");
	}
	return STATUS_DONE;
}

/* A file with another name would have no effect in policy.d. */
static void note_name(const char *file)
{
	static const char suffix[] = ".rules";
	size_t n = strlen(file), k = strlen(suffix);
	_cleanup_free_ char *clean = NULL;

	if (n > k && !strcmp(file + n - k, suffix))
		return;
	clean = text_clean(file, false);
	fprintf(stderr, "%s: of policy.d only files whose names end in .rules are read\n",
		clean ? clean : "no memory");
}

/**
 * ctl_policy() - `policy test FILE`: what a file of the policy would do
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_policy(struct ctl *ctl)
{
	_cleanup_(client_answer_deinit) struct client_answer answer = {0};
	struct client_ask ask = {.method = "io.usbrouted.TestPolicy"};
	const json_t *errors;
	enum status status;

	if (strcmp(ctl->args[0], "test")) {
		ctl_error("usage", "policy: expected test FILE after it; found \"%s\"",
			  ctl->args[0]);
		ctl_try("usbroutectl policy --help");
		return STATUS_USAGE;
	}
	status = make_test(ctl, &ask.parameters);
	if (status)
		return status;
	status = ctl_call(ctl, &ask, &answer);
	if (status)
		return status;
	errors = json_object_get(answer.parameters, "errors");
	if (ctl->json) {
		status = ctl_print_json(answer.parameters);
		return status ? status : json_array_size(errors) ? STATUS_FAILED : STATUS_DONE;
	}
	if (json_array_size(errors))
		return print_errors(errors);
	note_name(ctl->args[1]);
	return print_tested(ctl, answer.parameters);
}
