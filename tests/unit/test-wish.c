/* SPDX-License-Identifier: BSD-2-Clause */
/* Wishes: what one hangs on, which decides, and that the file form loses nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/wish.h"

#define PORT_A "0000:00:14.0/usb2:1.1"
#define PORT_B "0000:00:14.0/usb2:1.2"

static struct device_facts device(uint16_t product, const char *serial, const char *port)
{
	return (struct device_facts){
		.id_vendor = 0x1d6b, .id_product = product, .serial = serial, .stable_port = port};
}

static void assert_target(const struct wishes *w, struct device_facts d, bool unique,
			  const char *target)
{
	const struct wish *found = wish_find(w, &d, unique);

	if (!target) {
		assert_null(found);
	} else {
		assert_non_null(found);
		assert_string_equal(found->target, target);
	}
}

static void test_serial_follows_the_device(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "S1", PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	assert_target(&w, device(1, "S1", PORT_B), true, "vm1");
	assert_target(&w, device(1, "S2", PORT_A), true, NULL);
	assert_target(&w, device(2, "S1", PORT_A), true, NULL);
	assert_target(&w, device(1, NULL, PORT_A), true, NULL);
}

static void test_twin_inherits_nothing(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "0001", PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	/* A twin with the same serial appears: the wish stays with the first one's port. */
	assert_target(&w, device(1, "0001", PORT_A), false, "vm1");
	assert_target(&w, device(1, "0001", PORT_B), false, NULL);
	/* The twin gets a wish of its own; neither takes the other's away. */
	d = device(1, "0001", PORT_B);
	assert_int_equal(wish_set(&w, &d, false, false, "vm2"), 0);
	assert_int_equal(w.n, 2);
	assert_target(&w, device(1, "0001", PORT_A), false, "vm1");
	assert_target(&w, device(1, "0001", PORT_B), false, "vm2");
	/* Alone again, each in its place still has its own. */
	assert_target(&w, device(1, "0001", PORT_B), true, "vm2");
	assert_target(&w, device(1, "0001", PORT_A), true, "vm1");
}

static void test_no_serial_hangs_on_id_and_port(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, NULL, PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	assert_target(&w, device(1, NULL, PORT_A), true, "vm1");
	assert_target(&w, device(1, NULL, PORT_B), true, NULL);
	assert_target(&w, device(2, NULL, PORT_A), true, NULL);
}

static void test_port_means_the_port(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "S1", PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, true, true, "vm1"), 0);
	assert_target(&w, device(2, "other", PORT_A), true, "vm1");
	assert_target(&w, device(1, "S1", PORT_B), true, NULL);
}

static void test_newest_decides(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "S1", PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	assert_int_equal(wish_set(&w, &d, false, true, "vm2"), 0);
	assert_int_equal(w.n, 1);
	assert_target(&w, d, true, "vm2");
	/* A port's wish about the same device takes the device's away, and the other way round. */
	assert_int_equal(wish_set(&w, &d, true, true, "vm3"), 0);
	assert_int_equal(w.n, 1);
	assert_target(&w, d, true, "vm3");
	assert_int_equal(wish_set(&w, &d, false, true, "host"), 0);
	assert_int_equal(w.n, 1);
	assert_target(&w, d, true, "host");
	/* A port's wish made for another device loses to nothing older than itself. */
	d = device(2, "S2", PORT_B);
	assert_int_equal(wish_set(&w, &d, true, true, "vm4"), 0);
	assert_target(&w, device(1, "S1", PORT_B), true, "vm4");
}

static void test_alias_waits_for_its_device(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, NULL, PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set_name(&w, "keyboard", NULL, false, "vm1"), 0);
	assert_int_equal(wish_set_name(&w, "keyboard", NULL, false, "vm2"), 0);
	assert_int_equal(w.n, 1);
	assert_target(&w, d, true, NULL);
	d.alias = "keyboard";
	assert_target(&w, d, true, "vm2");
	/* The command about the device itself takes its place. */
	assert_int_equal(wish_set(&w, &d, false, true, "vm3"), 0);
	assert_int_equal(w.n, 1);
	assert_target(&w, d, true, "vm3");
	assert_int_equal(wish_set_name(&w, "1-1", NULL, false, "vm1"), -EINVAL);
}

static void test_forget(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "S1", PORT_A), other = device(2, NULL, PORT_B);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	assert_int_equal(wish_set(&w, &other, false, true, "vm2"), 0);
	assert_int_equal(wish_set_name(&w, "mouse", NULL, false, "vm3"), 0);
	wish_forget(&w, &d, true);
	wish_forget(&w, &d, true);
	assert_int_equal(w.n, 2);
	assert_target(&w, d, true, NULL);
	assert_target(&w, other, true, "vm2");
}

static void test_absent(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "S1", PORT_A), other = device(2, "S2", PORT_B);
	struct selector s = SELECTOR_INIT;

	wishes_init(&w);
	assert_null(wish_find_absent(&w, &s, "keyboard"));
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	assert_int_equal(wish_set(&w, &other, false, true, "vm2"), 0);
	/* A class or a product alone says nothing of which wish it is. */
	s.class_ = USB_CLASS_HID;
	assert_null(wish_find_absent(&w, &s, "keyboard"));
	s.has_id = true;
	s.id_vendor = d.id_vendor;
	s.id_product = d.id_product;
	assert_string_equal(wish_find_absent(&w, &s, "keyboard")->target, "vm1");
	s.serial = (char *)"S2*";
	assert_null(wish_find_absent(&w, &s, "keyboard"));
	assert_int_equal(wish_set_name(&w, "keyboard", NULL, false, "vm3"), 0);
	assert_string_equal(wish_find_absent(&w, &s, "keyboard")->target, "vm3");
}

static void test_restored_as_it_was(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w, before;
	struct device_facts d = device(1, "S1", PORT_A), other = device(2, NULL, PORT_B);

	/* A wish on the port comes back as one on the port; what else changed meanwhile stays. */
	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, true, true, "vm1"), 0);
	assert_int_equal(wishes_copy(&before, &w), 0);
	assert_int_equal(wish_set(&w, &d, false, true, "vm2"), 0);
	assert_int_equal(wish_set(&w, &other, false, true, "vm3"), 0);
	assert_int_equal(wish_restore(&w, &before, &d, true), 0);
	assert_int_equal(w.n, 2);
	assert_target(&w, d, true, "vm1");
	assert_int_equal(wish_find(&w, &d, true)->kind, WISH_PORT);
	assert_target(&w, other, true, "vm3");
	/* Where nothing was wished, nothing is again. */
	wishes_deinit(&before);
	wishes_init(&before);
	assert_int_equal(wish_restore(&w, &before, &d, true), 0);
	assert_target(&w, d, true, NULL);
}

static void test_ends_by_itself(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w, again;
	_cleanup_free_ char *text = NULL;
	struct device_facts a = device(1, "S1", PORT_A), b = device(2, NULL, PORT_B);
	unsigned bad;
	size_t len;

	wishes_init(&w);
	wishes_init(&again);
	assert_int_equal(wishes_next_end(&w), 0);
	assert_int_equal(wish_set(&w, &a, false, true, "vm1"), 0);
	wishes_limit_last(&w, 100, false);
	assert_int_equal(wish_set(&w, &b, false, true, "vm2"), 0);
	wishes_limit_last(&w, 50, true);
	assert_int_equal(wish_set_name(&w, "mouse", NULL, false, "vm3"), 0);
	assert_int_equal(wishes_next_end(&w), 50);

	assert_int_equal(wishes_format(&w, &text, &len), 0);
	assert_int_equal(wishes_parse(&again, text, len, &bad), 0);
	assert_int_equal(bad, 0);
	assert_int_equal(again.n, 3);
	assert_int_equal(wishes_expire(&again, 49), 0);
	assert_int_equal(wishes_expire(&again, 50), 1);
	assert_target(&again, b, true, NULL);
	assert_target(&again, a, true, "vm1");
	assert_int_equal(wishes_expire(&again, 1000), 1);
	assert_int_equal(again.n, 1);

	assert_int_equal(wish_unplugged(&w, &a, true), 0);
	assert_int_equal(wish_unplugged(&w, &b, true), 1);
	assert_target(&w, b, true, NULL);
	assert_int_equal(w.n, 2);
}

static void test_alias_restored(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w, before;

	wishes_init(&w);
	assert_int_equal(wish_set_name(&w, "mouse", NULL, false, "vm1"), 0);
	assert_int_equal(wishes_copy(&before, &w), 0);
	assert_int_equal(wish_set_name(&w, "mouse", NULL, false, "vm2"), 0);
	assert_int_equal(wish_set_name(&w, "disk", NULL, false, "vm2"), 0);
	assert_int_equal(wish_restore_name(&w, &before, "mouse"), 0);
	assert_int_equal(wish_restore_name(&w, &before, "disk"), 0);
	assert_int_equal(w.n, 1);
	assert_non_null(wish_find_target(&w, "vm1"));
	assert_null(wish_find_target(&w, "vm2"));
	wish_forget_target(&w, "vm1");
	assert_int_equal(w.n, 0);
}

static bool is_named(const struct wishes *w, const char *target, const char *text)
{
	struct selector s = SELECTOR_INIT;
	const char *expected;
	bool named;

	assert_int_equal(selector_parse_word(&s, text, &expected), 0);
	named = wish_is_named(wish_find_target(w, target), &s);
	selector_deinit(&s);
	return named;
}

/* Of what is not there: by what it hangs on, and by nothing else. */
static void test_named_by_what_it_hangs_on(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w, before;
	struct device_facts d = device(1, "S1", PORT_A);
	const char *on = "1d6b:0001 with serial S1";

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	d = device(2, NULL, PORT_A);
	assert_int_equal(wish_set(&w, &d, false, false, "vm2"), 0);
	d = device(3, NULL, PORT_B);
	assert_int_equal(wish_set(&w, &d, true, false, "vm3"), 0);
	assert_int_equal(wish_set_name(&w, "mouse", NULL, false, "vm4"), 0);
	assert_true(is_named(&w, "vm1", "1d6b:0001"));
	assert_true(is_named(&w, "vm1", "serial=S?"));
	assert_false(is_named(&w, "vm1", "port=" PORT_A));
	assert_false(is_named(&w, "vm1", "1d6b:0002"));
	assert_true(is_named(&w, "vm2", "1d6b:0002"));
	assert_true(is_named(&w, "vm2", "port=" PORT_A));
	assert_false(is_named(&w, "vm2", "serial=*"));
	assert_true(is_named(&w, "vm3", "port=" PORT_B));
	assert_false(is_named(&w, "vm3", "1d6b:0003"));
	assert_false(is_named(&w, "vm3", "class=hid"));
	assert_false(is_named(&w, "vm3", "product=*"));
	assert_false(is_named(&w, "vm4", "product=mouse"));

	assert_int_equal(wishes_copy(&before, &w), 0);
	assert_string_equal(wish_find_on(&w, on)->target, "vm1");
	assert_int_equal(wish_set_like(&w, wish_find_on(&before, on), "host"), 0);
	assert_int_equal(w.n, 4);
	assert_string_equal(wish_find_on(&w, on)->target, "host");
	wish_forget_on(&w, on);
	assert_null(wish_find_on(&w, on));
	assert_int_equal(w.n, 3);
	assert_int_equal(wish_restore_on(&w, &before, on), 0);
	assert_string_equal(wish_find_on(&w, on)->target, "vm1");
	assert_int_equal(wish_restore_on(&w, &w, "port " PORT_A), 0);
	assert_int_equal(w.n, 4);
}

static void test_refused_changes_nothing(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "S1", PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	assert_int_equal(wish_set(&w, &d, false, true, "next"), -EINVAL);
	assert_int_equal(wish_set(&w, &d, false, true, "a b"), -EINVAL);
	assert_target(&w, d, true, "vm1");
	d.stable_port = NULL;
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), -EINVAL);

	for (unsigned i = 0; w.n < WISHES_MAX; i++) {
		char serial[16];

		snprintf(serial, sizeof(serial), "n%u", i);
		d = device(7, serial, PORT_A);
		assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	}
	d = device(8, "new", PORT_A);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), -ENOSPC);
	d = device(1, "S1", PORT_A);
	assert_int_equal(wish_set(&w, &d, false, true, "vm2"), 0);
	assert_target(&w, d, true, "vm2");
}

static void test_file_form(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w, back, copy;
	_cleanup_free_ char *text = NULL, *again = NULL;
	struct device_facts d = device(0xabcd, "a\tb\n\\ \x7f\xc3\xa4", PORT_A);
	size_t len, again_len;
	unsigned bad;

	wishes_init(&w);
	wishes_init(&back);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	d = device(2, NULL, PORT_B);
	assert_int_equal(wish_set(&w, &d, false, true, "host"), 0);
	assert_int_equal(wish_set(&w, &d, true, true, "vm-2"), 0);
	assert_int_equal(wish_set_name(&w, "mouse", NULL, false, "vm3"), 0);

	assert_int_equal(wishes_format(&w, &text, &len), 0);
	assert_string_equal(text,
			    "V3\tvm1\tserial\t1d6b:abcd\ta\\x09b\\x0a\\x5c \\x7f\xc3\xa4\t" PORT_A
			    "\t\t\n"
			    "V3\tvm-2\tport\t\t\t" PORT_B "\t\t\n"
			    "V3\tvm3\tname\t\tmouse\t\t\t\n");
	assert_int_equal(len, strlen(text));
	assert_int_equal(wishes_parse(&back, text, len, &bad), 0);
	assert_int_equal(bad, 0);
	assert_int_equal(wishes_copy(&copy, &back), 0);
	assert_int_equal(wishes_format(&copy, &again, &again_len), 0);
	assert_string_equal(text, again);
	assert_int_equal(copy.n, 3);
}

/* ------------------------------------------------------------- older files */

static void test_older_versions_are_read(void **state)
{
	static const char old[] = "V1\tvm1\tserial\t1d6b:0001\tS1\t" PORT_A "\n"
				  "V2\tvm2\tport-id\t1d6b:0002\t\t" PORT_B "\t100\t\n"
				  "V1\tvm3\talias\t\tmouse\t\n"
				  "V1\tvm4\tport\t\t\tx/usb2:9\n";
	_cleanup_(wishes_deinit) struct wishes w;
	_cleanup_free_ char *text = NULL, *again = NULL;
	struct device_facts d = device(1, "S1", PORT_B);
	unsigned bad;
	size_t len;

	wishes_init(&w);
	assert_int_equal(wishes_parse(&w, old, strlen(old), &bad), 0);
	assert_int_equal(bad, 0);
	/* Written as they were, until their devices are there. */
	assert_int_equal(wishes_format(&w, &text, &len), 0);
	assert_string_equal(text, "V1\tvm1\tserial\t1d6b:0001\tS1\t" PORT_A "\n"
				  "V2\tvm2\tport-id\t1d6b:0002\t\t" PORT_B "\t100\t\n"
				  "V3\tvm3\tname\t\tmouse\t\t\t\n"
				  "V3\tvm4\tport\t\t\tx/usb2:9\t\t\n");
	d.alias = "keyboard";
	assert_int_equal(wish_adopt(&w, &d, true), 1);
	assert_int_equal(wish_adopt(&w, &d, true), 0);
	d = device(2, NULL, PORT_B);
	d.alias = "stick";
	assert_int_equal(wish_adopt(&w, &d, false), 1);
	assert_int_equal(wishes_format(&w, &again, &len), 0);
	assert_string_equal(again, "V3\tvm1\tname\t\tkeyboard\t\t\t\n"
				   "V3\tvm2\tname\t\tstick\t\t100\t\n"
				   "V3\tvm3\tname\t\tmouse\t\t\t\n"
				   "V3\tvm4\tport\t\t\tx/usb2:9\t\t\n");
	/* What is said today of a device without its name never comes to hang on one. */
	d = device(3, "S3", PORT_A);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	d.alias = "other";
	assert_int_equal(wish_adopt(&w, &d, true), 0);
}

/* ------------------------------------------------------------- against a plain reference */

/* A desk of devices, some of one kind, and what was said of them, in the order of saying. */
#define DESK	5
#define SAID	64
#define PLACES	4
#define NOWHERE -1

struct said {
	enum wish_kind kind;
	int device, place; /* what it hangs on; of a serial's, where it was */
	unsigned vm;
	bool taken_back;
};

struct desk {
	struct wishes wishes;
	int at[DESK];
	struct said said[SAID];
	size_t n;
	unsigned seed;
};

/* 0 and 1 have no serial and one id; 2 and 3 have one serial and id; 4 is alone. Even ones are named. */
static const uint16_t desk_product[DESK] = {1, 1, 2, 2, 3};
static const char *const desk_serial[DESK] = {NULL, NULL, "SAME", "SAME", "OWN"};
static const char *const desk_name[DESK] = {"zero", NULL, "two", NULL, "four"};
static const char *const places[PLACES] = {"x/usb2:1", "x/usb2:2", "x/usb2:3", "x/usb2:4"};
static const char *const vms[] = {"vm1", "vm2", "host"};

static unsigned dice(struct desk *d, unsigned sides)
{
	d->seed = d->seed * 1103515245 + 12345;
	return (d->seed >> 16) % sides;
}

static struct device_facts facts_of(const struct desk *d, int i)
{
	struct device_facts f = device(desk_product[i], desk_serial[i], places[d->at[i]]);

	f.alias = desk_name[i];
	return f;
}

static bool is_alone(const struct desk *d, int i)
{
	for (int k = 0; k < DESK; k++)
		if (k != i && d->at[k] != NOWHERE && desk_serial[k] && desk_serial[i] &&
		    desk_product[k] == desk_product[i])
			return false;
	return desk_serial[i] != NULL;
}

/* What a person would say: does this word mean that device, where all stand now? */
static bool means(const struct desk *d, const struct said *s, int i)
{
	bool same_kind = s->device >= 0 && desk_product[s->device] == desk_product[i];

	switch (s->kind) {
	case WISH_NAME:
		return s->device == i;
	case WISH_PORT:
		return s->place == d->at[i];
	case WISH_PORT_ID:
		return same_kind && s->place == d->at[i];
	case WISH_SERIAL:
		return same_kind && (is_alone(d, i) || s->place == d->at[i]);
	}
	return false;
}

static const struct said *last_word(const struct desk *d, int i)
{
	for (size_t n = d->n; n--;)
		if (!d->said[n].taken_back && means(d, &d->said[n], i))
			return &d->said[n];
	return NULL;
}

static void take_back(struct desk *d, int i)
{
	for (size_t n = 0; n < d->n; n++)
		if (means(d, &d->said[n], i))
			d->said[n].taken_back = true;
}

static void say_of(struct desk *d, int i)
{
	struct device_facts f = facts_of(d, i);
	struct said s = {.device = i, .place = d->at[i], .vm = dice(d, ARRAY_SIZE(vms))};
	bool alone = is_alone(d, i), by_port = !dice(d, 3), by_name = f.alias && dice(d, 2);

	if (d->n == SAID)
		return;
	s.kind = by_name ? WISH_NAME : by_port ? WISH_PORT : alone ? WISH_SERIAL : WISH_PORT_ID;
	take_back(d, i);
	d->said[d->n++] = s;
	if (by_name)
		assert_int_equal(wish_set_name(&d->wishes, f.alias, &f, alone, vms[s.vm]), 0);
	else
		assert_int_equal(wish_set(&d->wishes, &f, by_port, alone, vms[s.vm]), 0);
}

static void reread(struct desk *d)
{
	_cleanup_free_ char *text = NULL;
	unsigned bad;
	size_t len;

	assert_int_equal(wishes_format(&d->wishes, &text, &len), 0);
	wishes_deinit(&d->wishes);
	assert_int_equal(wishes_parse(&d->wishes, text, len, &bad), 0);
	assert_int_equal(bad, 0);
}

static void step(struct desk *d)
{
	int i = (int)dice(d, DESK), to = (int)dice(d, PLACES + 1) - 1;
	bool is_free = true;

	for (int k = 0; k < DESK; k++)
		is_free = is_free && (to == NOWHERE || d->at[k] != to);
	switch (dice(d, 5)) {
	case 0:
		if (d->at[i] != NOWHERE)
			say_of(d, i);
		break;
	case 1:
		reread(d);
		break;
	case 2:
		if (d->at[i] != NOWHERE && !dice(d, 3)) {
			struct device_facts f = facts_of(d, i);

			wish_forget(&d->wishes, &f, is_alone(d, i));
			take_back(d, i);
		}
		break;
	default:
		if (is_free)
			d->at[i] = to;
	}
}

static void test_against_a_plain_reference(void **state)
{
	for (unsigned round = 0; round < 200; round++) {
		struct desk d = {.seed = round};

		wishes_init(&d.wishes);
		for (int i = 0; i < DESK; i++)
			d.at[i] = NOWHERE;
		for (unsigned n = 0; n < 150; n++) {
			step(&d);
			for (int i = 0; i < DESK; i++) {
				const struct said *s;

				if (d.at[i] == NOWHERE)
					continue;
				s = last_word(&d, i);
				assert_target(&d.wishes, facts_of(&d, i), is_alone(&d, i),
					      s ? vms[s->vm] : NULL);
			}
		}
		wishes_deinit(&d.wishes);
	}
}

static const char *const bad_lines[] = {
	"V2\tvm1\tport\t\t\tx/usb2:1",
	"V1\tvm1\tport\t\t\t",
	"V1\tvm1\tport\t1d6b:0001\t\tx/usb2:1",
	"V1\tvm1\tport\t\ts\tx/usb2:1",
	"V1\tvm1\tserial\t1d6b:0001\t\tx",
	"V1\tvm1\tserial\t1d6b\ts\tx",
	"V1\tnext\tport\t\t\tx/usb2:1",
	"V1\tvm1\tport\t\t\tx/usb2:1\t",
	"V1\tvm1\tport\t\t",
	"V1\tvm1\twhat\t\t\tx/usb2:1",
	"V1\tvm1\tport\t\t\tx\\x00",
	"V1\tvm1\tport\t\t\tx\\x1",
	"V1\tvm1\tport\t\t\tx\\n",
	"V1\tvm1\tport\t\t\tx\r",
	"V1\tvm1\talias\t\t1-1\t",
	"V1\tvm1\talias\t\tmouse\tx",
	"garbage",
	"V1",
	"V2\tvm1\tport\t\t\tx/usb2:1",
	"V2\tvm1\tport\t\t\tx/usb2:1\t\t",
	"V2\tvm1\tport\t\t\tx/usb2:1\t0\t",
	"V2\tvm1\tport\t\t\tx/usb2:1\t-1\t",
	"V2\tvm1\tport\t\t\tx/usb2:1\t99999999999999999999\t",
	"V2\tvm1\tport\t\t\tx/usb2:1\t5\tx",
	"V1\tvm1\tport\t\t\tx/usb2:1\t5\tunplug",
	"V3\tvm1\tport\t\t\tx/usb2:1\t\tunplug:",
	"V3\tvm1\tport\t\t\tx/usb2:1\t\tunplug:1",
	"V3\tvm1\tport\t\t\tx/usb2:1\t\tunplug:1:65536",
	"V3\tvm1\tport\t\t\tx/usb2:1\t\tunplug:-1:2",
	"V3\tvm1\tport\t\t\tx/usb2:1\t\tunplug:1: 2",
	"V3\tvm1\tport\t\t\tx/usb2:1\t\tunplug:1:2:",
	"V4\tvm1\tport\t\t\tx/usb2:1\t\t",
	"V4\tvm1\tport\t\t\tx/usb2:1\t\t\t1,",
	"V4\tvm1\tport\t\t\tx/usb2:1\t\t\t,1",
	"V4\tvm1\tport\t\t\tx/usb2:1\t\t\t-1",
	"V4\tvm1\tport\t\t\tx/usb2:1\t\t\t4294967296",
	"V4\tvm1\tport\t\t\tx/usb2:1\t\t\t1\t2",
	"V3\tvm1\tport\t\t\tx/usb2:1\t\t\t1",
	"V3\tvm1\tport\t\t\tx/usb2:1",
	"V3\tvm1\tport\t\t\tx/usb2:1\t",
	"V3\tvm1\tport\t\t\tx/usb2:1\t\t\t",
	"V3\tvm1\tname\t\t1-1\t\t\t",
	"V3\tvm1\tname\t\tmouse\tx/usb2:1\t\t",
	"V3\tvm1\tname\t1d6b:0001\tmouse\t\t\t",
	"V4\tvm1\tport\t\t\tx/usb2:1\t\t",
};

static void test_bad_lines_cost_only_themselves(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_lines); i++) {
		_cleanup_(wishes_deinit) struct wishes w;
		char text[256];
		unsigned bad;

		wishes_init(&w);
		snprintf(text, sizeof(text), "%s\n\nV1\tvm1\tport\t\t\tx/usb2:1", bad_lines[i]);
		assert_int_equal(wishes_parse(&w, text, strlen(text), &bad), 0);
		if (bad != 1 || w.n != 1)
			fail_msg("%s: %u bad, %zu good", bad_lines[i], bad, w.n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serial_follows_the_device),
		cmocka_unit_test(test_twin_inherits_nothing),
		cmocka_unit_test(test_no_serial_hangs_on_id_and_port),
		cmocka_unit_test(test_port_means_the_port),
		cmocka_unit_test(test_newest_decides),
		cmocka_unit_test(test_alias_waits_for_its_device),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_restored_as_it_was),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_ends_by_itself),
		cmocka_unit_test(test_alias_restored),
		cmocka_unit_test(test_named_by_what_it_hangs_on),
		cmocka_unit_test(test_refused_changes_nothing),
		cmocka_unit_test(test_file_form),
		cmocka_unit_test(test_older_versions_are_read),
		cmocka_unit_test(test_against_a_plain_reference),
		cmocka_unit_test(test_bad_lines_cost_only_themselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
