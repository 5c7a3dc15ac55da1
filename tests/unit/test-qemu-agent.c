/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files in a guest by QEMU's guest agent, against an agent that keeps one file in memory and may lie;
 * and the way to an agent, with a real socket whose other end is here.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "qemu_agent/base64.h"
#include "qemu_agent/guest_channel.h"
#include "qemu_agent/guest_file.h"

#define HANDLE 1000

/* A guest with one file. */
struct guest {
	struct guest_agent agent;
	char data[200000];
	size_t len, at;
	unsigned opened, closed, told;
	json_int_t most;       /* bytes that it takes at once */
	const char *answer_to; /* this command is answered by @answer */
	const char *answer;
};

static char *reply(json_t *value)
{
	_cleanup_json_ json_t *json = json_pack("{s:o}", "return", value);

	return json_dumps(json, JSON_COMPACT);
}

static char *take_write(struct guest *g, const char *text)
{
	json_int_t n = (json_int_t)base64_decode(text, g->data + g->at, sizeof(g->data) - g->at);

	n = min_t(json_int_t, n, g->most);
	g->at += (size_t)n;
	g->len = g->at;
	return reply(json_pack("{s:I, s:b}", "count", n, "eof", 0));
}

static char *give_read(struct guest *g, json_int_t count)
{
	size_t n = min_t(size_t, (size_t)count, g->len - g->at);
	_cleanup_free_ char *text = malloc(BASE64_LEN(n) + 1);

	base64_encode(g->data + g->at, n, text);
	g->at += n;
	return reply(json_pack("{s:i, s:s, s:b}", "count", (int)n, "buf-b64", text, "eof", !n));
}

static int command(struct guest_agent *agent, const char *text, char **ret_answer)
{
	struct guest *g = container_of(agent, struct guest, agent);
	_cleanup_json_ json_t *json = json_loads(text, 0, NULL);
	const json_t *arguments = json_object_get(json, "arguments");
	const char *name = json_string_value(json_object_get(json, "execute"));

	assert_non_null(name);
	if (g->answer_to && !strcmp(name, g->answer_to)) {
		if (!g->answer)
			return guest_agent_fail(agent, -EREMOTEIO, "scripted");
		*ret_answer = strdup(g->answer);
		return 0;
	}
	if (!strcmp(name, "guest-file-open")) {
		const char *mode = json_string_value(json_object_get(arguments, "mode"));

		assert_string_equal(json_string_value(json_object_get(arguments, "path")),
				    "/run/x/agent");
		g->opened++;
		g->at = 0;
		if (*mode == 'w')
			g->len = 0;
		*ret_answer = reply(json_integer(HANDLE));
		return 0;
	}
	assert_int_equal(json_integer_value(json_object_get(arguments, "handle")), HANDLE);
	if (!strcmp(name, "guest-file-close")) {
		g->closed++;
		*ret_answer = reply(json_object());
	} else if (!strcmp(name, "guest-file-write")) {
		*ret_answer =
			take_write(g, json_string_value(json_object_get(arguments, "buf-b64")));
	} else {
		assert_string_equal(name, "guest-file-read");
		*ret_answer = give_read(g, json_integer_value(json_object_get(arguments, "count")));
	}
	return 0;
}

static void tell(void *ctx, size_t done, size_t all)
{
	struct guest *g = ctx;

	g->told++;
	assert_true(done <= all);
}

static char bytes[100001];

static int setup(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	g->agent.command = command;
	g->most = GUEST_FILE_CHUNK;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + i / 251);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static int write_it(struct guest *g)
{
	return guest_file_write(&g->agent, "/run/x/agent", bytes, sizeof(bytes), tell, g);
}

static int compare_it(struct guest *g)
{
	return guest_file_compare(&g->agent, "/run/x/agent", bytes, sizeof(bytes));
}

static void a_file_goes_in_parts_and_comes_back(void **state)
{
	struct guest *g = *state;

	assert_int_equal(write_it(g), 0);
	assert_int_equal(g->len, sizeof(bytes));
	assert_memory_equal(g->data, bytes, sizeof(bytes));
	assert_int_equal(g->told, sizeof(bytes) / GUEST_FILE_CHUNK + 1);
	assert_int_equal(compare_it(g), 0);
	assert_int_equal(g->opened, 2);
	assert_int_equal(g->closed, 2);
}

static void an_agent_that_takes_less_gets_the_rest_again(void **state)
{
	struct guest *g = *state;

	g->most = 999;
	assert_int_equal(write_it(g), 0);
	assert_int_equal(compare_it(g), 0);
}

static void a_file_that_is_not_the_same_is_told(void **state)
{
	struct guest *g = *state;

	assert_int_equal(write_it(g), 0);
	g->data[99999] ^= 1;
	assert_int_equal(compare_it(g), GUEST_FILE_DIFFERS);
	g->data[99999] ^= 1;
	g->len--;
	assert_int_equal(compare_it(g), GUEST_FILE_DIFFERS);
	g->len += 2;
	assert_int_equal(compare_it(g), GUEST_FILE_DIFFERS);
	g->len = 0;
	assert_int_equal(compare_it(g), GUEST_FILE_DIFFERS);
	/* Each was closed. */
	assert_int_equal(g->opened, g->closed);
}

static void a_file_that_never_ends_is_left(void **state)
{
	struct guest *g = *state;

	/* Bytes that are no end, for ever. */
	g->answer_to = "guest-file-read";
	g->answer = "{\"return\":{\"count\":3,\"buf-b64\":\"AAAA\",\"eof\":false}}";
	assert_int_equal(compare_it(g), GUEST_FILE_DIFFERS);
	assert_int_equal(g->opened, g->closed);
}

static void nonsense_is_refused(void **state)
{
	static const struct {
		const char *to, *answer;
	} lies[] = {
		{"guest-file-write", "{\"return\":{\"count\":0}}"},
		{"guest-file-write", "{\"return\":{\"count\":-1}}"},
		{"guest-file-write", "{\"return\":{\"count\":49153}}"},
		{"guest-file-write", "{\"return\":{\"count\":9223372036854775807}}"},
		{"guest-file-write", "{\"return\":{\"count\":\"all\"}}"},
		{"guest-file-write", "{\"return\":[]}"},
		{"guest-file-write", "{"},
		{"guest-file-open", "{\"return\":\"1000\"}"},
	};
	struct guest *g = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		g->answer_to = lies[i].to;
		g->answer = lies[i].answer;
		assert_int_equal(write_it(g), -EPROTO);
		assert_string_equal(g->agent.error, "the guest's agent answers nonsense");
	}
	g->answer_to = "guest-file-read";
	g->answer = "{\"return\":{\"count\":3}}";
	assert_int_equal(compare_it(g), -EPROTO);
	assert_int_equal(g->opened, g->closed);
}

static void what_failed_stays_said_where_closing_fails_too(void **state)
{
	struct guest *g = *state;

	g->answer_to = "guest-file-write";
	assert_int_equal(write_it(g), -EREMOTEIO);
	assert_string_equal(g->agent.error, "scripted");
	/* That it could not be closed is a failure of its own: the last bytes may be missing. */
	g->answer_to = "guest-file-close";
	assert_int_equal(write_it(g), -EREMOTEIO);
}

static void base64_is_rfc_4648s(void **state)
{
	static const struct {
		const char *bytes, *text;
	} pairs[] = {{"", ""},
		     {"f", "Zg=="},
		     {"fo", "Zm8="},
		     {"foo", "Zm9v"},
		     {"foob", "Zm9vYg=="},
		     {"fooba", "Zm9vYmE="},
		     {"foobar", "Zm9vYmFy"}};
	char text[16], back[16];

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		size_t len = strlen(pairs[i].bytes);

		base64_encode(pairs[i].bytes, len, text);
		assert_string_equal(text, pairs[i].text);
		assert_int_equal(strlen(text), BASE64_LEN(len));
		assert_int_equal(base64_decode(text, back, sizeof(back)), len);
		assert_memory_equal(back, pairs[i].bytes, len);
	}
	assert_int_equal(base64_decode("Zm9vYmFy", back, 4), 4);
	assert_int_equal(base64_decode("Zm9v!YmFy", back, sizeof(back)), 3);
}

/* ------------------------------------------------------------- the way */

struct far_end {
	int fd;
	const char *says;
	size_t len;
};

/* Reads one line, says what it is to say, and closes. */
static void *far_end(void *ctx)
{
	struct far_end *f = ctx;
	char c = 0;

	while (c != '\n' && read(f->fd, &c, 1) == 1)
		continue;
	for (size_t at = 0; at < f->len;) {
		ssize_t n = send(f->fd, f->says + at, f->len - at, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		at += (size_t)n;
	}
	close(f->fd);
	return NULL;
}

/* What a ping says, where this is what is answered. */
static int ping(const char *says, size_t len, struct guest_channel *c)
{
	_cleanup_json_ json_t *answer = NULL;
	struct far_end f = {.says = says, .len = len};
	pthread_t thread;
	int socks[2], r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks), 0);
	f.fd = socks[1];
	guest_channel_init(c, socks[0]);
	assert_int_equal(pthread_create(&thread, NULL, far_end, &f), 0);
	r = guest_agent_ask(&c->agent, json_pack("{s:s}", "execute", "guest-ping"), JSON_OBJECT,
			    &answer);
	guest_channel_deinit(c);
	pthread_join(thread, NULL);
	return r;
}

static void an_answer_is_a_line(void **state)
{
	static const char good[] = "{\"return\": {}}\n{\"return\": 7}\n";
	static const char error[] = "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"Command "
				    "guest-ping has been disabled\"}}\n";
	static const char missing[] =
		"{\"error\":{\"desc\":\"Failed to execute child process (No such file)\"}}\n";
	struct guest_channel c;

	assert_int_equal(ping(good, strlen(good), &c), 0);
	assert_int_equal(ping(error, strlen(error), &c), -EREMOTEIO);
	assert_string_equal(c.agent.error, "Command guest-ping has been disabled");
	assert_int_equal(ping(missing, strlen(missing), &c), -ENOENT);
	assert_int_equal(ping("nonsense\n", 9, &c), -EPROTO);
	assert_int_equal(ping("{\"error\":7}\n", 12, &c), -EREMOTEIO);
}

static void a_way_that_ends_is_told_from_one_that_lies(void **state)
{
	_cleanup_free_ char *much = malloc(3 * 1024 * 1024);
	struct guest_channel c;

	assert_int_equal(ping("{\"return\"", 9, &c), -EPIPE);
	assert_true(c.ended);
	/* A line without an end. */
	memset(much, 'x', 3 * 1024 * 1024);
	assert_int_equal(ping(much, 3 * 1024 * 1024, &c), -EPROTO);
	assert_false(c.ended);
	assert_string_equal(c.agent.error, "the guest's agent answers too much");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_goes_in_parts_and_comes_back, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_agent_that_takes_less_gets_the_rest_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_file_that_is_not_the_same_is_told, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_file_that_never_ends_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(what_failed_stays_said_where_closing_fails_too,
						setup, teardown),
		cmocka_unit_test(base64_is_rfc_4648s),
		cmocka_unit_test(an_answer_is_a_line),
		cmocka_unit_test(a_way_that_ends_is_told_from_one_that_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
