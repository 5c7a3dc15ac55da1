/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands that say where a device should be: attach, detach.
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

/**
 * ctl_attach() - `attach DEVICE VM`: a device should be in a VM
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_attach(struct ctl *ctl)
{
	_cleanup_(client_answer_deinit) struct client_answer answer = {0};
	struct client_ask ask = {
		.method = "io.usbrouted.Attach",
		.parameters = json_pack("{s:s, s:s}", "device", ctl->args[0], "vm", ctl->args[1]),
		.timeout_seconds = CALL_TIMEOUT_SECONDS + (ctl->has_wait ? ctl->wait_seconds : 0) +
				   WAIT_MARGIN_SECONDS,
		.tick = show_progress,
		.ctx = ctl,
	};
	_cleanup_free_ char *text = NULL;
	enum status status;
	const json_t *took;
	char ms[32] = "";

	if (ctl->unmount) {
		status = unmount_first(ctl, ctl->args[0]);
		if (status) {
			json_decref(ask.parameters);
			return status;
		}
	}
	if (ctl->has_wait)
		json_object_set_new(ask.parameters, "wait_seconds", json_real(ctl->wait_seconds));
	status = ctl_call(ctl, &ask, &answer);
	if (status)
		return status;
	if (ctl->json)
		return ctl_print_json(answer.parameters);
	took = json_object_get(answer.parameters, "milliseconds");
	if (json_is_number(took))
		snprintf(ms, sizeof(ms), " (%.0f ms)", json_number_value(took));
	if (asprintf(&text, "%s%s", ctl_text(answer.parameters, "message"), ms) < 0) {
		text = NULL;
		return STATUS_FAILED;
	}
	ctl_print_clean(text);
	return STATUS_DONE;
}

/**
 * ctl_detach() - `detach DEVICE`: a device should be with the host
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_detach(struct ctl *ctl)
{
	_cleanup_(client_answer_deinit) struct client_answer answer;
	enum status status = ctl_call(
		ctl,
		&(struct client_ask){.method = "io.usbrouted.Detach",
				     .parameters = json_pack("{s:s}", "device", ctl->args[0])},
		&answer);
	const json_t *d = json_object_get(answer.parameters, "device");
	const char *name = *ctl_text(d, "alias") ? ctl_text(d, "alias") : ctl->args[0];
	const char *now = ctl_text(d, "actual"), *reason = ctl_text(d, "reason");
	_cleanup_free_ char *text = NULL;

	if (status)
		return status;
	if (ctl->json)
		return ctl_print_json(answer.parameters);
	if (asprintf(&text, "%s: with %s%s%s", name, strcmp(now, "host") ? now : "the host",
		     *reason ? "; " : "", reason) < 0) {
		text = NULL;
		return STATUS_FAILED;
	}
	ctl_print_clean(text);
	return STATUS_DONE;
}
