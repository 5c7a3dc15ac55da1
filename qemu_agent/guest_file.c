/* SPDX-License-Identifier: BSD-2-Clause */
/* A file in a guest; see guest_file.h. Source: QEMU Guest Agent Protocol Reference. */
#include "qemu_agent/guest_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "qemu_agent/base64.h"

static int nonsense(struct guest_agent *agent)
{
	return guest_agent_fail(agent, -EPROTO, "the guest's agent answers nonsense");
}

static int file_open(struct guest_agent *agent, const char *path, const char *mode,
		     json_int_t *ret_handle)
{
	_cleanup_json_ json_t *answer = NULL;
	int r = guest_agent_ask(agent,
				json_pack("{s:s, s:{s:s, s:s}}", "execute", "guest-file-open",
					  "arguments", "path", path, "mode", mode),
				JSON_INTEGER, &answer);

	if (r == 0)
		*ret_handle = json_integer_value(answer);
	return r;
}

/* Closed also after a failure, whose text stays: the agent keeps what is open for ever. */
static int file_close(struct guest_agent *agent, json_int_t handle, int r)
{
	_cleanup_json_ json_t *answer = NULL;
	char error[sizeof(agent->error)];
	int closed;

	memcpy(error, agent->error, sizeof(error));
	closed = guest_agent_ask(agent,
				 json_pack("{s:s, s:{s:I}}", "execute", "guest-file-close",
					   "arguments", "handle", handle),
				 JSON_OBJECT, &answer);
	if (r < 0)
		memcpy(agent->error, error, sizeof(error));
	return r < 0 ? r : closed;
}

/* Return: how many bytes it took, 1 to @len; or a negative errno. */
static int write_some(struct guest_agent *agent, json_int_t handle, const void *data, size_t len)
{
	_cleanup_free_ char *text = malloc(BASE64_LEN(len) + 1);
	_cleanup_json_ json_t *answer = NULL;
	const json_t *count;
	int r;

	if (!text)
		return guest_agent_fail(agent, -ENOMEM, "no memory");
	base64_encode(data, len, text);
	r = guest_agent_ask(agent,
			    json_pack("{s:s, s:{s:I, s:s}}", "execute", "guest-file-write",
				      "arguments", "handle", handle, "buf-b64", text),
			    JSON_OBJECT, &answer);
	if (r < 0)
		return r;
	count = json_object_get(answer, "count");
	if (!json_is_integer(count) || json_integer_value(count) < 1 ||
	    json_integer_value(count) > (json_int_t)len)
		return nonsense(agent);
	return (int)json_integer_value(count);
}

/**
 * guest_file_write() - write a file
 * @agent:	the way to the guest's agent
 * @path:	the file; what was in it is gone
 * @data:	its bytes
 * @len:	how many
 * @tell:	called after each part
 * @ctx:	for @tell
 *
 * Return: 0, or a negative errno and @agent->error says why.
 */
int guest_file_write(struct guest_agent *agent, const char *path, const void *data, size_t len,
		     guest_file_tell *tell, void *ctx)
{
	const uint8_t *p = data;
	json_int_t handle = 0;
	size_t done = 0;
	int r = file_open(agent, path, "w", &handle);

	if (r < 0)
		return r;
	while (r >= 0 && done < len) {
		r = write_some(agent, handle, p + done,
			       min_t(size_t, len - done, GUEST_FILE_CHUNK));
		if (r > 0)
			done += (size_t)r;
		if (tell)
			tell(ctx, done, len);
	}
	return file_close(agent, handle, min_t(int, r, 0));
}

/* Return: how many bytes were read, 0 at the file's end; or a negative errno. */
static int read_some(struct guest_agent *agent, json_int_t handle, void *data, size_t size)
{
	_cleanup_json_ json_t *answer = NULL;
	const char *text;
	int r = guest_agent_ask(agent,
				json_pack("{s:s, s:{s:I, s:i}}", "execute", "guest-file-read",
					  "arguments", "handle", handle, "count", (int)size),
				JSON_OBJECT, &answer);

	if (r < 0)
		return r;
	text = json_string_value(json_object_get(answer, "buf-b64"));
	return text ? (int)base64_decode(text, data, size) : nonsense(agent);
}

/**
 * guest_file_compare() - read a file, and see whether it is what it should be
 * @agent:	the way to the guest's agent
 * @path:	the file
 * @data:	what should be in it
 * @len:	how many bytes
 *
 * Return: 0 where it is; GUEST_FILE_DIFFERS; or a negative errno and @agent->error says why.
 */
int guest_file_compare(struct guest_agent *agent, const char *path, const void *data, size_t len)
{
	_cleanup_free_ uint8_t *have = malloc(GUEST_FILE_CHUNK);
	const uint8_t *p = data;
	json_int_t handle = 0;
	bool same = true;
	size_t done = 0;
	int r;

	if (!have)
		return guest_agent_fail(agent, -ENOMEM, "no memory");
	r = file_open(agent, path, "r", &handle);
	if (r < 0)
		return r;
	/* One that is longer ends it, too: nothing here goes on for as long as a guest likes. */
	while (same && (r = read_some(agent, handle, have, GUEST_FILE_CHUNK)) > 0) {
		same = (size_t)r <= len - done && !memcmp(p + done, have, (size_t)r);
		done += (size_t)r;
	}
	r = file_close(agent, handle, min_t(int, r, 0));
	return r < 0 ? r : same && done == len ? 0 : GUEST_FILE_DIFFERS;
}
