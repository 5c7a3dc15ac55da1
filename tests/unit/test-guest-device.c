/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device between control and a guest's thread: who has it, who closes it. Both have the same loop
 * here, and the USB device is a script.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/guest_private.h"

struct usb_device {
	const struct usb_device_ops *ops;
	void *ctx;
	bool closing, ending;
};

struct rig {
	struct guest guest;
	struct guest_device *gd;
	unsigned opened, ended, resets, taken;
	bool closed;
	int r;
};

static struct usb_device usb;
static unsigned freed;

/* ------------------------------------------------------------- the USB device */

int usb_device_new(struct usb_device **ret_dev, const char *name _unused_, int fd _unused_)
{
	usb = (struct usb_device){0};
	*ret_dev = &usb;
	return 0;
}

void usb_device_expect(struct usb_device *dev _unused_, uint8_t configuration _unused_)
{
}

struct usb_device *usb_device_free(struct usb_device *dev)
{
	freed += dev != NULL;
	return NULL;
}

void usb_device_bind(struct usb_device *dev, const struct usb_device_ops *ops, void *ctx)
{
	assert_null(dev->ops);
	dev->ops = ops;
	dev->ctx = ctx;
}

void usb_device_unbind(struct usb_device *dev)
{
	dev->ops = NULL;
}

void usb_device_charge_to(struct usb_device *dev, struct usb_memory *memory)
{
	assert_non_null(dev->ops);
	assert_non_null(memory);
}

void usb_device_open(struct usb_device *dev)
{
	dev->ops->opened(dev->ctx, 0, NULL);
}

void usb_device_close(struct usb_device *dev)
{
	assert_non_null(dev->ops);
	dev->closing = true;
}

void usb_device_end_session(struct usb_device *dev)
{
	assert_false(dev->ending);
	dev->ending = true;
}

void usb_device_events(struct usb_device *dev _unused_)
{
}

void usb_device_watch_for(struct usb_device *dev _unused_, const struct hid_chords *chords _unused_)
{
}

const struct hid_found *usb_device_found(const struct usb_device *dev _unused_)
{
	static const struct hid_found nothing;

	return &nothing;
}

/* Closing has ended. */
static void closes(void)
{
	assert_true(usb.closing);
	usb.closing = false;
	usb.ops->closed(usb.ctx);
}

/* It is at rest, or could not be brought there. */
static void rests(int r)
{
	assert_true(usb.ending);
	usb.ending = false;
	usb.ops->session_ended(usb.ctx, r, r < 0 ? "it can't be reset" : NULL);
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

void worker_run(struct worker *worker _unused_, struct usb_job *job _unused_,
		struct loop *home _unused_, void (*back)(void *ctx) _unused_, void *ctx _unused_)
{
	fail_msg("no call blocks here");
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

	freed = 0;
	assert_int_equal(loop_new(&g->guest.loop), 0);
	g->guest.control = g->guest.loop;
	list_init(&g->guest.devices);
	list_init(&g->guest.leaving);
	g->gd = guest_device_new("keyboard", &info, -1, g->guest.loop, &events, g);
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
	assert_int_equal(freed, 0);
	closes();
	assert_int_equal(freed, 1);
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
	assert_true(freed > 0);
}

static void handed_back_it_is_controls(void **state)
{
	struct rig *g = *state;

	guest_take(&g->guest, g->gd, false);
	turn(g);
	assert_int_equal(g->taken, 1);
	assert_false(g->closed);
	assert_false(usb.closing);
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
	const struct CMUnitTest tests[] = {
		G(forgotten_on_its_way_it_is_closed_and_freed),
		G(forgotten_while_it_is_closed_it_is_freed),
		G(handed_back_it_is_controls),
		G(a_reset_without_a_session),
		G(a_reset_ends_the_session_first),
		G(a_reset_asked_for_while_a_session_ends_is_that_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
