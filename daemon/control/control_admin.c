/* SPDX-License-Identifier: BSD-2-Clause */
/* The methods about the daemon itself: names for devices, the configuration, VMs' own processes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/control/control_json.h"
#include "daemon/control/control_method.h"
#include "daemon/commands/device_name.h"
#include "daemon/commands/commands.h"
#include "policy/name.h"

static void failed(struct control_caller *caller, const char *format, ...) _printf_(2, 3);

static void failed(struct control_caller *caller, const char *format, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	control_error(caller, "Failed", json_pack("{s:o}", "reason", json_lines(text)));
}

/* The name that a command gave to a device that is not there; NULL: it gave none, or several. */
static const char *given_to(const struct control_rooms *rooms, const char *text)
{
	const char *name = NULL;
	struct selector s;
	size_t n = 0;

	if (control_selector(rooms, text, &s) < 0)
		return NULL;
	list_for_each(it, &rooms->books->now.list[WISHES_NAMES].all) {
		const struct wish *w = list_entry(it, struct wish, link);

		if (!wish_is_named(w, &s))
			continue;
		name = w->target;
		n++;
	}
	selector_deinit(&s);
	return n == 1 ? name : NULL;
}

/* Forget a name whose device is not there. */
static void forget_name(struct control_caller *caller, const char *given)
{
	const struct control_rooms *rooms = control_rooms(caller);
	char error[200], name[32];

	snprintf(name, sizeof(name), "%s", given);

	log_notice("%s: no device is to be called that, says %s", name, control_who(caller));
	if (device_forget_name(rooms->commands, name, error, sizeof(error)) != 0)
		failed(caller, "%s", error);
	else
		control_reply(caller, json_pack("{s:o}", "device", json_absent(rooms, name)));
}

static void method_set_alias(struct control_caller *caller, const struct varlink_call *call)
{
	const struct control_rooms *rooms = control_rooms(caller);
	const char *text = control_text(call, "device"), *name = control_text(call, "alias");
	const char *given, *expected = NULL;
	struct device *d = NULL;
	char error[200];
	enum device_by by;
	int r;

	/* A missing parameter does not take the name away; only an explicit null does. */
	if (!json_object_get(call->parameters, "alias")) {
		control_invalid_because(caller, "alias", NAME_ALIAS_EXPECTED);
		return;
	}
	r = device_resolve(rooms->devices, text, &d, &by, &expected);
	given = name || r == 0 ? NULL : r == RESOLVE_ABSENT ? text : given_to(rooms, text);
	if (given) {
		forget_name(caller, given);
		return;
	}
	if (r != 0) {
		if (r == RESOLVE_AMBIGUOUS)
			control_ambiguous(caller, text);
		else if (r < 0)
			control_invalid_device(caller, text, expected);
		else
			control_no_device(caller, text);
		return;
	}
	log_notice("%s: to be called %s, says %s", d->tag, name ? name : "nothing",
		   control_who(caller));
	if (device_give_name(rooms->commands, d, by == DEVICE_BY_PORT, name, error,
			     sizeof(error)) != 0) {
		failed(caller, "%s", error);
		return;
	}
	control_reply(caller, json_pack("{s:o}", "device", json_device(d)));
}

static void method_reload(struct control_caller *caller, const struct varlink_call *call)
{
	struct config_errors errors = {0};
	int r;

	log_notice("reading the configuration anew, says %s", control_who(caller));
	r = commands_reload(control_rooms(caller)->commands, &errors);
	if (r == 0)
		control_reply(caller, json_object());
	else
		failed(caller, "%s", errors.text ? errors.text : errno_text(r));
	config_errors_deinit(&errors);
}

/* ------------------------------------------------------------- a VM's process */

struct restart {
	struct control_caller *caller;
	struct vm_anew anew;
	char vm[32];
};

static void restarted(void *ctx, int r)
{
	struct restart *s = ctx;

	char text[128];

	if (r == 0) {
		snprintf(text, sizeof(text),
			 "%s: it has another process; its card and its devices come back", s->vm);
		control_reply(s->caller, json_pack("{s:o}", "message", json_lines(text)));
	} else if (r == -ESHUTDOWN) {
		failed(s->caller, "%s: it left the configuration meanwhile", s->vm);
	} else {
		failed(s->caller, "%s: its next process does not stand; the log says why", s->vm);
	}
	free(s);
}

static void restart_cancel(void *what)
{
	struct restart *s = what;

	vm_anew_forget(&s->anew);
	free(s);
}

static void method_restart_vm(struct control_caller *caller, const struct varlink_call *call)
{
	const char *name = control_text(call, "vm");
	struct vm *vm = vm_find(control_rooms(caller)->vms, name);
	struct restart *s;

	if (!vm) {
		control_no_vm(caller, name);
		return;
	}
	s = calloc(1, sizeof(*s));
	if (s) {
		s->caller = caller;
		s->anew = (struct vm_anew){.done = restarted, .ctx = s};
		snprintf(s->vm, sizeof(s->vm), "%s", vm->name);
		log_notice("%s: another process in place of its own, says %s", vm->name,
			   control_who(caller));
		if (vm_anew(vm, &s->anew) == 0) {
			control_wait(caller, s, restart_cancel);
			return;
		}
		free(s);
	}
	failed(caller, "no memory");
}

const struct control_method control_admin_methods[] = {
	{"SetAlias",
	 CONTROL_ALL,
	 method_set_alias,
	 {{"device", CONTROL_TEXT}, {"alias", CONTROL_ALIAS, true}}},
	{"Reload", CONTROL_ALL, method_reload, {}},
	{"RestartVm", CONTROL_ALL, method_restart_vm, {{"vm", CONTROL_TEXT}}},
	{},
};
