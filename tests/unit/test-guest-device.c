/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device between control and a guest's thread: who has it, who closes it. Both have the same loop
 * here, and what the USB device is driven by is a script.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/guest_private.h"
#include "script-node.h"

struct rig {
	struct guest guest;
	struct guest_device *gd;
	unsigned opened, ended, resets, taken;
	bool closed;
	int r;
};

/* The call that a worker has, and who hears that it is back. */
static struct usb_job *job;
static void (*job_back)(void *ctx);
static void *job_ctx;

/* What a worker has ends. */
static void run_job(void)
{
	struct usb_job *j = take_ptr(job);

	assert_non_null(j);
	j->run(j);
	job_back(job_ctx);
	j->done(j);
}

/* Closing has ended. */
static void closes(void)
{
	assert_string_equal(job->what, "close");
	run_job();
}

/* It is at rest, or could not be brought there. */
static void rests(int r)
{
	assert_string_equal(job->what, "reset");
	script_node.reset_result = r;
	run_job();
	script_node.reset_result = 0;
}

/* ------------------------------------------------------------- the thread's other parts */

struct usbip_session *usbip_session_free(struct usbip_session *session _unused_)
{
	return NULL;
}

void guest_session_close(struct guest_device *gd, const char *why _unused_)
{
	if (gd->state != GD_SESSION)
		return;
	gd->state = GD_ENDING;
	gd->had_session = true;
	usb_device_end_session(gd->usb);
}

void guest_maybe_done(struct guest *guest _unused_)
{
}

void net_port_probe(struct net_port *port _unused_)
{
}

void worker_run(struct worker *worker _unused_, struct usb_job *j, struct loop *home _unused_,
		void (*back)(void *ctx), void *ctx)
{
	assert_null(job);
	job = j;
	job_back = back;
	job_ctx = ctx;
	if (!strcmp(j->what, "open"))
		run_job();
}

/* ------------------------------------------------------------- control */

static void on_opened(void *ctx, int r, const char *reason _unused_)
{
	((struct rig *)ctx)->opened += r == 0;
}

static void on_ended(void *ctx, int r _unused_, const char *reason _unused_)
{
	struct rig *g = ctx;

	assert_int_equal(g->resets, 0); /* the session's end is told before the reset's */
	g->ended++;
}

static void on_reset(void *ctx, int r, const char *reason _unused_)
{
	struct rig *g = ctx;

	g->resets++;
	g->r = r;
}

static void on_taken(void *ctx, bool closed, int r _unused_, const char *reason _unused_)
{
	struct rig *g = ctx;

	g->taken++;
	g->closed = closed;
}

static const struct guest_device_events events = {
	.opened = on_opened,
	.session_ended = on_ended,
	.was_reset = on_reset,
	.taken = on_taken,
};

/* All letters are delivered, and what a turn has done with is told. */
static void turn(struct rig *g)
{
	for (unsigned i = 0; i < 4; i++) {
		loop_turn(g->guest.loop, false);
		guest_devices_leave(&g->guest);
	}
}

static int set_up(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));
	struct usb_device_info info = {0};

	script_node = (struct script_node){0};
	job = NULL;
	assert_int_equal(loop_new(&g->guest.loop), 0);
	g->guest.control = g->guest.loop;
	list_init(&g->guest.devices);
	list_init(&g->guest.leaving);
	g->gd = guest_device_new("keyboard", &info, script_node_open(), g->guest.loop, &events, g);
	guest_give(&g->guest, g->gd);
	turn(g);
	assert_int_equal(g->opened, 1);
	*state = g;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *g = *state;

	loop_free(g->guest.loop);
	free(g);
	return 0;
}

static void forgotten_on_its_way_it_is_closed_and_freed(void **state)
{
	struct rig *g = *state;

	guest_take(&g->guest, g->gd, false); /* to another guest */
	guest_device_forget(g->gd);	     /* and is unplugged */
	turn(g);
	assert_int_equal(script_node.n_stopped, 0);
	closes();
	assert_int_equal(script_node.n_stopped, 1);
	assert_int_equal(g->taken, 0);
}

static void forgotten_while_it_is_closed_it_is_freed(void **state)
{
	struct rig *g = *state;

	guest_take(&g->guest, g->gd, true);
	guest_device_forget(g->gd);
	turn(g);
	closes();
	turn(g);
	assert_int_equal(script_node.n_stopped, 1);
}

static void handed_back_it_is_controls(void **state)
{
	struct rig *g = *state;

	guest_take(&g->guest, g->gd, false);
	turn(g);
	assert_int_equal(g->taken, 1);
	assert_false(g->closed);
	assert_null(job);
	/* The next one has it as it is. */
	guest_give(&g->guest, g->gd);
	turn(g);
	assert_int_equal(g->opened, 2);
	assert_int_equal(script_node.n_started, 1);
	guest_take(&g->guest, g->gd, true);
	turn(g);
	closes();
	turn(g);
	assert_true(g->taken == 2 && g->closed);
	guest_device_free(g->gd);
}

static void take_and_free(struct rig *g)
{
	guest_take(&g->guest, g->gd, true);
	turn(g);
	closes();
	turn(g);
	assert_true(g->taken == 1 && g->closed);
	guest_device_free(g->gd);
}

static void a_reset_without_a_session(void **state)
{
	struct rig *g = *state;

	guest_reset(&g->guest, g->gd);
	turn(g);
	assert_int_equal(g->resets, 0);
	rests(0);
	turn(g);
	assert_true(g->resets == 1 && g->r == 0 && g->ended == 0);
	assert_int_equal(g->gd->state, GD_IDLE);
	take_and_free(g);
}

static void a_reset_ends_the_session_first(void **state)
{
	struct rig *g = *state;

	g->gd->state = GD_SESSION;
	guest_reset(&g->guest, g->gd);
	turn(g);
	rests(0);
	turn(g);
	assert_true(g->resets == 1 && g->r == 0 && g->ended == 1);
	take_and_free(g);
}

static void a_reset_asked_for_while_a_session_ends_is_that_end(void **state)
{
	struct rig *g = *state;

	g->gd->state = GD_SESSION;
	guest_session_close(g->gd, "its client has gone");
	guest_reset(&g->guest, g->gd);
	turn(g);
	assert_int_equal(g->resets, 0);
	rests(-EIO);
	turn(g);
	assert_true(g->resets == 1 && g->r == -EIO && g->ended == 1);
	assert_int_equal(g->gd->state, GD_FAILED);
	/* And one of what could not be brought to rest says so at once. */
	guest_reset(&g->guest, g->gd);
	turn(g);
	assert_true(g->resets == 2 && g->r == -EIO);
	take_and_free(g);
}

#define G(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	static const struct usb_backend_ops *const script_only[] = {&usb_backend_script, NULL};
	const struct CMUnitTest tests[] = {
		G(forgotten_on_its_way_it_is_closed_and_freed),
		G(forgotten_while_it_is_closed_it_is_freed),
		G(handed_back_it_is_controls),
		G(a_reset_without_a_session),
		G(a_reset_ends_the_session_first),
		G(a_reset_asked_for_while_a_session_ends_is_that_end),
	};

	usb_device_use(script_only);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
