/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands that say where a device should be (attach, detach), and those that stir it where it is.
 */
#include "ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#include "ctl/text.h"
#include "ctl/unmount.h"

/* How much longer than the daemon to wait, so that it is the daemon who says "pending". */
#define WAIT_MARGIN_SECONDS 15

/* What stands on the line is taken away by ctl_call(). */
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
}

/* Ask for a change, wait, and print what was done. @parameters is taken. */
static enum status change(struct ctl *ctl, const char *method, json_t *parameters)
{
	_cleanup_(client_answer_deinit) struct client_answer answer = {0};
	bool goes = ctl->command->options & COMMAND_WAITS && ctl->command->n_args > 1 &&
		    ctl->command->run != ctl_power;
	struct client_ask ask = {
		.method = method,
		.parameters = parameters,
		.timeout_seconds = CALL_TIMEOUT_SECONDS + (ctl->has_wait ? ctl->wait_seconds : 0) +
				   WAIT_MARGIN_SECONDS,
		.tick = goes ? show_progress : NULL,
		.ctx = ctl,
	};
	enum status status = STATUS_DONE;

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
 * ctl_attach() - `attach DEVICE VM`: a device should be in a VM
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_attach(struct ctl *ctl)
{
	return change(ctl, "io.usbrouted.Attach",
		      json_pack("{s:s, s:s}", "device", ctl->args[0], "vm", ctl->args[1]));
}

/**
 * ctl_assign() - `assign DEVICE VM`: the same for good
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_assign(struct ctl *ctl)
{
	return change(ctl, "io.usbrouted.Assign",
		      json_pack("{s:s, s:s}", "device", ctl->args[0], "vm", ctl->args[1]));
}

/**
 * ctl_switch() - `switch DEVICE TO`: to the next VM, the one before, a VM, the host
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_switch(struct ctl *ctl)
{
	return change(ctl, "io.usbrouted.Switch",
		      json_pack("{s:s, s:s}", "device", ctl->args[0], "to", ctl->args[1]));
}

static enum status change_of_device(struct ctl *ctl, const char *method)
{
	return change(ctl, method, json_pack("{s:s}", "device", ctl->args[0]));
}

/**
 * ctl_detach() - `detach DEVICE`: a device should be with the host
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_detach(struct ctl *ctl)
{
	return change_of_device(ctl, "io.usbrouted.Detach");
}

enum status ctl_unassign(struct ctl *ctl)
{
	return change_of_device(ctl, "io.usbrouted.Unassign");
}

enum status ctl_release(struct ctl *ctl)
{
	return change_of_device(ctl, "io.usbrouted.Release");
}

enum status ctl_reserve(struct ctl *ctl)
{
	return change(ctl, "io.usbrouted.Reserve",
		      json_pack("{s:s, s:b}", "device", ctl->args[0], "off", ctl->off));
}

enum status ctl_undo(struct ctl *ctl)
{
	return change(ctl, "io.usbrouted.Undo", json_object());
}

/**
 * ctl_reset() - `reset DEVICE`: reset it where it is
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_reset(struct ctl *ctl)
{
	return change_of_device(ctl, "io.usbrouted.Reset");
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
	return change(ctl, "io.usbrouted.Power",
		      json_pack("{s:s, s:s}", "device", ctl->args[0], "how", how));
}
