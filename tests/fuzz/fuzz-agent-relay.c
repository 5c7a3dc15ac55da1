/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The relay of agents' connections (dataplane/agent_relay.c): a guest that connects, says, hears and
 * leaves as it likes, and one control after the other, which gives sockets, writes, ends connections
 * and dies. TCP and the loop are the target's own.
 *
 * What either side says is made up here, so that what comes out at the other can be held against it:
 * a control hears all that the guest has said, each later one first the line that the guest began with
 * and then whole lines; the guest gets whole lines, in order, and none of a control that it has been
 * told the end of is missing.
 *
 * Input: steps, each a byte of which connection and what, and a byte of how much.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/fd.h"
#include "base/mem.h"
#include "dataplane/guest_private.h"
#include "tests/fuzz/clock-loop.h"
#include "tests/fuzz/promise.h"
#include "vhost_user_net/tcp.h"

#define CONNECTIONS 10 /* two more than there are places */
#define STEPS	    400
#define SAID_MAX    16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A connection of the guest's, and control's end of it. */
struct connection {
	struct stream *stream; /* NULL: there is none */
	bool refused, shut, ended;
	struct stream_buffer *queue[AGENT_RELAY_PIECES];
	unsigned n_queue;

	/* From the guest: what it will have said, and how much of it was taken. */
	char said[SAID_MAX];
	size_t n_said, n_taken;
	unsigned n_lines;

	/* Control's. */
	int sock;
	uint32_t number;
	bool is_first; /* socket of this connection */
	char heard[SAID_MAX];
	size_t n_heard;
	unsigned last_written, last_got; /* lines, as they count for all of them */
	size_t half;			 /* bytes of the next line that were written */
};

static struct connection connections[CONNECTIONS];
static struct guest guest;
static bool is_asked, control_there;
static uint32_t n_sockets;
static unsigned n_lines;

/* ------------------------------------------------------------- TCP */

static void release_first(struct connection *c)
{
	struct stream_buffer *first = c->queue[0];

	c->n_queue--;
	memmove(c->queue, c->queue + 1, c->n_queue * sizeof(c->queue[0]));
	c->stream->ops->released(c->stream, first);
}

static void forget(struct connection *c)
{
	c->stream = NULL;
	c->sock = fd_close(c->sock);
}

/* Line number @k of control's, as long as its number says. */
static size_t control_line_text(unsigned k, char *text, size_t size)
{
	size_t len = (size_t)snprintf(text, size, "c%u:", k), more = k * 37 % 450;

	memset(text + len, 'x', more);
	text[len + more] = '\n';
	return len + more + 1;
}

static void guest_gets(struct connection *c, const char *bytes, size_t len)
{
	char line[600];

	while (len) {
		unsigned k = 0;
		size_t n;

		promise(sscanf(bytes, "c%u:", &k) == 1 && k > c->last_got && k <= n_lines);
		n = control_line_text(k, line, sizeof(line));
		promise(n <= len && !memcmp(bytes, line, n));
		c->last_got = k;
		bytes += n;
		len -= n;
	}
}

static int way_send(void *connection, struct stream_buffer *buffer)
{
	struct connection *c = connection;

	promise(!c->shut && c->n_queue < AGENT_RELAY_PIECES && buffer->len);
	c->queue[c->n_queue++] = buffer;
	guest_gets(c, buffer->data, buffer->len);
	return 0;
}

static void way_resume(void *connection)
{
	((struct connection *)connection)->refused = false;
}

static void way_shutdown(void *connection)
{
	struct connection *c = connection;

	c->shut = true;
	promise(!c->last_written || c->half || c->last_got == c->last_written);
}

/* In order, or by a reset: nobody hears more of it. */
static void way_end(void *connection)
{
	struct connection *c = connection;

	while (c->n_queue)
		release_first(c);
	forget(c);
}

static void way_moved(void *connection, struct stream *stream)
{
	((struct connection *)connection)->stream = stream;
}

static const struct stream_way way = {
	.moved = way_moved,
	.send = way_send,
	.resume = way_resume,
	.shutdown = way_shutdown,
	.end = way_end,
	.drop = way_end,
};

void tcp_stream_begin(struct stream *stream, const struct stream_ops *ops,
		      struct tcp_connection *tcp)
{
	stream_begin(stream, ops, &way, tcp);
}

void tcp_abort(struct tcp_connection *tcp)
{
	promise(!((struct connection *)tcp)->stream);
}

/* The guest has gone, and its card is down: what was sent and not heard of is lost. */
void guest_net_cut(struct guest *of, struct stream *stream)
{
	struct connection *c = stream->connection;

	promise(of == &guest && c && c->stream == stream);
	stream_drop(stream);
}

/* ------------------------------------------------------------- the guest */

static void connects(struct connection *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CONNECTIONS; i++)
		n += connections[i].stream != NULL;
	memset(c, 0, sizeof(*c));
	c->sock = -1;
	c->is_first = true;
	agent_relay_accept(&guest, (struct tcp_connection *)c);
	promise((c->stream != NULL) == (n < AGENT_RELAYS));
}

/* It has another line to say, which may be longer than one may be. */
static void makes_line(struct connection *c, size_t len)
{
	if (sizeof(c->said) - c->n_said < len + 32)
		return;
	c->n_said += (size_t)sprintf(c->said + c->n_said, "g%u:", ++c->n_lines);
	memset(c->said + c->n_said, 'y', len);
	c->n_said += len;
	c->said[c->n_said++] = '\n';
}

static void says(struct connection *c, size_t n)
{
	uint8_t bytes[1024];
	struct iovec parts[2];
	size_t taken;

	if (c->n_said - c->n_taken < n)
		makes_line(c, n * 3);
	n = min_t(size_t, n * 4, c->n_said - c->n_taken);
	if (!n || c->refused || c->ended)
		return;
	memcpy(bytes, c->said + c->n_taken, n);
	parts[0] = (struct iovec){bytes, n / 3};
	parts[1] = (struct iovec){bytes + n / 3, n - n / 3};
	/* It may be woken from within. */
	c->refused = true;
	taken = c->stream->ops->receive(c->stream, parts, 2, n);
	promise(taken <= n);
	c->n_taken += taken;
	if (taken == n)
		c->refused = false;
}

static void is_reset(struct connection *c)
{
	struct stream *stream = c->stream;

	while (c->stream && c->n_queue)
		release_first(c);
	if (!c->stream)
		return;
	stream->connection = NULL;
	forget(c);
	stream->ops->closed(stream, -ECONNRESET);
}

static void guest_step(struct connection *c, unsigned what, size_t how)
{
	if (!c->stream) {
		connects(c);
		return;
	}
	switch (what) {
	case 0:
	case 1:
		says(c, how);
		break;
	case 2:
		for (how %= AGENT_RELAY_PIECES + 1; how && c->stream && c->n_queue; how--)
			release_first(c);
		break;
	default:
		if (how >= 0xf0) {
			agent_relays_cut(&guest);
			for (unsigned i = 0; i < CONNECTIONS; i++)
				promise(!connections[i].stream);
		} else if (how & 1) {
			is_reset(c);
		} else if (!c->ended) {
			c->ended = true;
			c->stream->ops->ended(c->stream);
		}
		break;
	}
}

/* ------------------------------------------------------------- control */

/* What a control has heard is the guest's, as this file's head says. */
static void hold_against(const struct connection *c)
{
	const char *newline = memchr(c->said, '\n', c->n_said), *rest = c->heard, *at = c->said;
	size_t hello = newline ? (size_t)(newline - c->said) + 1 : c->n_said, n = c->n_heard;

	if (c->is_first) {
		promise(n <= c->n_said && !memcmp(rest, c->said, n));
		return;
	}
	promise(!memcmp(rest, c->said, min_t(size_t, n, hello)));
	if (n <= hello)
		return;
	rest += hello;
	n -= hello;
	for (; at;
	     at = memchr(at, '\n', (size_t)(c->said + c->n_said - at)), at = at ? at + 1 : NULL)
		if ((size_t)(c->said + c->n_said - at) >= n && !memcmp(at, rest, n))
			return;
	promise_broken("a later control hears whole lines");
}

static void hears(struct connection *c)
{
	ssize_t n =
		recv(c->sock, c->heard + c->n_heard, sizeof(c->heard) - c->n_heard, MSG_DONTWAIT);

	if (n > 0)
		c->n_heard += (size_t)n;
	hold_against(c);
}

static const struct agent_relay *relay_of(const struct connection *c)
{
	return container_of(c->stream, struct agent_relay, stream);
}

static void gives(void)
{
	struct connection *of = NULL;
	int pair[2];

	if (!is_asked || !control_there)
		return;
	is_asked = false;
	promise(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	guest_agent(&guest, ++n_sockets, pair[1]);
	clock_turn();
	/* Whose it is, the relay says. */
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		struct connection *c = &connections[i];

		if (c->stream && relay_of(c)->number == n_sockets && relay_of(c)->sock >= 0)
			of = c;
	}
	if (!of) {
		close(pair[0]);
		return;
	}
	of->is_first = of->is_first && !of->number;
	fd_close(of->sock);
	of->sock = pair[0];
	of->number = n_sockets;
	of->n_heard = 0;
	of->last_written = 0;
	of->half = 0;
	hears(of);
}

/* Nothing where the relay does not read, or has gone. */
static void writes(struct connection *c, size_t how)
{
	unsigned k = c->half ? c->last_written : n_lines + 1;
	char line[600];
	size_t len = control_line_text(k, line, sizeof(line));

	len = min_t(size_t, len - c->half, how * 4 + 1);
	if (send(c->sock, line + c->half, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
		return;
	if (!c->half)
		c->last_written = ++n_lines;
	c->half += len;
	if (line[c->half - 1] == '\n')
		c->half = 0;
}

static void dies(void)
{
	control_there = false;
	for (unsigned i = 0; i < CONNECTIONS; i++)
		connections[i].sock = fd_close(connections[i].sock);
	guest_agents_left(&guest);
}

static void control_step(struct connection *c, unsigned what, uint8_t how)
{
	if (what == 3 && how >= 0xc0) {
		if (control_there)
			dies();
		else
			control_there = true;
		return;
	}
	if (what == 3) {
		gives();
		return;
	}
	if (c->sock < 0)
		return;
	if (what == 0)
		hears(c);
	else if (what == 1 && how < 0xf0)
		writes(c, how);
	else if (how & 1)
		guest_agent_end(&guest, c->number);
	else
		c->sock = fd_close(c->sock);
}

/* ------------------------------------------------------------- the whole */

static void on_agent_asked(void *ctx _unused_)
{
	promise(!is_asked);
	is_asked = true;
}

static const struct guest_events events = {.agent_asked = on_agent_asked};

static int lowest_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor in = cursor_of(data, size);
	int before = lowest_free();
	const uint8_t *p;

	clock_begin();
	memset(&guest, 0, sizeof(guest));
	memset(connections, 0, sizeof(connections));
	for (unsigned i = 0; i < CONNECTIONS; i++)
		connections[i].sock = -1;
	guest.events = &events;
	is_asked = false;
	control_there = true;
	n_sockets = n_lines = 0;
	agent_relays_init(&guest);
	for (unsigned n = 0; n < STEPS && (p = cursor_take(&in, 2)); n++) {
		struct connection *c = &connections[p[0] / 16 % CONNECTIONS];

		if (p[0] & 8)
			control_step(c, p[0] & 3, p[1]);
		else
			guest_step(c, p[0] & 3, p[1]);
		/* Some come in one turn. */
		if (!(p[0] & 4))
			clock_turn();
	}
	clock_turn();
	agent_relays_end(&guest);
	agent_relays_deinit(&guest);
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		promise(!connections[i].stream);
		fd_close(connections[i].sock);
	}
	promise(!clock_waits());
	promise(lowest_free() == before);
	return 0;
}
