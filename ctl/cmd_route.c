/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands that ask for a change: of where a device should be (attach, detach), or at the port
 * where it is (reset, power).
 */
#include "ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#include "ctl/text.h"
#include "ctl/unmount.h"

/* How much longer than the daemon to wait, so that it is the daemon who says "pending". */
#define WAIT_MARGIN_SECONDS 15

/* ctl_call() clears the line again. */
static void show_progress(void *ctx, unsigned seconds)
{
	const struct ctl *ctl = ctx;
	_cleanup_free_ char *device = text_clean(ctl->args[0], false),
			    *vm = text_clean(ctl->args[1], false);

	if (ctl->progress && device && vm)
		fprintf(stderr, "\r\033[K%s: waiting for %s … %u s", device, vm, seconds);
}

/* The options that the command takes, as parameters. */
static void add_options(const struct ctl *ctl, json_t *parameters)
{
	if (ctl->has_wait)
		json_object_set_new(parameters, "wait_seconds", json_real(ctl->wait_seconds));
	if (ctl->for_seconds > 0)
		json_object_set_new(parameters, "for_seconds", json_real(ctl->for_seconds));
	if (ctl->until_unplug)
		json_object_set_new(parameters, "until_unplug", json_true());
	if (ctl->force)
		json_object_set_new(parameters, "force", json_true());
	if (ctl->dry_run)
		json_object_set_new(parameters, "dry_run", json_true());
	if (ctl->command->options & COMMAND_OFF)
		json_object_set_new(parameters, "off", json_boolean(ctl->off));
}

/* Ask for a change, wait, and print what was done. @parameters is taken. */
static enum status change(struct ctl *ctl, json_t *parameters)
{
	char method[64];
	_cleanup_(client_answer_deinit) struct client_answer answer = {0};
	bool goes = ctl->command->options & COMMAND_WAITS && ctl->command->n_args > 1 &&
		    !(ctl->command->options & COMMAND_PORT);
	struct client_ask ask = {
		.method = method,
		.parameters = parameters,
		.timeout_seconds = CALL_TIMEOUT_SECONDS + (ctl->has_wait ? ctl->wait_seconds : 0) +
				   WAIT_MARGIN_SECONDS,
		.tick = goes ? show_progress : NULL,
		.ctx = ctl,
	};
	enum status status = STATUS_DONE;

	snprintf(method, sizeof(method), "io.usbrouted.%s", ctl->command->method);
	add_options(ctl, parameters);
	if (ctl->unmount && !ctl->dry_run)
		status = unmount_first(ctl, ctl->args[0]);
	if (status) {
		json_decref(ask.parameters);
		return status;
	}
	status = ctl_call(ctl, &ask, &answer);
	if (status)
		return status;
	if (ctl->json)
		return ctl_print_json(answer.parameters);
	ctl_print_clean(ctl_text(answer.parameters, "message"));
	return STATUS_DONE;
}

/**
 * ctl_change() - any command that asks for a change: its words become parameters of its method
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_change(struct ctl *ctl)
{
	const struct command *c = ctl->command;
	json_t *parameters = json_object();

	for (unsigned i = 0; i < c->n_args; i++)
		json_object_set_new(parameters, c->parameters[i], json_string(ctl->args[i]));
	return change(ctl, parameters);
}

/**
 * ctl_power() - `power DEVICE off|on|cycle`: switch the port that it is in
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_power(struct ctl *ctl)
{
	const char *how = ctl->args[1];

	if (strcmp(how, "off") && strcmp(how, "on") && strcmp(how, "cycle")) {
		ctl_error("usage",
			  "power: expected off, on or cycle after the device; found \"%s\"", how);
		return ctl_usage(ctl->command);
	}
	return ctl_change(ctl);
}
