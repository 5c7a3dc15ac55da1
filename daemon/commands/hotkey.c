/* SPDX-License-Identifier: BSD-2-Clause */
/* What the hot keys do; see hotkey.h. */
#include "daemon/commands/hotkey.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/subjects.h"

/*
 * For lines about hot keys that change nothing: a keyboard may lie, and strike a thousand times a
 * second. route_command() logs what is moved. Control thread only.
 */
static struct log_limit limit;

/* The answer goes to the log, and to who listens. */
static void command_done(void *ctx, const struct route_result *result)
{
	if (result->outcome == ROUTE_DONE)
		return;
	log_limited(&limit, LOG_LEVEL_WARNING, "the hot key could not do all: %s", result->text);
	hotkey_refused(ctx, result, "host");
}

/**
 * hotkey_refused() - whoever listens hears that a hot key's command was refused
 * @commands:	the commands
 * @result:	how the command ended; told is what was refused, not what is still on its way
 * @vm:		where its devices were to go; NULL: to the next VM
 */
void hotkey_refused(struct commands *commands, const struct route_result *result, const char *vm)
{
	const struct device *device = result->n_subjects ? result->subjects[0].device : NULL;

	if (device && (result->outcome == ROUTE_DENIED || result->outcome == ROUTE_BUSY))
		commands->ops->refused(commands->ops_ctx, device, vm, result->text);
}

/* Devices that are wanted at the host are already on their way. */
static bool is_wanted_elsewhere(const struct device *device)
{
	return strcmp(route_wanted(device).target, "host") != 0;
}

/* All keyboards and pointers, and the device on which the chord was struck, whatever it is. */
static bool is_meant(const struct device *device, const struct device *keyboard)
{
	const usb_class_set meant = 1u << USB_CLASS_HID_KEYBOARD | 1u << USB_CLASS_HID_MOUSE;

	return device == keyboard || device->classes & meant;
}

static void panic(struct commands *commands, const struct device *keyboard, const char *who)
{
	struct route_subject taken[ROUTE_SUBJECTS_MAX] = {0}, reserved[ROUTE_SUBJECTS_MAX] = {0};
	/* The wish stands in any case. */
	struct route_ask ask = {.verb = ROUTE_ATTACH, .subjects = taken, .has_wait = true};
	struct route_ask free = {.verb = ROUTE_UNRESERVE, .subjects = reserved, .has_wait = true};

	/* The struck one comes first: there may be more than a command can name. */
	for (unsigned pass = 0; pass < 2; pass++)
		list_for_each(it, &commands->devices->all) {
			struct device *device = list_entry(it, struct device, link);

			if ((device == keyboard) != (pass == 0) || !is_meant(device, keyboard) ||
			    !is_wanted_elsewhere(device) || ask.n_subjects == ROUTE_SUBJECTS_MAX)
				continue;
			taken[ask.n_subjects++] = subject_of(device);
			if (route_reserved(device))
				reserved[free.n_subjects++] = subject_of(device);
		}
	snprintf(ask.who, sizeof(ask.who), "%s", who);
	memcpy(free.who, ask.who, sizeof(free.who));
	/* They are to be used at the host: so reservations end. */
	if (free.n_subjects)
		route_command(commands, &free, command_done, commands, NULL);
	if (ask.n_subjects)
		route_command(commands, &ask, command_done, commands, NULL);
}

/**
 * hotkey_struck() - do what a hot key says
 * @commands:	the commands
 * @keyboard:	where it was struck
 * @which:	which
 */
void hotkey_struck(struct commands *commands, struct device *keyboard, enum hotkey which)
{
	static const char *const names[] = {[HOTKEY_PANIC] = "panic", [HOTKEY_NEXT] = "next"};
	char who[sizeof(((struct route_ask *)0)->who)];

	if (!commands->core->ready || commands->core->stopping)
		return;
	log_limited(&limit, LOG_LEVEL_NOTICE, "hot key %s on %s", names[which], keyboard->tag);
	snprintf(who, sizeof(who), "hot key on %.*s", (int)sizeof(who) - 12, keyboard->tag);
	if (which == HOTKEY_PANIC)
		panic(commands, keyboard, who);
	else
		route_switch_next(commands, keyboard, who);
}
