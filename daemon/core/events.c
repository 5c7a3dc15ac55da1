/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events on their way up; see events.h.
 *
 * A source is in one list at most: in events->raised while it has something to be told, or in the batch that is being
 * told. What it raises while it is in the batch waits for the batch's end.
 */
#include "daemon/core/events.h"

#include <assert.h>
#include <limits.h>

static_assert(EVENTS <= sizeof(unsigned) * CHAR_BIT, "each event is a bit");

/**
 * events_init() - nothing has happened yet
 * @events:	them
 * @listeners:	who hears of what; stays where it is
 * @n:		how many
 * @ctx:	what listeners are called with
 */
void events_init(struct events *events, const struct event_listener *listeners, size_t n, void *ctx)
{
	*events = (struct events){.listeners = listeners, .n_listeners = n, .ctx = ctx};
	list_init(&events->raised);
}

/**
 * events_raise() - something has happened to an object
 * @events:	where it is told
 * @source:	the object's
 * @of:		the object, as the listeners of @event expect it
 * @event:	what; raised already, it is told once
 */
void events_raise(struct events *events, struct event_source *source, void *of, enum event event)
{
	if (!source->link.next)
		list_init(&source->link);
	source->of = of;
	source->raised |= 1u << event;
	if (list_empty(&source->link))
		list_append(&events->raised, &source->link);
}

/**
 * events_raise_whole() - something has happened that belongs to no single object
 * @events:	where it is told
 * @event:	what
 */
void events_raise_whole(struct events *events, enum event event)
{
	events_raise(events, &events->whole, NULL, event);
}

/**
 * event_source_forget() - an object is about to be freed: nobody hears of it any more
 * @source:	the object's
 */
void event_source_forget(struct event_source *source)
{
	if (source->link.next)
		list_remove(&source->link);
	source->raised = source->being = 0;
}

/**
 * events_pending() - whether there is something to be told, so that the loop must not wait
 * @events:	them
 */
bool events_pending(const struct events *events)
{
	return !list_empty(&events->raised);
}

/* Tell one row's listener of all in the batch. It may free the object, and raise anything. */
static void tell_row(struct events *events, struct list *batch, const struct event_listener *row)
{
	struct list left = LIST_INIT(left);
	struct list *l;

	while ((l = list_pop(batch)))
		list_append(&left, l);
	while ((l = list_pop(&left))) {
		struct event_source *source = list_entry(l, struct event_source, link);

		list_append(batch, l);
		if (source->being & 1u << row->event)
			row->hear(events->ctx, source->of);
	}
}

/**
 * events_tell() - tell all that was raised up to now
 * @events:	them; called at the end of a turn of the loop, or while nothing else is going on
 *
 * What is raised meanwhile is left for the next time: see events_pending().
 */
void events_tell(struct events *events)
{
	struct list batch = LIST_INIT(batch);
	struct list *l;

	while ((l = list_pop(&events->raised))) {
		struct event_source *source = list_entry(l, struct event_source, link);

		source->being = source->raised;
		source->raised = 0;
		list_append(&batch, l);
	}
	for (size_t i = 0; i < events->n_listeners && !list_empty(&batch); i++)
		tell_row(events, &batch, &events->listeners[i]);
	while ((l = list_pop(&batch))) {
		struct event_source *source = list_entry(l, struct event_source, link);

		source->being = 0;
		if (source->raised)
			list_append(&events->raised, l);
	}
}
