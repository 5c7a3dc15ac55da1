/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events for those who listen; see monitor.h.
 *
 * An event is the difference between a device as it was told of last (struct seen) and as it is.
 * When the first listener comes, all devices count as told of: it hears of what changes from then
 * on. When the last listener has gone, all is forgotten.
 */
#include "daemon/control/monitor.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/loop.h"
#include "base/mem.h"
#include "daemon/control/control_json.h"
#include "daemon/control/control_method.h"

#define REASON_SIZE 300

struct monitor {
	struct devices *devices;
	struct list hearers;
	struct list seen;		/* as of the last event; of no use while nobody listens */
	json_t *events[MONITOR_EVENTS]; /* the last ones, by their number modulo that; NULL: none */
	uint64_t n_events;
};

/* A caller of Monitor. */
struct hearer {
	struct list link;
	struct monitor *monitor;
	struct control_caller *caller;
	bool greeted;
	uint64_t next; /* the number of the event that it gets next */
};

/* A device as it was told of last. */
struct seen {
	struct list link;
	uint64_t number; /* the device's */
	char wanted[32], actual[32];
	enum device_state state;
	char in[32]; /* the VM whose client has it; "": none */
	bool guest_has;
	uint64_t since_ns; /* when it was last plugged in, wanted elsewhere, or let go by its VM */
};

/* One event, on its way to JSON. */
struct news {
	const char *kind;
	const struct device *device; /* NULL: only @name is known, or it is about none */
	const char *name, *vm, *from, *wanted_by, *reason;
	const struct route_times *times; /* NULL: none */
};

/* ------------------------------------------------------------- events as JSON */

static json_t *json_now(void)
{
	char text[40], whole[64];
	struct timespec ts;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(whole, sizeof(whole), "%s.%03ldZ", text, ts.tv_nsec / 1000000);
	return json_string(whole);
}

static json_t *json_event(const struct news *e)
{
	static const struct route_times none = {.total = -1, .daemon = -1, .wire = -1, .guest = -1};
	const struct route_times *t = e->times ? e->times : &none;
	const struct device *d = e->device;
	json_t *json = json_pack("{s:s, s:o}", "event", e->kind, "time", json_now());
	char id[16] = "";

	if (!json)
		return NULL;
	if (d)
		snprintf(id, sizeof(id), "%04x:%04x", d->id_vendor, d->id_product);
	json_object_set_new(json, "alias", json_text(d ? device_alias(d) : e->name));
	json_object_set_new(json, "id", json_text(d ? id : NULL));
	json_object_set_new(json, "port", json_text(d ? d->busid : NULL));
	json_object_set_new(json, "vm", json_text(e->vm));
	json_object_set_new(json, "from", json_text(e->from));
	json_object_set_new(json, "wanted_by", json_text(e->wanted_by));
	json_object_set_new(json, "reason", json_text(e->reason && *e->reason ? e->reason : NULL));
	json_object_set_new(json, "milliseconds", json_ms(t->total));
	json_object_set_new(json, "daemon_ms", json_ms(t->daemon));
	json_object_set_new(json, "import_ms", json_ms(t->wire));
	json_object_set_new(json, "guest_ms", json_ms(t->guest));
	return json;
}

/* ------------------------------------------------------------- who hears of them */

static void forget_seen(struct monitor *m)
{
	struct list *l;

	while ((l = list_pop(&m->seen)))
		free(list_entry(l, struct seen, link));
}

static void forget_events(struct monitor *m)
{
	for (size_t i = 0; i < MONITOR_EVENTS; i++) {
		json_decref(m->events[i]);
		m->events[i] = NULL;
	}
}

static json_t *hearer_next(void *ctx, bool *ret_last _unused_)
{
	struct hearer *h = ctx;
	struct monitor *m = h->monitor;

	if (!h->greeted) {
		h->greeted = true;
		return json_event(&(struct news){.kind = "listening"});
	}
	return json_incref(m->events[h->next++ % MONITOR_EVENTS]);
}

static bool hearer_due(void *ctx)
{
	const struct hearer *h = ctx;

	return !h->greeted || h->next < h->monitor->n_events;
}

static void hearer_free(void *ctx)
{
	struct hearer *h = ctx;
	struct monitor *m = h->monitor;

	list_remove(&h->link);
	free(h);
	/* A caller may be using m->seen: heard() frees it the next time. */
	if (list_empty(&m->hearers))
		forget_events(m);
}

static const struct control_series all_events = {
	.next = hearer_next, .due = hearer_due, .free = hearer_free};

static void post(struct monitor *m, const struct news *e)
{
	json_t **place = &m->events[m->n_events % MONITOR_EVENTS];

	if (list_empty(&m->hearers))
		return;
	json_decref(*place);
	*place = json_event(e);
	m->n_events++;
	list_for_each_safe(it, &m->hearers) {
		struct hearer *h = list_entry(it, struct hearer, link);

		if (m->n_events - h->next > MONITOR_EVENTS)
			control_drop(h->caller,
				     "it does not read the events that it has asked for");
		else
			control_series_due(h->caller);
	}
}

/* ------------------------------------------------------------- devices as they were told of */

static bool heard(struct monitor *m)
{
	if (!m)
		return false;
	if (list_empty(&m->hearers))
		forget_seen(m);
	return !list_empty(&m->hearers);
}

static struct seen *find(struct monitor *m, const struct device *d)
{
	list_for_each(it, &m->seen) {
		struct seen *s = list_entry(it, struct seen, link);

		if (s->number == d->number)
			return s;
	}
	return NULL;
}

/* A device as it was when it was plugged in: with the host. NULL: no memory. */
static struct seen *seen_new(struct monitor *m, const struct device *d)
{
	struct seen *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->number = d->number;
	s->since_ns = loop_now();
	snprintf(s->wanted, sizeof(s->wanted), "host");
	snprintf(s->actual, sizeof(s->actual), "host");
	s->state = DEVICE_PRESENT;
	list_append(&m->seen, &s->link);
	return s;
}

/* Write @now over @old. Return: whether they differed. */
static bool take_text(char *old, size_t size, const char *now)
{
	if (!strcmp(old, now))
		return false;
	snprintf(old, size, "%s", now);
	return true;
}

static double ms_between(uint64_t from, uint64_t to)
{
	return to > from ? (double)(to - from) / 1e6 : 0;
}

static struct route_times times_of(const struct seen *s, const struct route_status *r)
{
	return (struct route_times){
		.total = ms_between(s->since_ns, r->guest_has ? r->guest_ns : r->session_ns),
		.daemon = ms_between(s->since_ns, r->held_ns),
		.wire = ms_between(max_t(uint64_t, s->since_ns, r->held_ns), r->session_ns),
		.guest = r->guest_has ? ms_between(r->session_ns, r->guest_ns) : -1,
	};
}

static void look_at_wish(struct monitor *m, struct seen *s, const struct device *d)
{
	struct route_want want = route_wanted(d);

	if (!take_text(s->wanted, sizeof(s->wanted), want.target))
		return;
	s->since_ns = loop_now();
	post(m, &(struct news){.kind = "wanted",
			       .device = d,
			       .vm = want.target,
			       .wanted_by = wanted_by_name(want.by)});
}

static void look_at_place(struct monitor *m, struct seen *s, const struct device *d)
{
	struct route_status r = route_status(d);
	struct route_times times;
	char before[sizeof(s->actual)];

	if (s->in[0] && !(r.session && r.at)) {
		s->guest_has = false;
		s->since_ns = loop_now();
		post(m, &(struct news){.kind = "detached", .device = d, .vm = s->in});
		s->in[0] = '\0';
	}
	memcpy(before, s->actual, sizeof(before));
	if (take_text(s->actual, sizeof(s->actual), route_actual(d)))
		post(m, &(struct news){
				.kind = "routed", .device = d, .vm = s->actual, .from = before});
	if (!r.session || !r.at)
		return;
	times = times_of(s, &r);
	if (take_text(s->in, sizeof(s->in), r.at->name)) {
		struct route_times first = times;

		/* The event "ready" tells when its guest has set it up. */
		first.guest = -1;
		first.total = ms_between(s->since_ns, r.session_ns);
		post(m,
		     &(struct news){
			     .kind = "attached", .device = d, .vm = r.at->name, .times = &first});
	}
	if (!s->guest_has && r.guest_has)
		post(m, &(struct news){
				.kind = "ready", .device = d, .vm = r.at->name, .times = &times});
	s->guest_has = r.guest_has;
}

static void look_at_state(struct monitor *m, struct seen *s, const struct device *d)
{
	/* Only states that a person has to do something about are told. */
	static const char *const kinds[DEVICE_STATES] = {
		[DEVICE_FAILED] = "failed",
		[DEVICE_BROKEN] = "failed",
		[DEVICE_DENIED] = "refused",
		[DEVICE_AMBIGUOUS] = "refused",
	};
	char reason[REASON_SIZE];
	enum device_state state = route_shown(d, reason, sizeof(reason));

	if (s->state == state)
		return;
	s->state = state;
	if (kinds[state])
		post(m,
		     &(struct news){
			     .kind = kinds[state], .device = d, .vm = s->wanted, .reason = reason});
}

static void look(struct monitor *m, struct seen *s, const struct device *d)
{
	look_at_wish(m, s, d);
	look_at_place(m, s, d);
	look_at_state(m, s, d);
}

/**
 * monitor_moved() - something about a device may have changed
 * @monitor:	who tells it
 * @device:	the device; NULL: none
 */
void monitor_moved(struct monitor *monitor, const struct device *device)
{
	struct seen *s;

	if (!device || !heard(monitor))
		return;
	s = find(monitor, device);
	if (!s) {
		s = seen_new(monitor, device);
		if (!s)
			return;
		post(monitor, &(struct news){.kind = "plugged", .device = device});
	}
	look(monitor, s, device);
}

/**
 * monitor_removed() - a device was unplugged
 * @monitor:	who tells it
 * @device:	the device, which still has its name
 */
void monitor_removed(struct monitor *monitor, const struct device *device)
{
	struct seen *s;

	if (!heard(monitor))
		return;
	s = find(monitor, device);
	if (!s)
		return;
	list_remove(&s->link);
	post(monitor, &(struct news){.kind = "unplugged",
				     .device = device,
				     .from = strcmp(s->actual, "host") ? s->actual : NULL});
	free(s);
}

/**
 * monitor_vm_link() - a VM's card has come up or gone down
 * @monitor:	who tells it
 * @vm:		the VM
 * @up:		which
 */
void monitor_vm_link(struct monitor *monitor, const struct vm *vm, bool up)
{
	if (!heard(monitor))
		return;
	/* No device could come to it before: their time begins now. */
	list_for_each(it, &monitor->seen) {
		struct seen *s = list_entry(it, struct seen, link);

		if (up && !strcmp(s->wanted, vm->name))
			s->since_ns = loop_now();
	}
	post(monitor, &(struct news){.kind = up ? "vm_up" : "vm_down", .vm = vm->name});
}

/**
 * monitor_refused() - a command was refused, and all is as before
 * @monitor:	who tells it
 * @device:	what it was about; NULL: it is not plugged in, or is a group
 * @name:	what the caller called it; said where @device is NULL
 * @vm:		where it should have gone
 * @reason:	why not
 */
void monitor_refused(struct monitor *monitor, const struct device *device, const char *name,
		     const char *vm, const char *reason)
{
	if (heard(monitor))
		post(monitor, &(struct news){.kind = "refused",
					     .device = device,
					     .name = name,
					     .vm = vm,
					     .reason = reason});
}

/* ------------------------------------------------------------- its life */

/* All devices count as told of, before the first listener comes. */
static void see_all(struct monitor *m)
{
	list_for_each(it, &m->devices->all) {
		const struct device *d = list_entry(it, struct device, link);
		struct seen *s = seen_new(m, d);

		if (s)
			look(m, s, d);
	}
}

static void method_monitor(struct control_caller *caller, const struct varlink_call *call)
{
	struct monitor *m = control_rooms(caller)->monitor;
	struct hearer *h;

	if (!call->more) {
		control_reply(caller, json_event(&(struct news){.kind = "listening"}));
		return;
	}
	h = calloc(1, sizeof(*h));
	if (!h) {
		control_error(caller, "Failed", json_pack("{s:s}", "reason", "out of memory"));
		return;
	}
	if (!heard(m))
		see_all(m);
	*h = (struct hearer){.monitor = m, .caller = caller, .next = m->n_events};
	list_append(&m->hearers, &h->link);
	control_reply_series(caller, &all_events, h);
}

const struct control_method control_monitor_methods[] = {
	{"Monitor", CONTROL_LOOK, method_monitor, {}},
	{},
};

/**
 * monitor_new() - nobody listens yet
 * @devices:	the devices that are told of
 *
 * Return: the monitor; NULL: no memory.
 */
struct monitor *monitor_new(struct devices *devices)
{
	struct monitor *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->devices = devices;
	list_init(&m->hearers);
	list_init(&m->seen);
	return m;
}

/**
 * monitor_free() - forget all
 * @monitor:	nobody listens any more; or NULL
 *
 * Return: NULL.
 */
struct monitor *monitor_free(struct monitor *monitor)
{
	if (monitor) {
		forget_seen(monitor);
		forget_events(monitor);
		free(monitor);
	}
	return NULL;
}
