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
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/usb_class.h"
#include "tests/unit/control-script.h"

#define CALLERS 8
#define DEVICES 4
#define STEPS	64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int fsync(int fd);

static struct fixture *f;
static struct control_caller callers[CALLERS];
static struct device *devices[DEVICES];

/* A power cut is not what is looked for here, and a disk is slow. */
int fsync(int fd)
{
	return 0;
}

/* ------------------------------------------------------------- calls */

static const char *const device_texts[] = {
	"keyboard",	 "mouse", "private", "desk", "secret", "046d:c31c",
	"046d:5555",	 "1-1",	  "1-4",     "S1",   "stick",  "046d:c31c/S1",
	"046d:c31c@1-1", "",	  "host",    "1-9",  "nobody", "keyb",
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

static uint8_t byte(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 1);

	return p ? *p : 0;
}

/* Text of the input's own; JSON's is UTF-8, and that was judged before. */
static json_t *raw_text(struct cursor *c)
{
	size_t n = min_t(size_t, byte(c), c->left);
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

	for (unsigned n = byte(c) % 4u; n; n--) {
		uint8_t how = byte(c);
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
	uint8_t what = byte(c);

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
	struct control_caller *caller = &callers[byte(c) % CALLERS];
	uint8_t which = byte(c), may = byte(c);
	size_t m = which % ARRAY_SIZE(methods);
	struct varlink_call asked = {.parameters = json_object(), .more = step & 0x20};
	char method[64];

	control_caller_gone(caller);
	*caller = (struct control_caller){
		.facts = {.has_all_rights = !(step & 0x40), .uid = 1000, .gids = gids, .n_gids = 2},
		.reads_slowly = true,
	};
	for (unsigned i = 0, bit = 0; i < ARRAY_SIZE(parameters); i++) {
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
	snprintf(method, sizeof(method), "io.usbrouted.%s", methods[m].name);
	asked.method = method;
	control_call(caller, &asked);
	json_decref(asked.parameters);
}

/* ------------------------------------------------------------- what happens meanwhile */

static void plug_or_unplug(unsigned i, bool other_serial)
{
	static const struct {
		const char *busid;
		uint16_t product;
		usb_class_set classes;
	} kinds[DEVICES] = {
		{"1-1", 0xc31c, 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD},
		{"1-2", 0xc077, 1u << USB_CLASS_HID},
		{"1-3", 0x2222, 0},
		{"1-4.1", 0x5555, 0},
	};
	struct device *d = devices[i];
	struct guest_device *gd = d ? thread_of(d) : NULL;

	if (!d) {
		f->devnum++;
		devices[i] = plug_at(f, kinds[i].busid, kinds[i].product,
				     other_serial ? "S2" : "S1", kinds[i].classes);
		return;
	}
	devices[i] = NULL;
	unplug(d);
	if (gd)
		drop(gd);
}

static const char *some_text(bool bad)
{
	return bad ? "in use on the host: sda is mounted at /mnt" : "";
}

/* The broker, or its thread, is done with what it was asked about one device. */
static void device_step(struct device *d, int r)
{
	struct guest_device *gd = thread_of(d);

	if (asks_open(d))
		node_opens(d, r);
	else if (asks_rebind(d))
		drivers_probe(d, r);
	else if (asks_reset(d))
		broker_resets(d, r, some_text(r < 0));
	else if (gd && gd->resetting)
		was_reset(d, r, some_text(r < 0));
	else if (gd && gd->taking)
		taken(d);
	else if (gd && gd->in && !gd->opened)
		claimed(d, r, r ? "its configuration can't be read" : NULL);
	else if (gd && gd->opened && !d->route.session && d->route.at &&
		 route_exported_to(d, d->route.at))
		imports(d, d->route.at);
}

static void happen(struct cursor *c)
{
	uint8_t what = byte(c);
	int r = what & 0x40 ? -EBUSY : what & 0x20 ? -ENODEV : 0;
	struct vm *vms[] = {f->vm1, f->vm2, f->vm3};

	switch (what % 6) {
	case 0:
		plug_or_unplug(what / 6 % DEVICES, what & 0x80);
		break;
	case 1:
		vm_is(vms[what / 6 % 3], what & 0x80);
		break;
	case 2:
		for (unsigned on = 0; on < 2; on++)
			if (asks_power(on))
				power_switched(on, r, some_text(r < 0));
		break;
	case 3:
		if (what & 0x80)
			control_next_reply(&callers[what / 6 % CALLERS]);
		loop_turn(f->daemon.core->loop, false);
		break;
	case 4:
		control_caller_gone(&callers[what / 6 % CALLERS]);
		break;
	default:
		if (devices[what / 6 % DEVICES])
			device_step(devices[what / 6 % DEVICES], r);
		break;
	}
}

static const char rules[] = "allow alias=keyboard to vm1 user=1000\n"
			    "deny id=046d:2222 to vm2\n"
			    "allow id=046d:5555 to vm2 attach=auto\n";

static void end(void)
{
	void *state = f;

	for (unsigned i = 0; i < CALLERS; i++)
		control_caller_gone(&callers[i]);
	memset(devices, 0, sizeof(devices));
	tear_down(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	const uint8_t *step;

	log_init(LOG_LEVEL_ERR);
	f = start_with(usual_config, rules);
	vm_is(f->vm1, true);
	vm_is(f->vm2, true);
	plug_or_unplug(0, false);
	for (unsigned n = 0; n < STEPS && (step = cursor_take(&c, 1)); n++) {
		if (*step & 1)
			call(&c, *step);
		else
			happen(&c);
	}
	end();
	return 0;
}
