/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands that look: list, show, vms, status, version. They change nothing.
 */
#include "ctl/ctl.h"

#include <build_info.h>
#include <stdio.h>
#include <string.h>

#include "ctl/table.h"
#include "ctl/watch.h"
#include "protocol/device_state.h"

#define DEVICE_TEXT_MAX 1024
#define IP_LIST_MAX	(32 * 44) /* 32 networks */

/* A device in words: who made it and what it is, or what kind of thing it is. */
static void device_words(const json_t *d, char *buf, size_t size)
{
	const char *maker = ctl_text(d, "manufacturer"), *product = ctl_text(d, "product");
	char classes[128];

	ctl_words(json_object_get(d, "classes"), " ", classes, sizeof(classes));
	if (!*product)
		snprintf(buf, size, "%s%s(%s)", maker, *maker ? " " : "",
			 *classes ? classes : "unknown");
	else if (!*maker || !strncasecmp(product, maker, strlen(maker)))
		snprintf(buf, size, "%s", product);
	else
		snprintf(buf, size, "%s %s", maker, product);
}

static enum colour state_colour(const char *state)
{
	static const enum colour colours[] = {
		[DEVICE_IS_QUIET] = COLOUR_NONE,
		[DEVICE_IS_GOOD] = COLOUR_GREEN,
		[DEVICE_IS_WAITING] = COLOUR_YELLOW,
		[DEVICE_IS_WRONG] = COLOUR_RED,
	};

	return colours[device_state_like(device_state_of(state))];
}

static void state_words(const json_t *d, char *buf, size_t size)
{
	const char *reason = ctl_text(d, "reason");

	snprintf(buf, size, "%s%s%s", ctl_text(d, "state"), *reason ? ": " : "", reason);
}

/* "host" is shown only where somebody asked for it. */
static const char *wanted_words(const json_t *d)
{
	return strcmp(ctl_text(d, "wanted_by"), "default") ? ctl_text(d, "wanted") : "-";
}

static int add_device(struct table *t, const json_t *d)
{
	char words[DEVICE_TEXT_MAX], state[DEVICE_TEXT_MAX];
	int r = 0;

	device_words(d, words, sizeof(words));
	state_words(d, state, sizeof(state));
	r |= table_add(t, ctl_text(d, "alias"), COLOUR_NONE);
	r |= table_add(t, ctl_text(d, "id"), COLOUR_NONE);
	r |= table_add(t, ctl_text(d, "port"), COLOUR_NONE);
	r |= table_add(t, words, COLOUR_NONE);
	r |= table_add(t, ctl_text(d, "speed"), COLOUR_NONE);
	r |= table_add(t, wanted_words(d), COLOUR_NONE);
	r |= table_add(t, ctl_text(d, "actual"), COLOUR_NONE);
	r |= table_add(t, state, state_colour(ctl_text(d, "state")));
	return r;
}

/* Below the table, and only on a terminal: a script would have to skip it. */
static void print_sum(const struct ctl *ctl, const json_t *devices, FILE *f)
{
	size_t n = json_array_size(devices), i, attached = 0, waiting = 0;
	const json_t *d;

	if (!ctl->width)
		return;
	json_array_foreach(devices, i, d) {
		attached += device_state_of(ctl_text(d, "state")) == DEVICE_ATTACHED;
		waiting += strcmp(ctl_text(d, "wanted"), ctl_text(d, "actual")) != 0;
	}
	fprintf(f,
		"%zu device%s, %zu attached, %zu not where wanted.  Details: usbroutectl show DEVICE\n",
		n, n == 1 ? "" : "s", attached, waiting);
}

static enum status out_of_memory(void)
{
	ctl_error("failed", "no memory");
	return STATUS_FAILED;
}

static enum status print_list(struct ctl *ctl, FILE *f)
{
	static const char *const titles[] = {"ALIAS", "ID",   "PORT", "DEVICE",
					     "SPEED", "WANT", "NOW",  "STATE"};
	_cleanup_(client_answer_deinit) struct client_answer answer;
	_cleanup_(table_freep) struct table *t = NULL;
	enum status status = ctl_call(
		ctl, &(struct client_ask){.method = "io.usbrouted.List", .more = true}, &answer);
	const json_t *devices = json_object_get(answer.parameters, "devices"), *d;
	size_t i;

	if (status)
		return status;
	if (ctl->json)
		return ctl_print_json(answer.parameters);
	if (table_new(&t, titles, ARRAY_SIZE(titles), 3) < 0)
		return out_of_memory();
	json_array_foreach(devices, i, d)
		if (add_device(t, d) < 0)
			return out_of_memory();
	table_print(t, f, ctl->width, ctl->colours);
	print_sum(ctl, devices, f);
	return STATUS_DONE;
}

/* ------------------------------------------------------------- list --watch */

struct watched {
	struct ctl *ctl;
	enum status status;
	struct watch_drawing drawing;
};

static bool draw_list(void *ctx)
{
	struct watched *w = ctx;
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *f;

	if (w->ctl->json) {
		w->status = print_list(w->ctl, stdout);
		return fflush(stdout) == 0 && !w->status;
	}
	f = open_memstream(&text, &size);
	if (!f) {
		w->status = out_of_memory();
		return false;
	}
	ctl_look_at_terminal(w->ctl);
	w->status = print_list(w->ctl, f);
	if (fclose(f) || !text || w->status)
		return false;
	watch_draw(w->ctl, &w->drawing, text);
	return fflush(stdout) == 0;
}

static bool any_event(void *ctx _unused_, const json_t *event _unused_)
{
	return true;
}

/**
 * ctl_list() - `list`: all devices
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_list(struct ctl *ctl)
{
	struct watched w = {.ctl = ctl};
	enum status status;

	if (!ctl->watch)
		return print_list(ctl, stdout);
	status = watch_events(ctl, any_event, draw_list, &w);
	return status ? status : w.status;
}

/* One row of `show` or `status`; rows without a value are left out. */
static int add_row(struct table *t, const char *name, const char *value, enum colour colour)
{
	if (!*value)
		return 0;
	return table_add(t, name, COLOUR_NONE) | table_add(t, value, colour);
}

/* When the wish ends by itself; "" where it does not. */
static void end_text(const json_t *d, char *text, size_t size)
{
	const json_t *left = json_object_get(d, "seconds_left");
	bool unplug = json_is_true(json_object_get(d, "until_unplug"));
	double seconds = json_number_value(left);

	*text = 0;
	if (json_is_number(left))
		snprintf(text, size, "in %.0f %s%s", seconds < 120 ? seconds : seconds / 60,
			 seconds < 120 ? "s" : "min", unplug ? ", or when it is plugged out" : "");
	else if (unplug)
		snprintf(text, size, "when it is plugged out");
}

static int add_device_rows(struct table *t, const json_t *d)
{
	const char *state = ctl_text(d, "state");
	char wanted[128], classes[128], by[256], groups[256], end[64], lan[IP_LIST_MAX];
	int r = 0;

	ctl_words(json_object_get(d, "groups"), " ", groups, sizeof(groups));
	end_text(d, end, sizeof(end));

	ctl_words(json_object_get(d, "classes"), " ", classes, sizeof(classes));
	ctl_words(json_object_get(d, "classes_by"), "; ", by, sizeof(by));
	snprintf(wanted, sizeof(wanted), "%s (%s)", ctl_text(d, "wanted"),
		 ctl_text(d, "wanted_by"));
	r |= add_row(t, "named by", ctl_text(d, "named_by"), COLOUR_NONE);
	r |= add_row(t, "id", ctl_text(d, "id"), COLOUR_NONE);
	r |= add_row(t, "serial", ctl_text(d, "serial"), COLOUR_NONE);
	r |= add_row(t, "manufacturer", ctl_text(d, "manufacturer"), COLOUR_NONE);
	r |= add_row(t, "product", ctl_text(d, "product"), COLOUR_NONE);
	r |= add_row(t, "classes", classes, COLOUR_NONE);
	r |= add_row(t, "classes by", by, COLOUR_NONE);
	/* The speed of a device that is not plugged in is not known. */
	if (*ctl_text(d, "port"))
		r |= add_row(t, "speed", ctl_text(d, "speed"), COLOUR_NONE);
	r |= add_row(t, "port", ctl_text(d, "port"), COLOUR_NONE);
	r |= add_row(t, "stable port", ctl_text(d, "stable_port"), COLOUR_NONE);
	r |= add_row(t, "busid", ctl_text(d, "busid"), COLOUR_NONE);
	r |= add_row(t, "groups", groups, COLOUR_NONE);
	if (json_is_true(json_object_get(d, "reserved")))
		r |= add_row(t, "reserved", "yes", COLOUR_NONE);
	r |= add_row(t, "wanted", wanted, COLOUR_NONE);
	r |= add_row(t, "wish on", ctl_text(d, "wish_on"), COLOUR_NONE);
	r |= add_row(t, "rule", ctl_text(d, "rule"), COLOUR_NONE);
	r |= add_row(t, "ends", end, COLOUR_NONE);
	r |= add_row(t, "now", ctl_text(d, "actual"), COLOUR_NONE);
	ctl_words(json_object_get(d, "lan_to"), " ", lan, sizeof(lan));
	r |= add_row(t, "LAN export", lan, COLOUR_NONE);
	r |= add_row(t, "state", state, state_colour(state));
	r |= add_row(t, "reason", ctl_text(d, "reason"), COLOUR_NONE);
	if (strcmp(ctl_text(d, "reason"), ctl_text(d, "unnamed_because")))
		r |= add_row(t, "no alias", ctl_text(d, "unnamed_because"), COLOUR_NONE);
	return r;
}

/**
 * ctl_show() - `show DEVICE`: all about one device
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_show(struct ctl *ctl)
{
	_cleanup_(client_answer_deinit) struct client_answer answer;
	_cleanup_(table_freep) struct table *t = NULL;
	enum status status = ctl_call(
		ctl,
		&(struct client_ask){.method = "io.usbrouted.Show",
				     .parameters = json_pack("{s:s}", "device", ctl->args[0])},
		&answer);
	const json_t *d = json_object_get(answer.parameters, "device");
	const char *alias = ctl_text(d, "alias");

	if (status)
		return status;
	if (ctl->json)
		return ctl_print_json(answer.parameters);
	if (table_new(&t, (const char *const[]){"alias", *alias ? alias : "-"}, 2, 1) < 0 ||
	    add_device_rows(t, d) < 0)
		return out_of_memory();
	table_print(t, stdout, 0, ctl->colours);
	return STATUS_DONE;
}

/* Its cards on further networks, a row each. */
static int add_card_rows(struct table *t, const json_t *vm)
{
	const json_t *card;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(vm, "cards"), i, card) {
		bool up = json_is_true(json_object_get(card, "connected"));
		char name[160];

		snprintf(name, sizeof(name), "%s.%s", ctl_text(vm, "name"),
			 ctl_text(card, "network"));
		r |= table_add(t, name, COLOUR_NONE);
		r |= table_add(t, up ? "up" : "off", up ? COLOUR_GREEN : COLOUR_NONE);
		r |= table_add(t, "", COLOUR_NONE);
		r |= table_add(t, "", COLOUR_NONE);
		r |= table_add(t, ctl_text(card, "mac"), COLOUR_NONE);
		r |= table_add(t, "", COLOUR_NONE);
	}
	return r;
}

/**
 * ctl_vms() - `vms`: all VMs
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_vms(struct ctl *ctl)
{
	static const char *const titles[] = {"VM", "LINK", "AGENT", "ADDRESS", "MAC", "DEVICES"};
	_cleanup_(client_answer_deinit) struct client_answer answer;
	_cleanup_(table_freep) struct table *t = NULL;
	enum status status = ctl_call(
		ctl, &(struct client_ask){.method = "io.usbrouted.Vms", .more = true}, &answer);
	const json_t *vms = json_object_get(answer.parameters, "vms"), *v, *w;
	size_t i, j;

	if (status)
		return status;
	if (ctl->json)
		return ctl_print_json(answer.parameters);
	if (table_new(&t, titles, ARRAY_SIZE(titles), 5) < 0)
		return out_of_memory();
	json_array_foreach(vms, i, v) {
		bool up = json_is_true(json_object_get(v, "connected"));
		char devices[DEVICE_TEXT_MAX], agent[80];
		int r = 0;

		ctl_words(json_object_get(v, "devices"), " ", devices, sizeof(devices));
		r |= table_add(t, ctl_text(v, "name"), COLOUR_NONE);
		r |= table_add(t, up ? "up" : "off", up ? COLOUR_GREEN : COLOUR_NONE);
		if (json_is_true(json_object_get(v, "asleep")))
			snprintf(agent, sizeof(agent), "%s asleep", ctl_text(v, "agent"));
		else
			snprintf(agent, sizeof(agent), "%s", ctl_text(v, "agent"));
		r |= table_add(t, agent, COLOUR_NONE);
		r |= table_add(t, ctl_text(v, "address"), COLOUR_NONE);
		r |= table_add(t, ctl_text(v, "mac"), COLOUR_NONE);
		r |= table_add(t, devices, COLOUR_NONE);
		r |= add_card_rows(t, v);
		if (r < 0)
			return out_of_memory();
	}
	table_print(t, stdout, ctl->width, ctl->colours);
	json_array_foreach(vms, i, v) {
		json_array_foreach(json_object_get(v, "warnings"), j, w) {
			fputs("warning   ", stdout);
			ctl_print_clean(json_string_value(w) ? json_string_value(w) : "?");
		}
	}
	return STATUS_DONE;
}

static void duration_words(long long seconds, char *buf, size_t size)
{
	if (seconds >= 2 * 86400)
		snprintf(buf, size, "%lld d %lld h", seconds / 86400, seconds % 86400 / 3600);
	else if (seconds >= 2 * 3600)
		snprintf(buf, size, "%lld h %lld min", seconds / 3600, seconds % 3600 / 60);
	else if (seconds >= 2 * 60)
		snprintf(buf, size, "%lld min %lld s", seconds / 60, seconds % 60);
	else
		snprintf(buf, size, "%lld s", seconds);
}

static long long counted(const json_t *counters, const char *key)
{
	return json_integer_value(json_object_get(counters, key));
}

/* A further network, a line each. What its uplink has sent came from outside. */
static void print_network(const json_t *network)
{
	const json_t *counters = json_object_get(network, "counters");
	const char *uplink = ctl_text(network, "uplink");
	char line[512];

	if (!*uplink)
		snprintf(line, sizeof(line), "network   %s: guests only",
			 ctl_text(network, "name"));
	else
		snprintf(line, sizeof(line),
			 "network   %s: uplink %s %s, %lld frames in, %lld out, %lld dropped",
			 ctl_text(network, "name"), uplink,
			 json_is_true(json_object_get(network, "connected")) ? "up" : "off",
			 counted(counters, "sent_frames"), counted(counters, "received_frames"),
			 counted(counters, "dropped_refused") +
				 counted(counters, "dropped_nowhere") +
				 counted(counters, "dropped_link_full") +
				 counted(counters, "dropped_no_buffers") +
				 counted(counters, "dropped_from_others"));
	ctl_print_clean(line);
}

/**
 * ctl_status() - `status`: the daemon itself
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_status(struct ctl *ctl)
{
	_cleanup_(client_answer_deinit) struct client_answer answer;
	enum status status =
		ctl_call(ctl, &(struct client_ask){.method = "io.usbrouted.Status"}, &answer);
	const json_t *warnings = json_object_get(answer.parameters, "warnings"), *w;
	const json_t *networks = json_object_get(answer.parameters, "networks"), *n;
	char up[64], version[128];
	size_t i;

	if (status)
		return status;
	if (ctl->json)
		return ctl_print_json(answer.parameters);
	duration_words(json_integer_value(json_object_get(answer.parameters, "uptime_seconds")), up,
		       sizeof(up));
	snprintf(version, sizeof(version), "usbrouted %s, up %s",
		 ctl_text(answer.parameters, "version"), up);
	ctl_print_clean(version);
	printf("devices   %lld\nVMs       %lld\n",
	       json_integer_value(json_object_get(answer.parameters, "devices")),
	       json_integer_value(json_object_get(answer.parameters, "vms")));
	json_array_foreach(networks, i, n)
		print_network(n);
	if (!json_array_size(warnings))
		puts("warnings  none");
	json_array_foreach(warnings, i, w) {
		fputs("warning   ", stdout);
		ctl_print_clean(json_string_value(w) ? json_string_value(w) : "?");
	}
	return STATUS_DONE;
}

/**
 * ctl_version() - `version`: of this program and of the daemon
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_version(struct ctl *ctl)
{
	_cleanup_(client_answer_deinit) struct client_answer answer;
	enum status status;

	if (!ctl->json) {
		puts("usbroutectl " USBROUTED_VERSION);
		fflush(stdout);
	}
	status = ctl_call(ctl, &(struct client_ask){.method = "org.varlink.service.GetInfo"},
			  &answer);
	if (status)
		return status;
	if (ctl->json)
		return ctl_print_json(answer.parameters);
	fputs("usbrouted   ", stdout);
	ctl_print_clean(ctl_text(answer.parameters, "version"));
	return STATUS_DONE;
}
