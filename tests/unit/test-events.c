/* SPDX-License-Identifier: BSD-2-Clause */
/* Events: told once a turn, row by row, and never of what has gone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/events.h"

struct thing {
	struct event_source events;
	char name;
};

static struct events events;
static char told[200];
static struct thing *raises; /* what a listener brings about: this one has moved */
static bool frees;
static unsigned inside, deepest;

static void note(const char *what, const struct thing *thing)
{
	size_t n = strlen(told);

	snprintf(told + n, sizeof(told) - n, "%s%s%c", n ? " " : "", what,
		 thing ? thing->name : '-');
}

static struct thing *thing_new(char name)
{
	struct thing *thing = calloc(1, sizeof(*thing));

	assert_non_null(thing);
	thing->name = name;
	return thing;
}

static void thing_free(struct thing *thing)
{
	event_source_forget(&thing->events);
	free(thing);
}

static void raise_of(struct thing *thing, enum event event)
{
	events_raise(&events, &thing->events, thing, event);
}

static void hears_removed(void *ctx, void *of)
{
	note(ctx, of);
	note("removed ", of);
}

static void hears_last(void *ctx, void *of)
{
	note("last ", of);
	if (frees)
		thing_free(of);
}

static void hears_moved(void *ctx, void *of)
{
	inside++;
	deepest = inside > deepest ? inside : deepest;
	note("moved ", of);
	if (raises)
		raise_of(raises, EVENT_ROUTE_MOVED);
	raises = NULL;
	inside--;
}

static void hears_whole(void *ctx, void *of)
{
	note("whole ", of);
}

static char ctx[] = "ctx ";
static const struct event_listener table[] = {
	{EVENT_DEVICE_REMOVED, hears_removed},
	{EVENT_ROUTE_MOVED, hears_moved},
	{EVENT_SAID_CHANGED, hears_whole},
	{EVENT_DEVICE_REMOVED, hears_last},
};

static int set_up(void **state)
{
	events_init(&events, table, sizeof(table) / sizeof(table[0]), ctx);
	told[0] = 0;
	raises = NULL;
	frees = false;
	deepest = 0;
	return 0;
}

static void nothing_is_told_before_the_turn_s_end_and_then_once(void **state)
{
	struct thing *a = thing_new('a');

	raise_of(a, EVENT_ROUTE_MOVED);
	raise_of(a, EVENT_ROUTE_MOVED);
	assert_string_equal(told, "");
	assert_true(events_pending(&events));
	events_tell(&events);
	assert_string_equal(told, "moved a");
	assert_false(events_pending(&events));
	events_tell(&events);
	assert_string_equal(told, "moved a");
	thing_free(a);
}

static void the_table_says_the_order(void **state)
{
	struct thing *a = thing_new('a'), *b = thing_new('b');

	events_raise_whole(&events, EVENT_SAID_CHANGED);
	raise_of(b, EVENT_ROUTE_MOVED);
	raise_of(a, EVENT_ROUTE_MOVED);
	raise_of(a, EVENT_DEVICE_REMOVED);
	events_tell(&events);
	assert_string_equal(told, "ctx a removed a moved b moved a whole - last a");
	thing_free(a);
	thing_free(b);
}

static void what_a_listener_brings_about_is_for_the_next_turn(void **state)
{
	struct thing *a = thing_new('a'), *b = thing_new('b');

	/* Of itself, and of one that is told later in this turn. */
	raises = a;
	raise_of(a, EVENT_ROUTE_MOVED);
	events_tell(&events);
	assert_string_equal(told, "moved a");
	assert_true(events_pending(&events));
	raises = b;
	raise_of(b, EVENT_ROUTE_MOVED);
	events_tell(&events);
	assert_string_equal(told, "moved a moved a moved b");
	assert_true(events_pending(&events));
	events_tell(&events);
	assert_string_equal(told, "moved a moved a moved b moved b");
	assert_false(events_pending(&events));
	assert_int_equal(deepest, 1);
	thing_free(a);
	thing_free(b);
}

static void what_has_gone_is_not_told_of(void **state)
{
	struct thing *a = thing_new('a'), *b = thing_new('b');

	raise_of(a, EVENT_ROUTE_MOVED);
	raise_of(b, EVENT_ROUTE_MOVED);
	thing_free(a);
	events_tell(&events);
	assert_string_equal(told, "moved b");
	thing_free(b);
}

/*
 * The last row for its last event frees it. The rows before have heard of it. What else it raised is
 * told before that, or never.
 */
static void an_object_is_freed_by_the_last_who_hears_of_it(void **state)
{
	struct thing *a = thing_new('a'), *b = thing_new('b');

	frees = true;
	raise_of(a, EVENT_ROUTE_MOVED);
	raise_of(a, EVENT_DEVICE_REMOVED);
	raise_of(b, EVENT_DEVICE_REMOVED);
	events_tell(&events);
	assert_string_equal(told, "ctx a removed a ctx b removed b moved a last a last b");
	assert_false(events_pending(&events));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		T(nothing_is_told_before_the_turn_s_end_and_then_once),
		T(the_table_says_the_order),
		T(what_a_listener_brings_about_is_for_the_next_turn),
		T(what_has_gone_is_not_told_of),
		T(an_object_is_freed_by_the_last_who_hears_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
