/* SPDX-License-Identifier: BSD-2-Clause */
/* Monitor: which events a listener gets, in which order, and what becomes of one that does not read. */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/commands/hotkey.h"
#include "daemon/control/monitor.h"
#include "tests/unit/control-script.h"

static struct control_caller root = {.facts = {.has_all_rights = true}};
static struct control_caller listener, other;

/* What was heard, a word or more an event: "attached keyboard vm1; ". */
static char heard[65536];
static json_t *last; /* the whole of the last one */

static const char *text_of(const json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	return text ? text : "-";
}

static void hears(const json_t *event)
{
	size_t n = strlen(heard);

	snprintf(heard + n, sizeof(heard) - n, "%s %s %s; ", text_of(event, "event"),
		 text_of(event, "alias"), text_of(event, "vm"));
	json_decref(last);
	last = json_deep_copy(event);
}

static void assert_heard(const char *expected)
{
	assert_string_equal(heard, expected);
	heard[0] = '\0';
}

static void call(struct control_caller *caller, const char *method, json_t *parameters)
{
	struct varlink_call c = {
		.method = (char *)method, .parameters = parameters, .more = caller != &root};

	bool slow = caller->reads_slowly;

	control_caller_gone(caller);
	caller->reads_slowly = slow;
	caller->hears = hears;
	control_call(caller, &c);
	json_decref(parameters);
}

static void listen_now(struct control_caller *caller)
{
	call(caller, "io.usbrouted.Monitor", json_object());
	assert_heard("listening - -; ");
}

static void attach(struct vm *vm)
{
	call(&root, "io.usbrouted.Attach",
	     json_pack("{s:s, s:s, s:f}", "device", "keyboard", "vm", vm->name, "wait_seconds",
		       0.0));
}

static int set_up_monitor(void **state)
{
	int r = set_up(state);

	control_monitor_begin(*state);
	heard[0] = '\0';
	return r;
}

static int tear_down_monitor(void **state)
{
	struct control_caller *callers[] = {&root, &listener, &other};

	for (size_t i = 0; i < ARRAY_SIZE(callers); i++) {
		control_caller_gone(callers[i]);
		callers[i]->dropped = callers[i]->reads_slowly = false;
	}
	json_decref(last);
	last = NULL;
	control_monitor_end();
	return tear_down(state);
}

static void what_a_device_goes_through_is_told_in_order(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	listen_now(&listener);
	attach(f->vm1);
	assert_heard("wanted keyboard vm1; ");
	assert_string_equal(text_of(last, "wanted_by"), "command");
	settle(f);
	assert_heard("routed keyboard vm1; ");
	assert_string_equal(text_of(last, "from"), "host");
	imports(f->keyboard, f->vm1);
	assert_heard("attached keyboard vm1; ");
	assert_true(json_is_number(json_object_get(last, "milliseconds")));
	assert_true(json_is_number(json_object_get(last, "daemon_ms")));
	assert_true(json_is_number(json_object_get(last, "import_ms")));
	assert_true(json_is_null(json_object_get(last, "guest_ms")));
	route_guest_says(f->keyboard, f->vm1, true, "");
	turn_ends();
	assert_heard("ready keyboard vm1; ");
	assert_true(json_is_number(json_object_get(last, "guest_ms")));
	assert_string_equal(text_of(last, "id"), "046d:c31c");
	assert_string_equal(text_of(last, "port"), "1-1");
	thread_of(f->keyboard)->events->session_ended(thread_of(f->keyboard)->ctx, 0, NULL);
	turn_ends();
	assert_heard("detached keyboard vm1; ");
	gd = thread_of(f->keyboard);
	unplug(f->keyboard);
	drop(gd);
	assert_heard("unplugged keyboard -; ");
	assert_string_equal(text_of(last, "from"), "vm1");
	/* The wish stands. */
	plug(f, "S1");
	assert_heard("plugged keyboard -; wanted keyboard vm1; ");
	settle(f);
	assert_heard("routed keyboard vm1; ");
}

static void a_move_is_told_of_by_both_its_ends(void **state)
{
	struct fixture *f = *state;

	attach(f->vm1);
	settle(f);
	imports(f->keyboard, f->vm1);
	listen_now(&listener);
	attach(f->vm2);
	assert_string_equal(text_of(last, "vm"), "host");
	thread_of(f->keyboard)->events->session_ended(thread_of(f->keyboard)->ctx, 0, NULL);
	turn_ends();
	settle(f);
	assert_heard("wanted keyboard vm2; routed keyboard host; detached keyboard vm1; "
		     "routed keyboard vm2; ");
}

static void vms_come_and_go(void **state)
{
	struct fixture *f = *state;

	attach(f->vm3);
	settle(f);
	listen_now(&listener);
	vm_is(f->vm3, true);
	settle(f);
	assert_heard("vm_up - vm3; routed keyboard vm3; ");
	vm_is(f->vm3, false);
	assert_heard("vm_down - vm3; routed keyboard host; ");
}

static void why_not_is_told(void **state)
{
	struct fixture *f = *state;
	struct device *d = plug_at(f, "1-2", 0x2222, "P", 0);

	listen_now(&listener);
	call(&root, "io.usbrouted.Attach",
	     json_pack("{s:s, s:s}", "device", "private", "vm", "vm2"));
	assert_heard("refused private vm2; ");
	assert_non_null(strstr(text_of(last, "reason"), "vms"));
	/* What is only tried is not told. */
	call(&root, "io.usbrouted.Attach",
	     json_pack("{s:s, s:s, s:b}", "device", "private", "vm", "vm2", "dry_run", 1));
	assert_heard("");
	call(&root, "io.usbrouted.Attach",
	     json_pack("{s:s, s:s}", "device", "keyboard", "vm", "vm1"));
	node_opens(f->keyboard, -EIO);
	assert_non_null(strstr(heard, "failed keyboard vm1; wanted keyboard host; "));
	assert_true(route_status(d).state == ROUTE_HOST);
}

static void a_hot_key_in_vain_is_told(void **state)
{
	struct fixture *f = *state;
	struct device *d = plug_at(f, "1-2", 0x2222, "P", 0);

	vm_is(f->vm1, false);
	listen_now(&listener);
	/* vm2 is there, and may not have it. */
	hotkey_struck(&f->rooms.commands, d, HOTKEY_NEXT);
	assert_heard("refused private -; ");
	assert_string_equal(text_of(last, "reason"), "no VM is connected that may have it next");
	/* One that is possible is told of as any other command. */
	hotkey_struck(&f->rooms.commands, f->keyboard, HOTKEY_NEXT);
	turn_ends();
	assert_heard("wanted keyboard vm2; ");
}

static void who_does_not_read_is_dropped_and_holds_up_nobody(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	/* Its first reply is never taken. */
	listener.reads_slowly = true;
	call(&listener, "io.usbrouted.Monitor", json_object());
	listen_now(&other);
	while (!listener.dropped) {
		attach(n % 2 ? f->vm1 : f->vm2);
		assert_true(++n <= MONITOR_EVENTS + 1);
	}
	/* The bound is what it says: not one less, and not one more. */
	assert_int_equal(n, MONITOR_EVENTS + 1);
	assert_false(other.dropped);
	heard[0] = '\0';
	attach(f->vm3);
	assert_heard("wanted keyboard vm3; ");
}

static void nothing_is_kept_while_nobody_listens(void **state)
{
	struct fixture *f = *state;

	listen_now(&listener);
	attach(f->vm1);
	settle(f);
	assert_heard("wanted keyboard vm1; routed keyboard vm1; ");
	control_caller_gone(&listener);
	attach(f->vm2);
	settle(f);
	assert_heard("");
	/* What has happened meanwhile is no news. */
	listen_now(&listener);
	attach(f->vm1);
	settle(f);
	assert_heard("wanted keyboard vm1; routed keyboard host; routed keyboard vm1; ");
}

static void without_more_there_is_one_reply(void **state _unused_)
{
	call(&root, "io.usbrouted.Monitor", json_object());
	assert_string_equal(text_of(json_object_get(root.said, "parameters"), "event"),
			    "listening");
}

#define M(f) cmocka_unit_test_setup_teardown(f, set_up_monitor, tear_down_monitor)

int main(void)
{
	const struct CMUnitTest tests[] = {
		M(what_a_device_goes_through_is_told_in_order),
		M(a_move_is_told_of_by_both_its_ends),
		M(vms_come_and_go),
		M(why_not_is_told),
		M(a_hot_key_in_vain_is_told),
		M(who_does_not_read_is_dropped_and_holds_up_nobody),
		M(nothing_is_kept_while_nobody_listens),
		M(without_more_there_is_one_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
