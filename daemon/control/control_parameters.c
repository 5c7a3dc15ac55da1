/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parameters of a call: what each type takes, and how a body reads checked ones. The body knows
 * what a parameter means, and whether there is such a device or VM.
 */
#include <string.h>

#include "base/mem.h"
#include "daemon/control/control_method.h"
#include "policy/name.h"

#define WAIT_MAX_SECONDS 86400.0
#define FOR_MAX_SECONDS	 (366 * 86400.0)

static bool is_text(const json_t *value)
{
	return json_is_string(value);
}

static bool is_alias(const json_t *value)
{
	return json_is_string(value) && name_valid_alias(json_string_value(value));
}

static bool is_flag(const json_t *value)
{
	return json_is_boolean(value);
}

static bool is_wait(const json_t *value)
{
	double seconds = json_number_value(value);

	return json_is_number(value) && seconds >= 0 && seconds <= WAIT_MAX_SECONDS;
}

static bool is_for(const json_t *value)
{
	double seconds = json_number_value(value);

	return json_is_number(value) && seconds >= 1 && seconds <= FOR_MAX_SECONDS;
}

static bool is_power(const json_t *value)
{
	const char *how = json_string_value(value);

	return how && (!strcmp(how, "off") || !strcmp(how, "on") || !strcmp(how, "cycle"));
}

static bool is_list(const json_t *value)
{
	return json_is_array(value);
}

/* Each type as it is called in the interface's description. */
static const struct {
	const char *varlink;
	bool (*takes)(const json_t *value);
	const char *expected; /* for people; NULL: its name says it */
} types[CONTROL_TYPES] = {
	[CONTROL_TEXT] = {"string", is_text, NULL},
	[CONTROL_ALIAS] = {"string", is_alias, NAME_ALIAS_EXPECTED},
	[CONTROL_FLAG] = {"bool", is_flag, NULL},
	[CONTROL_WAIT] = {"float", is_wait, NULL},
	[CONTROL_FOR] = {"float", is_for, NULL},
	[CONTROL_POWER] = {"(off, on, cycle)", is_power, NULL},
	[CONTROL_DEVICES] = {"[]Device", is_list, NULL},
};

/**
 * control_type_name() - a type as the interface's description has it
 * @type:	the type
 */
const char *control_type_name(enum control_type type)
{
	return types[type].varlink;
}

static bool known(const struct control_parameter *parameters, const char *name)
{
	for (size_t i = 0; i < CONTROL_PARAMETERS_MAX && parameters[i].name; i++)
		if (!strcmp(parameters[i].name, name))
			return true;
	return false;
}

/**
 * control_check_parameters() - whether a call has what its method takes, and nothing else
 * @caller:	the caller; answered where it has not
 * @call:	the call
 * @parameters:	the method's, CONTROL_PARAMETERS_MAX of them
 *
 * null stands for a parameter that is left out.
 *
 * Return: whether it has.
 */
bool control_check_parameters(struct control_caller *caller, const struct varlink_call *call,
			      const struct control_parameter *parameters)
{
	const char *key;
	json_t *value;

	json_object_foreach(call->parameters, key, value) {
		if (!known(parameters, key)) {
			control_invalid(caller, key);
			return false;
		}
	}
	for (size_t i = 0; i < CONTROL_PARAMETERS_MAX && parameters[i].name; i++) {
		const struct control_parameter *p = &parameters[i];

		value = json_object_get(call->parameters, p->name);
		if (p->optional && (!value || json_is_null(value)))
			continue;
		if (types[p->type].takes(value))
			continue;
		if (types[p->type].expected)
			control_invalid_because(caller, p->name, types[p->type].expected);
		else
			control_invalid(caller, p->name);
		return false;
	}
	return true;
}

/**
 * control_text() - a parameter that is text
 * @call:	the call, whose parameters were checked
 * @name:	the parameter
 *
 * Return: the text, the call's; NULL where an optional one is left out.
 */
const char *control_text(const struct varlink_call *call, const char *name)
{
	return json_string_value(json_object_get(call->parameters, name));
}

/**
 * control_flag() - a parameter that is yes or no
 * @call:	the call, whose parameters were checked
 * @name:	the parameter
 *
 * Return: whether it is there and true.
 */
bool control_flag(const struct varlink_call *call, const char *name)
{
	return json_is_true(json_object_get(call->parameters, name));
}

/**
 * control_seconds() - a parameter that is a time
 * @call:		the call, whose parameters were checked
 * @name:		the parameter
 * @ret_seconds:	the time; as it was where the parameter is left out
 *
 * Return: whether it is there.
 */
bool control_seconds(const struct varlink_call *call, const char *name, double *ret_seconds)
{
	const json_t *value = json_object_get(call->parameters, name);

	if (!json_is_number(value))
		return false;
	*ret_seconds = json_number_value(value);
	return true;
}
