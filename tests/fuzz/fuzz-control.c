/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control methods behind framing: calls with parameters that are mostly of their method, by
 * root and by a user that one rule gives a right, while devices come and go and the broker and the
 * guests' threads (route-script.c) take their time.
 *
 * Each call is answered once: now, later, in a series of replies that its caller reads one by one, or its
 * caller goes away before. An answer fits a message.
 *
 * Input: steps, each a byte that says what, and what it needs.
 */
#include "tests/fuzz/daemon-steps.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/log.h"
#include "base/mem.h"
#include "tests/fuzz/clock-loop.h"
#include "tests/unit/control-script.h"

#define CALLERS 8
#define STEPS	64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct control_caller callers[CALLERS];

/* ------------------------------------------------------------- calls */

static const char *const device_texts[] = {
	"keyboard",    "mouse",	       "private",	"desk",	      "secret",
	"046d:c31c",   "046d:5555",    "1-1",		"1-4",	      "S1",
	"stick",       "046d:c31c/S1", "046d:c31c@1-1", "",	      "host",
	"1-9",	       "nobody",       "keyb",		"group=desk", "group=none",
	"port=1-2",    "class=hid",    "serial=S1",	"product=a*", "046d:2222",
	"port=usb2:1", "id=046d:c31c", "port=1-4.1",	"serial=S2",  "class=nothing",
	"mose",	       "1-4.2",	       "office",
};
static const char *const vm_words[] = {"vm1", "vm2", "vm3", "host", "next", "prev", "vm9", ""};
static const char *const how_words[] = {"on", "off", "cycle", "On"};
static const char *const alias_words[] = {"stick", "keyboard", "vm1", "a b", "host", "desk"};
static const char *const text_words[] = {
	"deny class=hid.keyboard to vm1\n",
	"allow alias=stick to vm2 user=1000\n",
	"allow id=046d:5555 to vm1 attach=auto\ndeny * to *\n",
	"allow class=hid to vm1 vm2 attach=auto group=27\n",
};
static const char *const file_words[] = {"test.rules", "50-new.rules", "/etc/x/y.rules", "/", ""};

struct parameter {
	const char *name;
	const char *const *words;
	size_t n_words; /* 0: a number or a truth */
};

static const struct parameter parameters[] = {
	{"device", device_texts, ARRAY_SIZE(device_texts)},
	{"vm", vm_words, ARRAY_SIZE(vm_words)},
	{"to", vm_words, ARRAY_SIZE(vm_words)},
	{"how", how_words, ARRAY_SIZE(how_words)},
	{"alias", alias_words, ARRAY_SIZE(alias_words)},
	{"text", text_words, ARRAY_SIZE(text_words)},
	{"file", file_words, ARRAY_SIZE(file_words)},
	{"wait_seconds", NULL, 0},
	{"for_seconds", NULL, 0},
	{"until_unplug", NULL, 0},
	{"force", NULL, 0},
	{"dry_run", NULL, 0},
	{"off", NULL, 0},
	{"devices", NULL, 0},
	{"more_of_it", NULL, 0},
};

#define DEVICE	     0x0001u
#define VM	     0x0002u
#define TO	     0x0004u
#define HOW	     0x0008u
#define ALIAS	     0x0010u
#define TEXT	     0x0020u
#define FILE_	     0x0040u
#define WAIT	     0x0080u
#define FOR	     0x0100u
#define UNTIL_UNPLUG 0x0200u
#define FORCE	     0x0400u
#define DRY_RUN	     0x0800u
#define OFF	     0x1000u
#define RECORDED     0x2000u

/* What a call must have, and what it may have. */
static const struct {
	const char *name;
	unsigned must, may;
} methods[] = {
	{"List", 0, 0},
	{"Show", DEVICE, 0},
	{"Vms", 0, 0},
	{"Status", 0, 0},
	{"Attach", DEVICE | VM, WAIT | FOR | UNTIL_UNPLUG | FORCE | DRY_RUN},
	{"Detach", DEVICE, FOR | UNTIL_UNPLUG | DRY_RUN},
	{"Assign", DEVICE | VM, WAIT | DRY_RUN},
	{"Unassign", DEVICE, DRY_RUN},
	{"Release", DEVICE, DRY_RUN},
	{"Reserve", DEVICE, OFF | DRY_RUN},
	{"Switch", DEVICE | TO, WAIT | FORCE | DRY_RUN},
	{"Undo", 0, 0},
	{"Reset", DEVICE, FORCE | DRY_RUN | WAIT},
	{"Power", DEVICE | HOW, FORCE | DRY_RUN | WAIT},
	{"SetAlias", DEVICE | ALIAS, 0},
	{"Reload", 0, 0},
	{"Why", DEVICE, VM},
	{"TestPolicy", TEXT | FILE_, RECORDED},
	{"Nothing", 0, DEVICE},
};

/* Text of the input's own; JSON's is UTF-8, and that was judged before. */
static json_t *raw_text(struct cursor *c)
{
	size_t n = min_t(size_t, step_byte(c), c->left);
	json_t *text = json_stringn((const char *)cursor_take(c, n), n);

	return text ? text : json_string("\xc3\xa9\n");
}

static json_t *any_number(uint8_t what)
{
	static const double numbers[] = {0, 1, 0.001, -1, 86400, 86401, 1e308, 3e7};

	switch (what % 12) {
	case 0:
		return json_true();
	case 1:
		return json_false();
	case 2:
		return json_null();
	case 3:
		return json_integer(what & 0x40 ? INT64_MAX : 1);
	default:
		return json_real(numbers[what % 12 - 4]);
	}
}

static json_t *recorded(struct cursor *c)
{
	json_t *all = json_array();

	for (unsigned n = step_byte(c) % 4u; n; n--) {
		uint8_t how = step_byte(c);
		json_t *one =
			json_pack("{s:s, s:s, s:s}", "id", how & 1 ? "046d:c31c" : "zzzz:c31c",
				  "port", how & 2 ? "1-1" : "", "stable_port", "usb2:1");

		if (how & 4)
			json_object_set_new(one, "classes",
					    json_pack("[s, s, i]", "hid.keyboard", "no", 1));
		if (how & 8)
			json_object_set_new(one, "alias", raw_text(c));
		if (how & 16)
			json_object_set_new(one, "id", raw_text(c));
		json_array_append_new(all, one);
	}
	return all;
}

static json_t *value(const struct parameter *p, struct cursor *c)
{
	uint8_t what = step_byte(c);

	if (what >= 0xf0)
		return what & 1 ? raw_text(c) : what & 2 ? json_object() : json_array();
	if (what >= 0xe8)
		return any_number(what - 0xe8);
	if (!p->n_words && strcmp(p->name, "devices"))
		return any_number(what);
	if (!p->n_words)
		return recorded(c);
	return what >= 0xc0 ? raw_text(c) : json_string(p->words[what % p->n_words]);
}

/* A call, by root or by a user. */
static void call(struct cursor *c, uint8_t step)
{
	static const uint32_t gids[] = {1000, 27};
	struct control_caller *caller = &callers[step_byte(c) % CALLERS];
	uint8_t which = step_byte(c), may = step_byte(c);
	size_t m = which % ARRAY_SIZE(methods);
	struct varlink_call asked = {.parameters = json_object(), .more = step & 0x20};
	bool listens = (step & 0x1e) == 0x1e;
	char method[64];

	control_caller_gone(caller);
	*caller = (struct control_caller){
		.facts = {.has_all_rights = !(step & 0x40), .uid = 1000, .gids = gids, .n_gids = 2},
		.reads_slowly = true,
	};
	for (unsigned i = 0, bit = 0; i < ARRAY_SIZE(parameters) && !listens; i++) {
		bool there = methods[m].must >> i & 1;

		if (methods[m].may >> i & 1)
			there = may >> bit++ & 1;
		/* At times one is missing, or there is one too many. */
		if ((may & 0xc0) == 0xc0 && i == which / ARRAY_SIZE(methods))
			there = !there;
		if (there)
			json_object_set_new(asked.parameters, parameters[i].name,
					    value(&parameters[i], c));
	}
	snprintf(method, sizeof(method), "io.usbrouted.%s", listens ? "Monitor" : methods[m].name);
	asked.method = method;
	control_call(caller, &asked);
	json_decref(asked.parameters);
}

/* ------------------------------------------------------------- what happens meanwhile */

static void happen(struct cursor *c, uint8_t step)
{
	uint8_t what = step_byte(c);

	if (step & 0x20)
		control_caller_gone(&callers[what % CALLERS]);
	else if (step & 0x10)
		control_next_reply(&callers[what % CALLERS]);
	else
		daemon_step(c, what);
}

static const char rules[] = "allow alias=keyboard to vm1 user=1000\n"
			    "deny id=046d:2222 to vm2\n"
			    "allow id=046d:5555 to vm2 attach=auto\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	struct fixture *f;
	const uint8_t *step;

	log_init(LOG_LEVEL_ERR);
	clock_begin();
	f = start_with(usual_config, rules);
	plug_hub(f, "1-9");
	daemon_steps_begin(f);
	control_monitor_begin(f);
	vm_is(f->vm1, true);
	vm_is(f->vm2, true);
	daemon_step_plug(0, 0, &c);
	for (unsigned n = 0; n < STEPS && (step = cursor_take(&c, 1)); n++) {
		if (*step & 1)
			call(&c, *step);
		else
			happen(&c, *step);
	}
	for (unsigned i = 0; i < CALLERS; i++)
		control_caller_gone(&callers[i]);
	control_monitor_end();
	daemon_steps_end(f);
	return 0;
}
