/* SPDX-License-Identifier: BSD-2-Clause */
/* Doctor: faults inside guests, and of devices there, each planted, found by its check, and gone with the fault. */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <build_info.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/guests/guest_side.h"
#include "tests/unit/control-script.h"

/* What is in the guests, the same in each: these are called in the place of guest_side.c's. */
static const char *script_agent = USBROUTED_VERSION;
static struct guest_ports script_ports = {.high = 8, .super = -1};
static bool script_takes;
static uint64_t script_later; /* how much later it is than it is */

const char *__wrap_guest_side_version(const struct vm *vm);
struct guest_ports __wrap_guest_side_ports(const struct vm *vm);
bool __wrap_guest_side_takes(const struct vm *vm);
uint64_t __real_loop_now(void);
uint64_t __wrap_loop_now(void);

const char *__wrap_guest_side_version(const struct vm *vm _unused_)
{
	return script_agent;
}

struct guest_ports __wrap_guest_side_ports(const struct vm *vm _unused_)
{
	return script_ports;
}

bool __wrap_guest_side_takes(const struct vm *vm _unused_)
{
	return script_takes;
}

uint64_t __wrap_loop_now(void)
{
	return __real_loop_now() + script_later;
}

static struct control_caller root = {.facts = {.has_all_rights = true}};

/* What a check has found of what it is about; NULL: nothing that is to be mended. */
static const char *found(const char *check, const char *about, const char *vm)
{
	json_t *parameters = json_pack("{s:s*}", "vm", vm), *checks;
	struct varlink_call call = {.method = (char *)"io.usbrouted.Doctor",
				    .parameters = parameters};
	const json_t *c;
	size_t i;

	control_caller_gone(&root);
	control_call(&root, &call);
	json_decref(parameters);
	checks = json_object_get(json_object_get(root.said, "parameters"), "checks");
	json_array_foreach(checks, i, c) {
		const char *name = json_string_value(json_object_get(c, "name"));
		const char *of = json_string_value(json_object_get(c, "about"));
		const char *verdict = json_string_value(json_object_get(c, "verdict"));

		if (strcmp(name, check) || !of || strcmp(of, about) || !strcmp(verdict, "good"))
			continue;
		assert_true(json_is_string(json_object_get(c, "mend")));
		return json_string_value(json_object_get(c, "found"));
	}
	return NULL;
}

static void assert_found(const char *check, const char *about, const char *words)
{
	const char *text = found(check, about, NULL);

	if (!text || !strstr(text, words))
		fail_msg("%s: expected \"%s\"; found %s", check, words, text ? text : "nothing");
	/* And also where only that VM is asked about. */
	if (!strcmp(about, "vm1"))
		assert_non_null(found(check, about, about));
}

static int tear_down_doctor(void **state)
{
	control_caller_gone(&root);
	script_agent = USBROUTED_VERSION;
	script_ports = (struct guest_ports){.high = 8, .super = -1};
	script_takes = false;
	script_later = 0;
	return tear_down(state);
}

static void agents(void **state _unused_)
{
	static const char *const good[] = {USBROUTED_VERSION, "QEMU guest agent", "99.0"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		script_agent = good[i];
		assert_null(found("agent", "vm1", NULL));
	}
	script_agent = NULL;
	assert_found("agent", "vm1", "no agent is in its guest");
	script_agent = "0.0.1";
	assert_found("agent", "vm1", "0.0.1, older than");
	/* Of what is off nothing is known. */
	assert_null(found("agent", "vm3", NULL));
}

static void ports_of_the_virtual_controller(void **state _unused_)
{
	script_ports = (struct guest_ports){.high = 8, .super = 8};
	assert_null(found("vhci", "vm1", NULL));
	script_ports = (struct guest_ports){.high = -1, .super = -1};
	assert_null(found("vhci", "vm1", NULL));
	script_ports = (struct guest_ports){.high = 0, .super = 0};
	assert_found("vhci", "vm1", "no free port: vhci-hcd is not loaded");
	script_ports = (struct guest_ports){.high = 0, .super = 3};
	assert_found("vhci", "vm1", "a device up to high speed");
	script_ports = (struct guest_ports){.high = 3, .super = 0};
	assert_found("vhci", "vm1", "a SuperSpeed device");
}

static void a_guest_that_has_the_daemons_address(void **state)
{
	struct fixture *f = *state;
	struct guest_card card = {.up = true, .has_daemon = true};

	assert_null(found("address", "vm1", NULL));
	f->vm1->guest->events->link(f->vm1->guest->ctx, &card);
	assert_found("address", "vm1", "has usbrouted's address");
	card.has_daemon = false;
	f->vm1->guest->events->link(f->vm1->guest->ctx, &card);
	assert_null(found("address", "vm1", NULL));
}

static void a_guest_that_hears_no_answers(void **state)
{
	struct fixture *f = *state;
	struct guest_card card = {.up = true, .deaf = true};

	assert_null(found("firewall", "vm1", NULL));
	f->vm1->guest->events->link(f->vm1->guest->ctx, &card);
	assert_found("firewall", "vm1", "does not hear the answers");
	assert_null(found("firewall", "vm1", "vm2"));
	card.deaf = false;
	f->vm1->guest->events->link(f->vm1->guest->ctx, &card);
	assert_null(found("firewall", "vm1", NULL));
}

static void a_device_that_a_guest_can_not_get(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	assert_null(found("import", "vm1", NULL));
	route_guest_says(f->keyboard, f->vm1, false, "connecting to 10.77.0.1 took too long");
	assert_found("import", "vm1", "connecting to 10.77.0.1 took too long");
	assert_null(found("import", "vm1", "vm2"));
	imports(f->keyboard, f->vm1);
	assert_null(found("import", "vm1", NULL));
}

static void a_device_of_which_a_guest_says_nothing(void **state)
{
	struct fixture *f = *state;

	/* Where a person is to import it, nobody says anything. */
	in_vm1(f);
	script_later = 60000000000ull;
	assert_null(found("import", "vm1", NULL));
	script_takes = true;
	assert_found("import", "vm1", "neither got it nor said why");
	/* It has had no time to. */
	script_later = 0;
	assert_null(found("import", "vm1", NULL));
	script_later = 60000000000ull;
	imports(f->keyboard, f->vm1);
	assert_null(found("import", "vm1", NULL));
}

static void a_device_that_fails(void **state)
{
	struct fixture *f = *state;

	command(f, f->vm1, 0);
	assert_null(found("device", "keyboard", NULL));
	settle(f);
	imports(f->keyboard, f->vm1);
	thread_of(f->keyboard)
		->events->session_ended(thread_of(f->keyboard)->ctx, -EIO, "it can't be reset");
	turn_ends();
	taken(f->keyboard);
	assert_found("device", "keyboard", "failed: it can't be reset");
}

#define D(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down_doctor)

int main(void)
{
	const struct CMUnitTest tests[] = {
		D(agents),
		D(ports_of_the_virtual_controller),
		D(a_guest_that_has_the_daemons_address),
		D(a_guest_that_hears_no_answers),
		D(a_device_that_a_guest_can_not_get),
		D(a_device_of_which_a_guest_says_nothing),
		D(a_device_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
