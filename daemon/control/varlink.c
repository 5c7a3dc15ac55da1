/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls in, replies and errors out, as JSON text; and the interface that every service has.
 *
 * What a client sent is checked before the JSON parser sees it (nesting) and while it does (no key
 * twice), so that nothing later can read a message in two ways.
 */
#include "daemon/control/varlink.h"

#include <build_info.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "protocol/varlink_wire.h"

#define SERVICE	       "org.varlink.service"
#define METHOD_MAX_LEN 255

static const char service_text[] =
	"# What every Varlink service answers.\n"
	"interface org.varlink.service\n"
	"\n"
	"# Who answers here, and which interfaces.\n"
	"method GetInfo() -> (\n"
	"  vendor: string,\n"
	"  product: string,\n"
	"  version: string,\n"
	"  url: string,\n"
	"  interfaces: []string\n"
	")\n"
	"\n"
	"# An interface in words.\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n"
	"\n"
	"error InterfaceNotFound (interface: string)\n"
	"error MethodNotFound (method: string)\n"
	"error MethodNotImplemented (method: string)\n"
	"error InvalidParameter (parameter: string)\n";

/* An optional boolean of a call; false where it is something else. */
static bool get_flag(const json_t *root, const char *key, bool *ret_flag)
{
	const json_t *flag = json_object_get(root, key);

	*ret_flag = json_is_true(flag);
	return !flag || json_is_null(flag) || json_is_boolean(flag);
}

/**
 * varlink_call_parse() - read a call
 * @ret_call:	the call, to be freed with varlink_call_deinit(); written only on success
 * @message:	the message's bytes, without its NUL
 * @len:	how many
 *
 * Return: 0, VARLINK_BAD or -ENOMEM.
 */
int varlink_call_parse(struct varlink_call *ret_call, const char *message, size_t len)
{
	json_auto_t *root = NULL, *parameters = NULL;
	struct varlink_call call = {0};
	const char *method;
	bool upgrade;

	if (len > VARLINK_MESSAGE_MAX || !varlink_nesting_ok(message, len))
		return VARLINK_BAD;
	root = json_loadb(message, len, JSON_REJECT_DUPLICATES, NULL);
	method = json_string_value(json_object_get(root, "method"));
	if (!method || strlen(method) > METHOD_MAX_LEN || !get_flag(root, "oneway", &call.oneway) ||
	    !get_flag(root, "more", &call.more) || !get_flag(root, "upgrade", &upgrade) || upgrade)
		return VARLINK_BAD;

	parameters = json_incref(json_object_get(root, "parameters"));
	if (!parameters || json_is_null(parameters)) {
		json_decref(parameters);
		parameters = json_object();
		if (!parameters)
			return -ENOMEM;
	}
	if (!json_is_object(parameters))
		return VARLINK_BAD;
	call.method = strdup(method);
	if (!call.method)
		return -ENOMEM;
	call.parameters = take_ptr(parameters);
	*ret_call = call;
	return 0;
}

/**
 * varlink_call_deinit() - free a call
 * @call:	the call; may be all zero
 */
void varlink_call_deinit(struct varlink_call *call)
{
	free(call->method);
	json_decref(call->parameters);
	*call = (struct varlink_call){0};
}

/* Write @root out with its NUL; takes @root, which may be NULL for want of memory. */
static int message_of(char **ret_message, size_t *ret_len, json_t *root)
{
	_cleanup_free_ char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	size_t len;

	json_decref(root);
	if (!text)
		return -ENOMEM;
	len = strlen(text);
	if (len > VARLINK_MESSAGE_MAX)
		return -EMSGSIZE;
	*ret_message = take_ptr(text);
	*ret_len = len + 1;
	return 0;
}

/**
 * varlink_text() - text as JSON that is safe to show
 * @text:	the text, in any encoding, or NULL
 *
 * Return: a string of at most VARLINK_TEXT_MAX bytes of JSON, null where there is none, or NULL for
 * want of memory.
 */
json_t *varlink_text(const char *text)
{
	_cleanup_free_ char *safe = text ? utf8_safe_copy(text, VARLINK_TEXT_MAX, false) : NULL;

	if (!text)
		return json_null();
	return safe ? json_string(safe) : NULL;
}

/**
 * varlink_reply_more() - write a reply that others follow
 * @ret_message:	the bytes to send, to be freed by the caller
 * @ret_len:		how many, the NUL at the end included
 * @parameters:		an object; it is taken, also on error
 *
 * Only for a call with `more`.
 *
 * Return: as varlink_reply().
 */
int varlink_reply_more(char **ret_message, size_t *ret_len, json_t *parameters)
{
	return message_of(ret_message, ret_len,
			  json_pack("{s:o, s:b}", "parameters", parameters, "continues", true));
}

/**
 * varlink_reply() - write a reply
 * @ret_message:	the bytes to send, to be freed by the caller
 * @ret_len:		how many, the NUL at the end included
 * @parameters:		an object, or NULL for none; it is taken, also on error
 *
 * Return: 0; -EMSGSIZE where it is longer than a message may be; -ENOMEM.
 */
int varlink_reply(char **ret_message, size_t *ret_len, json_t *parameters)
{
	if (!parameters)
		parameters = json_object();
	return message_of(ret_message, ret_len, json_pack("{s:o}", "parameters", parameters));
}

/**
 * varlink_error() - write an error
 * @ret_message:	the bytes to send, to be freed by the caller
 * @ret_len:		how many, the NUL at the end included
 * @error:		its whole name, such as "io.usbrouted.NoSuchVm"
 * @parameters:		an object, or NULL for none; it is taken, also on error
 *
 * Return: 0; -EMSGSIZE where it is longer than a message may be; -ENOMEM.
 */
int varlink_error(char **ret_message, size_t *ret_len, const char *error, json_t *parameters)
{
	if (!parameters)
		parameters = json_object();
	return message_of(ret_message, ret_len,
			  json_pack("{s:s, s:o}", "error", error, "parameters", parameters));
}

/**
 * varlink_method_not_found() - say that an interface has no such method
 * @ret_message:	the bytes to send, to be freed by the caller
 * @ret_len:		how many, the NUL at the end included
 * @method:		the method's whole name
 *
 * Return: as varlink_error().
 */
int varlink_method_not_found(char **ret_message, size_t *ret_len, const char *method)
{
	return varlink_error(ret_message, ret_len, SERVICE ".MethodNotFound",
			     json_pack("{s:o}", "method", varlink_text(method)));
}

/**
 * varlink_invalid_parameter() - say that a parameter is missing, unknown or of the wrong type
 * @ret_message:	the bytes to send, to be freed by the caller
 * @ret_len:		how many, the NUL at the end included
 * @parameter:		its name
 *
 * Return: as varlink_error().
 */
int varlink_invalid_parameter(char **ret_message, size_t *ret_len, const char *parameter)
{
	return varlink_error(ret_message, ret_len, SERVICE ".InvalidParameter",
			     json_pack("{s:o}", "parameter", varlink_text(parameter)));
}

static int get_info(const char *interface_name, char **ret_message, size_t *ret_len)
{
	return varlink_reply(ret_message, ret_len,
			     json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", "usbrouted",
				       "product", "usbrouted", "version", USBROUTED_VERSION, "url",
				       "", "interfaces", SERVICE, interface_name));
}

static int get_description(const struct varlink_call *call, const char *interface_name,
			   const char *interface_text, char **ret_message, size_t *ret_len)
{
	const char *name = json_string_value(json_object_get(call->parameters, "interface"));
	const char *text = NULL;

	if (!name)
		return varlink_invalid_parameter(ret_message, ret_len, "interface");
	if (!strcmp(name, interface_name))
		text = interface_text;
	else if (!strcmp(name, SERVICE))
		text = service_text;
	if (!text)
		return varlink_error(ret_message, ret_len, SERVICE ".InterfaceNotFound",
				     json_pack("{s:o}", "interface", varlink_text(name)));
	return varlink_reply(ret_message, ret_len, json_pack("{s:s}", "description", text));
}

/**
 * varlink_service_call() - answer org.varlink.service, and calls of interfaces that nobody has
 * @call:		the call
 * @interface_name:	the daemon's interface, such as "io.usbrouted"
 * @interface_text:	its description
 * @ret_message:	the bytes to send, to be freed by the caller
 * @ret_len:		how many, the NUL at the end included
 *
 * A method's interface is its name up to the last dot.
 *
 * Return: 0 with an answer; VARLINK_NOT_SERVICE where the method is of @interface_name, and whether
 * there is one of that name is the caller's to say; -EMSGSIZE or -ENOMEM.
 */
int varlink_service_call(const struct varlink_call *call, const char *interface_name,
			 const char *interface_text, char **ret_message, size_t *ret_len)
{
	const char *dot = strrchr(call->method, '.');
	char interface[METHOD_MAX_LEN + 1];
	size_t len = dot ? (size_t)(dot - call->method) : 0;

	if (len > METHOD_MAX_LEN)
		return varlink_method_not_found(ret_message, ret_len, call->method);
	memcpy(interface, call->method, len);
	interface[len] = '\0';

	if (!strcmp(interface, interface_name))
		return VARLINK_NOT_SERVICE;
	if (strcmp(interface, SERVICE))
		return varlink_error(ret_message, ret_len, SERVICE ".InterfaceNotFound",
				     json_pack("{s:o}", "interface", varlink_text(interface)));
	if (!strcmp(dot, ".GetInfo"))
		return get_info(interface_name, ret_message, ret_len);
	if (!strcmp(dot, ".GetInterfaceDescription"))
		return get_description(call, interface_name, interface_text, ret_message, ret_len);
	return varlink_method_not_found(ret_message, ret_len, call->method);
}
