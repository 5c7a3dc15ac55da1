/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intrusive doubly linked list. A link that is in no list points at itself, so that list_remove()
 * may be called at any time after list_init().
 */
#pragma once

#include <stdbool.h>

#include "base/mem.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(l)       \
	{                  \
		&(l), &(l) \
	}

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* Put @item behind @at, which may be the head: then it is the first. */
static inline void list_insert_after(struct list *at, struct list *item)
{
	item->prev = at;
	item->next = at->next;
	at->next->prev = item;
	at->next = item;
}

/* Append @item to the list headed by @head. */
static inline void list_append(struct list *head, struct list *item)
{
	list_insert_after(head->prev, item);
}

static inline void list_remove(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

static inline struct list *list_first(struct list *head)
{
	return list_empty(head) ? NULL : head->next;
}

static inline struct list *list_pop(struct list *head)
{
	struct list *l = list_first(head);

	if (l)
		list_remove(l);
	return l;
}

#define list_entry(l, type, member) container_of(l, type, member)

#define list_for_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)

/* As list_for_each, and @it may be removed meanwhile. */
#define list_for_each_safe(it, head)                                              \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head); \
	     it = it##_next, it##_next = it->next)
