/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a command writes down: the one change to the book of wishes that it makes, all of its
 * devices at once, and the way back from it.
 *
 *   attach    a command's wish
 *   assign    an assignment, and no command's wish that would beat it
 *   unassign  neither
 *   release   no command's wish
 *   reserve   a reservation; unreserve takes it back
 *   undo      the book before the last change, which takes its place: undone twice is done again
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/route_call.h"
#include "policy/decision.h"

static int list_set(struct wishes *wishes, const struct route_subject *s, const char *target)
{
	struct device_facts facts;
	bool unique;

	if (!s->device)
		return wish_set_name(wishes, s->alias, NULL, false, target);
	facts = device_facts_of(s->device);
	unique = device_pair_is_unique(s->device);
	if (s->by == DEVICE_BY_NAME)
		return wish_set_name(wishes, s->alias, &facts, unique, target);
	return wish_set(wishes, &facts, s->by == DEVICE_BY_PORT, unique, target);
}

static void list_forget(struct wishes *wishes, const struct route_subject *s)
{
	struct device_facts facts;

	if (s->wish_on[0])
		wish_forget_on(wishes, s->wish_on);
	if (s->by == DEVICE_BY_NAME)
		wish_forget_name(wishes, s->alias);
	if (!s->device)
		return;
	facts = device_facts_of(s->device);
	wish_forget(wishes, &facts, device_pair_tells(s->device));
}

static int list_restore(struct wishes *wishes, const struct wishes *before,
			const struct route_subject *s)
{
	struct device_facts facts;
	int r = 0;

	if (s->wish_on[0])
		return wish_restore_on(wishes, before, s->wish_on);
	/* Whoever bears the name by now. */
	if (s->by == DEVICE_BY_NAME)
		r = wish_restore_name(wishes, before, s->alias);
	if (r < 0 || !s->device)
		return r;
	facts = device_facts_of(s->device);
	return wish_restore(wishes, before, &facts, device_pair_tells(s->device));
}

/*
 * A device that was named by its port goes back to the host: the wish for the port is forgotten,
 * and the next device there is not held. If something else wants this one elsewhere, the wish is
 * about the device.
 */
static int detach_from_port(struct wish_book *next, const struct route_subject *s)
{
	struct route_subject device = *s;

	list_forget(&next->list[WISHES_COMMANDS], s);
	if (!strcmp(route_decide(s->device, next).want.target, "host"))
		return 0;
	device.by = DEVICE_BY_SELECTOR;
	return list_set(&next->list[WISHES_COMMANDS], &device, "host");
}

/*
 * A device that is not there goes back to the host: what was said of it is forgotten. If it is
 * assigned elsewhere, it is to stay with the host when it comes.
 */
static int detach_what_is_lost(struct wish_book *next, const struct route_subject *s)
{
	const struct wish *assigned = wish_find_on(&next->list[WISHES_ASSIGNMENTS], s->wish_on);

	list_forget(&next->list[WISHES_COMMANDS], s);
	if (!assigned || !strcmp(assigned->target, "host"))
		return 0;
	return wish_set_like(&next->list[WISHES_COMMANDS], assigned, "host");
}

static int change_one(struct wish_book *next, const struct route_ask *ask,
		      const struct route_subject *s)
{
	struct wishes *commands = &next->list[WISHES_COMMANDS];
	const char *target = ask->vm ? ask->vm->name : "host";
	bool limited = ask->for_seconds > 0 || ask->until_unplug;
	int r = 0;

	switch (ask->verb) {
	case ROUTE_ATTACH:
		if (s->wish_on[0])
			return detach_what_is_lost(next, s);
		if (s->by == DEVICE_BY_PORT && !ask->vm && !limited)
			return detach_from_port(next, s);
		r = list_set(commands, s, target);
		if (r == 0 && limited)
			wishes_limit_last(commands,
					  ask->for_seconds > 0
						  ? wish_book_now() + (uint64_t)ask->for_seconds + 1
						  : 0,
					  ask->until_unplug);
		if (r == 0 && ask->caller)
			r = wishes_last_asked_by(commands, ask->caller->uid, ask->caller->gids,
						 ask->caller->n_gids);
		break;
	case ROUTE_ASSIGN:
		r = list_set(&next->list[WISHES_ASSIGNMENTS], s, target);
		list_forget(commands, s);
		break;
	case ROUTE_UNASSIGN:
		list_forget(&next->list[WISHES_ASSIGNMENTS], s);
		list_forget(commands, s);
		break;
	case ROUTE_RELEASE:
		list_forget(commands, s);
		break;
	case ROUTE_RESERVE:
		r = list_set(&next->list[WISHES_RESERVED], s, "host");
		break;
	case ROUTE_UNRESERVE:
		list_forget(&next->list[WISHES_RESERVED], s);
		break;
	case ROUTE_UNDO:
		break; /* whole; see below */
	}
	return r;
}

static const char *verb_name(enum route_verb verb)
{
	static const char *const names[] = {
		[ROUTE_ATTACH] = "attach",     [ROUTE_ASSIGN] = "assign",
		[ROUTE_UNASSIGN] = "unassign", [ROUTE_RELEASE] = "release",
		[ROUTE_RESERVE] = "reserve",   [ROUTE_UNRESERVE] = "reserve --off",
		[ROUTE_UNDO] = "undo",
	};

	return names[verb];
}

/* What undo will say that it has undone. */
static void name_change(const struct route_call *call, char *text, size_t size)
{
	const struct route_ask *ask = &call->ask;
	bool has_target = ask->verb == ROUTE_ATTACH || ask->verb == ROUTE_ASSIGN;

	if (ask->verb == ROUTE_UNDO)
		snprintf(text, size, "undo (%.80s)", call->commands->books->undo_text);
	else
		snprintf(text, size, "%s %s%s%s%s", verb_name(ask->verb),
			 route_member_name(&call->members[0]),
			 call->n_members > 1 ? " and others" : "", has_target ? " " : "",
			 !has_target ? ""
			 : ask->vm   ? ask->vm->name
				     : "host");
}

/**
 * route_change_make() - the book as a command would have it, and as it was
 * @call:	the command; gets the book as it was
 * @ret_next:	the book as it would be, to be taken by route_change_commit(), or freed
 * @error:	on an error: what went wrong, for a person
 * @size:	room there
 *
 * Return: 0 or a negative errno.
 */
int route_change_make(struct route_call *call, struct wish_book *ret_next, char *error, size_t size)
{
	struct commands *commands = call->commands;
	int r;

	snprintf(error, size, "out of memory");
	r = wish_book_copy(&call->before, &commands->books->now);
	if (r == 0)
		r = wish_book_copy(&call->undo, &commands->books->undo);
	if (r == 0)
		r = wish_book_copy(ret_next, call->ask.verb == ROUTE_UNDO ? &commands->books->undo
									  : &commands->books->now);
	if (r < 0)
		return r;
	for (size_t i = 0; i < call->n_members; i++) {
		r = change_one(ret_next, &call->ask, &call->members[i].subject);
		if (r == 0)
			continue;
		snprintf(error, size, "%s: it can't be written down: %s",
			 route_member_name(&call->members[i]), errno_text(r));
		wish_book_deinit(ret_next);
		return r;
	}
	return 0;
}

/**
 * route_change_commit() - write a command's change down, and make it hold
 * @call:	the command; what was decided of its devices, with this change, holds, too
 * @next:	of route_change_make(), with nothing changed since; taken either way
 * @error:	on an error: what went wrong, for a person
 * @size:	room there
 *
 * Return: 0, or a negative errno and nothing has changed.
 */
int route_change_commit(struct route_call *call, struct wish_book *next, char *error, size_t size)
{
	struct commands *commands = call->commands;
	char text[sizeof(commands->books->undo_text)];
	int r;

	name_change(call, text, sizeof(text));
	memcpy(call->undo_text, commands->books->undo_text, sizeof(call->undo_text));
	r = wish_book_change(commands->books, next, text, error, size);
	call->change = commands->books->changes;
	for (size_t i = 0; r == 0 && i < call->n_members; i++)
		if (call->members[i].decided)
			route_decided(call->members[i].subject.device, &call->members[i].decision);
	return r;
}

/* Restore what was said of a command's devices, and of no others. */
static int book_restore(struct wish_book *book, const struct route_call *call)
{
	int r = 0;

	for (size_t i = 0; i < call->n_members; i++)
		for (unsigned l = 0; r == 0 && l < WISH_LISTS; l++)
			r = list_restore(&book->list[l], &call->before.list[l],
					 &call->members[i].subject);
	return r;
}

/* A command that failed is not the last change, and undo does not bring it back. */
static void undo_restore(struct route_call *call)
{
	struct commands *commands = call->commands;
	struct wish_book undo;

	if (commands->books->changes == call->change) {
		wish_book_move(&commands->books->undo, &call->undo);
		memcpy(commands->books->undo_text, call->undo_text, sizeof(call->undo_text));
	} else if (wish_book_copy(&undo, &commands->books->undo) == 0) {
		if (book_restore(&undo, call) == 0)
			wish_book_move(&commands->books->undo, &undo);
		wish_book_deinit(&undo);
	}
}

/**
 * route_change_roll_back() - a command can't be carried out: its devices are wanted as before
 * @call:	the command
 *
 * Only the wishes for its own devices go back: others may have changed meanwhile.
 */
void route_change_roll_back(struct route_call *call)
{
	struct commands *commands = call->commands;
	struct wish_book next;
	char error[200] = "out of memory";
	int r = wish_book_copy(&next, &commands->books->now);

	if (r == 0) {
		r = book_restore(&next, call);
		if (r < 0)
			wish_book_deinit(&next);
		else
			r = wish_book_commit(commands->books, &next, error, sizeof(error));
	}
	if (r < 0)
		log_err("the old wishes can't be written: %s", error);
	else
		undo_restore(call);
	for (size_t i = 0; i < call->n_members; i++) {
		const struct route_subject *s = &call->members[i].subject;

		if (s->device)
			log_notice("%s: wanted at %s again, as before", s->device->tag,
				   route_wanted(s->device).target);
	}
}

/**
 * route_wish_judge() - take a command's wish back whose asker has no right to it
 * @commands:	the commands
 * @device:	more is known of it, or it is meant only now
 */
void route_wish_judge(struct commands *commands, struct device *device)
{
	struct device_facts facts = device_facts_of(device);
	struct wish_book next;
	char by[256], error[200];

	if (route_asker_may(device, by, sizeof(by)) ||
	    wish_book_copy(&next, &commands->books->now) < 0)
		return;
	wish_forget(&next.list[WISHES_COMMANDS], &facts, device_pair_is_unique(device));
	if (wish_book_commit(commands->books, &next, error, sizeof(error)) < 0)
		log_err("%s", error);
	else
		log_notice("%s: wanted at %s again: the user that wished it elsewhere may not: %s",
			   device->tag, route_wanted(device).target, by);
}
