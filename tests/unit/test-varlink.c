/* SPDX-License-Identifier: BSD-2-Clause */
/* Varlink: framing of any cut of bytes, bounds, what is a call, org.varlink.service. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <build_info.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/varlink_wire.h"
#include "daemon/control/varlink.h"
#include "io_usbrouted_varlink.h"

/* Feed @len bytes in pieces of @piece; messages are joined with '|' in @out. */
static int feed(struct varlink_wire *w, const char *bytes, size_t len, size_t piece, char *out)
{
	while (len) {
		const char *message;
		size_t size, n;
		char *space;
		int r = varlink_wire_space(w, &space, &size);

		if (r < 0)
			return r;
		assert_true(size > 0);
		n = min_t(size_t, piece, size);
		n = min_t(size_t, n, len);
		memcpy(space, bytes, n);
		varlink_wire_filled(w, n);
		bytes += n;
		len -= n;
		while (!varlink_wire_next(w, &message, &n)) {
			assert_int_equal(strlen(message), n);
			strcat(strcat(out, message), "|");
		}
	}
	return 0;
}

static void test_framing(void **state)
{
	static const char bytes[] = "one\0\0three\0{\"four\":4}\0rest";

	for (size_t piece = 1; piece <= sizeof(bytes); piece++) {
		_cleanup_(varlink_wire_deinit) struct varlink_wire w = {0};
		char out[64] = "";

		assert_int_equal(feed(&w, bytes, sizeof(bytes) - 1, piece, out), 0);
		assert_string_equal(out, "one||three|{\"four\":4}|");
		assert_int_equal(feed(&w, "", 1, piece, out), 0);
		assert_string_equal(out, "one||three|{\"four\":4}|rest|");
	}
}

static void test_message_bound(void **state)
{
	_cleanup_free_ char *big = calloc(1, VARLINK_MESSAGE_MAX + 2);
	_cleanup_free_ char *out = calloc(1, 2 * VARLINK_MESSAGE_MAX + 8);
	_cleanup_(varlink_wire_deinit) struct varlink_wire w = {0};

	memset(big, 'x', VARLINK_MESSAGE_MAX);
	assert_int_equal(feed(&w, big, VARLINK_MESSAGE_MAX + 1, 1000, out), 0);
	assert_int_equal(strlen(out), VARLINK_MESSAGE_MAX + 1);
	assert_int_equal(feed(&w, "a", 2, 2, out), 0);
	big[VARLINK_MESSAGE_MAX] = 'x';
	assert_int_equal(feed(&w, big, VARLINK_MESSAGE_MAX + 2, 1000, out), -EMSGSIZE);
	assert_true(w.size <= VARLINK_MESSAGE_MAX + 1);
}

static void test_nesting(void **state)
{
	char text[64];

	for (unsigned depth = 1; depth < 20; depth++) {
		memset(text, depth % 2 ? '[' : '{', depth);
		text[depth] = '\0';
		assert_int_equal(varlink_nesting_ok(text, depth), depth <= VARLINK_NESTING_MAX);
	}
	strcpy(text, "{\"[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[\":[]}");
	assert_true(varlink_nesting_ok(text, strlen(text)));
	strcpy(text, "[][][][][][][][][][][][][][][][][][]");
	assert_true(varlink_nesting_ok(text, strlen(text)));
	assert_true(varlink_nesting_ok("\"\\", 2));
}

static const char *const bad_calls[] = {
	"",
	"x",
	"[]",
	"1",
	"\"a.B\"",
	"{}",
	"{\"method\":1}",
	"{\"method\":null}",
	"{\"method\":\"a.B\"",
	"{\"method\":\"a.B\"}}",
	"{\"method\":\"a.B\",\"method\":\"a.C\"}",
	"{\"method\":\"a.B\",\"parameters\":[]}",
	"{\"method\":\"a.B\",\"parameters\":{\"x\":1,\"x\":2}}",
	"{\"method\":\"a.B\",\"oneway\":1}",
	"{\"method\":\"a.B\",\"more\":\"yes\"}",
	"{\"method\":\"a.B\",\"upgrade\":true}",
	"{\"method\":\"a\\u0000B\"}",
	"{\"method\":\"a\xff\"}",
	"{\"method\":\"a.B\",\"parameters\":{\"x\":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}}",
};

static void test_bad_calls(void **state)
{
	char text[512];

	for (size_t i = 0; i < ARRAY_SIZE(bad_calls); i++) {
		struct varlink_call call;

		if (varlink_call_parse(&call, bad_calls[i], strlen(bad_calls[i])) != VARLINK_BAD)
			fail_msg("%s", bad_calls[i]);
	}
	memset(text, 'a', sizeof(text));
	memcpy(text, "{\"method\":\"", 11);
	memcpy(text + sizeof(text) - 2, "\"}", 2);
	assert_int_equal(varlink_call_parse(&(struct varlink_call){0}, text, sizeof(text)),
			 VARLINK_BAD);
}

static void test_good_calls(void **state)
{
	static const char *const texts[] = {
		"{\"method\":\"a.B\"}",
		" {\"method\":\"a.B\",\"parameters\":null,\"what\":[1]}\n",
		"{\"method\":\"a.B\",\"parameters\":{},\"oneway\":false,\"upgrade\":false}",
	};
	const char *more = "{\"method\":\"a.B\",\"more\":true,\"parameters\":{\"x\":1}}";
	struct varlink_call call;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(varlink_call_parse(&call, texts[i], strlen(texts[i])), 0);
		assert_string_equal(call.method, "a.B");
		assert_int_equal(json_object_size(call.parameters), 0);
		assert_false(call.oneway || call.more);
		varlink_call_deinit(&call);
	}
	assert_int_equal(varlink_call_parse(&call, more, strlen(more)), 0);
	assert_true(call.more);
	assert_int_equal(json_integer_value(json_object_get(call.parameters, "x")), 1);
	varlink_call_deinit(&call);
	varlink_call_deinit(&call);
}

static const struct {
	const char *call, *answer; /* NULL: not the service's */
} services[] = {
	{"{\"method\":\"io.usbrouted.List\"}", NULL},
	{"{\"method\":\"io.usbrouted.\"}", NULL},
	{"{\"method\":\"io.other.List\"}", "{\"error\":\"org.varlink.service.InterfaceNotFound\","
					   "\"parameters\":{\"interface\":\"io.other\"}}"},
	{"{\"method\":\"List\"}", "{\"error\":\"org.varlink.service.InterfaceNotFound\","
				  "\"parameters\":{\"interface\":\"\"}}"},
	{"{\"method\":\"org.varlink.service.What\"}",
	 "{\"error\":\"org.varlink.service.MethodNotFound\","
	 "\"parameters\":{\"method\":\"org.varlink.service.What\"}}"},
	{"{\"method\":\"org.varlink.service.GetInterfaceDescription\"}",
	 "{\"error\":\"org.varlink.service.InvalidParameter\","
	 "\"parameters\":{\"parameter\":\"interface\"}}"},
	{"{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{"
	 "\"interface\":"
	 "\"x.y\"}}",
	 "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"x."
	 "y\"}}"},
	{"{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{"
	 "\"interface\":"
	 "\"io.usbrouted\"}}",
	 "{\"parameters\":{\"description\":\"text\"}}"},
	{"{\"method\":\"org.varlink.service.GetInfo\"}",
	 "{\"parameters\":{\"vendor\":\"usbrouted\",\"product\":\"usbrouted\",\"version\":"
	 "\"" USBROUTED_VERSION
	 "\",\"url\":\"\",\"interfaces\":[\"org.varlink.service\",\"io.usbrouted\"]}}"},
};

static void test_service(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		_cleanup_(varlink_call_deinit) struct varlink_call call = {0};
		_cleanup_free_ char *answer = NULL;
		size_t len = 0;
		int r;

		assert_int_equal(
			varlink_call_parse(&call, services[i].call, strlen(services[i].call)), 0);
		r = varlink_service_call(&call, "io.usbrouted", "text", &answer, &len);
		if (!services[i].answer) {
			assert_int_equal(r, VARLINK_NOT_SERVICE);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(len, strlen(answer) + 1);
		assert_string_equal(answer, services[i].answer);
	}
}

static void test_answers(void **state)
{
	_cleanup_free_ char *reply = NULL, *error = NULL, *big = calloc(1, VARLINK_MESSAGE_MAX + 1);
	char *none = NULL;
	size_t len;

	assert_int_equal(varlink_reply(&reply, &len, NULL), 0);
	assert_string_equal(reply, "{\"parameters\":{}}");
	assert_int_equal(len, strlen(reply) + 1);
	assert_int_equal(varlink_error(&error, &len, "io.usbrouted.Superseded", NULL), 0);
	assert_string_equal(error, "{\"error\":\"io.usbrouted.Superseded\",\"parameters\":{}}");
	memset(big, 'x', VARLINK_MESSAGE_MAX);
	assert_int_equal(varlink_reply(&none, &len, json_pack("{s:s}", "x", big)), -EMSGSIZE);
	assert_null(none);
}

/* What is embedded is the shipped file, byte by byte. */
static void test_embedded(void **state)
{
	const char *file = getenv("SHIPPED_VARLINK");
	char text[65536] = "";
	FILE *f;

	if (!file)
		skip();
	f = fopen(file, "re");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	assert_string_equal(text, io_usbrouted_varlink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_framing),	   cmocka_unit_test(test_message_bound),
		cmocka_unit_test(test_nesting),	   cmocka_unit_test(test_bad_calls),
		cmocka_unit_test(test_good_calls), cmocka_unit_test(test_service),
		cmocka_unit_test(test_answers),	   cmocka_unit_test(test_embedded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
