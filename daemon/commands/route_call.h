/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What route_call.c (commands), route_member.c (each device of theirs), route_change.c (what they write) and port_job.c
 * share.
 */
#pragma once

#include "daemon/commands/commands.h"

/* One device of a command, until it is where it should be. */
struct call_member {
	struct route_subject subject;
	char from[32];	/* where it was */
	const char *to; /* where it goes: points into vm, or "host" */
	struct vm *vm;	/* where it goes; NULL: the host */
	bool moved;	/* something had to be done at all */
	bool arrived;	/* and @text says how */
	char text[320];
	struct route_times times;
	bool decided; /* @decision was made, with the command's own change */
	struct route_decision decision;
};

struct route_call {
	struct list link;
	struct commands *commands;
	struct route_ask ask; /* its subjects are the members' */
	struct call_member *members;
	size_t n_members;
	struct wish_book before; /* to go back to after a failure */
	struct wish_book undo;	 /* what undo would have brought back, before this command */
	char undo_text[96];
	uint64_t change; /* the number of its change */
	uint64_t started_ns;
	struct loop_watch deadline;
	route_done done;
	void *ctx;
	struct route_call **handle;
};

enum route_outcome route_call_forbidden(struct route_call *call, const struct wish_book *next,
					char *text, size_t size);

int route_change_make(struct route_call *call, struct wish_book *ret_next, char *error,
		      size_t size);
int route_change_commit(struct route_call *call, struct wish_book *next, char *error, size_t size);
void route_change_roll_back(struct route_call *call);
void route_wish_judge(struct commands *commands, struct device *device);

const char *route_member_name(const struct call_member *m);
void route_member_aim(struct route_call *call, struct call_member *m);
bool route_member_waits(const struct route_call *call, const struct call_member *m);
void route_member_arrive(struct call_member *m, const char *format, ...) _printf_(2, 3);
void route_member_check(struct route_call *call, struct call_member *m);
void route_member_late(const struct route_call *call, const struct call_member *m, char *text,
		       size_t size);

bool route_member_settled(const struct commands *commands, const struct device *device, char *line,
			  size_t size);

/* port_job.c */
void port_jobs_changed(struct commands *commands);
void port_jobs_started(struct commands *commands);
void port_jobs_end(struct commands *commands);

void route_calls_check(struct commands *commands, struct device *device);
void route_calls_removed(struct commands *commands, struct device *device);
void route_calls_forbid(struct commands *commands, struct device *device);
void route_calls_end(struct commands *commands);
