/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See interface.h. A description is read as it is used: what stands for a type is walked through
 * together with the JSON that should be of it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/interface.h"

#include <ctype.h>
#include <io_usbrouted_varlink.h>
#include <stdio.h>
#include <string.h>

#define SERVICE		  "org.varlink.service."
#define INVALID_PARAMETER "(parameter: string, expected: ?string, near: ?[]Near)"

/* The description without comments, with one blank for what is between words. */
const char *interface_plain(void)
{
	static char plain[sizeof(io_usbrouted_varlink)];
	const char *p = io_usbrouted_varlink;
	char *to = plain;

	if (*plain)
		return plain;
	while (*p) {
		size_t n = strcspn(p, "\n");

		for (size_t i = 0; *p != '#' && i <= n; i++) {
			bool blank = isspace((unsigned char)p[i]) || !p[i];

			if (!blank || (to > plain && to[-1] != ' ' && to[-1] != '('))
				*to++ = blank ? ' ' : p[i];
			if (p[i] == ')' && to > plain + 1 && to[-2] == ' ') {
				to[-2] = ')';
				to--;
			}
		}
		p += n + !!p[n];
	}
	return plain;
}

/* The next method, type or error behind *@at (NULL: the first): its name, and *@at behind that. */
bool interface_next(const char *what, const char **at, char *name, size_t size)
{
	char word[16];
	size_t n;

	snprintf(word, sizeof(word), " %s ", what);
	*at = strstr(*at ? *at : interface_plain(), word);
	if (!*at)
		return false;
	*at += strlen(word);
	n = strcspn(*at, " (");
	assert_true(n < size);
	memcpy(name, *at, n);
	name[n] = '\0';
	*at += n + (((*at)[n]) == ' ');
	return true;
}

/* What stands behind the name of a method, type or error, from its ( on; NULL where there is none. */
static const char *find(const char *what, const char *wanted, size_t len)
{
	const char *at = NULL;
	char name[64];

	while (interface_next(what, &at, name, sizeof(name)))
		if (strlen(name) == len && !memcmp(name, wanted, len))
			return at;
	return NULL;
}

static const char *walk(const char *type, const json_t *value, const char *path);

static bool is_struct(const char *type)
{
	size_t n = strcspn(type + 1, ":,()");

	return !n || type[1 + n] == ':';
}

static const char *walk_struct(const char *p, const json_t *object, const char *path)
{
	size_t seen = 0;

	if (object && !json_is_object(object))
		fail_msg("%s: it is no object", path);
	for (p++; *p != ')';) {
		size_t n = strcspn(p, ":");
		char name[64], inner[300];
		json_t *value;

		assert_true(n < sizeof(name));
		memcpy(name, p, n);
		name[n] = '\0';
		snprintf(inner, sizeof(inner), "%.200s.%s", path, name);
		p += n + 2;
		value = object ? json_object_get(object, name) : NULL;
		if (object && !value && *p != '?')
			fail_msg("%s: it is missing", inner);
		seen += value != NULL;
		p = walk(p, value, inner);
		p += strspn(p, ", ");
	}
	if (object && json_object_size(object) != seen) {
		char *text = json_dumps(object, JSON_COMPACT);

		fail_msg("%s: it has what is not described: %s", path, text);
	}
	return p + 1;
}

static const char *walk_enum(const char *p, const json_t *value, const char *path)
{
	const char *text = json_string_value(value);
	bool one_of = false;

	for (p++; *p != ')';) {
		size_t n = strcspn(p, ",)");

		one_of = one_of || (text && strlen(text) == n && !memcmp(text, p, n));
		p += n + strspn(p + n, ", ");
	}
	if (value && !one_of)
		fail_msg("%s: \"%s\" is none of those that are described", path, text ? text : "");
	return p + 1;
}

static const char *walk_list(const char *p, const json_t *list, const char *path)
{
	const char *end = walk(p, NULL, path);
	const json_t *item;
	size_t i;

	if (list && !json_is_array(list))
		fail_msg("%s: it is no list", path);
	json_array_foreach(list, i, item)
		walk(p, item, path);
	return end;
}

static bool is_basic(const char *name, size_t len, const json_t *value, bool *ret_good)
{
	static const char *const names[] = {"bool", "int", "float", "string"};
	bool good[] = {json_is_boolean(value), json_is_integer(value), json_is_number(value),
		       json_is_string(value)};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (strlen(names[i]) == len && !memcmp(names[i], name, len)) {
			*ret_good = good[i];
			return true;
		}
	return false;
}

/* @value: NULL: only to where the type ends. */
static const char *walk(const char *type, const json_t *value, const char *path)
{
	bool good = false;
	const char *named;
	size_t n;

	if (*type == '?')
		return walk(type + 1, json_is_null(value) ? NULL : value, path);
	if (!strncmp(type, "[]", 2))
		return walk_list(type + 2, value, path);
	if (*type == '(')
		return is_struct(type) ? walk_struct(type, value, path)
				       : walk_enum(type, value, path);
	n = strcspn(type, ",) ");
	if (is_basic(type, n, value, &good)) {
		if (value && !good)
			fail_msg("%s: it is no %.*s", path, (int)n, type);
		return type + n;
	}
	named = find("type", type, n);
	if (!named)
		fail_msg("%s: the type %.*s is not described", path, (int)n, type);
	if (value)
		walk(named, value, path);
	return type + n;
}

/* A method's parameters, from their ( on; NULL where it is not described. @name: also with its interface. */
const char *interface_method(const char *name)
{
	const char *dot = strrchr(name, '.');

	name = dot ? dot + 1 : name;
	return find("method", name, strlen(name));
}

/* @method: as of interface_method(); NULL: it is not described, and has no reply. */
void interface_check_reply(const char *method, const json_t *parameters)
{
	if (!method)
		fail_msg("a method that is not described has a reply");
	walk(strstr(method, " -> ") + 4, parameters, "reply");
}

/* @error: as of control_error(), its own interface's without a dot. */
void interface_check_error(const char *error, const json_t *parameters)
{
	static const struct {
		const char *name, *parameters;
	} service[] = {{"InvalidParameter", INVALID_PARAMETER},
		       {"MethodNotFound", "(method: string)"}};
	const char *described = find("error", error, strlen(error));

	for (size_t i = 0; i < sizeof(service) / sizeof(*service); i++)
		if (!strcmp(error, service[i].name))
			described = service[i].parameters;
	if (!described)
		fail_msg("the error %s is not described", error);
	assert_non_null(strstr(io_usbrouted_varlink, "# Besides, " SERVICE "InvalidParameter"));
	walk(described, parameters, error);
}
