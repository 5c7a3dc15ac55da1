/* SPDX-License-Identifier: BSD-2-Clause */
/* A way to QEMU's guest agent; see guest_channel.h. Source: QEMU Guest Agent Protocol Reference. */
#include "qemu_agent/guest_channel.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/fd.h"
#include "base/log.h"

#define LINE_MAX_BYTES (1024 * 1024)
#define SYNC_MS	       10000
#define SYNC_MARK      '\xff' /* guest-sync-delimited: what stands before its answer */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int no_answer(struct guest_channel *c, int r)
{
	if (r == -ETIMEDOUT)
		return guest_agent_fail(&c->agent, r, "no answer in time");
	c->ended = r == -EPIPE;
	return guest_agent_fail(&c->agent, r, "%s",
				c->ended ? "the way to it has ended" : errno_text(r));
}

/* Wait until the socket can be read or written. Return: 0, or -ETIMEDOUT. */
static int wait_for(const struct guest_channel *c, short events, uint64_t due_ms)
{
	struct pollfd p = {.fd = c->fd, .events = events};
	uint64_t now = now_ms();
	int r = poll(&p, 1, now < due_ms ? (int)(due_ms - now) : 0);

	return r > 0 ? 0 : r < 0 && errno != EINTR ? -errno : now < due_ms ? 0 : -ETIMEDOUT;
}

static int send_all(struct guest_channel *c, const char *data, size_t len, uint64_t due_ms)
{
	while (len) {
		ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r = 0;

		if (n > 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			r = wait_for(c, POLLOUT, due_ms);
		} else if (errno != EINTR) {
			r = errno == ECONNRESET ? -EPIPE : -errno;
		}
		if (r < 0)
			return no_answer(c, r);
	}
	return 0;
}

/* What has come so far is one part longer. */
static int read_more(struct guest_channel *c, uint64_t due_ms)
{
	ssize_t n;

	if (c->size - c->len < 2) {
		size_t size = c->size ? c->size * 2 : 4096;
		char *buf = size <= LINE_MAX_BYTES ? realloc(c->buf, size) : NULL;

		if (!buf)
			return guest_agent_fail(&c->agent, -EPROTO,
						"the guest's agent answers too much");
		c->buf = buf;
		c->size = size;
	}
	n = recv(c->fd, c->buf + c->len, c->size - c->len - 1, MSG_DONTWAIT);
	if (n > 0) {
		c->len += (size_t)n;
		return 0;
	}
	if (n == 0 || errno == ECONNRESET)
		return no_answer(c, -EPIPE);
	if (errno == EAGAIN || errno == EINTR) {
		int r = wait_for(c, POLLIN, due_ms);

		return r < 0 ? no_answer(c, r) : 0;
	}
	return no_answer(c, -errno);
}

/* The next line, without its newline; to be freed. */
static int read_line(struct guest_channel *c, uint64_t due_ms, char **ret_line)
{
	size_t seen = 0;
	char *end;
	int r;

	while (!(end = c->len > seen ? memchr(c->buf + seen, '\n', c->len - seen) : NULL)) {
		seen = c->len;
		r = read_more(c, due_ms);
		if (r < 0)
			return r;
	}
	*ret_line = strndup(c->buf, (size_t)(end - c->buf));
	c->len -= (size_t)(end + 1 - c->buf);
	memmove(c->buf, end + 1, c->len);
	return *ret_line ? 0 : guest_agent_fail(&c->agent, -ENOMEM, "no memory");
}

/* The agent's own words for what went wrong. Return: 0 where nothing did. */
static int error_of(struct guest_agent *agent, const char *answer)
{
	_cleanup_json_ json_t *json = json_loads(answer, 0, NULL);
	const json_t *error = json_object_get(json, "error");
	const char *text = json_string_value(json_object_get(error, "desc"));

	if (!error)
		return 0;
	/* Its protocol has no number for it. */
	return guest_agent_fail(
		agent,
		text && strstr(text, "Failed to execute child process") ? -ENOENT : -EREMOTEIO,
		"%.200s", text ? text : "the guest's agent answers nonsense");
}

static int command(struct guest_agent *agent, const char *text, char **ret_answer)
{
	struct guest_channel *c = container_of(agent, struct guest_channel, agent);
	uint64_t due_ms = now_ms() + GUEST_CHANNEL_MS;
	_cleanup_free_ char *answer = NULL;
	int r = send_all(c, text, strlen(text), due_ms);

	if (r == 0)
		r = send_all(c, "\n", 1, due_ms);
	if (r == 0)
		r = read_line(c, due_ms, &answer);
	if (r == 0)
		r = error_of(agent, answer);
	if (r == 0)
		*ret_answer = take_ptr(answer);
	return r;
}

static void pause_ms(struct guest_agent *agent, unsigned ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	nanosleep(&ts, NULL);
}

/**
 * guest_channel_init() - begin on a socket whose other end passes lines on
 * @channel:	to fill in
 * @fd:		the socket; taken
 */
void guest_channel_init(struct guest_channel *channel, int fd)
{
	*channel =
		(struct guest_channel){.agent = {.command = command, .pause = pause_ms}, .fd = fd};
}

/*
 * Whoever was connected before may have left half a command and an answer: the mark ends the first,
 * and the agent puts it before our answer.
 */
static int synchronise(struct guest_channel *c)
{
	uint64_t due_ms = now_ms() + SYNC_MS;
	unsigned id = (unsigned)now_ms() & 0x7fffffff;
	char text[96];
	int n = snprintf(text, sizeof(text),
			 "%c{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%u}}\n",
			 SYNC_MARK, id);
	int r = send_all(c, text, (size_t)n, due_ms);

	while (r == 0) {
		_cleanup_free_ char *line = NULL;
		_cleanup_json_ json_t *json = NULL;
		const char *mark;

		r = read_line(c, due_ms, &line);
		mark = r == 0 ? strrchr(line, SYNC_MARK) : NULL;
		json = mark ? json_loads(mark + 1, 0, NULL) : NULL;
		if (json_integer_value(json_object_get(json, "return")) == (json_int_t)id)
			return 0;
	}
	return r;
}

/**
 * guest_channel_connect() - connect to the agent itself
 * @channel:	to fill in; to be deinitialised whatever is returned
 * @path:	the socket of QEMU's character device
 *
 * Return: 0, or a negative errno and @channel->agent.error says why; -ETIMEDOUT: nobody answers.
 */
int guest_channel_connect(struct guest_channel *channel, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int r;

	guest_channel_init(channel, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (strlen(path) >= sizeof(address.sun_path))
		return guest_agent_fail(&channel->agent, -ENAMETOOLONG,
					"a socket's path has at most %zu bytes",
					sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	if (channel->fd < 0 ||
	    connect(channel->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return guest_agent_fail(&channel->agent, -errno, "%s",
					errno == EAGAIN ? "another program is connected there"
							: errno_text(errno));
	r = synchronise(channel);
	if (r == -ETIMEDOUT)
		return guest_agent_fail(
			&channel->agent, r,
			"no answer: no agent runs in the guest, or another program is connected there");
	return r;
}

void guest_channel_deinit(struct guest_channel *channel)
{
	channel->fd = fd_close(channel->fd);
	free(take_ptr(channel->buf));
}
