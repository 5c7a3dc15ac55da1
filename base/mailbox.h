/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Letters to a thread: the way in which the threads of a process talk.
 *
 * A letter is embedded in the object that it is about, so that sending one neither allocates nor
 * waits, and can't fail: one letter of an object is under way at a time, and its sender may send it
 * again once it was delivered. Senders are any threads; letters of one sender arrive in order. The
 * receiver's eventfd only wakes: it is written when the box was empty.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct letter;
typedef void (*letter_fn)(struct letter *letter);

struct letter {
	struct letter *next;
	letter_fn deliver; /* runs in the receiver's thread; may free the letter */
};

struct mailbox {
	_Atomic(struct letter *) newest;
	_Atomic unsigned
		posting; /* senders that are still at it: their letter may be read already */
	int wake;	 /* eventfd, owned by the box */
};

int mailbox_init(struct mailbox *box);
void mailbox_deinit(struct mailbox *box);
void mailbox_post(struct mailbox *box, struct letter *letter, letter_fn deliver);
unsigned mailbox_deliver(struct mailbox *box);
