/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: Varlink over <runtime-directory>/control.
 *
 * Everybody may connect and read. Who may change things is judged by the peer's credentials at the
 * time of the connection. A connection has one call under way at a time, in order; what it sends
 * meanwhile waits in the socket. Callers are hostile: sizes, nesting, and connections a user are
 * bounded, and a caller that reads nothing of an answer for ten seconds is dropped. No reply is
 * made before the last one was taken.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct commands;
struct control_caller;
struct control_socket;
struct core;
struct devices;
struct log_limit;
struct monitor;
struct policy_caller;
struct routing;
struct varlink_call;
struct vms;
struct wish_books;

/* What methods are about. */
struct control_rooms {
	struct core *core;
	struct wish_books *books;
	struct devices *devices;
	struct vms *vms;
	struct routing *routing;
	struct commands *commands;
	struct monitor *monitor;
};

/* The replies of a call with `more`. */
struct control_series {
	/* The next one's parameters; *@ret_last: it is the last. NULL: no memory. */
	json_t *(*next)(void *ctx, bool *ret_last);
	/* Whether there is a next one; where there is none yet, control_series_due() tells of it. NULL: always. */
	bool (*due)(void *ctx);
	void (*free)(void *ctx);
};

int control_socket_new(struct control_socket **ret_control, const struct control_rooms *rooms);
int control_socket_start(struct control_socket *control);
struct control_socket *control_socket_free(struct control_socket *control);

/* For the methods (control_methods.c). */
void control_reply(struct control_caller *caller, json_t *parameters);
void control_reply_series(struct control_caller *caller, const struct control_series *series,
			  void *ctx);
void control_series_due(struct control_caller *caller);
void control_drop(struct control_caller *caller, const char *why);
void control_error(struct control_caller *caller, const char *error, json_t *parameters);
const struct control_rooms *control_rooms(struct control_caller *caller);
bool control_may_change(const struct control_caller *caller);
const struct policy_caller *control_caller_facts(const struct control_caller *caller);
const char *control_who(const struct control_caller *caller);
struct log_limit *control_log_limit(struct control_caller *caller);
void control_wait(struct control_caller *caller, void *what, void (*cancel)(void *what));

void control_method(struct control_caller *caller, const struct varlink_call *call);
