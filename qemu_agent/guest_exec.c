/* SPDX-License-Identifier: BSD-2-Clause */
/* guest-exec and guest-exec-status; see guest_exec.h. Source: QEMU Guest Agent Protocol Reference.
 */
#include "qemu_agent/guest_exec.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "qemu_agent/base64.h"

#define LOOK_FIRST_MS 50
#define LOOK_LAST_MS  400

/* What a program has written; a NUL becomes a space, what is too much is left out. */
static void decode(const json_t *data, char buf[GUEST_EXEC_OUTPUT_MAX + 1])
{
	const char *text = json_string_value(data);
	size_t n = text ? base64_decode(text, buf, GUEST_EXEC_OUTPUT_MAX) : 0;

	buf[n] = '\0';
	for (char *p = buf; (p = memchr(p, '\0', (size_t)(buf + n - p))); p++)
		*p = ' ';
}

static int begin(struct guest_agent *agent, const char *const *argv, json_int_t *ret_pid)
{
	_cleanup_json_ json_t *args = json_array(), *answer = NULL;
	json_t *pid;
	int r;

	for (unsigned i = 1; argv[i]; i++)
		json_array_append_new(args, json_string(argv[i]));
	r = guest_agent_ask(agent,
			    json_pack("{s:s, s:{s:s, s:O, s:b}}", "execute", "guest-exec",
				      "arguments", "path", argv[0], "arg", args, "capture-output",
				      1),
			    JSON_OBJECT, &answer);
	if (r < 0)
		return r;
	pid = json_object_get(answer, "pid");
	if (!json_is_integer(pid))
		return guest_agent_fail(agent, -EPROTO, "the guest's agent answers nonsense");
	*ret_pid = json_integer_value(pid);
	return 0;
}

/**
 * guest_exec() - run a program in a guest, and wait for its end
 * @agent:	the way to the guest's agent
 * @argv:	the program, found in the agent's PATH, and its words; NULL after the last. No shell
 *		sees them
 * @timeout_ms:	how long it may take
 * @ret:	how it ended, with the beginning of what it wrote
 *
 * Return: 0 where it has ended, however; -ETIMEDOUT where it has not (it goes on); else a negative
 * errno. @agent->error says why not.
 */
int guest_exec(struct guest_agent *agent, const char *const *argv, unsigned timeout_ms,
	       struct guest_exec *ret)
{
	unsigned waited = 0, next = LOOK_FIRST_MS;
	json_int_t pid = 0;
	int r = begin(agent, argv, &pid);

	while (r == 0) {
		_cleanup_json_ json_t *answer = NULL;
		const json_t *status;

		r = guest_agent_ask(agent,
				    json_pack("{s:s, s:{s:I}}", "execute", "guest-exec-status",
					      "arguments", "pid", pid),
				    JSON_OBJECT, &answer);
		if (r < 0)
			return r;
		if (json_is_true(json_object_get(answer, "exited"))) {
			status = json_object_get(answer, "exitcode");
			ret->status =
				json_is_integer(status) ? (int)json_integer_value(status) : -1;
			decode(json_object_get(answer, "out-data"), ret->out);
			decode(json_object_get(answer, "err-data"), ret->err);
			return 0;
		}
		if (waited >= timeout_ms)
			return guest_agent_fail(agent, -ETIMEDOUT,
						"%s in the guest has not ended in %u s", argv[0],
						timeout_ms / 1000);
		agent->pause(agent, next);
		waited += next;
		next = min_t(unsigned, next * 2, LOOK_LAST_MS);
	}
	return r;
}

/**
 * guest_exec_last_line() - the last line that says something
 * @text:	a program's output; what is blank at its end is cut off
 *
 * Return: the line, within @text; empty where nothing says anything.
 */
const char *guest_exec_last_line(char *text)
{
	size_t len = strlen(text);
	char *start;

	while (len && strchr(" \n\r\t", text[len - 1]))
		text[--len] = '\0';
	start = strrchr(text, '\n');
	return start ? start + 1 : text;
}
