/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket; see control_socket.h.
 *
 * A caller's states: reading -> answering (its call waits for something, or its answer is being
 * sent; nothing is read meanwhile) -> reading …
 *
 * One whose series has no next reply yet is resting: its call is under way, nothing is to be sent, and it gives up its
 * place as an idle one does.
 *
 * Of a caller at most one message is held, read or to be sent. A series of replies (a call with
 * `more`) is made one reply at a time, each when the socket has taken the one before. The work for
 * one caller in one turn of the loop is bounded; then others come first.
 */
#include "daemon/control/control_socket.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/code_pages.h"
#include "base/fd.h"
#include "base/listener.h"
#include "base/log.h"
#include "base/stranger.h"
#include "base/unix_socket.h"
#include "protocol/varlink_wire.h"
#include "daemon/commands/commands.h"
#include "daemon/control/varlink.h"
#include "daemon/core/state_file.h"
#include "policy/decision.h"
#include "io_usbrouted_varlink.h"

#define CALLERS_MAX	    64
#define CALLERS_MAX_PER_UID 16
#define REPLIES_A_TURN	    16
#define PATIENCE_NS	    (10 * 1000000000ull) /* its log line says so */
#define INTERFACE	    "io.usbrouted"
#define CHANGERS_GROUP	    "usbrouted"
#define SOCKET_NAME	    "control"

/* Between two times that it gives code pages back. */
#define REST_NS 100000000ull

struct control_socket {
	const struct control_rooms *rooms;
	int listener;
	struct listener door;
	struct list callers;	/* who was served last comes last */
	gid_t changers;		/* the group that may change things, or -1 */
	struct log_limit limit; /* of lines that callers without rights can trigger */
	uint64_t rested_ns;	/* when it last gave code pages back */
};

struct control_caller {
	struct list link;
	struct control_socket *control;
	int sock;
	struct loop_watch watch;
	struct varlink_wire wire;
	struct ucred peer;
	struct policy_caller facts;
	gid_t *gids;
	char who[64];
	bool serving; /* on the stack: what changes is seen there */
	bool answering, oneway;
	bool behind; /* its user had a share of this turn: calls may have been read and not served */
	uint64_t turn; /* in which it was served last */
	char *answer;
	size_t answer_len, answer_sent;
	const struct control_series *series; /* what comes after the answer; NULL: nothing */
	void *series_ctx;
	bool resting;		    /* answering, and of its series there is nothing to send yet */
	struct loop_watch patience; /* the socket takes nothing of its answer */
	void *waits_for;
	void (*cancel)(void *what);
};

static void caller_readable(void *ctx, int res);
static void caller_serve(struct control_caller *caller);

static void caller_end_series(struct control_caller *caller)
{
	if (caller->series)
		caller->series->free(take_ptr(caller->series_ctx));
	caller->series = NULL;
}

/*
 * A call runs code that nothing else does, jansson's for one: what it has touched is let go of, or
 * it would stay for as long as control runs. Whoever comes and goes all the time costs no more.
 */
static void control_rest(struct control_socket *control)
{
	uint64_t now = loop_now();

	if (now - control->rested_ns < REST_NS)
		return;
	control->rested_ns = now;
	code_pages_give_back();
}

static void caller_free(struct control_caller *caller)
{
	struct control_socket *control = caller->control;

	if (caller->waits_for)
		caller->cancel(take_ptr(caller->waits_for));
	caller_end_series(caller);
	list_remove(&caller->link);
	loop_cancel(control->rooms->core->loop, &caller->watch);
	loop_cancel(control->rooms->core->loop, &caller->patience);
	stranger_close(caller->sock);
	varlink_wire_deinit(&caller->wire);
	free(caller->answer);
	free(caller->gids);
	free(caller);
	control_rest(control);
}

/* ------------------------------------------------------------- answering */

/* Return: whether the answer is out and the caller may be read again. */
static bool caller_send(struct control_caller *caller)
{
	while (caller->answer_sent < caller->answer_len) {
		ssize_t n =
			send(caller->sock, caller->answer + caller->answer_sent,
			     caller->answer_len - caller->answer_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return false;
		if (n <= 0) {
			/* The caller has gone; the next read tells. */
			caller_end_series(caller);
			break;
		}
		caller->answer_sent += (size_t)n;
	}
	free(take_ptr(caller->answer));
	caller->answer_len = caller->answer_sent = 0;
	caller->answering = false;
	return true;
}

static void caller_watch(struct control_caller *caller, short events)
{
	if (loop_watch_fd(caller->control->rooms->core->loop, &caller->watch, caller->sock,
			  (uint32_t)events, 0, caller_readable, caller) < 0)
		caller_free(caller);
}

/**
 * control_drop() - end a caller's connection, and say why in the log
 * @caller:	not the one whose method is running; freed
 * @why:	why
 */
void control_drop(struct control_caller *caller, const char *why)
{
	log_limited(&caller->control->limit, LOG_LEVEL_NOTICE, "%s: dropped; %s", caller->who, why);
	caller_free(caller);
}

static void caller_impatient(void *ctx, int res _unused_)
{
	control_drop(ctx, "it has read nothing of an answer for 10 s");
}

/* The socket is full: go on when its peer has read some, and not for ever. */
static void caller_wait_to_send(struct control_caller *caller)
{
	struct loop *loop = caller->control->rooms->core->loop;

	if (loop_watch_time(loop, &caller->patience, PATIENCE_NS, caller_impatient, caller) < 0) {
		caller_free(caller);
		return;
	}
	caller_watch(caller, POLLOUT);
}

static void caller_answer(struct control_caller *caller, int r, char *message, size_t len)
{
	caller->waits_for = NULL;
	if (r < 0) {
		log_err("a caller's answer can't be made: %s", errno_text(r));
		shutdown(caller->sock, SHUT_RDWR);
		message = NULL;
		len = 0;
	}
	if (caller->oneway) {
		free(message);
		message = NULL;
		len = 0;
	}
	caller->answer = message;
	caller->answer_len = len;
}

/* The call that waited has its answer: go on in the loop, when the answer's maker has finished. */
static void caller_resume(struct control_caller *caller)
{
	if (!caller->serving)
		caller_watch(caller, POLLOUT);
}

static int too_long(char **ret_message, size_t *ret_len)
{
	return varlink_error(
		ret_message, ret_len, INTERFACE ".Failed",
		json_pack("{s:s}", "reason", "the answer does not fit in a message of 64 KiB"));
}

/**
 * control_reply() - answer a call
 * @caller:	who called
 * @parameters:	the reply's, taken; NULL for none
 */
void control_reply(struct control_caller *caller, json_t *parameters)
{
	char *message = NULL;
	size_t len = 0;
	int r = varlink_reply(&message, &len, parameters);

	if (r == -EMSGSIZE)
		r = too_long(&message, &len);
	caller_answer(caller, r, message, len);
	caller_resume(caller);
}

/* Make the next reply of a series. */
static void caller_go_on(struct control_caller *caller)
{
	bool last = false;
	json_t *parameters = caller->series->next(caller->series_ctx, &last);
	char *message = NULL;
	size_t len = 0;
	int r = -ENOMEM;

	if (parameters && last)
		r = varlink_reply(&message, &len, parameters);
	else if (parameters)
		r = varlink_reply_more(&message, &len, parameters);
	if (r == -EMSGSIZE)
		r = too_long(&message, &len);
	if (last || r < 0)
		caller_end_series(caller);
	caller->answering = true;
	caller_answer(caller, r, message, len);
}

/**
 * control_reply_series() - answer a call with `more`: a reply at a time
 * @caller:	who called
 * @series:	makes the replies, as the caller takes them
 * @ctx:	passed to it; taken
 */
void control_reply_series(struct control_caller *caller, const struct control_series *series,
			  void *ctx)
{
	caller->series = series;
	caller->series_ctx = ctx;
	if (caller->oneway)
		caller_end_series(caller);
	else
		caller_go_on(caller);
}

/* Its series has no next reply yet: only its going away is of interest. */
static void caller_rest(struct control_caller *caller)
{
	caller->answering = caller->resting = true;
	caller_watch(caller, 0);
}

/**
 * control_series_due() - a series that had no next reply has one now
 * @caller:	whose call it answers; it may be freed, for want of memory
 */
void control_series_due(struct control_caller *caller)
{
	if (!caller->resting)
		return;
	caller->resting = false;
	caller_watch(caller, POLLOUT);
}

/**
 * control_error() - answer a call with an error
 * @caller:	who called
 * @error:	"NoSuchVm", of this interface; or "InvalidParameter" or "MethodNotFound" of
 *		org.varlink.service
 * @parameters:	the error's, taken
 */
void control_error(struct control_caller *caller, const char *error, json_t *parameters)
{
	bool service = !strcmp(error, "InvalidParameter") || !strcmp(error, "MethodNotFound");
	char name[96], *message = NULL;
	size_t len = 0;
	int r;

	snprintf(name, sizeof(name), "%s.%s", service ? "org.varlink.service" : INTERFACE, error);
	r = varlink_error(&message, &len, name, parameters);
	if (r == -EMSGSIZE)
		r = too_long(&message, &len);
	caller_answer(caller, r, message, len);
	caller_resume(caller);
}

/**
 * control_wait() - a call's answer comes later
 * @caller:	who called
 * @what:	what it waits for
 * @cancel:	called with @what where the caller goes away before
 */
void control_wait(struct control_caller *caller, void *what, void (*cancel)(void *what))
{
	caller->waits_for = what;
	caller->cancel = cancel;
}

const struct control_rooms *control_rooms(struct control_caller *caller)
{
	return caller->control->rooms;
}

bool control_may_change(const struct control_caller *caller)
{
	return caller->facts.has_all_rights;
}

/**
 * control_caller_facts() - who calls, for the policy
 * @caller:	who
 *
 * Return: the facts, owned by the caller.
 */
const struct policy_caller *control_caller_facts(const struct control_caller *caller)
{
	return &caller->facts;
}

const char *control_who(const struct control_caller *caller)
{
	return caller->who;
}

/**
 * control_log_limit() - what bounds the lines that callers without rights can trigger
 * @caller:	one of them
 */
struct log_limit *control_log_limit(struct control_caller *caller)
{
	return &caller->control->limit;
}

/* ------------------------------------------------------------- reading */

static int caller_call(struct control_caller *caller, const char *message, size_t len)
{
	struct varlink_call call = {0};
	char *answer = NULL;
	size_t answer_len = 0;
	int r = varlink_call_parse(&call, message, len);

	if (r != 0)
		return r;
	caller->answering = true;
	caller->oneway = call.oneway;
	r = varlink_service_call(&call, INTERFACE, io_usbrouted_varlink, &answer, &answer_len);
	if (r == VARLINK_NOT_SERVICE)
		control_method(caller, &call);
	else
		caller_answer(caller, r, answer, answer_len);
	varlink_call_deinit(&call);
	return 0;
}

/* Whether a caller's user had a call of this turn: one a user, however many connections it has. */
static bool user_had_a_call(const struct control_caller *caller)
{
	uint64_t turn = loop_turns(caller->control->rooms->core->loop);

	list_for_each(it, &caller->control->callers) {
		const struct control_caller *c = list_entry(it, struct control_caller, link);

		if (c->peer.uid == caller->peer.uid && c->turn == turn)
			return true;
	}
	return false;
}

static void caller_has_a_call(struct control_caller *caller)
{
	caller->turn = loop_turns(caller->control->rooms->core->loop);
	list_remove(&caller->link);
	list_append(&caller->control->callers, &caller->link);
}

/* Serve what is there, a call at a time. May free the caller. */
static void caller_serve(struct control_caller *caller)
{
	unsigned replies = 0;
	const char *message;
	size_t len;

	caller->behind = caller->resting = false;
	loop_cancel(caller->control->rooms->core->loop, &caller->patience);
	for (;;) {
		if (caller->answering) {
			if (caller->waits_for) {
				/* Watch only for its end, which is always told. */
				caller_watch(caller, 0);
				return;
			}
			if (!caller_send(caller)) {
				caller_wait_to_send(caller);
				return;
			}
			if (caller->series && caller->series->due &&
			    !caller->series->due(caller->series_ctx)) {
				caller_rest(caller);
				return;
			}
			if (caller->series)
				caller_go_on(caller);
			if (++replies == REPLIES_A_TURN) {
				caller->behind = true;
				caller_wait_to_send(caller);
				return;
			}
			if (caller->answering)
				continue;
		}
		if (user_had_a_call(caller)) {
			caller->behind = true;
			caller_watch(caller, POLLOUT);
			return;
		}
		if (varlink_wire_next(&caller->wire, &message, &len) != 0)
			break;
		caller_has_a_call(caller);
		caller->serving = true;
		if (caller_call(caller, message, len) != 0) {
			control_drop(caller, "what it sent is no call");
			return;
		}
		caller->serving = false;
	}
	caller_watch(caller, POLLIN);
}

static void caller_readable(void *ctx, int res)
{
	struct control_caller *caller = ctx;
	size_t room;
	char *space;
	ssize_t n;

	if (caller->answering || caller->behind) {
		if ((caller->waits_for || caller->resting) && res > 0 &&
		    (res & (POLLHUP | POLLERR)))
			caller_free(caller);
		else
			caller_serve(caller);
		return;
	}
	if (varlink_wire_space(&caller->wire, &space, &room) != 0) {
		control_drop(caller, "its call is longer than 64 KiB");
		return;
	}
	n = stranger_receive(caller->sock, space, room);
	if (n == -EAGAIN) {
		caller_watch(caller, POLLIN);
		return;
	}
	if (n <= 0) {
		caller_free(caller);
		return;
	}
	varlink_wire_filled(&caller->wire, (size_t)n);
	caller_serve(caller);
}

/* ------------------------------------------------------------- accepting */

/* Who the caller is, by the kernel's word: root and members of the group "usbrouted" may do all. */
static bool caller_learn_rights(struct control_caller *caller)
{
	gid_t changers = caller->control->changers;
	socklen_t len = 0;

	/*
	 * Without room the kernel says how much the groups need. All of them must be known, because
	 * a group may give a right or take it. /
	 */
	if (getsockopt(caller->sock, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) < 0 && errno != ERANGE)
		return false;
	caller->gids = malloc(sizeof(gid_t) + len);
	if (!caller->gids)
		return false;
	caller->gids[0] = caller->peer.gid;
	if (getsockopt(caller->sock, SOL_SOCKET, SO_PEERGROUPS, caller->gids + 1, &len) < 0)
		return false;
	caller->facts = (struct policy_caller){
		.has_all_rights = caller->peer.uid == 0,
		.uid = caller->peer.uid,
		.gids = caller->gids,
		.n_gids = 1 + len / sizeof(gid_t),
	};
	for (size_t i = 0; i < caller->facts.n_gids; i++)
		if (changers != (gid_t)-1 && caller->gids[i] == changers)
			caller->facts.has_all_rights = true;
	return true;
}

static unsigned control_count(const struct control_socket *control, uid_t uid)
{
	unsigned n = 0;

	list_for_each(it, &control->callers)
		n += list_entry(it, struct control_caller, link)->peer.uid == uid;
	return n;
}

/* The user without rights that has the most connections loses the one that was idle longest. */
static bool control_make_room(struct control_socket *control, uid_t uid)
{
	unsigned most = control_count(control, uid) + 1;
	struct control_caller *found = NULL;

	list_for_each(it, &control->callers) {
		struct control_caller *c = list_entry(it, struct control_caller, link);
		unsigned n;

		if (c->facts.has_all_rights || (c->answering && !c->resting) || c->behind)
			continue;
		n = control_count(control, c->peer.uid);
		if (n > most) {
			most = n;
			found = c;
		}
	}
	if (found)
		caller_free(found);
	return found;
}

/*
 * Whether one more may be served. Callers that may do all always find a place; among the others
 * nobody keeps a new one out by staying connected.
 */
static bool control_has_room(struct control_socket *control, const struct control_caller *caller)
{
	unsigned same = control_count(control, caller->peer.uid), others = 0;

	if (caller->peer.uid == 0)
		return same < CALLERS_MAX;
	if (same >= CALLERS_MAX_PER_UID)
		return false;
	if (caller->facts.has_all_rights)
		return true;
	list_for_each(it, &control->callers)
		others += !list_entry(it, struct control_caller, link)->facts.has_all_rights;
	return others < CALLERS_MAX || control_make_room(control, caller->peer.uid);
}

static void caller_reject(struct control_caller *caller)
{
	stranger_close(caller->sock);
	free(caller->gids);
	free(caller);
}

static void control_accept(void *ctx, int res _unused_)
{
	struct control_socket *control = ctx;
	_cleanup_stranger_ int sock = listener_accept(&control->door, "control");
	struct control_caller *caller;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (sock < 0 || getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return;
	caller = calloc(1, sizeof(*caller));
	if (!caller)
		return;
	caller->control = control;
	caller->peer = peer;
	snprintf(caller->who, sizeof(caller->who), "uid %u (pid %d)", peer.uid, (int)peer.pid);
	caller->sock = take_fd(&sock);
	if (!caller_learn_rights(caller)) {
		log_limited(&control->limit, LOG_LEVEL_WARNING,
			    "%s: its groups can't be known; it is not served", caller->who);
		caller_reject(caller);
		return;
	}
	if (!control_has_room(control, caller)) {
		caller_reject(caller);
		return;
	}
	list_append(&control->callers, &caller->link);
	caller_watch(caller, POLLIN);
}

/**
 * control_socket_new() - make the control socket; nobody is served yet
 * @ret_control:	the socket
 * @rooms:		whom calls are about
 *
 * Return: 0, or a negative errno and it was logged.
 */
int control_socket_new(struct control_socket **ret_control, const struct control_rooms *rooms)
{
	const char *folder = rooms->core->config->runtime_directory;
	const struct group *group = getgrnam(CHANGERS_GROUP);
	struct control_socket *control = calloc(1, sizeof(*control));

	if (!control)
		return -ENOMEM;
	control->rooms = rooms;
	control->changers = group ? group->gr_gid : (gid_t)-1;
	list_init(&control->callers);
	control->listener = unix_listen(&(struct unix_place){.folder = folder,
							     .name = SOCKET_NAME,
							     .type = SOCK_STREAM,
							     .backlog = 16,
							     .mode = 0666,
							     .group = UNIX_NO_GROUP});
	if (control->listener < 0) {
		int r = control->listener;

		log_err("%s/" SOCKET_NAME ": %s", folder, errno_text(r));
		free(control);
		return r;
	}
	stranger_listener(control->listener);
	*ret_control = control;
	return 0;
}

/**
 * control_socket_start() - serve callers
 * @control:	the socket
 *
 * Return: 0 or a negative errno.
 */
int control_socket_start(struct control_socket *control)
{
	return listener_start(&control->door, control->rooms->core->loop, control->listener,
			      control_accept, control);
}

/**
 * control_socket_free() - drop all callers and close the socket
 * @control:	the socket, or NULL
 *
 * Return: NULL.
 */
struct control_socket *control_socket_free(struct control_socket *control)
{
	char path[PATH_MAX];

	if (!control)
		return NULL;
	while (!list_empty(&control->callers)) {
		struct control_caller *caller =
			list_entry(list_first(&control->callers), struct control_caller, link);

		/* An answer that has just been made is still sent, as far as the socket takes it.
		 */
		if (caller->answering && !caller->waits_for)
			caller_send(caller);
		caller_free(caller);
	}
	listener_stop(&control->door);
	stranger_listener_close(control->listener);
	unlink(state_file_path(path, sizeof(path), control->rooms->core->config->runtime_directory,
			       SOCKET_NAME));
	free(control);
	return NULL;
}
