/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why a command is refused at once: the policy, a broken device, the host's last keyboard. Changes
 * nothing. What it finds out of each device is kept with the command, and holds when it is carried
 * out.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/devices/host_inputs.h"
#include "daemon/commands/route_call.h"

/*
 * Whether the host would lose its last keyboard without consent. Devices that leave anyhow, with
 * consent or already on their way, count as gone.
 */
static bool call_takes_last_keyboard(const struct route_call *call)
{
	const char *leaving[2 * ROUTE_SUBJECTS_MAX];
	size_t n = route_leaving(call->commands->routing, leaving), n_anyhow = 0;

	for (unsigned pass = 0; pass < 2; pass++) {
		bool consented = pass == 0;

		for (size_t i = 0; i < call->n_members; i++) {
			const struct device *d = call->members[i].subject.device;

			if (d && !d->ours && route_consents(d, call->ask.vm->name) == consented)
				leaving[n++] = d->syspath;
		}
		if (consented)
			n_anyhow = n;
	}
	return n > n_anyhow && host_loses_keyboard(call->commands->devices, leaving, n_anyhow, n);
}

/* Whether the command's VM may have one of its devices, where its wishes were @next. */
static bool member_may(struct route_call *call, struct call_member *m, const struct wish_book *next,
		       char *by, size_t size)
{
	const struct route_subject *s = &m->subject;
	const char *vm = call->ask.vm->name;

	if (!s->device)
		return route_permits_absent(call->commands->routing, s->alias, vm, by, size);
	m->decision = route_decide(s->device, next);
	m->decided = true;
	if (strcmp(m->decision.want.target, vm))
		return route_permits(s->device, vm, by, size);
	snprintf(by, size, "%s", m->decision.by);
	return m->decision.may;
}

/* Whether a machine elsewhere would lose a device that it has, and nobody has said that it may. */
static bool call_takes_from_lan(const struct route_call *call, char *text, size_t size)
{
	for (size_t i = 0; i < call->n_members; i++) {
		const struct device *d = call->members[i].subject.device;
		char by[ROUTE_LAN_TEXT];

		if (!d || !route_lan_by(d, by))
			continue;
		snprintf(
			text, size,
			"%s%s%s has it, over the LAN; `usbroutectl attach --force` takes it from there",
			call->n_members > 1 ? d->tag : "", call->n_members > 1 ? ": " : "", by);
		return true;
	}
	return false;
}

/**
 * route_call_forbidden() - what forbids a command, before anything is done
 * @call:	the command; is told what was decided of its devices
 * @next:	the wishes as they would be
 * @text:	why, for a person
 * @size:	room there
 *
 * Return: ROUTE_DONE where nothing does, else how the command is to be answered.
 */
enum route_outcome route_call_forbidden(struct route_call *call, const struct wish_book *next,
					char *text, size_t size)
{
	const struct route_ask *ask = &call->ask;

	if ((ask->verb != ROUTE_ATTACH && ask->verb != ROUTE_ASSIGN) || !ask->vm)
		return ROUTE_DONE;
	for (size_t i = 0; i < call->n_members; i++) {
		const struct device *d = call->members[i].subject.device;
		char by[256];

		if (!member_may(call, &call->members[i], next, by, sizeof(by))) {
			snprintf(text, size, "%s", by);
			return ROUTE_DENIED;
		}
		if (d && d->broken[0]) {
			snprintf(text, size, "%s%sit is broken: %s",
				 call->n_members > 1 ? d->tag : "", call->n_members > 1 ? ": " : "",
				 d->broken);
			return ROUTE_NOT_DONE;
		}
	}
	if (!ask->force && call_takes_from_lan(call, text, size))
		return ROUTE_BUSY;
	/* An assignment is consent. */
	if (ask->verb == ROUTE_ATTACH && !ask->force && call_takes_last_keyboard(call)) {
		snprintf(text, size, "it is the host's last keyboard");
		return ROUTE_BUSY;
	}
	return ROUTE_DONE;
}
