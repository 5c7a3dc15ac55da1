/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stats: what goes through devices, and how long it takes.
 *
 * Only for callers that may change everything: how often a keyboard answers tells when somebody
 * types.
 */
#include <string.h>

#include "base/urb_stats.h"
#include "daemon/control/control_json.h"
#include "daemon/control/control_method.h"
#include "daemon/routing/route.h"
#include "daemon/vms/vm_process.h"

/* A call that waits for the processes' answers. */
struct looking {
	struct vms_stats_wait wait;
	struct control_caller *caller;
	uint64_t only; /* the number of the device that was asked about; 0: all */
};

/* The classes up to the last one that is not empty. */
static json_t *json_classes(const struct latency *l)
{
	json_t *list = json_array();
	unsigned n = LATENCY_CLASSES;

	while (n && !l->at[n - 1])
		n--;
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_integer(l->at[i]));
	return list;
}

static json_t *json_times(const struct latency *l)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "count", (json_int_t)latency_count(l),
			 "sum_us", (json_int_t)l->sum_us, "p50_us",
			 (json_int_t)latency_quantile(l, 500), "p99_us",
			 (json_int_t)latency_quantile(l, 990), "most_us", (json_int_t)l->most_us,
			 "classes", json_classes(l));
}

static json_t *json_stats(const struct device *d, const struct urb_stats *s)
{
	char id[16];

	snprintf(id, sizeof(id), "%04x:%04x", d->id_vendor, d->id_product);
	return json_pack("{s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o}", "alias",
			 json_text(device_alias(d)), "id", id, "port", d->busid, "vm",
			 route_actual(d), "urbs", (json_int_t)s->urbs, "errors",
			 (json_int_t)s->errors, "in_bytes", (json_int_t)s->in_bytes, "out_bytes",
			 (json_int_t)s->out_bytes, "answer", json_times(&s->answer), "device",
			 json_times(&s->device));
}

static json_t *json_bounds(void)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < LATENCY_CLASSES; i++)
		json_array_append_new(list, json_integer((json_int_t)latency_bound(i)));
	return list;
}

static json_t *json_memory(const struct vms *vms)
{
	json_t *list = json_array();

	list_for_each(it, &vms->all) {
		const struct vm *vm = list_entry(it, struct vm, link);
		struct guest_memory m = {0};

		if (vm->guest)
			m = guest_memory(vm->guest);
		if (m.share)
			json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "vm", vm->name,
							      "charged", (json_int_t)m.charged,
							      "share", (json_int_t)m.share));
	}
	return list;
}

static json_t *stats_reply(const struct control_rooms *rooms, uint64_t only)
{
	json_t *stats = json_array(), *bounds = json_bounds(), *memory = json_memory(rooms->vms);
	json_t *networks = json_networks(rooms->vms);
	size_t room = JSON_LIST_MAX - json_size(bounds) - json_size(memory) - json_size(networks);
	struct urb_stats s;
	unsigned left_out = 0;

	list_for_each(it, &rooms->devices->all) {
		const struct device *d = list_entry(it, struct device, link);

		if ((!only || only == d->number) && route_stats(d, &s))
			left_out += !json_append_within(stats, json_stats(d, &s), &room);
	}
	return json_pack("{s:o, s:i, s:o, s:o, s:o}", "stats", stats, "stats_left_out",
			 (int)left_out, "class_bounds_us", bounds, "memory", memory, "networks",
			 networks);
}

static void told(void *ctx)
{
	struct looking *l = ctx;

	control_reply(l->caller, stats_reply(control_rooms(l->caller), l->only));
	free(l);
}

static void cancel(void *what)
{
	struct looking *l = what;

	list_remove(&l->wait.link);
	free(l);
}

static void method_stats(struct control_caller *caller, const struct varlink_call *call)
{
	const char *text = control_text(call, "device");
	struct device *d = NULL;
	struct looking *l;

	if (text && !control_device_parameter(caller, text, &d))
		return;
	/* Nothing goes through a device that is not plugged in. */
	if (text && !d) {
		control_no_device(caller, text);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (l) {
		*l = (struct looking){.caller = caller, .only = d ? d->number : 0};
		list_init(&l->wait.link);
		l->wait.done = told;
		l->wait.ctx = l;
		if (vms_ask_stats(control_rooms(caller)->vms, &l->wait) == 0) {
			control_wait(caller, l, cancel);
			return;
		}
	}
	free(l);
	control_error(caller, "Failed", json_pack("{s:s}", "reason", "out of memory"));
}

const struct control_method control_stats_methods[] = {
	{"Stats", CONTROL_ALL, method_stats, {{"device", CONTROL_TEXT, true}}},
	{},
};
