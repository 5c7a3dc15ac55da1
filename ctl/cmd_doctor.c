/* SPDX-License-Identifier: BSD-2-Clause */
/* `doctor`: what goes wrong in practice, and what mends it; the daemon's checks, and the caller's own. */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/doctor_host.h"
#include "ctl/table.h"

static enum colour verdict_colour(const char *verdict)
{
	return !strcmp(verdict, "good")	   ? COLOUR_GREEN
	       : !strcmp(verdict, "wrong") ? COLOUR_RED
					   : COLOUR_YELLOW;
}

static enum status print_checks(const struct ctl *ctl, const json_t *checks)
{
	static const char *const titles[] = {"CHECK", "VERDICT", "FOUND"};
	_cleanup_(table_freep) struct table *t = NULL;
	const json_t *c;
	int r = table_new(&t, titles, ARRAY_SIZE(titles), 0);
	size_t i;

	json_array_foreach(checks, i, c) {
		const char *verdict = ctl_text(c, "verdict"), *mend = ctl_text(c, "mend");

		if (r < 0)
			break;
		r |= table_add(t, ctl_text(c, "name"), COLOUR_NONE);
		r |= table_add(t, verdict, verdict_colour(verdict));
		r |= table_add(t, ctl_text(c, "found"), COLOUR_NONE);
		if (!*mend)
			continue;
		r |= table_add(t, " ", COLOUR_NONE);
		r |= table_add(t, "mend:", COLOUR_NONE);
		r |= table_add(t, mend, COLOUR_NONE);
	}
	if (r < 0) {
		ctl_error("failed", "no memory");
		return STATUS_FAILED;
	}
	/* What to type must be whole, also where it is longer than a line. */
	table_print(t, stdout, 0, ctl->colours);
	return STATUS_DONE;
}

static size_t count_found(const json_t *checks)
{
	const json_t *c;
	size_t i, n = 0;

	json_array_foreach(checks, i, c)
		n += strcmp(ctl_text(c, "verdict"), "good") != 0;
	return n;
}

/* All that a method lists; NULL where it could not be asked. Owned by @answer. */
static const json_t *ask_list(struct ctl *ctl, const char *method, const char *key,
			      struct client_answer *answer)
{
	if (ctl_call(ctl, &(struct client_ask){.method = method, .more = true}, answer))
		return NULL;
	return json_object_get(answer->parameters, key);
}

/**
 * ctl_doctor() - `doctor [VM]`: what is wrong, and what mends it
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_doctor(struct ctl *ctl)
{
	_cleanup_(client_answer_deinit) struct client_answer answer = {0}, vms = {0}, devices = {0};
	struct client_ask ask = {
		.method = "io.usbrouted.Doctor",
		.parameters = json_pack("{s:s*}", "vm", ctl->args[0]),
	};
	enum status status = ctl_call(ctl, &ask, &answer), printed;
	json_auto_t *all = answer.parameters && !status
				   ? json_incref(answer.parameters)
				   : json_pack("{s:[], s:i}", "checks", "checks_left_out", 0);
	json_t *checks = json_object_get(all, "checks");

	if (status && status != STATUS_NO_DAEMON)
		return status;
	doctor_host(ctl, status ? NULL : ask_list(ctl, "io.usbrouted.Vms", "vms", &vms),
		    status ? NULL : ask_list(ctl, "io.usbrouted.List", "devices", &devices),
		    checks);
	printed = ctl->json ? ctl_print_json(all) : print_checks(ctl, checks);
	if (status || printed)
		return status ? status : printed;
	return count_found(checks) ? STATUS_FINDINGS : STATUS_DONE;
}
