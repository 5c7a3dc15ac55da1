/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One call over one connection, with one deadline for all of it. The caller trusts the daemon with
 * its rights, but not with its memory: each reply is bounded and checked as a call is, and so are
 * all together.
 */
#include "ctl/client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/fd.h"
#include "base/mem.h"
#include "protocol/varlink_wire.h"

#define ANSWER_MAX  (64 * 1024 * 1024) /* bytes, of all replies to one call */
#define CLIENT_MORE 100		       /* beside enum client_outcome: others follow */

struct session {
	const struct client_ask *ask;
	int fd;
	double start;
	unsigned ticks;
	bool unsettled; /* replies were shown since settled() was called */
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Wait for @events, ticking meanwhile. Return: 0, CLIENT_LATE, CLIENT_STOPPED or a negative errno. */
static int wait_for(struct session *s, short events)
{
	bool shows = s->ask->each;

	for (;;) {
		double passed = now() - s->start, until = s->ticks + 1;
		/* Whether a pipe is read any more is always told. */
		struct pollfd p[] = {{.fd = s->fd, .events = events},
				     {.fd = shows ? s->ask->stop : -1, .events = POLLIN},
				     {.fd = shows ? s->ask->reader : -1}};
		int n;

		if (passed >= s->ask->timeout_seconds)
			return CLIENT_LATE;
		if (passed >= until) {
			s->ticks = (unsigned)passed;
			if (s->ask->tick)
				s->ask->tick(s->ask->ctx, s->ticks);
			until = s->ticks + 1;
		}
		if (until > s->ask->timeout_seconds)
			until = s->ask->timeout_seconds;
		n = poll(p, ARRAY_SIZE(p), (int)((until - passed) * 1000) + 1);
		if (n > 0)
			return p[1].revents || p[2].revents ? CLIENT_STOPPED : 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int open_session(struct session *s, int *ret_reason)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t len = strlen(s->ask->socket);

	*ret_reason = ENAMETOOLONG;
	if (len >= sizeof(sa.sun_path))
		return CLIENT_NO_DAEMON;
	memcpy(sa.sun_path, s->ask->socket, len);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return -errno;
	while (connect(s->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int r = errno;

		if (r == EINTR)
			continue;
		if (r == EACCES || r == EPERM)
			return CLIENT_DENIED;
		if (r != EAGAIN) {
			*ret_reason = r;
			return CLIENT_NO_DAEMON;
		}
		/* Its queue is full; poll(2) does not tell when it has room. */
		if (now() - s->start >= s->ask->timeout_seconds)
			return CLIENT_LATE;
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	}
	return 0;
}

static int send_all(struct session *s, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(s->fd, data, len, MSG_NOSIGNAL);
		int r;

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		/* It may have said why before it closed. */
		if (errno == EPIPE || errno == ECONNRESET)
			return 0;
		if (errno != EAGAIN)
			return -errno;
		r = wait_for(s, POLLOUT);
		if (r)
			return r;
	}
	return 0;
}

/* What was shown is all that there is for now. Return: 0 or CLIENT_STOPPED. */
static int settle(struct session *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLIN};

	if (!s->unsettled || poll(&p, 1, 0) > 0)
		return 0;
	s->unsettled = false;
	return s->ask->settled && !s->ask->settled(s->ask->ctx) ? CLIENT_STOPPED : 0;
}

static int receive_message(struct session *s, struct varlink_wire *wire, const char **ret_message,
			   size_t *ret_len)
{
	while (varlink_wire_next(wire, ret_message, ret_len)) {
		size_t size;
		char *space;
		ssize_t n;
		int r = settle(s);

		if (!r)
			r = wait_for(s, POLLIN);
		if (r)
			return r;
		r = varlink_wire_space(wire, &space, &size);
		if (r < 0)
			return r == -EMSGSIZE ? CLIENT_GARBAGE : r;
		n = recv(s->fd, space, size, 0);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return CLIENT_LOST;
		varlink_wire_filled(wire, (size_t)n);
	}
	return 0;
}

/* Add a reply to those before it: lists grow, every other parameter is the last one's. */
static int join(json_t *all, json_t *parameters)
{
	const char *key;
	json_t *value;

	json_object_foreach(parameters, key, value) {
		json_t *before = json_object_get(all, key);
		bool lists = json_is_array(before) && json_is_array(value);

		if (lists ? json_array_extend(before, value) : json_object_set(all, key, value))
			return -ENOMEM;
	}
	return 0;
}

/* Return: 0, CLIENT_MORE where others follow, CLIENT_ERROR, CLIENT_STOPPED, CLIENT_GARBAGE or -ENOMEM. */
static int read_answer(struct session *s, struct client_answer *answer, const char *message,
		       size_t len)
{
	bool more = s->ask->more, shows = s->ask->each;
	json_auto_t *root = NULL;
	json_t *parameters, *error, *continues;

	if (!varlink_nesting_ok(message, len))
		return CLIENT_GARBAGE;
	root = json_loadb(message, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(root))
		return CLIENT_GARBAGE;
	error = json_object_get(root, "error");
	parameters = json_object_get(root, "parameters");
	continues = json_object_get(root, "continues");
	if ((error && !json_is_string(error)) || (parameters && !json_is_object(parameters)) ||
	    (continues && !json_is_boolean(continues)) ||
	    (json_is_true(continues) && (error || !more)))
		return CLIENT_GARBAGE;
	if (shows && !error) {
		if (!s->ask->each(s->ask->ctx, parameters))
			return CLIENT_STOPPED;
		s->unsettled = true;
	} else if (!answer->parameters || error) {
		json_decref(answer->parameters);
		answer->parameters = parameters ? json_incref(parameters) : json_object();
		if (!answer->parameters)
			return -ENOMEM;
	} else if (join(answer->parameters, parameters) < 0) {
		return -ENOMEM;
	}
	if (!error)
		return json_is_true(continues) ? CLIENT_MORE : 0;
	answer->error = strdup(json_string_value(error));
	return answer->error ? CLIENT_ERROR : -ENOMEM;
}

static int receive_answer(struct session *s, struct client_answer *answer)
{
	_cleanup_(varlink_wire_deinit) struct varlink_wire wire = {0};
	const char *message;
	size_t len;

	for (size_t total = 0; total <= ANSWER_MAX; total += s->ask->each ? 0 : len) {
		int r = receive_message(s, &wire, &message, &len);

		if (!r)
			r = read_answer(s, answer, message, len);
		if (r != CLIENT_MORE)
			return r;
	}
	return CLIENT_GARBAGE;
}

/**
 * client_call() - call a method and wait for its reply
 * @ask:	what to call; its parameters are taken
 * @ret_answer:	what came, to be freed with client_answer_deinit() whatever is returned
 *
 * Return: 0, an enum client_outcome, or a negative errno.
 */
int client_call(const struct client_ask *ask, struct client_answer *ret_answer)
{
	json_auto_t *parameters = ask->parameters ? ask->parameters : json_object(), *call = NULL;
	struct session s = {.ask = ask, .fd = -1, .start = now()};
	_cleanup_free_ char *text = NULL;
	int r;

	*ret_answer = (struct client_answer){0};
	call = json_pack("{s:s, s:O}", "method", ask->method, "parameters", parameters);
	if (call && ask->more)
		json_object_set_new(call, "more", json_true());
	text = call ? json_dumps(call, JSON_COMPACT) : NULL;
	if (!text)
		return -ENOMEM;
	r = open_session(&s, &ret_answer->reason);
	if (!r)
		r = send_all(&s, text, strlen(text) + 1);
	if (!r)
		r = receive_answer(&s, ret_answer);
	fd_close(s.fd);
	return r;
}

/**
 * client_answer_deinit() - free an answer
 * @answer:	the answer; empty afterwards
 */
void client_answer_deinit(struct client_answer *answer)
{
	free(answer->error);
	json_decref(answer->parameters);
	*answer = (struct client_answer){0};
}
