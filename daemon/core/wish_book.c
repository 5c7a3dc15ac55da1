/* SPDX-License-Identifier: BSD-2-Clause */
/* The wishes and their files; see wish_book.h. */
#include "daemon/core/wish_book.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/core/core.h"
#include "daemon/core/state_file.h"

#define NS_PER_SECOND 1000000000ull

static const struct {
	const char *file;
	bool for_good; /* in the state directory */
} lists[WISH_LISTS] = {
	[WISHES_COMMANDS] = {"wishes", false},
	[WISHES_ASSIGNMENTS] = {"assignments", true},
	[WISHES_RESERVED] = {"reserved", true},
	[WISHES_NAMES] = {"names", true},
};

static char *list_path(const struct wish_books *books, unsigned which, char *buf, size_t size)
{
	const struct core *core = books->core;

	return state_file_path(
		buf, size, lists[which].for_good ? core->state_directory : core->runtime_directory,
		lists[which].file);
}

void wish_book_init(struct wish_book *book)
{
	for (unsigned i = 0; i < WISH_LISTS; i++)
		wishes_init(&book->list[i]);
}

void wish_book_deinit(struct wish_book *book)
{
	for (unsigned i = 0; i < WISH_LISTS; i++)
		wishes_deinit(&book->list[i]);
}

/**
 * wish_book_copy() - copy all, so that a change can be written before it is made
 * @ret_to:	the copy, not initialised before; written only on success
 * @from:	the book
 *
 * Return: 0 or -ENOMEM.
 */
int wish_book_copy(struct wish_book *ret_to, const struct wish_book *from)
{
	for (unsigned i = 0; i < WISH_LISTS; i++) {
		int r = wishes_copy(&ret_to->list[i], &from->list[i]);

		if (r < 0) {
			while (i--)
				wishes_deinit(&ret_to->list[i]);
			return r;
		}
	}
	return 0;
}

/**
 * wish_book_move() - give one book all that is in another
 * @to:		what was in it is freed
 * @from:	empty afterwards
 */
void wish_book_move(struct wish_book *to, struct wish_book *from)
{
	for (unsigned i = 0; i < WISH_LISTS; i++) {
		struct list *l;

		wishes_deinit(&to->list[i]);
		while ((l = list_pop(&from->list[i].all)))
			list_append(&to->list[i].all, l);
		to->list[i].n = from->list[i].n;
		from->list[i].n = 0;
	}
}

/**
 * wish_books_init() - books in which nothing was said
 * @books:	the books
 * @core:	what control works with; needed as long as they are
 */
void wish_books_init(struct wish_books *books, struct core *core)
{
	*books = (struct wish_books){.core = core};
	wish_book_init(&books->now);
	wish_book_init(&books->undo);
}

/**
 * wish_books_deinit() - forget what was said; the files stay
 * @books:	the books
 */
void wish_books_deinit(struct wish_books *books)
{
	loop_cancel(books->core->loop, &books->end);
	wish_book_deinit(&books->now);
	wish_book_deinit(&books->undo);
}

/* ------------------------------------------------------------- time */

/**
 * wish_book_now() - the time by which wishes end: seconds that go on while control restarts, and
 * begin anew with the host, as the file does
 */
uint64_t wish_book_now(void)
{
	return loop_now() / NS_PER_SECOND;
}

static void book_arm(struct wish_books *books);

static void book_expire(void *ctx, int res _unused_)
{
	struct wish_books *books = ctx;
	struct wish_book next;
	char error[200];
	int r = wish_book_copy(&next, &books->now);

	if (r < 0 || !wishes_expire(&next.list[WISHES_COMMANDS], wish_book_now())) {
		if (r == 0)
			wish_book_deinit(&next);
		book_arm(books);
		return;
	}
	r = wish_book_commit(books, &next, error, sizeof(error));
	if (r < 0) {
		/* It has ended all the same; the file says when, so that a restart sees it, too. */
		log_err("%s", error);
		wishes_expire(&books->now.list[WISHES_COMMANDS], wish_book_now());
		core_basis_changed(books->core);
		book_arm(books);
	}
	log_notice("a wish has ended: its time is over");
	events_raise_whole(&books->core->events, EVENT_SAID_CHANGED);
}

static void book_arm(struct wish_books *books)
{
	uint64_t at = wishes_next_end(&books->now.list[WISHES_COMMANDS]), now = loop_now();

	loop_cancel(books->core->loop, &books->end);
	if (!at || books->core->stopping)
		return;
	/* A file may name any end; one beyond the clock's range never comes. */
	at = min_t(uint64_t, at, UINT64_MAX / NS_PER_SECOND) * NS_PER_SECOND;
	loop_watch_time(books->core->loop, &books->end, at > now ? at - now : 1, book_expire,
			books);
}

/* ------------------------------------------------------------- files */

static int list_load(struct wish_books *books, unsigned which)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	unsigned bad = 0;
	size_t len;
	int r;

	list_path(books, which, path, sizeof(path));
	r = state_file_read(path, &text, &len);
	if (r == 0)
		r = wishes_parse(&books->now.list[which], text, len, &bad);
	if (r < 0 && r != -ENOENT) {
		log_err("%s: %s", path, errno_text(r));
		return r;
	}
	if (bad)
		log_warning("%s: %u lines say nothing and were left out", path, bad);
	return 0;
}

/**
 * wish_book_load() - read what was said before this start
 * @books:	the books, with an empty book
 *
 * Return: 0, or a negative errno and it was logged.
 */
int wish_book_load(struct wish_books *books)
{
	for (unsigned i = 0; i < WISH_LISTS; i++) {
		int r = list_load(books, i);

		if (r < 0)
			return r;
	}
	wishes_expire(&books->now.list[WISHES_COMMANDS], wish_book_now());
	book_arm(books);
	return 0;
}

struct list_text {
	char *old, *new;
	size_t old_len, new_len;
};

static bool list_changed(const struct list_text *t)
{
	return t->old_len != t->new_len || memcmp(t->old, t->new, t->new_len);
}

static int book_write(struct wish_books *books, const struct list_text texts[WISH_LISTS],
		      char *error, size_t size)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < WISH_LISTS; i++) {
		int r = 0;

		if (list_changed(&texts[i]))
			r = state_file_write(list_path(books, i, path, sizeof(path)), texts[i].new,
					     texts[i].new_len);
		if (r == 0)
			continue;
		snprintf(error, size, "%.150s can't be written: %s; nothing was changed", path,
			 errno_text(r));
		while (i--)
			if (list_changed(&texts[i]) &&
			    state_file_write(list_path(books, i, path, sizeof(path)), texts[i].old,
					     texts[i].old_len) < 0)
				log_err("%s can't be put back; it holds what was refused", path);
		return r;
	}
	return 0;
}

/**
 * wish_book_commit() - make a changed copy what holds, once it is on the disk
 * @books:	whose book
 * @next:	the copy; taken either way
 * @error:	on an error: what could not be written, for a person
 * @size:	room there
 *
 * Return: 0, or a negative errno and nothing has changed.
 */
int wish_book_commit(struct wish_books *books, struct wish_book *next, char *error, size_t size)
{
	struct list_text texts[WISH_LISTS] = {0};
	int r = 0;

	for (unsigned i = 0; i < WISH_LISTS && r == 0; i++) {
		r = wishes_format(&books->now.list[i], &texts[i].old, &texts[i].old_len);
		if (r == 0)
			r = wishes_format(&next->list[i], &texts[i].new, &texts[i].new_len);
	}
	if (r < 0)
		snprintf(error, size, "out of memory");
	else
		r = book_write(books, texts, error, size);
	if (r == 0) {
		wish_book_move(&books->now, next);
		core_basis_changed(books->core);
		book_arm(books);
	}
	wish_book_deinit(next);
	for (unsigned i = 0; i < WISH_LISTS; i++) {
		free(texts[i].old);
		free(texts[i].new);
	}
	return r;
}

/**
 * wish_book_change() - the same, of a change that can be undone
 * @books:	whose book
 * @next:	the copy; taken either way
 * @what:	what undo will say that it has undone
 * @error:	as above
 * @size:	as above
 *
 * Return: 0, or a negative errno and nothing has changed.
 */
int wish_book_change(struct wish_books *books, struct wish_book *next, const char *what,
		     char *error, size_t size)
{
	char text[sizeof(books->undo_text)];
	struct wish_book undo;
	int r = wish_book_copy(&undo, &books->now);

	if (r < 0) {
		snprintf(error, size, "out of memory");
		wish_book_deinit(next);
		return r;
	}
	snprintf(text, sizeof(text), "%s", what);
	r = wish_book_commit(books, next, error, size);
	if (r == 0) {
		wish_book_move(&books->undo, &undo);
		memcpy(books->undo_text, text, sizeof(text));
		books->changes++;
	}
	wish_book_deinit(&undo);
	return r;
}
