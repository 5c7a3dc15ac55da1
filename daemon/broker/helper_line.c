/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests and answers over the line to the broker or the starter; see helper_line.h. */
#include "daemon/broker/helper_line.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

static void answered(struct helper_line *line, const struct helper_answer *answer, int *fds)
{
	list_for_each_safe(it, &line->waiting) {
		struct helper_request *req = list_entry(it, struct helper_request, link);

		if (req->id != answer->id)
			continue;
		list_remove(it);
		req->answered(req, answer->r, fds, answer->text);
		return;
	}
	/* Nobody waits for it any more: close what came with it. */
	for (unsigned i = 0; i < HELPER_FDS; i++)
		fd_close(fds[i]);
}

static void readable(void *ctx, int res _unused_)
{
	struct helper_line *line = ctx;

	for (;;) {
		struct helper_answer answer = {0};
		int fds[HELPER_FDS] = {-1, -1};
		unsigned n_fds;
		ssize_t n = fd_receive(line->fd, &answer, sizeof(answer), fds, HELPER_FDS, &n_fds,
				       MSG_DONTWAIT);

		if (n == -EAGAIN)
			return;
		if (n == -EMSGSIZE) {
			/* No descriptor was free for those that it brings. */
			answer.r = -EMFILE;
			snprintf(answer.text, sizeof(answer.text), "receiving what came with it");
		} else if (n != sizeof(answer)) {
			loop_cancel(line->loop, &line->watch);
			line->lost(line->ctx);
			return;
		}
		answer.text[sizeof(answer.text) - 1] = 0;
		answered(line, &answer, fds);
	}
}

/**
 * helper_line_init() - watch control's end of a line
 * @line:	the end
 * @loop:	the control thread's loop
 * @fd:		owned from here on where this succeeds
 * @lost:	called with @ctx once the process at the other end has died
 *
 * Return: 0 or a negative errno.
 */
int helper_line_init(struct helper_line *line, struct loop *loop, int fd, void (*lost)(void *ctx),
		     void *ctx)
{
	*line = (struct helper_line){.loop = loop, .fd = fd, .lost = lost, .ctx = ctx};
	list_init(&line->waiting);
	return loop_watch_fd(loop, &line->watch, fd, POLLIN, LOOP_KEEP, readable, line);
}

/**
 * helper_line_deinit() - close the line; the process at the other end ends
 * @line:	one that is watched; requests under way are forgotten
 */
void helper_line_deinit(struct helper_line *line)
{
	while (list_pop(&line->waiting))
		;
	loop_cancel(line->loop, &line->watch);
	fd_close(line->fd);
}

/**
 * helper_line_number() - the number of the next request, which begins with it
 * @line:	the line
 */
uint32_t helper_line_number(struct helper_line *line)
{
	return ++line->last_id;
}

/**
 * helper_line_ask() - send a request, and have its answer called back
 * @line:	the line
 * @req:	its "answered" is set; helper_request_forget() before it is freed
 * @ask:	a packet that begins with helper_line_number()
 * @len:	its bytes
 *
 * Return: 0, or a negative errno and nothing is called back.
 */
int helper_line_ask(struct helper_line *line, struct helper_request *req, const void *ask,
		    size_t len)
{
	int r = fd_send(line->fd, ask, len, NULL, 0);

	if (r < 0)
		return r;
	memcpy(&req->id, ask, sizeof(req->id));
	list_append(&line->waiting, &req->link);
	return 0;
}

/**
 * helper_request_forget() - let go of a request whose object is about to be freed
 * @req:	answered, under way, or never sent (zeroed)
 */
void helper_request_forget(struct helper_request *req)
{
	if (req->link.next)
		list_remove(&req->link);
}
