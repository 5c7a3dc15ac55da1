/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One end of the line between control and a VM's process; see vm_line.h.
 *
 * States: open, with or without kept messages; broken (a send found the other side gone, or too
 * much is kept: "lost" is told in a turn of its own, because a sender must not be re-entered); lost
 * (told). "lost" is told once.
 */
#include "protocol/vm_line.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/stranger.h"

/* What is read a turn. */
#define VM_LINE_BURST 64

struct vm_line {
	struct loop *loop;
	int sock;
	enum vm_wire_side side;
	const struct vm_line_ops *ops;
	void *ctx;
	struct loop_watch in_watch, out_watch, again;
	struct list kept; /* of struct kept */
	unsigned n_kept;
	uint32_t version;   /* that both sides speak; before they have agreed: any */
	const char *broken; /* why; NULL: it is not */
	bool *freed;	    /* of the call that is being made */
};

/* A message that waits for room in the socket. */
struct kept {
	struct list link;
	size_t len;
	unsigned n_fds;
	int fds[VM_WIRE_FDS];
	union vm_wire_message message;
};

static void kept_free(struct kept *k)
{
	for (unsigned i = 0; i < k->n_fds; i++)
		fd_close(k->fds[i]);
	free(k);
}

static void line_lose(struct vm_line *line, const char *why)
{
	loop_cancel(line->loop, &line->in_watch);
	loop_cancel(line->loop, &line->out_watch);
	loop_cancel(line->loop, &line->again);
	line->ops->lost(line->ctx, why);
}

static void line_tell_broken(void *ctx, int res _unused_)
{
	struct vm_line *line = ctx;

	line_lose(line, line->broken);
}

static void line_break(struct vm_line *line, const char *why)
{
	if (line->broken)
		return;
	line->broken = why;
	loop_cancel(line->loop, &line->in_watch);
	loop_cancel(line->loop, &line->out_watch);
	loop_cancel(line->loop, &line->again);
	loop_watch_time(line->loop, &line->again, 0, line_tell_broken, line);
}

/* ------------------------------------------------------------- in */

/* Room for a message, and to see that there is more of it than there should be. */
struct received {
	union vm_wire_message message;
	uint8_t more;
};

/* Return: bytes, 0 at the end, or a negative errno. */
static ssize_t line_receive(struct vm_line *line, struct received *m, int *fds, unsigned *ret_n)
{
	*ret_n = 0;
	if (line->side == VM_WIRE_CONTROL)
		return stranger_receive(line->sock, m, sizeof(*m));
	return fd_receive(line->sock, m, sizeof(*m), fds, VM_WIRE_FDS, ret_n, MSG_DONTWAIT);
}

static const char *line_take(struct vm_line *line, const union vm_wire_message *m, size_t len,
			     int *fds, unsigned n_fds)
{
	enum vm_wire_side from = line->side == VM_WIRE_CONTROL ? VM_WIRE_VM : VM_WIRE_CONTROL;
	const char *fault;
	int r = vm_wire_check(m, len, n_fds, from, &fault);

	/* It was agreed not to say it. */
	if (r == 0 && line->version && vm_wire_since(m->kind) > line->version)
		r = VM_WIRE_UNKNOWN;
	/* Without a version in common, nothing that a process says can be understood. */
	if (r != 0 && !line->version && line->side == VM_WIRE_CONTROL) {
		for (unsigned i = 0; i < n_fds; i++)
			fd_close(fds[i]);
		return NULL;
	}
	if (r == 0)
		return line->ops->message(line->ctx, m, fds);
	for (unsigned i = 0; i < n_fds; i++)
		fd_close(fds[i]);
	if (r < 0)
		return fault;
	if (line->side == VM_WIRE_CONTROL)
		return "it said what this version does not know";
	/* A newer control: it is told, and goes on without. */
	vm_line_send(line, &(struct vm_wire_refused){.kind = VM_SAY_REFUSED, .refused = m->kind},
		     NULL, 0);
	return NULL;
}

static void line_readable(void *ctx, int res _unused_)
{
	struct vm_line *line = ctx;
	struct received m;
	bool freed = false;

	for (unsigned i = 0; i < VM_LINE_BURST; i++) {
		int fds[VM_WIRE_FDS] = {-1, -1, -1};
		const char *fault;
		unsigned n_fds;
		ssize_t n;

		/* A shorter message leaves the rest zero. */
		memset(&m, 0, sizeof(m));
		n = line_receive(line, &m, fds, &n_fds);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			line_lose(line, n == 0		? "it has ended"
					: n == -EBADMSG ? "it sent a descriptor"
							: errno_text((int)n));
			return;
		}
		line->freed = &freed;
		fault = line_take(line, &m.message, (size_t)n, fds, n_fds);
		if (freed)
			return;
		line->freed = NULL;
		if (fault) {
			line_lose(line, fault);
			return;
		}
		if (line->broken)
			return;
	}
	/* The others get their turn. An edge does not tell again of what is left. */
	loop_watch_time(line->loop, &line->again, 0, line_readable, line);
}

/* ------------------------------------------------------------- out */

static void line_keep(struct vm_line *line, const void *message, size_t len, const int *fds,
		      unsigned n_fds)
{
	struct kept *k;

	if (line->n_kept == VM_LINE_KEPT_MAX) {
		line_break(line, "it does not read what it is told");
		return;
	}
	k = calloc(1, sizeof(*k));
	if (!k) {
		line_break(line, "no memory for what it is told");
		return;
	}
	memcpy(&k->message, message, len);
	k->len = len;
	for (unsigned i = 0; i < n_fds; i++) {
		k->fds[i] = dup(fds[i]);
		k->n_fds++;
		if (k->fds[i] < 0) {
			kept_free(k);
			line_break(line, "no descriptors for what it is told");
			return;
		}
	}
	list_append(&line->kept, &k->link);
	line->n_kept++;
}

static void line_writable(void *ctx, int res _unused_)
{
	struct vm_line *line = ctx;

	while (!list_empty(&line->kept)) {
		struct kept *k = list_entry(list_first(&line->kept), struct kept, link);
		int r = fd_send(line->sock, &k->message, k->len, k->fds, k->n_fds);

		if (r == -EAGAIN) {
			if (!loop_watching(&line->out_watch) ||
			    loop_watch_again(line->loop, &line->out_watch) < 0)
				loop_watch_fd(line->loop, &line->out_watch, line->sock, POLLOUT, 0,
					      line_writable, line);
			return;
		}
		if (r < 0) {
			line_break(line, "it has ended");
			return;
		}
		list_remove(&k->link);
		line->n_kept--;
		kept_free(k);
	}
	loop_cancel(line->loop, &line->out_watch);
}

/**
 * vm_line_send() - send a message
 * @line:	the line; NULL: nobody hears it
 * @message:	one of vm_wire.h's structs, as long as its kind says
 * @fds:	its descriptors; stay the caller's
 * @n_fds:	how many
 *
 * Never waits and never fails: where the line breaks, "lost" follows in a turn of its own.
 */
void vm_line_send(struct vm_line *line, const void *message, const int *fds, unsigned n_fds)
{
	uint32_t kind;
	size_t len;
	int r = -EAGAIN;

	if (!line || line->broken)
		return;
	memcpy(&kind, message, sizeof(kind));
	/* The other side would not know it. */
	if (vm_wire_since(kind) > line->version)
		return;
	len = vm_wire_size(kind);
	assert(len > 0 && n_fds <= VM_WIRE_FDS);
	if (list_empty(&line->kept))
		r = fd_send(line->sock, message, len, fds, n_fds);
	if (r == -EAGAIN) {
		bool first = list_empty(&line->kept);

		line_keep(line, message, len, fds, n_fds);
		if (first && !line->broken)
			line_writable(line, 0);
	} else if (r < 0) {
		line_break(line, "it has ended");
	}
}

/* ------------------------------------------------------------- made and freed */

/**
 * vm_line_open() - make an end of a line
 * @ret_line:	the line
 * @loop:	its thread's
 * @sock:	connected; the line's where this succeeds
 * @side:	who this end is
 * @ops:	called with @ctx
 *
 * Return: 0 or a negative errno.
 */
int vm_line_open(struct vm_line **ret_line, struct loop *loop, int sock, enum vm_wire_side side,
		 const struct vm_line_ops *ops, void *ctx)
{
	struct vm_line *line = calloc(1, sizeof(*line));
	int flags, r;

	if (!line)
		return -ENOMEM;
	*line = (struct vm_line){.loop = loop, .sock = sock, .side = side, .ops = ops, .ctx = ctx};
	line->version = UINT32_MAX;
	list_init(&line->kept);
	flags = fcntl(sock, F_GETFL);
	if (flags < 0 || fcntl(sock, F_SETFL, flags | O_NONBLOCK) < 0)
		r = -errno;
	else
		r = loop_watch_fd(loop, &line->in_watch, sock, POLLIN, LOOP_KEEP, line_readable,
				  line);
	if (r < 0) {
		free(line);
		return r;
	}
	*ret_line = line;
	return 0;
}

/**
 * vm_line_agree() - the sides have agreed on a version
 * @line:	the line, which says and hears no newer kinds from here on
 * @version:	of vm_wire_agree(); 0: there is none in common
 */
void vm_line_agree(struct vm_line *line, uint32_t version)
{
	line->version = version;
}

/**
 * vm_line_socket() - the socket of a line
 * @line:	the line, whose socket it stays
 */
int vm_line_socket(const struct vm_line *line)
{
	return line->sock;
}

/**
 * vm_line_free() - close an end of a line
 * @line:	the line, or NULL; what is still kept is not sent
 *
 * Return: NULL.
 */
struct vm_line *vm_line_free(struct vm_line *line)
{
	struct list *l;

	if (!line)
		return NULL;
	if (line->freed)
		*line->freed = true;
	loop_cancel(line->loop, &line->in_watch);
	loop_cancel(line->loop, &line->out_watch);
	loop_cancel(line->loop, &line->again);
	while ((l = list_pop(&line->kept)))
		kept_free(list_entry(l, struct kept, link));
	if (line->side == VM_WIRE_CONTROL)
		stranger_close(line->sock);
	else
		fd_close(line->sock);
	free(line);
	return NULL;
}
