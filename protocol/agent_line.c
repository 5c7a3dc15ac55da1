/* SPDX-License-Identifier: BSD-2-Clause */
/* One end of the connection between daemon and agent; see agent_line.h. */
#include "protocol/agent_line.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

/**
 * agent_line_init() - begin
 * @line:	the end
 * @sock:	connected, non-blocking; owned from here on
 * @from_guest:	the peer is a guest
 */
void agent_line_init(struct agent_line *line, int sock, bool from_guest)
{
	line->sock = sock;
	line->from_guest = from_guest;
	line->over = false;
	line->in_start = line->in_len = 0;
	line->out_start = line->out_len = 0;
}

/**
 * agent_line_deinit() - close
 * @line:	the end
 */
void agent_line_deinit(struct agent_line *line)
{
	line->sock = fd_close(line->sock);
	line->over = true;
}

/* More bytes into the room behind what is there. */
static int line_fill(struct agent_line *line)
{
	ssize_t n;

	if (line->in_start) {
		memmove(line->in, line->in + line->in_start, line->in_len);
		line->in_start = 0;
	}
	if (line->in_len == sizeof(line->in))
		return -EPROTO; /* a line without end */
	do {
		n = recv(line->sock, line->in + line->in_len, sizeof(line->in) - line->in_len,
			 MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? AGENT_LINE_MORE : -errno;
	if (n == 0)
		return -EPIPE;
	line->in_len += (size_t)n;
	return 0;
}

/**
 * agent_line_next() - the next line that has come
 * @line:	the end
 * @ret:	what it says; AGENT_VERBS: a verb that is not known here, to be passed over
 *
 * Return: 0, AGENT_LINE_MORE where no whole line is there yet (wait for the socket), -EPIPE where
 * the peer has closed, -EPROTO where it does not keep to the protocol, or another negative errno.
 * After a negative one the connection is over.
 */
int agent_line_next(struct agent_line *line, struct agent_message *ret)
{
	int r = line->over ? -EPIPE : 0;

	while (r == 0) {
		const char *at = line->in + line->in_start;
		const char *end = memchr(at, '\n', line->in_len);
		size_t n;

		if (!end) {
			r = line_fill(line);
			continue;
		}
		n = (size_t)(end - at);
		line->in_start += n + 1;
		line->in_len -= n + 1;
		r = agent_wire_parse(at, n, line->from_guest, ret);
		if (r == AGENT_WIRE_UNKNOWN)
			ret->verb = AGENT_VERBS;
		if (r >= 0)
			return 0;
	}
	if (r < 0)
		line->over = true;
	return r;
}

/**
 * agent_line_say() - say something; it goes out as soon as the peer takes it
 * @line:	the end
 * @message:	what
 *
 * Return: 0 (agent_line_pending() tells whether to wait for room), or a negative errno and the
 * connection is over: -ENOBUFS where the peer has not read what it was told before.
 */
int agent_line_say(struct agent_line *line, const struct agent_message *message)
{
	char text[AGENT_LINE_MAX + 1];
	size_t n = agent_wire_format(text, sizeof(text), message);
	int r = 0;

	if (line->over)
		return -EPIPE;
	if (!n)
		return -EINVAL;
	if (line->out_start && sizeof(line->out) - line->out_start - line->out_len < n) {
		memmove(line->out, line->out + line->out_start, line->out_len);
		line->out_start = 0;
	}
	if (sizeof(line->out) - line->out_start - line->out_len < n)
		r = -ENOBUFS;
	if (r == 0) {
		memcpy(line->out + line->out_start + line->out_len, text, n);
		line->out_len += n;
		r = agent_line_flush(line);
	}
	if (r < 0)
		line->over = true;
	return r;
}

/**
 * agent_line_flush() - send what waits, as far as the peer takes it
 * @line:	the end
 *
 * Return: 0, or a negative errno and the connection is over.
 */
int agent_line_flush(struct agent_line *line)
{
	while (line->out_len) {
		ssize_t n = send(line->sock, line->out + line->out_start, line->out_len,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0) {
			line->over = true;
			return -errno;
		}
		line->out_start += (size_t)n;
		line->out_len -= (size_t)n;
	}
	line->out_start = 0;
	return 0;
}
