/* SPDX-License-Identifier: BSD-2-Clause */
/* Letters to a thread; see mailbox.h. */
#include "base/mailbox.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/eventfd.h>

#include "base/fd.h"

/**
 * mailbox_init() - make an empty box
 * @box:	the box
 *
 * Return: 0 or a negative errno.
 */
int mailbox_init(struct mailbox *box)
{
	atomic_init(&box->newest, NULL);
	atomic_init(&box->posting, 0);
	box->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return box->wake < 0 ? -errno : 0;
}

/**
 * mailbox_deinit() - close a box that nobody sends to any more
 * @box:	the box; letters still in it are left to their objects' owners
 *
 * A sender whose letter has been read may still be in mailbox_post(). This waits for it, no longer
 * than one write to an eventfd takes.
 */
void mailbox_deinit(struct mailbox *box)
{
	while (atomic_load_explicit(&box->posting, memory_order_acquire))
		sched_yield();
	box->wake = fd_close(box->wake);
}

/**
 * mailbox_post() - send a letter
 * @box:	the receiver's box
 * @letter:	not under way now; @deliver sees what the sender wrote before
 * @deliver:	what the receiver's thread runs
 *
 * Any thread. Never waits.
 */
void mailbox_post(struct mailbox *box, struct letter *letter, letter_fn deliver)
{
	struct letter *old = atomic_load_explicit(&box->newest, memory_order_relaxed);

	atomic_fetch_add_explicit(&box->posting, 1, memory_order_relaxed);
	letter->deliver = deliver;
	do {
		letter->next = old;
	} while (!atomic_compare_exchange_weak_explicit(
		&box->newest, &old, letter, memory_order_release, memory_order_relaxed));
	if (!old)
		eventfd_write(box->wake, 1);
	/* The last thing that is done to the box: see mailbox_deinit(). */
	atomic_fetch_sub_explicit(&box->posting, 1, memory_order_release);
}

/**
 * mailbox_deliver() - run all letters that have arrived, oldest first
 * @box:	the calling thread's own box
 *
 * Return: how many.
 */
unsigned mailbox_deliver(struct mailbox *box)
{
	struct letter *l = atomic_exchange_explicit(&box->newest, NULL, memory_order_acquire);
	struct letter *oldest = NULL;
	unsigned n = 0;

	while (l) {
		struct letter *next = l->next;

		l->next = oldest;
		oldest = l;
		l = next;
	}
	while (oldest) {
		struct letter *next = oldest->next;

		oldest->deliver(oldest);
		oldest = next;
		n++;
	}
	return n;
}
