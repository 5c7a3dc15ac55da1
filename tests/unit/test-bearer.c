/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who bears a name: by hand, case by case; and by chance, against what a person would say of
 * devices whose true selves the test knows.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/bearer.h"
#include "policy/serial.h"

#define WAIT 10

static const char *const ports[] = {
	"0000:00:14.0/usb2:1", "0000:00:14.0/usb2:2", "0000:00:14.0/usb2:3",
	"0000:00:14.0/usb2:4", "0000:00:14.0/usb2:5", "0000:00:14.0/usb2:6",
};

struct state {
	struct bearers all;
	struct bearer *b;
	uint64_t now;
	bool changed;
};

static int set_up(void **state)
{
	struct state *s = calloc(1, sizeof(*s));

	bearers_init(&s->all);
	assert_int_equal(bearers_get(&s->all, "keyboard", &s->b), 0);
	s->now = 1;
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct state *s = *state;

	bearers_deinit(&s->all);
	free(s);
	return 0;
}

/* A device: "P" in port P, "P:serial" with a serial. */
static struct device_facts device(const char *text)
{
	return (struct device_facts){.id_vendor = 0x046d,
				     .id_product = 0xc31c,
				     .stable_port = ports[text[0] - '1'],
				     .serial = text[1] ? text + 2 : NULL};
}

/* Of these devices, the one that bears the name; "" for none. */
static void bears(struct state *s, const char *text, const char *expected)
{
	char words[128], *save = NULL;
	const char *names[8];
	struct device_facts facts[8];
	size_t n = 0;
	int found;

	snprintf(words, sizeof(words), "%s", text);
	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		names[n] = w;
		facts[n++] = device(w);
	}
	found = bearer_find(s->b, facts, n, s->now, WAIT, &s->changed);
	if (strcmp(found < 0 ? "" : names[found], expected))
		fail_msg("of \"%s\" \"%s\" bears it, not \"%s\"", text,
			 found < 0 ? "" : names[found], expected);
}

/* What is remembered comes back from the file. */
static void restart(struct state *s)
{
	_cleanup_free_ char *text = NULL, *again = NULL;
	size_t len, again_len;
	unsigned bad;

	assert_int_equal(bearers_format(&s->all, &text, &len), 0);
	bearers_deinit(&s->all);
	assert_int_equal(bearers_parse(&s->all, text, len, &bad), 0);
	assert_int_equal(bad, 0);
	assert_int_equal(bearers_format(&s->all, &again, &again_len), 0);
	assert_string_equal(text, again);
	assert_int_equal(bearers_get(&s->all, "keyboard", &s->b), 0);
}

/* ------------------------------------------------------------- a section's name */

static void alone_it_bears_the_name_in_any_port_with_any_serial(void **state)
{
	struct state *s = *state;

	bears(s, "1", "1");
	bears(s, "", "");
	bears(s, "3", "3");
	bears(s, "", "");
	bears(s, "2:S1", "2:S1");
	bears(s, "", "");
	restart(s);
	bears(s, "4:S2", "4:S2");
}

static void the_one_that_had_it_keeps_it(void **state)
{
	struct state *s = *state;

	bears(s, "2", "2");
	bears(s, "1 2", "2");
	bears(s, "2 1 3", "2");
	restart(s);
	bears(s, "1 2 3", "2");
	/* The others come, go and move; all is as it was. */
	bears(s, "2 4", "2");
	bears(s, "2 5 1", "2");
}

static void where_nobody_had_it_nobody_has_it(void **state)
{
	struct state *s = *state;

	bears(s, "1 2", "");
	bears(s, "1 2:S", "");
	assert_int_equal(s->b->until, 0);
	bears(s, "2", "2");
	bears(s, "1 2", "2");
}

static void moved_beside_its_twin_it_is_known(void **state)
{
	struct state *s = *state;

	bears(s, "1", "1");
	bears(s, "1 2", "1");
	bears(s, "2", ""); /* it is on its way */
	assert_int_equal(s->b->until, s->now + WAIT);
	bears(s, "2 3", "3");
	bears(s, "2 3", "3");
	/* Over a restart as well. */
	bears(s, "2", "");
	restart(s);
	bears(s, "2 5", "5");
	/* Those whose serials contain the port are as those without. */
	bears(s, "2", "");
	bears(s, "2 4:68284-0000:00:04.0-4", "4:68284-0000:00:04.0-4");
}

/* Each of the two moves, one after the other, and the second one into the port that the first has left. */
static void moved_into_the_port_that_its_twin_has_left(void **state)
{
	struct state *s = *state;

	bears(s, "2", "2");
	bears(s, "1 2", "2");
	/* The twin's new port is told of before its old one ... */
	bears(s, "1 2 3", "2");
	bears(s, "2 3", "2");
	bears(s, "3", "");
	bears(s, "1 3", "1");
	/* ... or after it. */
	bears(s, "1", "1");
	bears(s, "1 4", "1");
	bears(s, "4", "");
	bears(s, "3 4", "3");
	/* Long after its twin has gone for good, another one comes into that port, and is the other one. */
	bears(s, "3", "3");
	s->now += 2 * WAIT;
	bears(s, "3 4", "3");
	bears(s, "4", "");
	bears(s, "4 5", "5");
}

static void with_a_serial_it_is_known_whatever_else_moves(void **state)
{
	struct state *s = *state;

	bears(s, "1:A", "1:A");
	bears(s, "1:A 2:B", "1:A");
	bears(s, "2:B", "");
	bears(s, "", "");
	/* Both swap their ports, the wrong one first. */
	bears(s, "1:B", "");
	bears(s, "1:B 2:A", "2:A");
	restart(s);
	bears(s, "3:B", "");
	bears(s, "3:B 4:A", "4:A");
}

static void a_hub_that_is_reset_changes_nothing(void **state)
{
	struct state *s = *state;

	bears(s, "4", "4");
	bears(s, "2 4", "4");
	/* Out in the order of ports, in as well. */
	bears(s, "4", "4");
	s->now++;
	bears(s, "", "");
	s->now++;
	bears(s, "2", "");
	bears(s, "2 4", "4");
}

static void after_a_while_the_twin_has_it_and_keeps_it(void **state)
{
	struct state *s = *state;

	bears(s, "1", "1");
	bears(s, "1 2", "1");
	bears(s, "2", "");
	s->now = s->b->until - 1;
	bears(s, "2", "");
	s->now++;
	bears(s, "2", "2");
	assert_int_equal(s->b->until, 0);
	bears(s, "1 2", "2");
	restart(s);
	bears(s, "1 2", "2");
}

static void of_two_that_are_left_nobody_has_it(void **state)
{
	struct state *s = *state;

	bears(s, "1", "1");
	bears(s, "1 2 3", "1");
	bears(s, "2 3", "");
	s->now += WAIT;
	bears(s, "2 3", "");
	bears(s, "1 2 3", "1");
	bears(s, "2 3", "");
	s->now += WAIT;
	bears(s, "3", "3");
}

static void what_is_plugged_in_in_its_place_has_it(void **state)
{
	struct state *s = *state;

	bears(s, "1:A", "1:A");
	bears(s, "1:A 2:B", "1:A");
	bears(s, "2:B", "");
	bears(s, "2:B 1:C", "1:C");
	bears(s, "2:B 1:C 3:A", "1:C");
}

static void those_with_one_serial_are_told_apart_by_port(void **state)
{
	struct state *s = *state;

	bears(s, "1:0001", "1:0001");
	bears(s, "1:0001 2:0001", "1:0001");
	bears(s, "2:0001", "");
	bears(s, "2:0001 5:0001", "5:0001");
	restart(s);
	bears(s, "5:0001 2:0001", "5:0001");
	bears(s, "", "");
	bears(s, "2:0001", "");
}

static void one_with_a_name_of_its_own_takes_over_nothing(void **state)
{
	struct state *s = *state;
	struct device_facts d[] = {device("1"), device("2")};

	d[1].alias = "second";
	assert_int_equal(bearer_find(s->b, d + 1, 1, s->now, WAIT, &s->changed), 0);
	bearers_forget(&s->all, s->b);
	assert_int_equal(bearers_get(&s->all, "keyboard", &s->b), 0);
	assert_int_equal(bearer_find(s->b, d, 1, s->now, WAIT, &s->changed), 0);
	assert_int_equal(bearer_find(s->b, d, 2, s->now, WAIT, &s->changed), 0);
	assert_int_equal(bearer_find(s->b, d + 1, 1, s->now, WAIT, &s->changed), -1);
	s->now += 10 * WAIT;
	assert_int_equal(bearer_find(s->b, d + 1, 1, s->now, WAIT, &s->changed), -1);
}

/* ------------------------------------------------------------- a name by command */

static void give(struct state *s, const char *text)
{
	struct device_facts d = device(text);

	assert_int_equal(
		bearer_give(s->b, d.id_vendor, d.id_product, serial_lasting(&d), d.stable_port), 0);
}

static void given_it_follows_its_device(void **state)
{
	struct state *s = *state;

	give(s, "1");
	bears(s, "1", "1");
	bears(s, "", "");
	bears(s, "3", "3");
	restart(s);
	give(s, "1"); /* as it was, which changes nothing */
	bears(s, "", "");
	bears(s, "3", "3");
	bears(s, "", "");
	bears(s, "5", "5");
}

static void given_it_never_goes_to_one_that_was_there_beside(void **state)
{
	struct state *s = *state;

	give(s, "1");
	bears(s, "1 2", "1");
	bears(s, "2", "");
	s->now += 100 * WAIT;
	bears(s, "2", "");
	restart(s);
	bears(s, "2", "");
	bears(s, "2 3", "3");
}

static void given_to_one_with_a_serial_it_is_that_one_s(void **state)
{
	struct state *s = *state;

	give(s, "1:A");
	bears(s, "1:A", "1:A");
	bears(s, "1:B", "");
	bears(s, "1", "");
	bears(s, "1:B 4:A", "4:A");
}

static void given_anew_the_old_giving_is_forgotten(void **state)
{
	struct state *s = *state;

	give(s, "1");
	bears(s, "1 2", "1");
	bears(s, "2 3", "3");
	give(s, "2");
	bears(s, "2 3", "2");
	give(s, "1");
	bears(s, "1 2 3", "1");
}

/* ------------------------------------------------------------- the file form */

static void bad_lines_cost_only_themselves(void **state)
{
	static const char *const lines[] = {
		"B1\tkeyboard\tlast\t046d:c31c\t\t",
		"B1\tkeyboard\tlast\t046d\t\tp",
		"B1\t1-1\tlast\t046d:c31c\t\tp",
		"B1\tkeyboard\twho\t046d:c31c\t\tp",
		"B2\tkeyboard\tlast\t046d:c31c\t\tp",
		"B1\tkeyboard\tlast\t046d:c31c\t\tp\t",
		"B1\tkeyboard\tlast\t046d:c31c\t\\x00\tp",
		"B1\tkeyboard\tother\t046d:c31c\t\tp",
		"B1\tkeyboard\tgiven\t046d:c31c\t\tp",
		"B1",
		"x",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_(bearers_deinit) struct bearers b;
		char text[256];
		unsigned bad;

		bearers_init(&b);
		snprintf(text, sizeof(text), "%s\n\nB1\tmouse\tlast\t046d:c31c\t\tp", lines[i]);
		assert_int_equal(bearers_parse(&b, text, strlen(text), &bad), 0);
		if (bad != 1 || b.n != 1)
			fail_msg("%s: %u bad, %zu good", lines[i], bad, b.n);
	}
}

/* ------------------------------------------------------------- by chance */

#define UNITS	  4
#define ROUNDS	  300
#define STEPS	  60
#define UNPLUGGED -1

/* Keyboards of one kind; which of them is plugged in where. */
struct desk {
	struct state *s;
	bool serials;
	int at[UNITS];
	int had;   /* the one that was said to bear the name last */
	bool bore; /* and it did the last time */
	unsigned seed;
};

static unsigned dice(struct desk *d, unsigned sides)
{
	d->seed = d->seed * 1103515245 + 12345;
	return (d->seed >> 16) % sides;
}

static int unit_at(const struct desk *d, int port)
{
	for (int u = 0; u < UNITS; u++)
		if (d->at[u] == port)
			return u;
	return -1;
}

/* Who bears it; the devices in a new order each time. */
static int ask(struct desk *d)
{
	static const char *const serials[UNITS] = {"A", "B", "C", "D"};
	struct device_facts facts[UNITS];
	int unit[UNITS], found;
	unsigned first = dice(d, UNITS);
	size_t n = 0;

	for (unsigned i = 0; i < UNITS; i++) {
		unsigned u = (first + i) % UNITS;

		if (d->at[u] == UNPLUGGED)
			continue;
		facts[n] = (struct device_facts){.id_vendor = 1,
						 .id_product = 2,
						 .serial = d->serials ? serials[u] : NULL,
						 .stable_port = ports[d->at[u]]};
		unit[n++] = (int)u;
	}
	found = bearer_find(d->s->b, facts, n, d->s->now, WAIT, &d->s->changed);
	return found < 0 ? -1 : unit[found];
}

/* One thing happens; what must hold afterwards, in all worlds. */
static void happens(struct desk *d)
{
	int u = (int)dice(d, UNITS), port = (int)dice(d, ARRAY_SIZE(ports)), found, present = 0;

	switch (dice(d, 4)) {
	case 0:
		d->s->now += dice(d, 2 * WAIT);
		break;
	case 1:
		restart(d->s);
		break;
	default:
		if (d->at[u] != UNPLUGGED)
			d->at[u] = UNPLUGGED;
		else if (unit_at(d, port) < 0)
			d->at[u] = port;
	}
	found = ask(d);
	for (u = 0; u < UNITS; u++)
		present += d->at[u] != UNPLUGGED;
	/* The one that has it keeps it, whatever else comes and goes. */
	if (d->bore && d->at[d->had] != UNPLUGGED)
		assert_int_equal(found, d->had);
	/* With serials, the one that had it last has it as soon as it is back. */
	if (d->serials && d->had >= 0 && d->at[d->had] != UNPLUGGED)
		assert_int_equal(found, d->had);
	/* Asked again, it says the same. */
	assert_int_equal(ask(d), found);
	if (found >= 0)
		d->had = found;
	/* The only one there is has it in the end. */
	if (found < 0 && present == 1) {
		d->s->now += WAIT;
		found = ask(d);
		assert_true(found >= 0);
		d->had = found;
	}
	d->bore = found >= 0;
}

static void whatever_happens(void **state)
{
	struct state *s = *state;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct desk d = {.s = s, .serials = round % 2, .had = -1, .seed = round};

		bearers_deinit(&s->all);
		assert_int_equal(bearers_get(&s->all, "keyboard", &s->b), 0);
		for (unsigned u = 0; u < UNITS; u++)
			d.at[u] = UNPLUGGED;
		for (unsigned step = 0; step < STEPS; step++)
			happens(&d);
	}
}

/* One device at a time is moved, within the wait: the name stays with the same keyboard. */
static void moved_one_by_one(void **state)
{
	struct state *s = *state;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct desk d = {.s = s, .serials = round % 2, .had = 0, .seed = round};

		bearers_deinit(&s->all);
		assert_int_equal(bearers_get(&s->all, "keyboard", &s->b), 0);
		for (int u = 0; u < UNITS; u++) {
			d.at[u] = u;
			for (int later = u + 1; later < UNITS; later++)
				d.at[later] = UNPLUGGED;
			assert_int_equal(ask(&d), 0);
		}
		for (unsigned step = 0; step < STEPS; step++) {
			int u = (int)dice(&d, UNITS), port = (int)dice(&d, ARRAY_SIZE(ports));

			if (unit_at(&d, port) >= 0)
				continue;
			d.at[u] = UNPLUGGED;
			assert_int_equal(ask(&d), u ? 0 : -1);
			s->now += dice(&d, WAIT);
			if (!dice(&d, 4))
				restart(s);
			assert_int_equal(ask(&d), u ? 0 : -1);
			d.at[u] = port;
			assert_int_equal(ask(&d), 0);
			/* Those who went are forgotten. */
			s->now += 2 * WAIT;
			ask(&d);
			s->now += 2 * WAIT;
			assert_int_equal(ask(&d), 0);
		}
	}
}

/* ------------------------------------------------------------- serials that contain the port */

static void a_serial_that_contains_the_port_is_none(void **state)
{
	static const struct {
		const char *serial, *busid, *port;
		bool lasts;
	} cases[] = {
		{NULL, "1-1", "0000:00:14.0/usb2:1", false},
		{"", "1-1", "0000:00:14.0/usb2:1", false},
		{"68284-0000:00:04.0-1", "1-1", "0000:00:04.0/usb2:1", false},
		{"68284-0000:00:04.0-1.2", "3-1.2", "0000:00:04.0/usb2:1.2", false},
		/* As QEMU numbers the controller, behind a bridge, and not as the kernel does. */
		{"68284-0000:00:02.0:00.0-1", "1-1", "0000:01:00.0/usb2:1", false},
		{"42-0000:00:1d.7-4", "1-1", "38200000.usb/usb2:1", false},
		{"1-0000:00:01.2-1", "2-2", "0000:00:01.2/usb2:2", false},
		/* No PCI controller: QEMU says the ports alone, or the board's kernel the name. */
		{"68284-1.3", "1-1.3", "38200000.usb/usb2:1.3", false},
		{"kbd-38200000.usb-1", "1-1", "38200000.usb/usb2:1", false},
		{"dummy_hcd.0", "5-1", "dummy_hcd.0/usb2:1", false},
		{"1-1.2", "1-1.2", "0000:00:14.0/usb2:1.2", false},
		{"LAB-1-1.2", "1-1.2", "0000:00:14.0/usb2:1.2", false},
		{"LAB 1-1.2 X", "1-1.2", "0000:00:14.0/usb2:1.2", false},
		{"x/0000:00:14.0/usb2:1", "1-1", "0000:00:14.0/usb2:1", false},
		/* These do not. */
		{"0001", "1-1", "0000:00:14.0/usb2:1", true},
		{"LAB-DISK-1", "1-1", "0000:00:14.0/usb2:1", true},
		{"0123456789ABCDEF", "1-1", "0000:00:14.0/usb2:1", true},
		{"A1-12", "1-1", "0000:00:14.0/usb2:1", true},
		{"1-1.2", "1-1", "0000:00:14.0/usb2:1", true}, /* another port's */
		{"11-1", "1-1", "0000:00:14.0/usb2:1", true},
		{"00:11:22:33:44:55", "1-1", "0000:00:14.0/usb2:1", true},
		{"20060413092100000", "1-1", "0000:00:14.0/usb2:1", true},
		{"K9-2.1", "1-1.2", "0000:00:14.0/usb2:1.2", true},
		{"0000:00:14.8", "1-1", "38200000.usb/usb2:1", true},
		{"12340000:00:14.0", "1-1", "38200000.usb/usb2:1", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct device_facts d = {.serial = cases[i].serial,
					 .busid = cases[i].busid,
					 .stable_port = cases[i].port};

		if (cases[i].lasts != (serial_lasting(&d) != NULL))
			fail_msg("%s at %s, %s", cases[i].serial, cases[i].busid, cases[i].port);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(alone_it_bears_the_name_in_any_port_with_any_serial),
		T(the_one_that_had_it_keeps_it),
		T(where_nobody_had_it_nobody_has_it),
		T(moved_beside_its_twin_it_is_known),
		T(moved_into_the_port_that_its_twin_has_left),
		T(with_a_serial_it_is_known_whatever_else_moves),
		T(a_hub_that_is_reset_changes_nothing),
		T(after_a_while_the_twin_has_it_and_keeps_it),
		T(of_two_that_are_left_nobody_has_it),
		T(what_is_plugged_in_in_its_place_has_it),
		T(those_with_one_serial_are_told_apart_by_port),
		T(one_with_a_name_of_its_own_takes_over_nothing),
		T(given_it_follows_its_device),
		T(given_it_never_goes_to_one_that_was_there_beside),
		T(given_to_one_with_a_serial_it_is_that_one_s),
		T(given_anew_the_old_giving_is_forgotten),
		T(whatever_happens),
		T(moved_one_by_one),
		cmocka_unit_test(bad_lines_cost_only_themselves),
		cmocka_unit_test(a_serial_that_contains_the_port_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
