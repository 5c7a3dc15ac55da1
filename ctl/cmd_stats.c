/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `top` and `stats`: what goes through devices, and how long it takes. `top` shows what came
 * between two looks, `stats` everything since a VM got the device, also in Prometheus' text format.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "ctl/ctl.h"
#include "ctl/table.h"
#include "ctl/watch.h"

#define LOOK_MS 1000

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* ------------------------------------------------------------- between two looks */

/*
 * The same device in another reply. If its numbers are smaller there, it has left its VM and come
 * back.
 */
static const json_t *same_in(const json_t *stats, const json_t *s)
{
	const json_t *other;
	size_t i;

	json_array_foreach(stats, i, other)
		if (!strcmp(ctl_text(other, "port"), ctl_text(s, "port")) &&
		    number(other, "urbs") <= number(s, "urbs"))
			return other;
	return NULL;
}

static json_int_t class_at(const json_t *times, size_t i)
{
	return json_integer_value(json_array_get(json_object_get(times, "classes"), i));
}

/*
 * How long so many of a thousand took at most, of the URBs that were answered between @before and
 * @now; -1: there were none.
 */
static json_int_t quantile_between(const json_t *before, const json_t *now, const json_t *bounds,
				   unsigned permille)
{
	size_t n = json_array_size(json_object_get(now, "classes"));
	json_int_t total = number(now, "count") - number(before, "count"), seen = 0;
	json_int_t due = (total * permille + 999) / 1000;

	for (size_t i = 0; total > 0 && i < n; i++) {
		seen += class_at(now, i) - class_at(before, i);
		if (seen >= due)
			return json_integer_value(json_array_get(bounds, i));
	}
	return -1;
}

/* ------------------------------------------------------------- tables */

static void rate_text(double per_second, char text[32])
{
	static const char *const units[] = {"B", "kB", "MB", "GB"};
	size_t u = 0;

	while (per_second >= 1000 && u + 1 < ARRAY_SIZE(units)) {
		per_second /= 1000;
		u++;
	}
	snprintf(text, 32, per_second < 10 && u ? "%.1f %s" : "%.0f %s", per_second, units[u]);
}

static void us_text(json_int_t us, char text[32])
{
	if (us < 0)
		snprintf(text, 32, "-");
	else if (us < 10000)
		snprintf(text, 32, "%lld us", (long long)us);
	else if (us < 10000000)
		snprintf(text, 32, "%lld ms", (long long)us / 1000);
	else
		snprintf(text, 32, "%lld s", (long long)us / 1000000);
}

/* @seconds: between @before and @s; 0: all since the VM got the device. */
static int add_stats(struct table *t, const json_t *before, const json_t *s, const json_t *bounds,
		     double seconds)
{
	static const char *const kinds[] = {"answer", "device"};
	const char *alias = ctl_text(s, "alias");
	char text[32], urbs[64];
	int r = 0;

	r |= table_add(t, *alias ? alias : ctl_text(s, "port"), COLOUR_NONE);
	r |= table_add(t, ctl_text(s, "vm"), COLOUR_NONE);
	snprintf(urbs, sizeof(urbs), "%.0f",
		 (double)(number(s, "urbs") - number(before, "urbs")) /
			 (seconds > 0 ? seconds : 1));
	r |= table_add(t, urbs, COLOUR_NONE);
	rate_text((double)(number(s, "in_bytes") - number(before, "in_bytes")) /
			  (seconds > 0 ? seconds : 1),
		  text);
	r |= table_add(t, text, COLOUR_NONE);
	rate_text((double)(number(s, "out_bytes") - number(before, "out_bytes")) /
			  (seconds > 0 ? seconds : 1),
		  text);
	r |= table_add(t, text, COLOUR_NONE);
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		const json_t *now = json_object_get(s, kinds[k]),
			     *then = json_object_get(before, kinds[k]);
		char p50[32], p99[32], most[32], all[128];

		us_text(quantile_between(then, now, bounds, 500), p50);
		us_text(quantile_between(then, now, bounds, 990), p99);
		us_text(number(now, "count") ? number(now, "most_us") : -1, most);
		snprintf(all, sizeof(all), "%s / %s / %s", p50, p99, most);
		r |= table_add(t, all, COLOUR_NONE);
	}
	snprintf(text, sizeof(text), "%lld",
		 (long long)(number(s, "errors") - number(before, "errors")));
	r |= table_add(t, text, strcmp(text, "0") ? COLOUR_RED : COLOUR_NONE);
	return r;
}

static enum status print_table(const struct ctl *ctl, const json_t *before, const json_t *now,
			       double seconds, FILE *f)
{
	static const char *const all[] = {"DEVICE",
					  "VM",
					  "URBS",
					  "IN",
					  "OUT",
					  "ANSWER p50/p99/max",
					  "WITH DEVICE p50/p99/max",
					  "ERRORS"};
	static const char *const rates[] = {"DEVICE",
					    "VM",
					    "URB/s",
					    "IN/s",
					    "OUT/s",
					    "ANSWER p50/p99/max",
					    "WITH DEVICE p50/p99/max",
					    "ERRORS"};
	_cleanup_(table_freep) struct table *t = NULL;
	const json_t *stats = json_object_get(now, "stats"), *s;
	const json_t *bounds = json_object_get(now, "class_bounds_us");
	size_t i;

	if (table_new(&t, seconds > 0 ? rates : all, ARRAY_SIZE(all), 0) < 0)
		goto no_memory;
	json_array_foreach(stats, i, s)
		if (add_stats(t, same_in(json_object_get(before, "stats"), s), s, bounds, seconds) <
		    0)
			goto no_memory;
	table_print(t, f, ctl->width, ctl->colours);
	return STATUS_DONE;
no_memory:
	ctl_error("failed", "no memory");
	return STATUS_FAILED;
}

/* ------------------------------------------------------------- Prometheus' text format */

/* A label's value; its quotes, backslashes and newlines are escaped. */
static void put_label(const char *name, const char *value, bool last)
{
	printf("%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n') {
			fputs("\\n", stdout);
			continue;
		}
		if (*value == '"' || *value == '\\')
			putchar('\\');
		putchar(*value);
	}
	fputs(last ? "\"" : "\",", stdout);
}

static void put_labels(const json_t *s)
{
	put_label("device", *ctl_text(s, "alias") ? ctl_text(s, "alias") : ctl_text(s, "port"),
		  false);
	put_label("id", ctl_text(s, "id"), false);
	put_label("port", ctl_text(s, "port"), false);
	put_label("vm", ctl_text(s, "vm"), true);
}

static void put_head(const char *name, const char *type, const char *help)
{
	printf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_counters(const json_t *stats)
{
	static const struct {
		const char *key, *name, *help;
	} counters[] = {
		{"urbs", "usbrouted_device_urbs_total", "URBs that were answered."},
		{"errors", "usbrouted_device_errors_total", "URBs that ended with an error."},
		{"in_bytes", "usbrouted_device_in_bytes_total", "Bytes that came from the device."},
		{"out_bytes", "usbrouted_device_out_bytes_total", "Bytes that went to the device."},
	};
	const json_t *s;
	size_t i;

	for (size_t c = 0; c < ARRAY_SIZE(counters); c++) {
		put_head(counters[c].name, "counter", counters[c].help);
		json_array_foreach(stats, i, s) {
			printf("%s{", counters[c].name);
			put_labels(s);
			printf("} %lld\n", (long long)number(s, counters[c].key));
		}
	}
}

static void put_bucket(const char *name, const json_t *s, const char *le, json_int_t n)
{
	printf("%s_bucket{", name);
	put_labels(s);
	printf(",le=\"%s\"} %lld\n", le, (long long)n);
}

/* Of the bounds every fourth one is printed: each is twice the one before. */
static void put_histogram(const char *name, const json_t *s, const json_t *times,
			  const json_t *bounds)
{
	json_int_t n = 0, bound = 0;
	size_t i, classes = json_array_size(bounds);
	char le[32];

	for (i = 0; i < classes; i++) {
		n += class_at(times, i);
		bound = json_integer_value(json_array_get(bounds, i));
		if (i % 4 != 3)
			continue;
		snprintf(le, sizeof(le), "%.6f", (double)bound / 1e6);
		put_bucket(name, s, le, n);
	}
	put_bucket(name, s, "+Inf", number(times, "count"));
	printf("%s_sum{", name);
	put_labels(s);
	printf("} %.6f\n%s_count{", (double)number(times, "sum_us") / 1e6, name);
	put_labels(s);
	printf("} %lld\n", (long long)number(times, "count"));
}

static void put_histograms(const json_t *reply)
{
	static const struct {
		const char *key, *name, *help;
	} histograms[] = {
		{"answer", "usbrouted_device_answer_seconds",
		 "From a URB's arrival to its answer; counted while somebody looks."},
		{"device", "usbrouted_device_io_seconds",
		 "Of that, with the device; counted while somebody looks."},
	};
	const json_t *stats = json_object_get(reply, "stats"), *s;
	size_t i;

	for (size_t h = 0; h < ARRAY_SIZE(histograms); h++) {
		put_head(histograms[h].name, "histogram", histograms[h].help);
		json_array_foreach(stats, i, s)
			put_histogram(histograms[h].name, s, json_object_get(s, histograms[h].key),
				      json_object_get(reply, "class_bounds_us"));
	}
}

static void put_memory(const json_t *memory)
{
	static const struct {
		const char *key, *name, *help;
	} gauges[] = {
		{"charged", "usbrouted_vm_usb_memory_bytes",
		 "The kernel's memory that a VM's URBs take."},
		{"share", "usbrouted_vm_usb_memory_share_bytes", "What they may take of it."},
	};
	const json_t *m;
	size_t i;

	for (size_t g = 0; g < ARRAY_SIZE(gauges); g++) {
		put_head(gauges[g].name, "gauge", gauges[g].help);
		json_array_foreach(memory, i, m) {
			printf("%s{", gauges[g].name);
			put_label("vm", ctl_text(m, "vm"), true);
			printf("} %lld\n", (long long)number(m, gauges[g].key));
		}
	}
}

/* A counter of networks that have an uplink, by kinds. */
static void put_network_counter(const json_t *networks, const char *name, const char *help,
				const char *label, const char *const kinds[][2])
{
	const json_t *n;
	size_t i;

	put_head(name, "counter", help);
	json_array_foreach(networks, i, n) {
		const json_t *counters = json_object_get(n, "counters");

		for (size_t k = 0; json_is_object(counters) && kinds[k][0]; k++) {
			printf("%s{", name);
			put_label("network", ctl_text(n, "name"), false);
			put_label(label, kinds[k][0], true);
			printf("} %lld\n", (long long)number(counters, kinds[k][1]));
		}
	}
}

/* What has gone through uplinks. What an uplink has sent came from outside. */
static void put_networks(const json_t *networks)
{
	static const char *const frames[][2] = {
		{"in", "sent_frames"}, {"out", "received_frames"}, {NULL, NULL}};
	static const char *const bytes[][2] = {
		{"in", "sent_bytes"}, {"out", "received_bytes"}, {NULL, NULL}};
	static const char *const drops[][2] = {
		{"refused", "dropped_refused"},		{"nowhere", "dropped_nowhere"},
		{"link_full", "dropped_link_full"},	{"no_buffers", "dropped_no_buffers"},
		{"from_others", "dropped_from_others"}, {NULL, NULL}};
	const json_t *n;
	size_t i;

	put_head("usbrouted_network_uplink_up", "gauge", "Whether a network's uplink has its tap.");
	json_array_foreach(networks, i, n) {
		if (!json_is_object(json_object_get(n, "counters")))
			continue;
		fputs("usbrouted_network_uplink_up{", stdout);
		put_label("network", ctl_text(n, "name"), true);
		printf("} %d\n", json_is_true(json_object_get(n, "connected")));
	}
	put_network_counter(networks, "usbrouted_network_uplink_frames_total",
			    "Frames that went through a network's uplink.", "direction", frames);
	put_network_counter(networks, "usbrouted_network_uplink_bytes_total", "Bytes of them.",
			    "direction", bytes);
	put_network_counter(networks, "usbrouted_network_uplink_dropped_total",
			    "Frames that a network's uplink has dropped.", "reason", drops);
}

/* ------------------------------------------------------------- commands */

static enum status ask(struct ctl *ctl, struct client_answer *ret_answer)
{
	return ctl_call(
		ctl,
		&(struct client_ask){.method = "io.usbrouted.Stats",
				     .parameters = json_pack("{s:s*}", "device", ctl->args[0])},
		ret_answer);
}

/**
 * ctl_stats() - `stats [DEVICE]`: what has gone through devices since their VMs got them
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_stats(struct ctl *ctl)
{
	_cleanup_(client_answer_deinit) struct client_answer answer = {0};
	enum status status = ask(ctl, &answer);

	if (status)
		return status;
	if (ctl->json)
		return ctl_print_json(answer.parameters);
	if (!ctl->prometheus)
		return print_table(ctl, NULL, answer.parameters, 0, stdout);
	put_counters(json_object_get(answer.parameters, "stats"));
	put_histograms(answer.parameters);
	put_memory(json_object_get(answer.parameters, "memory"));
	put_networks(json_object_get(answer.parameters, "networks"));
	return STATUS_DONE;
}

static double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Wait for the next look. Return: whether there is to be one. */
static bool rest(int stop)
{
	struct pollfd p[] = {{.fd = stop, .events = POLLIN}, {.fd = STDOUT_FILENO}};

	return poll(p, ARRAY_SIZE(p), LOOK_MS) == 0;
}

/**
 * ctl_top() - `top [DEVICE]`: what goes through devices, a second each; on a terminal until it is interrupted
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_top(struct ctl *ctl)
{
	struct client_answer before = {0}, now = {0};
	struct watch_drawing drawing = {0};
	_cleanup_close_ int stop = watch_stop_signals();
	double then = 0, at;
	enum status status = stop < 0 ? STATUS_FAILED : STATUS_DONE;

	while (!status) {
		_cleanup_free_ char *text = NULL;
		size_t size = 0;
		FILE *f = NULL;

		status = ask(ctl, &now);
		at = now_seconds();
		if (!status && ctl->json) {
			status = ctl_print_json(now.parameters);
			drawing.drawn = before.parameters;
		} else if (!status && before.parameters) {
			f = open_memstream(&text, &size);
		}
		if (f) {
			ctl_look_at_terminal(ctl);
			status = print_table(ctl, before.parameters, now.parameters,
					     before.parameters ? at - then : 0, f);
			fclose(f);
			watch_draw(ctl, &drawing, text);
		}
		client_answer_deinit(&before);
		before = now;
		now = (struct client_answer){0};
		then = at;
		if (status || fflush(stdout) || (drawing.drawn && !ctl->width) || !rest(stop))
			break;
	}
	client_answer_deinit(&before);
	client_answer_deinit(&now);
	return watch_end(status);
}
