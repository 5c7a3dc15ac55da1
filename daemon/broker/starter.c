/* SPDX-License-Identifier: BSD-2-Clause */
/* Control's end of the line to the starter; see starter.h. */
#include "daemon/broker/starter.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "daemon/broker/starter_line.h"

struct starter {
	struct loop *loop;
	struct loop_watch watch;
	int line;
	uint32_t last_id;
	struct list waiting; /* of struct starter_request */
	void (*lost)(void *ctx);
	void *ctx;
};

static void starter_answered(struct starter *starter, const struct starter_answer *answer,
			     const int fds[2])
{
	list_for_each_safe(it, &starter->waiting) {
		struct starter_request *req = list_entry(it, struct starter_request, link);

		if (req->id != answer->id)
			continue;
		list_remove(it);
		req->done(req, answer->r, fds[0], fds[1], answer->text);
		return;
	}
	/* Its asker has gone, and the process ends with its line. */
	fd_close(fds[0]);
	fd_close(fds[1]);
}

static void starter_readable(void *ctx, int res _unused_)
{
	struct starter *starter = ctx;

	for (;;) {
		struct starter_answer answer = {0};
		int fds[2] = {-1, -1};
		unsigned n_fds;
		ssize_t n = fd_receive(starter->line, &answer, sizeof(answer), fds, 2, &n_fds,
				       MSG_DONTWAIT);

		if (n == -EAGAIN)
			return;
		if (n == -EMSGSIZE) {
			/* There was no descriptor for the line: the process ends with it. */
			answer.r = -EMFILE;
			snprintf(answer.text, sizeof(answer.text), "its line was not received");
		} else if (n != sizeof(answer)) {
			loop_cancel(starter->loop, &starter->watch);
			starter->lost(starter->ctx);
			return;
		}
		answer.text[sizeof(answer.text) - 1] = 0;
		starter_answered(starter, &answer, fds);
	}
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
	*starter = (struct starter){.loop = loop, .line = line, .lost = lost, .ctx = ctx};
	list_init(&starter->waiting);
	r = loop_watch_fd(loop, &starter->watch, line, POLLIN, LOOP_KEEP, starter_readable,
			  starter);
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
	while (list_pop(&starter->waiting))
		;
	loop_cancel(starter->loop, &starter->watch);
	fd_close(starter->line);
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
	struct starter_ask ask = {.id = ++starter->last_id, .kind = STARTER_RUN};
	int r;

	snprintf(ask.name, sizeof(ask.name), "%s", name);
	r = fd_send(starter->line, &ask, sizeof(ask), NULL, 0);
	if (r < 0)
		return r;
	req->id = ask.id;
	req->done = done;
	list_append(&starter->waiting, &req->link);
	return 0;
}

/**
 * starter_forget() - let go of a request whose object is about to be freed
 * @req:	answered, under way, or never sent (zeroed)
 */
void starter_forget(struct starter_request *req)
{
	if (req->link.next)
		list_remove(&req->link);
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
	return fd_send(starter->line, &ask, sizeof(ask), &process, 1);
}
