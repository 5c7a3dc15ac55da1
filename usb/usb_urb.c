/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a URB: one table of what may happen in which state, where it leads, and what has to
 * be done. Pure. The session does what the table says and decides nothing of its own, so that what
 * is proven about the table holds for the session.
 *
 * What the table keeps (drivers/usb/usbip/vhci_rx.c is what breaks otherwise):
 * - each URB is given back once: by RET_SUBMIT, or by RET_UNLINK(-ECONNRESET);
 * - a client that unlinks gets its RET_UNLINK, and after it no RET_SUBMIT of that URB;
 * - RET_UNLINK(0) tells that RET_SUBMIT went before; answers leave in the order queued;
 * - a URB goes back to the pool when neither device nor worker nor outbox has it.
 *
 * A cancelled transfer that has moved data, or that was done already, is given back by RET_SUBMIT
 * with that data, for RET_UNLINK can carry none. A second unlink of the same URB, which Linux never
 * sends, is answered with 0 at once; from then on the URB counts as given back.
 */
#include "usb/usb_urb.h"

#include <assert.h>
#include <errno.h>

#include "base/mem.h"

#define CANCEL	     USB_URB_DO_CANCEL
#define RET_SUBMIT   USB_URB_DO_RET_SUBMIT
#define UNLINK_RESET USB_URB_DO_UNLINK_RESET
#define UNLINK_ZERO  USB_URB_DO_UNLINK_ZERO
#define REFUSE	     USB_URB_DO_REFUSE_UNLINK
#define FREE	     USB_URB_DO_FREE

/* A table, kept as such: */
/* clang-format off */
static const struct usb_urb_step steps[USB_URB_STATES][USB_URB_EVENTS] = {
	[USB_URB_IDLE] = {
		[USB_URB_ARRIVE] = {USB_URB_ARRIVING, 0},
	},
	[USB_URB_ARRIVING] = {
		[USB_URB_HOLD] = {USB_URB_HELD, 0},
		[USB_URB_BLOCK] = {USB_URB_WAITING, 0},
		[USB_URB_SUBMIT] = {USB_URB_FLYING, 0},
		[USB_URB_ANSWER] = {USB_URB_ANSWERED, RET_SUBMIT},
		/* The unlink came before it. */
		[USB_URB_UNLINK] = {USB_URB_IDLE, UNLINK_RESET | FREE},
		[USB_URB_CLOSE] = {USB_URB_IDLE, FREE},
	},
	[USB_URB_HELD] = {
		[USB_URB_BLOCK] = {USB_URB_WAITING, 0},
		[USB_URB_SUBMIT] = {USB_URB_FLYING, 0},
		[USB_URB_ANSWER] = {USB_URB_ANSWERED, RET_SUBMIT},
		[USB_URB_UNLINK] = {USB_URB_IDLE, UNLINK_RESET | FREE},
		[USB_URB_CLOSE] = {USB_URB_IDLE, FREE},
	},
	[USB_URB_WAITING] = {
		[USB_URB_RUN] = {USB_URB_RUNNING, 0},
		[USB_URB_ANSWER] = {USB_URB_ANSWERED, RET_SUBMIT},
		[USB_URB_UNLINK] = {USB_URB_IDLE, UNLINK_RESET | FREE},
		[USB_URB_CLOSE] = {USB_URB_IDLE, FREE},
	},
	/* No unlink comes here: while a worker runs, nothing is read. */
	[USB_URB_RUNNING] = {
		[USB_URB_ANSWER] = {USB_URB_ANSWERED, RET_SUBMIT},
		[USB_URB_CLOSE] = {USB_URB_ABANDONED, 0},
	},
	[USB_URB_FLYING] = {
		[USB_URB_BACK] = {USB_URB_ANSWERED, RET_SUBMIT},
		[USB_URB_BACK_VOID] = {USB_URB_ANSWERED, RET_SUBMIT},
		[USB_URB_REVOKE] = {USB_URB_REVOKED, CANCEL},
		[USB_URB_UNLINK] = {USB_URB_UNLINKED, CANCEL},
		[USB_URB_CLOSE] = {USB_URB_ABANDONED, CANCEL},
	},
	[USB_URB_REVOKED] = {
		[USB_URB_BACK] = {USB_URB_ANSWERED, RET_SUBMIT},
		[USB_URB_BACK_VOID] = {USB_URB_ANSWERED, RET_SUBMIT},
		[USB_URB_UNLINK] = {USB_URB_UNLINKED, 0},
		[USB_URB_CLOSE] = {USB_URB_ABANDONED, 0},
	},
	[USB_URB_UNLINKED] = {
		[USB_URB_BACK] = {USB_URB_ANSWERED, RET_SUBMIT | UNLINK_ZERO},
		[USB_URB_BACK_VOID] = {USB_URB_IDLE, UNLINK_RESET | FREE},
		[USB_URB_UNLINK] = {USB_URB_FORSAKEN, REFUSE},
		[USB_URB_CLOSE] = {USB_URB_ABANDONED, 0},
	},
	[USB_URB_FORSAKEN] = {
		[USB_URB_BACK] = {USB_URB_IDLE, UNLINK_RESET | FREE},
		[USB_URB_BACK_VOID] = {USB_URB_IDLE, UNLINK_RESET | FREE},
		[USB_URB_UNLINK] = {USB_URB_FORSAKEN, REFUSE},
		[USB_URB_CLOSE] = {USB_URB_ABANDONED, 0},
	},
	[USB_URB_ABANDONED] = {
		[USB_URB_BACK] = {USB_URB_IDLE, FREE},
		[USB_URB_BACK_VOID] = {USB_URB_IDLE, FREE},
		[USB_URB_ANSWER] = {USB_URB_IDLE, FREE},
	},
	[USB_URB_ANSWERED] = {
		[USB_URB_UNLINK] = {USB_URB_ANSWERED, REFUSE},
		[USB_URB_SENT] = {USB_URB_IDLE, FREE},
		[USB_URB_CLOSE] = {USB_URB_IDLE, FREE},
	},
};
/* clang-format on */

static const char *const state_names[] = {
	[USB_URB_NOWHERE] = "nowhere",	   [USB_URB_IDLE] = "idle",
	[USB_URB_ARRIVING] = "arriving",   [USB_URB_HELD] = "held",
	[USB_URB_WAITING] = "waiting",	   [USB_URB_RUNNING] = "running",
	[USB_URB_FLYING] = "flying",	   [USB_URB_REVOKED] = "revoked",
	[USB_URB_UNLINKED] = "unlinked",   [USB_URB_FORSAKEN] = "forsaken",
	[USB_URB_ABANDONED] = "abandoned", [USB_URB_ANSWERED] = "answered",
};
static_assert(ARRAY_SIZE(state_names) == USB_URB_STATES, "a name for each state");

/**
 * usb_urb_look_up() - what an event does in a state
 * @state:	where the URB stands
 * @event:	what happens
 *
 * Return: the step; its next state is USB_URB_NOWHERE where this may not happen.
 */
struct usb_urb_step usb_urb_look_up(enum usb_urb_state state, enum usb_urb_event event)
{
	return steps[state][event];
}

/**
 * usb_urb_advance() - take a step
 * @urb:	the URB
 * @event:	what happens to it; that it may happen is the caller's promise
 *
 * Return: what the caller has to do now, USB_URB_DO_…, lowest bit first.
 */
unsigned usb_urb_advance(struct usb_urb *urb, enum usb_urb_event event)
{
	struct usb_urb_step step = usb_urb_look_up(urb->state, event);

	assert(step.next != USB_URB_NOWHERE);
	urb->state = step.next;
	return step.todo;
}

/**
 * usb_urb_state_name() - a state in a word
 * @state:	the state
 *
 * Return: a static text.
 */
const char *usb_urb_state_name(enum usb_urb_state state)
{
	return (unsigned)state < USB_URB_STATES ? state_names[state] : "?";
}

/**
 * usb_urb_fail_packets() - say of each packet that nothing became of it
 * @urb:	the URB; one without packets is left as it is
 */
void usb_urb_fail_packets(struct usb_urb *urb)
{
	for (unsigned i = 0; i < urb->n_descriptors; i++) {
		urb->packets[i].actual_length = 0;
		urb->packets[i].status = -EXDEV;
	}
}
