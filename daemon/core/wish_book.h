/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What people said of devices that outlives their command, in files.
 *
 *   commands     attach, detach      <runtime-directory>/wishes      until the host reboots
 *   assignments  assign              <state-directory>/assignments   for good
 *   reserved     reserve             <state-directory>/reserved      for good
 *   names        alias               <state-directory>/names         for good
 *
 * A change is made to a copy, which is in force once all files that it changes are on the disk. If
 * one can't be written, those before it are put back, and nothing has changed. The book before the
 * last change is kept for `undo`. Control thread only.
 */
#pragma once

#include "base/loop.h"
#include "policy/wish.h"

struct core;

enum wish_list { WISHES_COMMANDS, WISHES_ASSIGNMENTS, WISHES_RESERVED, WISHES_NAMES, WISH_LISTS };

struct wish_book {
	struct wishes list[WISH_LISTS];
};

/* The book that holds, and what `undo` puts in its place. */
struct wish_books {
	struct core *core;
	struct wish_book now;  /* what was said */
	struct wish_book undo; /* what was said before the last change */
	char undo_text[96];    /* that change; "" where there was none */
	uint64_t changes;      /* how many there were */
	struct loop_watch end; /* when the next wish ends by itself: EVENT_SAID_CHANGED */
};

void wish_books_init(struct wish_books *books, struct core *core);
void wish_books_deinit(struct wish_books *books);
void wish_book_init(struct wish_book *book);
void wish_book_deinit(struct wish_book *book);
int wish_book_copy(struct wish_book *ret_to, const struct wish_book *from);
void wish_book_move(struct wish_book *to, struct wish_book *from);
int wish_book_load(struct wish_books *books);
int wish_book_change(struct wish_books *books, struct wish_book *next, const char *what,
		     char *error, size_t size);
int wish_book_commit(struct wish_books *books, struct wish_book *next, char *error, size_t size);
uint64_t wish_book_now(void);
