/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control's end of the line to the starter; see starter.h. It looks like broker.c's, on the same
 * helper_line.h: two types, so that no request goes to the wrong process.
 */
#include "daemon/broker/starter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "daemon/broker/starter_line.h"

struct starter {
	struct helper_line line;
};

static void starter_answered(struct helper_request *line, int r, int *fds, const char *text)
{
	struct starter_request *req = container_of(line, struct starter_request, line);

	req->done(req, r, fds[0], fds[1], text);
}

/**
 * starter_new() - make control's end of the line
 * @ret_starter:	the end
 * @loop:		the control thread's loop
 * @line:		of starter_start(); owned from here on where this succeeds
 * @lost:		called with @ctx once the starter has died: no VM can get a process any more
 *
 * Return: 0 or a negative errno.
 */
int starter_new(struct starter **ret_starter, struct loop *loop, int line, void (*lost)(void *ctx),
		void *ctx)
{
	struct starter *starter = calloc(1, sizeof(*starter));
	int r;

	if (!starter)
		return -ENOMEM;
	r = helper_line_init(&starter->line, loop, line, lost, ctx);
	if (r < 0) {
		free(starter);
		return r;
	}
	*ret_starter = starter;
	return 0;
}

/**
 * starter_free() - close the line; the starter ends
 * @starter:	the end, or NULL; requests under way are forgotten
 *
 * Return: NULL.
 */
struct starter *starter_free(struct starter *starter)
{
	if (!starter)
		return NULL;
	helper_line_deinit(&starter->line);
	free(starter);
	return NULL;
}

/**
 * starter_run() - ask for a VM's process
 * @starter:	the line
 * @req:	embedded in the asker; starter_forget() before it is freed
 * @name:	the VM's
 * @done:	called with the answer
 *
 * Return: 0, or a negative errno and @done is not called.
 */
int starter_run(struct starter *starter, struct starter_request *req, const char *name,
		starter_done done)
{
	struct starter_ask ask = {.id = helper_line_number(&starter->line), .kind = STARTER_RUN};

	snprintf(ask.name, sizeof(ask.name), "%s", name);
	req->done = done;
	req->line.answered = starter_answered;
	return helper_line_ask(&starter->line, &req->line, &ask, sizeof(ask));
}

/**
 * starter_forget() - let go of a request whose object is about to be freed
 * @req:	answered, under way, or never sent (zeroed)
 */
void starter_forget(struct starter_request *req)
{
	helper_request_forget(&req->line);
}

/**
 * starter_kill() - have a VM's process killed
 * @starter:	the line
 * @name:	the VM's, for the log
 * @process:	its pidfd, which stays the caller's, and tells when it has ended
 *
 * Return: 0, or a negative errno: it was not asked.
 */
int starter_kill(struct starter *starter, const char *name, int process)
{
	struct starter_ask ask = {.kind = STARTER_KILL};

	snprintf(ask.name, sizeof(ask.name), "%s", name);
	return fd_send(starter->line.fd, &ask, sizeof(ask), &process, 1);
}
