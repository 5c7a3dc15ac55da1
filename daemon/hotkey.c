/* SPDX-License-Identifier: BSD-2-Clause */
/* What the hot keys do; see hotkey.h. */
#include "daemon/hotkey.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/route_call.h"

#define WHO_MAX sizeof(((struct route_ask *)0)->who)

/* Of lines that change nothing: a keyboard may lie, and strike a thousand times a second. What is
 * moved is logged by route_command(). Control's thread alone. */
static struct log_limit limit;

/* A command of a hot key; nobody waits for its answer but the log. */
struct hotkey_command {
	char who[WHO_MAX];
	struct route_call *call;
};

static void command_done(void *ctx, enum route_outcome outcome, struct device *device,
			 const char *text, double ms)
{
	struct hotkey_command *command = ctx;

	if (outcome != ROUTE_DONE)
		log_warning("%s: %s", command->who, text);
	free(command);
}

/* @wait: let the move fail and go back; else the wish stands whatever comes. */
static void command(struct device *device, struct vm *to, bool wait, const char *who)
{
	struct hotkey_command *command = calloc(1, sizeof(*command));
	struct route_ask ask = {.device = device, .vm = to, .has_wait = !wait};

	if (!command) {
		log_err("%s: %s: no memory to move it", who, device->tag);
		return;
	}
	snprintf(command->who, sizeof(command->who), "%s", who);
	snprintf(ask.who, sizeof(ask.who), "%s", who);
	route_command(device->daemon, &ask, command_done, command, &command->call);
}

/* Those that are wanted at the host already are on their way. */
static bool is_wanted_elsewhere(const struct device *device)
{
	const char *by;

	return strcmp(route_wanted(device, &by), "host") != 0;
}

static void panic(struct daemon *daemon, const char *who)
{
	const usb_class_set meant = 1u << USB_CLASS_HID_KEYBOARD | 1u << USB_CLASS_HID_MOUSE;

	list_for_each(it, &daemon->devices) {
		struct device *device = list_entry(it, struct device, link);

		if (device->classes & meant && is_wanted_elsewhere(device))
			command(device, NULL, false, who);
	}
}

/* The first VM after the one that has the keyboard, in the order of the configuration. */
static struct vm *next_vm(const struct device *keyboard)
{
	struct daemon *daemon = keyboard->daemon;
	struct vm *at = keyboard->route.at, *first = NULL;
	bool passed = false;
	char by[200];

	list_for_each(it, &daemon->vms) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (vm == at) {
			passed = true;
			continue;
		}
		if (!vm->connected ||
		    !route_permits(daemon, keyboard, keyboard->alias, vm->name, by, sizeof(by)))
			continue;
		if (passed)
			return vm;
		first = first ? first : vm;
	}
	return first;
}

static void next(struct device *keyboard, const char *who)
{
	struct vm *to = next_vm(keyboard);

	if (to)
		command(keyboard, to, true, who);
	else
		log_limited(&limit, LOG_LEVEL_NOTICE, "%s: no other VM is there that may have it",
			    who);
}

/**
 * hotkey_struck() - do what a hot key says
 * @keyboard:	where it was struck
 * @which:	which
 */
void hotkey_struck(struct device *keyboard, enum hotkey which)
{
	static const char *const names[] = {[HOTKEY_PANIC] = "panic", [HOTKEY_NEXT] = "next"};
	struct daemon *daemon = keyboard->daemon;
	char who[WHO_MAX];

	if (!daemon->ready || daemon->stopping)
		return;
	log_limited(&limit, LOG_LEVEL_NOTICE, "hot key %s on %s", names[which], keyboard->tag);
	snprintf(who, sizeof(who), "hot key on %.*s", (int)sizeof(who) - 12, keyboard->tag);
	if (which == HOTKEY_PANIC)
		panic(daemon, who);
	else
		next(keyboard, who);
}
