/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client of the control socket: connect, one call, one reply; or, with `more`, several replies,
 * whose lists are put together as if they had come in one, or which are shown one by one as they come.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* How a call ended, beside 0: the method's reply. */
enum client_outcome {
	CLIENT_ERROR = 1, /* the method's error */
	CLIENT_NO_DAEMON, /* nothing to connect to */
	CLIENT_DENIED,	  /* the socket may not be opened */
	CLIENT_LATE,	  /* no reply in time */
	CLIENT_LOST,	  /* the connection ended before the reply */
	CLIENT_GARBAGE,	  /* what came is no reply */
	CLIENT_STOPPED,	  /* by the caller, who had @each */
};

struct client_ask {
	const char *socket;
	const char *method;
	json_t *parameters;			   /* an object or NULL; taken */
	bool more;				   /* it may answer in several replies */
	double timeout_seconds;			   /* for all of it; INFINITY: none */
	void (*tick)(void *ctx, unsigned seconds); /* once a second while waiting; may be NULL */
	/*
	 * With each(), replies are not put together: each() gets every reply as it comes. settled(),
	 * which may be NULL, is called when no more are there for now. The call ends as
	 * CLIENT_STOPPED when one of the two says false, when @stop is readable, or when nobody
	 * reads @reader any more.
	 */
	bool (*each)(void *ctx, const json_t *parameters);
	bool (*settled)(void *ctx);
	int stop, reader;
	void *ctx;
};

struct client_answer {
	char *error;	    /* CLIENT_ERROR: its whole name */
	json_t *parameters; /* 0 and CLIENT_ERROR: an object */
	int reason;	    /* CLIENT_NO_DAEMON: errno */
};

int client_call(const struct client_ask *ask, struct client_answer *ret_answer);
void client_answer_deinit(struct client_answer *answer);
