/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a URB: one table of what may happen in which state, which state follows, and what has
 * to be done. Pure. The session does what the table says and decides nothing itself, so that what
 * is proven about the table holds for the session.
 *
 * What the table guarantees (drivers/usb/usbip/vhci_rx.c breaks otherwise):
 * - each URB is given back once: by RET_SUBMIT, or by RET_UNLINK(-ECONNRESET);
 * - a client that unlinks gets its RET_UNLINK, and after it no RET_SUBMIT of that URB;
 * - RET_UNLINK(0) tells that RET_SUBMIT went before; answers leave in the order queued;
 * - a URB goes back to the pool when neither device nor worker nor outbox has it.
 *
 * A cancelled transfer that has moved data, or that was done already, is given back by RET_SUBMIT
 * with that data, because RET_UNLINK can carry none. A second unlink of the same URB, which Linux
 * never sends, is answered with 0 at once; from then on the URB counts as given back.
 */
#include "usbip/usbip_urb.h"

#include <assert.h>

#include "base/mem.h"

#define CANCEL	     USBIP_URB_DO_CANCEL
#define RET_SUBMIT   USBIP_URB_DO_RET_SUBMIT
#define UNLINK_RESET USBIP_URB_DO_UNLINK_RESET
#define UNLINK_ZERO  USBIP_URB_DO_UNLINK_ZERO
#define REFUSE	     USBIP_URB_DO_REFUSE_UNLINK
#define FREE	     USBIP_URB_DO_FREE

/* A table, kept as such: */
/* clang-format off */
static const struct usbip_urb_step steps[USBIP_URB_STATES][USBIP_URB_EVENTS] = {
	[USBIP_URB_IDLE] = {
		[USBIP_URB_ARRIVE] = {USBIP_URB_ARRIVING, 0},
	},
	[USBIP_URB_ARRIVING] = {
		[USBIP_URB_HOLD] = {USBIP_URB_HELD, 0},
		[USBIP_URB_BLOCK] = {USBIP_URB_WAITING, 0},
		[USBIP_URB_SUBMIT] = {USBIP_URB_FLYING, 0},
		[USBIP_URB_ANSWER] = {USBIP_URB_ANSWERED, RET_SUBMIT},
		/* The unlink came before it. */
		[USBIP_URB_UNLINK] = {USBIP_URB_IDLE, UNLINK_RESET | FREE},
		[USBIP_URB_CLOSE] = {USBIP_URB_IDLE, FREE},
	},
	[USBIP_URB_HELD] = {
		[USBIP_URB_BLOCK] = {USBIP_URB_WAITING, 0},
		[USBIP_URB_SUBMIT] = {USBIP_URB_FLYING, 0},
		[USBIP_URB_ANSWER] = {USBIP_URB_ANSWERED, RET_SUBMIT},
		[USBIP_URB_UNLINK] = {USBIP_URB_IDLE, UNLINK_RESET | FREE},
		[USBIP_URB_CLOSE] = {USBIP_URB_IDLE, FREE},
	},
	[USBIP_URB_WAITING] = {
		[USBIP_URB_RUN] = {USBIP_URB_RUNNING, 0},
		[USBIP_URB_ANSWER] = {USBIP_URB_ANSWERED, RET_SUBMIT},
		[USBIP_URB_UNLINK] = {USBIP_URB_IDLE, UNLINK_RESET | FREE},
		[USBIP_URB_CLOSE] = {USBIP_URB_IDLE, FREE},
	},
	/* No unlink comes here: while a worker runs, nothing is read. */
	[USBIP_URB_RUNNING] = {
		[USBIP_URB_ANSWER] = {USBIP_URB_ANSWERED, RET_SUBMIT},
		[USBIP_URB_CLOSE] = {USBIP_URB_ABANDONED, 0},
	},
	[USBIP_URB_FLYING] = {
		[USBIP_URB_BACK] = {USBIP_URB_ANSWERED, RET_SUBMIT},
		[USBIP_URB_BACK_VOID] = {USBIP_URB_ANSWERED, RET_SUBMIT},
		[USBIP_URB_REVOKE] = {USBIP_URB_REVOKED, CANCEL},
		[USBIP_URB_UNLINK] = {USBIP_URB_UNLINKED, CANCEL},
		[USBIP_URB_CLOSE] = {USBIP_URB_ABANDONED, CANCEL},
	},
	[USBIP_URB_REVOKED] = {
		[USBIP_URB_BACK] = {USBIP_URB_ANSWERED, RET_SUBMIT},
		[USBIP_URB_BACK_VOID] = {USBIP_URB_ANSWERED, RET_SUBMIT},
		[USBIP_URB_UNLINK] = {USBIP_URB_UNLINKED, 0},
		[USBIP_URB_CLOSE] = {USBIP_URB_ABANDONED, 0},
	},
	[USBIP_URB_UNLINKED] = {
		[USBIP_URB_BACK] = {USBIP_URB_ANSWERED, RET_SUBMIT | UNLINK_ZERO},
		[USBIP_URB_BACK_VOID] = {USBIP_URB_IDLE, UNLINK_RESET | FREE},
		[USBIP_URB_UNLINK] = {USBIP_URB_FORSAKEN, REFUSE},
		[USBIP_URB_CLOSE] = {USBIP_URB_ABANDONED, 0},
	},
	[USBIP_URB_FORSAKEN] = {
		[USBIP_URB_BACK] = {USBIP_URB_IDLE, UNLINK_RESET | FREE},
		[USBIP_URB_BACK_VOID] = {USBIP_URB_IDLE, UNLINK_RESET | FREE},
		[USBIP_URB_UNLINK] = {USBIP_URB_FORSAKEN, REFUSE},
		[USBIP_URB_CLOSE] = {USBIP_URB_ABANDONED, 0},
	},
	[USBIP_URB_ABANDONED] = {
		[USBIP_URB_BACK] = {USBIP_URB_IDLE, FREE},
		[USBIP_URB_BACK_VOID] = {USBIP_URB_IDLE, FREE},
		[USBIP_URB_ANSWER] = {USBIP_URB_IDLE, FREE},
	},
	[USBIP_URB_ANSWERED] = {
		[USBIP_URB_UNLINK] = {USBIP_URB_ANSWERED, REFUSE},
		[USBIP_URB_SENT] = {USBIP_URB_IDLE, FREE},
		[USBIP_URB_CLOSE] = {USBIP_URB_IDLE, FREE},
	},
};
/* clang-format on */

static const char *const state_names[] = {
	[USBIP_URB_NOWHERE] = "nowhere",     [USBIP_URB_IDLE] = "idle",
	[USBIP_URB_ARRIVING] = "arriving",   [USBIP_URB_HELD] = "held",
	[USBIP_URB_WAITING] = "waiting",     [USBIP_URB_RUNNING] = "running",
	[USBIP_URB_FLYING] = "flying",	     [USBIP_URB_REVOKED] = "revoked",
	[USBIP_URB_UNLINKED] = "unlinked",   [USBIP_URB_FORSAKEN] = "forsaken",
	[USBIP_URB_ABANDONED] = "abandoned", [USBIP_URB_ANSWERED] = "answered",
};
static_assert(ARRAY_SIZE(state_names) == USBIP_URB_STATES, "a name for each state");

/**
 * usbip_urb_look_up() - what an event does in a state
 * @state:	where the URB stands
 * @event:	what happens
 *
 * Return: the step; its next state is USBIP_URB_NOWHERE where this may not happen.
 */
struct usbip_urb_step usbip_urb_look_up(enum usbip_urb_state state, enum usbip_urb_event event)
{
	return steps[state][event];
}

/**
 * usbip_urb_advance() - take a step
 * @urb:	the URB
 * @event:	what happens to it; that it may happen is the caller's promise
 *
 * Return: what the caller has to do now, USBIP_URB_DO_…, lowest bit first.
 */
unsigned usbip_urb_advance(struct usbip_urb *urb, enum usbip_urb_event event)
{
	struct usbip_urb_step step = usbip_urb_look_up(urb->state, event);

	assert(step.next != USBIP_URB_NOWHERE);
	urb->state = step.next;
	return step.todo;
}

/**
 * usbip_urb_state_name() - a state in a word
 * @state:	the state
 *
 * Return: a static text.
 */
const char *usbip_urb_state_name(enum usbip_urb_state state)
{
	return (unsigned)state < USBIP_URB_STATES ? state_names[state] : "?";
}
