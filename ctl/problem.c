/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What went wrong, for people and for scripts: `error[KIND]: what, to which object, why`, the
 * command that mends it where there is one, and the exit status. It goes to stderr, also with
 * --json: stdout has a reply or nothing.
 */
#include "ctl/ctl.h"

#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/text.h"

#define OURS	"io.usbrouted."
#define SERVICE "org.varlink.service."

/* Return: what is to be printed; NULL: there is no memory. */
static char *clean_text(bool lines, const char *format, va_list ap)
{
	_cleanup_free_ char *text = NULL;

	if (vasprintf(&text, format, ap) < 0) {
		text = NULL;
		return NULL;
	}
	return text_clean(text, lines);
}

/**
 * ctl_error() - print an error
 * @kind:	its kind, one word
 * @format:	what, to which object, why; cleaned, and may have several lines
 */
void ctl_error(const char *kind, const char *format, ...)
{
	_cleanup_free_ char *clean = NULL;
	va_list ap;

	va_start(ap, format);
	clean = clean_text(true, format, ap);
	va_end(ap);
	fprintf(stderr, "error[%s]: %s\n", kind, clean ? clean : "no memory");
}

/**
 * ctl_try() - print what to type, below an error
 * @format:	the command
 */
void ctl_try(const char *format, ...)
{
	_cleanup_free_ char *clean = NULL;
	va_list ap;

	va_start(ap, format);
	clean = clean_text(false, format, ap);
	va_end(ap);
	if (clean)
		fprintf(stderr, "  try: %s\n", clean);
}

/**
 * ctl_note() - print one more line below an error
 * @format:	the line
 */
void ctl_note(const char *format, ...)
{
	_cleanup_free_ char *clean = NULL;
	va_list ap;

	va_start(ap, format);
	clean = clean_text(false, format, ap);
	va_end(ap);
	if (clean)
		fprintf(stderr, "  %s\n", clean);
}

/**
 * ctl_put_word() - append a blank and a word as a shell takes it
 * @f:	where to
 * @word:	the word
 */
void ctl_put_word(FILE *f, const char *word)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/=+,@%-";

	if (*word && !word[strspn(word, plain)]) {
		fprintf(f, " %s", word);
		return;
	}
	fputs(" '", f);
	for (; *word; word++)
		fputs(*word == '\'' ? "'\\''" : (const char[]){*word, '\0'}, f);
	putc('\'', f);
}

/* The same command with other words, below an error. NULL words are left out. */
static void try_words(const char *before, const char *command, const char *first,
		      const char *second, const char *option)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&line, &size);

	if (!f)
		return;
	fprintf(f, "%susbroutectl %s", before, command);
	if (first)
		ctl_put_word(f, first);
	if (second)
		ctl_put_word(f, second);
	if (option)
		fprintf(f, " %s", option);
	fclose(f);
	if (line)
		ctl_try("%s", line);
}

static const char *device_of(const struct ctl *ctl)
{
	if (!strncmp(ctl->command->args, "[DEVICE]", strlen("[DEVICE]")))
		return ctl->args[0] ? ctl->args[0] : "";
	return ctl->command->n_args > 0 && !(ctl->command->options & COMMAND_TESTS) ? ctl->args[0]
										    : "";
}

/* The word behind the device, where the command has one. */
static const char *second_of(const struct ctl *ctl)
{
	return ctl->command->n_args > 1 ? ctl->args[1] : NULL;
}

/* "DEVICE: REASON", where the reason does not begin so already. */
static void error_about_device(const struct ctl *ctl, const char *kind, const char *reason)
{
	const char *device = device_of(ctl);
	size_t len = strlen(device);

	if (!len || (!strncmp(reason, device, len) && (reason[len] == ':' || reason[len] == ' ')))
		ctl_error(kind, "%s", reason);
	else
		ctl_error(kind, "%s: %s", device, reason);
}

/* What comes near, a line each; and the command again with the nearest, where it is clear which. */
static void tell_near(const struct ctl *ctl, const json_t *near)
{
	const json_t *first = json_array_get(near, 0), *n;
	const char *word = ctl_text(first, "word"), *second = second_of(ctl);
	bool same = !strcmp(word, device_of(ctl));
	size_t i;

	json_array_foreach(near, i, n)
		if (!strcmp(ctl_text(n, "word"), device_of(ctl)) &&
		    !json_is_true(json_object_get(n, "vm")))
			ctl_note("%s is: %s", ctl_text(n, "word"), ctl_text(n, "what"));
		else
			ctl_note("near: %s  (%s)", ctl_text(n, "word"), ctl_text(n, "what"));
	if (json_is_true(json_object_get(first, "vm")) && second && strcmp(second, device_of(ctl)))
		try_words("", ctl->command->name, second, word, NULL);
	else if (json_array_size(near) == 1 && !same)
		try_words("", ctl->command->name, word, second, NULL);
	else
		ctl_try("usbroutectl list");
}

static void no_such_device(struct ctl *ctl, const json_t *p)
{
	const char *device = ctl_text(p, "device"), *port_off = ctl_text(p, "port_off");

	if (*port_off) {
		ctl_error("not-found", "%s: it is in port %s, which is switched off", device,
			  port_off);
		try_words("", "power", device_of(ctl), "on", NULL);
		return;
	}
	if (!strncmp(device, "group=", 6)) {
		ctl_error("not-found",
			  "no group \"%s\" is configured, and no rule puts a device into it",
			  device + 6);
		ctl_try("usbroutectl list");
		return;
	}
	/* Other commands take a device that is configured but not plugged in, too. */
	ctl_error("not-found", "no device \"%s\" is plugged in%s", device,
		  ctl->command->options & COMMAND_PRESENT
			  ? ""
			  : ", and none is configured by that name");
	tell_near(ctl, json_object_get(p, "near"));
}

static void no_such_vm(struct ctl *ctl, const json_t *p)
{
	const char *vm = ctl_text(p, "vm"), *near = ctl_text(p, "near"), *device = device_of(ctl);

	if (!strcmp(vm, "host") && ctl->command->run == ctl_why) {
		ctl_error("not-found", "the host is no VM: it may always have its devices");
		try_words("", "why", device, NULL, NULL);
		return;
	}
	if (!strcmp(vm, "host")) {
		ctl_error(
			"not-found",
			"the host is no VM: `detach` gives a device back to it, `assign DEVICE host` for good");
		if (*device)
			try_words("", "detach", device, NULL, NULL);
		return;
	}
	if (!strcmp(vm, "next") || !strcmp(vm, "prev")) {
		ctl_error("not-found", "\"%s\" is no VM: `switch` takes a device to it", vm);
		try_words("", "switch", device, vm, NULL);
		return;
	}
	ctl_error("not-found", "no VM \"%s\" is configured%s%s%s", vm,
		  *near ? "; did you mean " : "", near, *near ? "?" : "");
	if (*near && second_of(ctl))
		try_words("", ctl->command->name, device, near, NULL);
	else
		ctl_try("usbroutectl vms");
}

static void ambiguous(struct ctl *ctl, const json_t *p)
{
	const json_t *candidates = json_object_get(p, "candidates"), *c;
	long long left_out = json_integer_value(json_object_get(p, "left_out"));
	_cleanup_free_ char *lines = NULL, *word = NULL;
	size_t i, size = 0;
	const char *first;
	FILE *f = open_memstream(&lines, &size);

	if (!f)
		return;
	json_array_foreach(candidates, i, c)
		fprintf(f, "\n  %s", json_string_value(c) ? json_string_value(c) : "?");
	if (left_out > 0)
		fprintf(f, "\n  and %lld more", left_out);
	fclose(f);
	left_out += (long long)json_array_size(candidates);
	if (left_out == 1)
		ctl_error("ambiguous", "%s is a group, and one device is expected:%s",
			  device_of(ctl), lines ? lines : "");
	else
		ctl_error("ambiguous", "%lld devices match %s:%s", left_out, device_of(ctl),
			  lines ? lines : "");
	first = json_string_value(json_array_get(candidates, 0));
	word = first ? strndup(first, strcspn(first, " ")) : NULL;
	if (word)
		try_words("", ctl->command->name, word, second_of(ctl), NULL);
}

/* Whether the daemon may have refused because the caller has no rights. */
static bool caller_is_nobody(void)
{
	const struct group *g = getgrnam("usbrouted");
	gid_t groups[128];
	int n = getgroups(ARRAY_SIZE(groups), groups);

	if (!geteuid() || (g && getegid() == g->gr_gid))
		return false;
	for (int i = 0; g && i < n; i++)
		if (groups[i] == g->gr_gid)
			return false;
	return true;
}

static void denied(struct ctl *ctl, const json_t *p)
{
	if (ctl->command->n_args > 1 && ctl->command->options & COMMAND_TRIES &&
	    !(ctl->command->options & COMMAND_PORT))
		ctl_error("denied", "%s may not go to %s: %s", ctl->args[0], ctl->args[1],
			  ctl_text(p, "by"));
	else
		error_about_device(ctl, "denied", ctl_text(p, "by"));
	if (caller_is_nobody())
		try_words("sudo ", ctl->command->name, ctl->command->n_args ? ctl->args[0] : NULL,
			  second_of(ctl), NULL);
}

static void busy(struct ctl *ctl, const json_t *p)
{
	const char *reason = ctl_text(p, "reason");

	error_about_device(ctl, "busy", reason);
	if (strstr(reason, "the host's last keyboard") && ctl->command->options & COMMAND_FORCES)
		try_words("", ctl->command->name, device_of(ctl), second_of(ctl), "--force");
	/* These are the daemon's words for a disk that can be unmounted from here. */
	if (strstr(reason, " is mounted at ") && ctl->command->options & COMMAND_UNMOUNTS &&
	    !ctl->unmount)
		try_words("", ctl->command->name, device_of(ctl), second_of(ctl), "--unmount");
}

static void pending(struct ctl *ctl, const json_t *p)
{
	error_about_device(ctl, "pending", ctl_text(p, "reason"));
	if (ctl->command->options & COMMAND_PORT)
		try_words("", "show", device_of(ctl), NULL, NULL);
	else
		fprintf(stderr,
			"  The wish stays. usbroutectl list shows when it has come true.\n");
}

static void superseded(struct ctl *ctl, const json_t *p)
{
	error_about_device(ctl, "superseded",
			   "a newer command about it came while this one waited");
	try_words("", "show", device_of(ctl), NULL, NULL);
}

static void failed(struct ctl *ctl, const json_t *p)
{
	error_about_device(ctl, "failed", ctl_text(p, "reason"));
}

static void invalid_parameter(struct ctl *ctl, const json_t *p)
{
	static const struct {
		const char *parameter, *word, *expected;
		unsigned at;
	} words[] = {
		{"device", "DEVICE",
		 "an alias, an id such as 046d:c31c, or one of serial=… port=… class=… product=…",
		 0},
		{"vm", "VM", "a VM's name", 1},
		{"to", "VM", "a VM's name, next, prev or host", 1},
		{"alias", "NAME", "a name", 1},
	};
	const char *name = ctl_text(p, "parameter"), *expected = ctl_text(p, "expected");
	const json_t *near = json_object_get(p, "near");
	size_t i = 0;

	while (i < ARRAY_SIZE(words) &&
	       (strcmp(name, words[i].parameter) || ctl->command->n_args <= words[i].at))
		i++;
	if (ctl->devices && !strcmp(name, "devices"))
		ctl_error("usage", "%s: expected what `usbroutectl --json list` prints",
			  ctl->devices);
	else if (i < ARRAY_SIZE(words))
		ctl_error("usage", "%s: expected %s; found \"%s\"", words[i].word,
			  *expected ? expected : words[i].expected, ctl->args[words[i].at]);
	else
		ctl_error("usage", "the daemon does not take this %s", name);
	if (json_array_size(near))
		tell_near(ctl, near);
	else
		ctl_try("usbroutectl %s --help", ctl->command->name);
}

static const struct {
	const char *error;
	enum status status;
	void (*tell)(struct ctl *ctl, const json_t *parameters);
} problems[] = {
	{OURS "NoSuchDevice", STATUS_NOT_FOUND, no_such_device},
	{OURS "NoSuchVm", STATUS_NOT_FOUND, no_such_vm},
	{OURS "Ambiguous", STATUS_AMBIGUOUS, ambiguous},
	{OURS "Denied", STATUS_DENIED, denied},
	{OURS "Busy", STATUS_BUSY, busy},
	{OURS "Pending", STATUS_PENDING, pending},
	{OURS "Superseded", STATUS_FAILED, superseded},
	{OURS "Failed", STATUS_FAILED, failed},
	{SERVICE "InvalidParameter", STATUS_USAGE, invalid_parameter},
};

static enum status tell_error(struct ctl *ctl, const struct client_answer *answer)
{
	for (size_t i = 0; i < ARRAY_SIZE(problems); i++)
		if (!strcmp(answer->error, problems[i].error)) {
			problems[i].tell(ctl, answer->parameters);
			return problems[i].status;
		}
	ctl_error("failed", "the daemon at %s answered %s: it is not of this usbroutectl's version",
		  ctl->socket, answer->error);
	ctl_try("systemctl restart usbrouted");
	return STATUS_FAILED;
}

static enum status tell_connection(struct ctl *ctl, int r, int reason)
{
	switch (r) {
	case CLIENT_NO_DAEMON:
		ctl_error("no-daemon", "usbrouted does not answer at %s: %s", ctl->socket,
			  errno_text(reason));
		ctl_try("systemctl start usbrouted");
		return STATUS_NO_DAEMON;
	case CLIENT_DENIED:
		ctl_error("denied", "%s: you may not open it", ctl->socket);
		return STATUS_DENIED;
	case CLIENT_LATE:
		ctl_error("failed",
			  "usbrouted did not answer in time; what was asked may be done yet");
		ctl_try("usbroutectl status");
		return STATUS_FAILED;
	case CLIENT_LOST:
		ctl_error("failed", "usbrouted closed the connection; what was asked may be done");
		ctl_try("systemctl status usbrouted");
		return STATUS_FAILED;
	case CLIENT_GARBAGE:
		ctl_error("failed", "what answers at %s is not usbrouted", ctl->socket);
		return STATUS_FAILED;
	default:
		ctl_error("failed", "usbrouted at %s: %s", ctl->socket, errno_text(r));
		return STATUS_FAILED;
	}
}

/**
 * ctl_call() - call a method of the daemon, and say what went wrong
 * @ctl:	the run
 * @ask:	what to call; its socket is filled in here, its parameters are taken
 * @ret_answer:	the reply, to be freed with client_answer_deinit() whatever is returned
 *
 * Return: STATUS_DONE with a reply; else the exit status, and it has been said why.
 */
enum status ctl_call(struct ctl *ctl, const struct client_ask *ask,
		     struct client_answer *ret_answer)
{
	struct client_ask full = *ask;
	int r;

	full.socket = ctl->socket;
	if (full.timeout_seconds <= 0)
		full.timeout_seconds = CALL_TIMEOUT_SECONDS;
	r = client_call(&full, ret_answer);
	if (ctl->progress && ask->tick)
		fputs("\r\033[K", stderr);
	if (!r || r == CLIENT_STOPPED)
		return STATUS_DONE;
	if (r == CLIENT_ERROR)
		return tell_error(ctl, ret_answer);
	return tell_connection(ctl, r, ret_answer->reason);
}
