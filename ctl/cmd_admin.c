/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands about the daemon itself: names for devices, and its configuration.
 */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

/**
 * ctl_alias() - `alias DEVICE NAME`: give a device a name
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_alias(struct ctl *ctl)
{
	_cleanup_(client_answer_deinit) struct client_answer answer = {0};
	bool none = !strcmp(ctl->args[1], "none");
	enum status status = ctl_call(
		ctl,
		&(struct client_ask){.method = "io.usbrouted.SetAlias",
				     .parameters = json_pack("{s:s, s:s?}", "device", ctl->args[0],
							     "alias", none ? NULL : ctl->args[1])},
		&answer);
	const json_t *d = json_object_get(answer.parameters, "device");
	const char *port = ctl_text(d, "port");
	_cleanup_free_ char *text = NULL;

	if (status)
		return status;
	if (ctl->json)
		return ctl_print_json(answer.parameters);
	if (asprintf(&text, none ? "%s: has no name any more" : "%s: %s from now on",
		     none && *port ? port : ctl->args[0], ctl->args[1]) < 0) {
		text = NULL;
		return STATUS_FAILED;
	}
	ctl_print_clean(text);
	return STATUS_DONE;
}

/**
 * ctl_reload() - `reload`: read the configuration and the rules again
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_reload(struct ctl *ctl)
{
	_cleanup_(client_answer_deinit) struct client_answer answer = {0};
	enum status status =
		ctl_call(ctl, &(struct client_ask){.method = "io.usbrouted.Reload"}, &answer);

	if (status)
		return status;
	if (ctl->json)
		return ctl_print_json(answer.parameters);
	puts("The configuration was read anew.");
	return STATUS_DONE;
}
