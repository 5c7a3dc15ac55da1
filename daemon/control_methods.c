/* SPDX-License-Identifier: BSD-2-Clause */
/* The methods of io.usbrouted: from a call's parameters to its reply. */
#include <build_info.h>
#include <arpa/inet.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/control_methods.h"
#include "daemon/control_socket.h"
#include "daemon/daemon.h"
#include "daemon/device_registry.h"
#include "daemon/guest_side.h"
#include "daemon/route.h"
#include "daemon/varlink.h"
#include "daemon/virt_link.h"
#include "policy/usb_class.h"

#define WAIT_MAX_SECONDS 86400.0

/* ------------------------------------------------------------- things as JSON */

json_t *json_text(const char *text)
{
	/* What a device says of itself need not be UTF-8. */
	json_t *s = text ? json_string(text) : NULL;

	if (text && !s) {
		_cleanup_free_ char *clean = strdup(text);

		for (char *p = clean; p && *p; p++)
			if ((unsigned char)*p >= 0x80)
				*p = '?';
		s = clean ? json_string(clean) : NULL;
	}
	return s ? s : json_null();
}

static json_t *json_classes(usb_class_set classes)
{
	json_t *list = json_array();

	for (unsigned c = 0; c < USB_CLASSES; c++)
		if (classes >> c & 1)
			json_array_append_new(list, json_string(usb_class_name((enum usb_class)c)));
	return list;
}

static const char *speed_name(uint32_t speed)
{
	static const char *const names[] = {[1] = "low", [2] = "full", [3] = "high", [5] = "super"};

	return speed < ARRAY_SIZE(names) && names[speed] ? names[speed] : "full";
}

json_t *json_device(const struct device *d)
{
	const char *by, *wanted = route_wanted(d, &by), *state;
	char id[16], reason[256];

	snprintf(id, sizeof(id), "%04x:%04x", d->id_vendor, d->id_product);
	state = route_state_name(d, reason, sizeof(reason));
	return json_pack(
		"{s:o, s:s, s:o, s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:s, s:s, s:s, s:s, s:o}",
		"alias", json_text(d->alias ? d->alias->name : NULL), "id", id, "serial",
		json_text(d->serial), "port", d->busid, "stable_port", d->stable_port, "busid",
		d->busid, "manufacturer", json_text(d->manufacturer), "product",
		json_text(d->product), "speed", speed_name(d->info.speed), "classes",
		json_classes(d->classes), "wanted", wanted, "wanted_by", by, "actual",
		route_actual(d), "state", state, "reason", json_text(reason[0] ? reason : NULL));
}

/* A device that is configured and not plugged in, as far as one can speak of it. */
json_t *json_absent(struct daemon *daemon, const char *alias)
{
	const struct config_device *c = config_find_device(daemon->config, alias);
	const struct wish *w = c ? wish_find_absent(&daemon->wishes, &c->match, alias) : NULL;
	char id[16] = "";

	if (c && c->match.has_id)
		snprintf(id, sizeof(id), "%04x:%04x", c->match.id_vendor, c->match.id_product);
	return json_pack(
		"{s:s, s:s, s:n, s:s, s:s, s:s, s:n, s:n, s:s, s:[], s:s, s:s, s:s, s:s, s:s}",
		"alias", alias, "id", id, "serial", "port", "", "stable_port", "", "busid", "",
		"manufacturer", "product", "speed", "full", "classes", "wanted",
		w ? w->target : "host", "wanted_by", w ? "command" : "default", "actual", "host",
		"state", "pending", "reason", "it is not plugged in");
}

static json_t *json_count(int n)
{
	return n < 0 ? json_null() : json_integer(n);
}

static json_t *json_vm(struct vm *vm)
{
	struct guest_ports ports = guest_side_ports(vm);
	const uint8_t *m = vm->has_mac ? vm->mac : vm->config->mac;
	char address[INET_ADDRSTRLEN], mac[18], socket[PATH_MAX], name[48];
	json_t *devices = json_array();

	list_for_each(it, &vm->daemon->devices) {
		const struct device *d = list_entry(it, struct device, link);

		if (route_exported_to(d, vm))
			json_array_append_new(devices,
					      json_string(d->alias ? d->alias->name : d->busid));
	}
	inet_ntop(AF_INET, &vm->address, address, sizeof(address));
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
		 m[5]);
	snprintf(name, sizeof(name), "%s.sock", vm->name);
	daemon_path(socket, sizeof(socket), vm->daemon->config->runtime_directory, name);
	return json_pack("{s:s, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
			 vm->name, "connected", vm->connected, "address", address, "mac",
			 json_text(vm->has_mac || vm->config->has_mac ? mac : NULL), "agent",
			 json_text(guest_side_version(vm)), "ports_free_high",
			 json_count(ports.high), "ports_free_super", json_count(ports.super),
			 "devices", devices, "socket", json_text(socket), "domain",
			 json_text(vm->config->domain), "domain_state",
			 json_text(virt_domain_state(vm)));
}

/* ------------------------------------------------------------- parameters */

void invalid(struct control_caller *caller, const char *parameter)
{
	control_error(caller, "InvalidParameter", json_pack("{s:s}", "parameter", parameter));
}

/* Only the parameters that a method has; false, and answered, where there is another. */
bool only_parameters(struct control_caller *caller, const struct varlink_call *call,
		     const char *const *names)
{
	const char *key;
	json_t *value;

	json_object_foreach(call->parameters, key, value) {
		bool known = false;

		for (const char *const *n = names; *n; n++)
			known = known || !strcmp(*n, key);
		if (!known) {
			invalid(caller, key);
			return false;
		}
	}
	return true;
}

const char *text_parameter(struct control_caller *caller, const struct varlink_call *call,
			   const char *name)
{
	const char *text = json_string_value(json_object_get(call->parameters, name));

	if (!text)
		invalid(caller, name);
	return text;
}

static void answer_no_device(struct control_caller *caller, const char *text)
{
	const char *why = device_registry_refuses(control_daemon(caller)->registry, text);

	/* It is there, and not listed: a hub, or what came over USB/IP itself. */
	if (why)
		control_error(caller, "Denied", json_pack("{s:s}", "by", why));
	else
		control_error(caller, "NoSuchDevice", json_pack("{s:s}", "device", text));
}

static void answer_ambiguous(struct control_caller *caller, const char *text)
{
	json_t *candidates = json_array();

	list_for_each(it, &control_daemon(caller)->devices) {
		const struct device *d = list_entry(it, struct device, link);
		char line[400];

		if (!device_is_meant(d, text))
			continue;
		snprintf(line, sizeof(line), "port=%s  %04x:%04x  %s%s%s", d->busid, d->id_vendor,
			 d->id_product, d->product ? d->product : "", d->serial ? "  serial=" : "",
			 d->serial ? d->serial : "");
		json_array_append_new(candidates, json_text(line));
	}
	control_error(caller, "Ambiguous", json_pack("{s:o}", "candidates", candidates));
}

/*
 * The device that a parameter means; NULL for an alias that is configured and not plugged in.
 * False, and answered, where there is none.
 */
bool device_parameter(struct control_caller *caller, const char *text, struct device **ret_device,
		      bool *ret_by_port)
{
	const char *expected = NULL;
	int r = device_resolve(control_daemon(caller), text, ret_device, ret_by_port, &expected);

	if (r == 0)
		return true;
	*ret_device = NULL;
	if (r == RESOLVE_ABSENT)
		return true;
	if (r == RESOLVE_AMBIGUOUS)
		answer_ambiguous(caller, text);
	else if (r < 0)
		invalid(caller, "device");
	else
		answer_no_device(caller, text);
	return false;
}

/* ------------------------------------------------------------- looking */

static void method_list(struct control_caller *caller, const struct varlink_call *call)
{
	static const char *const names[] = {NULL};
	json_t *devices;

	if (!only_parameters(caller, call, names))
		return;
	devices = json_array();
	list_for_each(it, &control_daemon(caller)->devices)
		json_array_append_new(devices, json_device(list_entry(it, struct device, link)));
	control_reply(caller, json_pack("{s:o}", "devices", devices));
}

static void method_show(struct control_caller *caller, const struct varlink_call *call)
{
	static const char *const names[] = {"device", NULL};
	struct device *d = NULL;
	const char *text;
	bool by_port;

	if (!only_parameters(caller, call, names))
		return;
	text = text_parameter(caller, call, "device");
	if (text && device_parameter(caller, text, &d, &by_port))
		control_reply(caller, json_pack("{s:o}", "device",
						d ? json_device(d)
						  : json_absent(control_daemon(caller), text)));
}

static void method_vms(struct control_caller *caller, const struct varlink_call *call)
{
	static const char *const names[] = {NULL};
	json_t *vms;

	if (!only_parameters(caller, call, names))
		return;
	vms = json_array();
	list_for_each(it, &control_daemon(caller)->vms)
		json_array_append_new(vms, json_vm(list_entry(it, struct vm, link)));
	control_reply(caller, json_pack("{s:o}", "vms", vms));
}

static void warn(json_t *warnings, const char *format, ...) _printf_(2, 3);

static void warn(json_t *warnings, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	json_array_append_new(warnings, json_text(text));
}

static void method_status(struct control_caller *caller, const struct varlink_call *call)
{
	static const char *const names[] = {NULL};
	struct daemon *daemon = control_daemon(caller);
	json_t *warnings;
	int devices = 0, vms = 0;

	if (!only_parameters(caller, call, names))
		return;
	warnings = json_array();
	list_for_each(it, &daemon->devices) {
		const struct device *d = list_entry(it, struct device, link);
		char reason[256];
		const char *state = route_state_name(d, reason, sizeof(reason));

		devices++;
		if (!strcmp(state, "broken") || !strcmp(state, "failed") ||
		    !strcmp(state, "denied"))
			warn(warnings, "%s: %s: %s", d->tag, state, reason);
	}
	list_for_each(it, &daemon->vms) {
		char text[400];

		vms++;
		if (virt_warning(list_entry(it, struct vm, link), text, sizeof(text)))
			warn(warnings, "%s", text);
	}
	if (!vms)
		warn(warnings, "no VM is configured; add a [vm NAME] section to the configuration");
	control_reply(caller,
		      json_pack("{s:s, s:I, s:i, s:i, s:o}", "version", USBROUTED_VERSION,
				"uptime_seconds",
				(json_int_t)((loop_now() - daemon->started_ns) / 1000000000u),
				"devices", devices, "vms", vms, "warnings", warnings));
}

/* ------------------------------------------------------------- changing */

/* A command under way, from the caller's side. */
struct change {
	struct control_caller *caller;
	struct route_call *call;
	bool attach;
	char device[256]; /* as the caller said it */
};

static void change_cancel(void *what)
{
	struct change *change = what;

	route_call_cancel(change->call);
	free(change);
}

static json_t *change_reply(const struct change *change, const struct device *d, const char *text,
			    double ms)
{
	json_t *device =
		d ? json_device(d) : json_absent(control_daemon(change->caller), change->device);

	if (!change->attach)
		return json_pack("{s:o}", "device", device);
	return json_pack("{s:o, s:o, s:o}", "device", device, "message", json_text(text),
			 "milliseconds", ms < 0 ? json_null() : json_real(round(ms * 10) / 10));
}

static void change_done(void *ctx, enum route_outcome outcome, struct device *d, const char *text,
			double ms)
{
	_cleanup_free_ struct change *change = ctx;
	struct control_caller *caller = change->caller;

	switch (outcome) {
	case ROUTE_DONE:
		control_reply(caller, change_reply(change, d, text, ms));
		return;
	case ROUTE_PENDING:
		control_error(caller, "Pending", json_pack("{s:o}", "reason", json_text(text)));
		return;
	case ROUTE_BUSY:
		control_error(caller, "Busy", json_pack("{s:o}", "reason", json_text(text)));
		return;
	case ROUTE_SUPERSEDED:
		control_error(caller, "Superseded", NULL);
		return;
	case ROUTE_DENIED:
		control_error(caller, "Denied", json_pack("{s:o}", "by", json_text(text)));
		return;
	case ROUTE_NOT_DONE:
	case ROUTE_UNPLUGGED:
		break;
	}
	control_error(caller, "Failed", json_pack("{s:o}", "reason", json_text(text)));
}

static void change_begin(struct control_caller *caller, const char *text, struct route_ask *ask,
			 bool attach)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change) {
		control_error(caller, "Failed", json_pack("{s:s}", "reason", "out of memory"));
		return;
	}
	change->caller = caller;
	change->attach = attach;
	snprintf(change->device, sizeof(change->device), "%s", text);
	snprintf(ask->who, sizeof(ask->who), "%s", control_who(caller));
	ask->alias = ask->device ? NULL : text;
	/* Before it is asked: the answer may come at once, and then there is no change any more. */
	control_wait(caller, change, change_cancel);
	route_command(control_daemon(caller), ask, change_done, change, &change->call);
}

static bool change_allowed(struct control_caller *caller)
{
	if (control_may_change(caller))
		return true;
	log_notice("%s may not change routes", control_who(caller));
	control_error(caller, "Denied",
		      json_pack("{s:s}", "by",
				"your user: only root and members of the group \"usbrouted\" may "
				"change routes"));
	return false;
}

static void method_attach(struct control_caller *caller, const struct varlink_call *call)
{
	static const char *const names[] = {"device", "vm", "wait_seconds", NULL};
	json_t *wait = json_object_get(call->parameters, "wait_seconds");
	struct route_ask ask = {0};
	const char *device, *vm;

	if (!only_parameters(caller, call, names))
		return;
	device = text_parameter(caller, call, "device");
	if (!device)
		return;
	vm = text_parameter(caller, call, "vm");
	if (!vm)
		return;
	if (wait && !json_is_null(wait)) {
		ask.has_wait = true;
		ask.wait_seconds = json_number_value(wait);
		if (!json_is_number(wait) || !(ask.wait_seconds >= 0) ||
		    ask.wait_seconds > WAIT_MAX_SECONDS) {
			invalid(caller, "wait_seconds");
			return;
		}
	}
	if (!change_allowed(caller) || !device_parameter(caller, device, &ask.device, &ask.by_port))
		return;
	ask.vm = vm_find(control_daemon(caller), vm);
	if (!ask.vm)
		control_error(caller, "NoSuchVm", json_pack("{s:s}", "vm", vm));
	else
		change_begin(caller, device, &ask, true);
}

static void method_detach(struct control_caller *caller, const struct varlink_call *call)
{
	static const char *const names[] = {"device", NULL};
	struct route_ask ask = {0};
	const char *device;

	if (!only_parameters(caller, call, names))
		return;
	device = text_parameter(caller, call, "device");
	if (device && change_allowed(caller) &&
	    device_parameter(caller, device, &ask.device, &ask.by_port))
		change_begin(caller, device, &ask, false);
}

/**
 * control_method() - carry out a call of io.usbrouted
 * @caller:	who calls; answered now, or later by way of control_wait()
 * @call:	the call; its method is of this interface
 */
void control_method(struct control_caller *caller, const struct varlink_call *call)
{
	static const struct {
		const char *name;
		void (*run)(struct control_caller *caller, const struct varlink_call *call);
	} methods[] = {
		{"List", method_list},	   {"Show", method_show},
		{"Vms", method_vms},	   {"Status", method_status},
		{"Attach", method_attach}, {"Detach", method_detach},
		{"Why", method_why},	   {"TestPolicy", method_test_policy},
	};
	const char *name = strrchr(call->method, '.') + 1;

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (!strcmp(methods[i].name, name)) {
			methods[i].run(caller, call);
			return;
		}
	}
	control_error(caller, "MethodNotFound", json_pack("{s:s}", "method", call->method));
}
