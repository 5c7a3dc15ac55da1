/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens, on its way up. Calls go down from room to room. A room that sees something happen
 * raises an event, and goes on. Listeners are told once a turn of the loop, when all that came in
 * that turn was handled, and before the loop waits again (events_tell()). So nobody is called from
 * within a call of its own.
 *
 * An event is a value: what has happened, and to which object. If it is raised again in the same
 * turn, it is the same event. The listener reads from the object how it stands by then.
 *
 * One table says who listens (daemon/rooms.c). A turn's events are told row by row of that table,
 * in whatever order they were raised; within a row, in the order in which their objects first
 * raised something. What listeners raise is told in the next turn, which then does not wait.
 *
 * No event outlives its object: it is a bit in the object's struct event_source, and goes with
 * event_source_forget(). Others may still have to hear of an object that goes (a device that was
 * unplugged, a VM that has left). Such an object is taken out of its list and raises its last event.
 * The last row for that event frees it. Nothing is allocated: raising can't fail.
 *
 * Control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"

enum event {
	/* Of a device. */
	EVENT_DEVICE_REMOVED, /* it was unplugged, and is in no list any more */
	EVENT_DEVICE_ADDED,   /* it is listed */
	EVENT_DEVICE_REVIEW,  /* something else is known of it, or said of it */
	EVENT_DEVICE_BOUND,   /* a driver of the host's has taken an interface of it */
	EVENT_ROUTE_MOVED,    /* it is a step further, or something was told about it */
	EVENT_HOTKEY_NEXT,    /* the chord was struck on it */
	EVENT_HOTKEY_PANIC,
	/* Of a VM. */
	EVENT_VM_LEFT,	  /* it is out of the configuration */
	EVENT_VM_GONE,	  /* and so is its process: it is in no list any more */
	EVENT_VM_GOES_ON, /* its process has outlived the last control, and its connections live */
	EVENT_VM_KNOWN,	  /* what the last control has left in its process is known */
	EVENT_VM_DOWN,	  /* its card has gone down, and may be up again */
	EVENT_VM_UP,	  /* its card has come up, and may be down again */
	EVENT_VM_STANDS,  /* its process stands */
	EVENT_VM_AGENT_ASKED,  /* an agent in it wants to be let in */
	EVENT_EXPORTS_CHANGED, /* what is exported to it, or a session there, may have changed */
	/* Of the whole. */
	EVENT_SAID_CHANGED, /* wishes now mean other devices */
	EVENT_JOBS_CHANGED, /* something has happened that a job on a port may wait for */
	EVENT_KNOWN_MORE,   /* more is known of what was there at the start */
	EVENT_VMS_ENDED,    /* at control's end: one more process has ended */
	EVENTS
};

/* What an object has raised. Part of the object; zero is none, and all that it needs at first. */
struct event_source {
	struct list link;
	void *of;		/* the object, as listeners get it */
	unsigned raised, being; /* bits of enum event: to be told next, and being told */
};

/* One who listens. @ctx is that of all listeners. */
struct event_listener {
	enum event event;
	void (*hear)(void *ctx, void *of);
};

struct events {
	struct list raised; /* of struct event_source */
	struct event_source whole;
	const struct event_listener *listeners;
	size_t n_listeners;
	void *ctx;
};

void events_init(struct events *events, const struct event_listener *listeners, size_t n,
		 void *ctx);
void events_raise(struct events *events, struct event_source *source, void *of, enum event event);
void events_raise_whole(struct events *events, enum event event);
void event_source_forget(struct event_source *source);
bool events_pending(const struct events *events);
void events_tell(struct events *events);
