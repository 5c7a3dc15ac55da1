/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A method of io.usbrouted is one row: its name, who has the right to it, its body, its parameters.
 * The row stands beside the body. A body sees only calls whose parameters have the row's types and
 * whose caller has the row's right. It answers once, now or by way of control_wait().
 *
 * Below the row is what the files of methods share: reading parameters, and errors about wrong
 * ones.
 */
#pragma once

#include <stdbool.h>

#include "daemon/control/control_socket.h"
#include "daemon/commands/commands.h"
#include "daemon/control/varlink.h"

#define CONTROL_PARAMETERS_MAX 8

/* Who has the right to a method. */
enum control_right {
	CONTROL_ALL,   /* who may change everything: root and the group "usbrouted" */
	CONTROL_ROUTE, /* these, and others by a rule: the body asks control_may_route() */
	CONTROL_LOOK,  /* everybody: it changes nothing */
};

enum control_type {
	CONTROL_TEXT,
	CONTROL_ALIAS, /* a name that a device can be given */
	CONTROL_FLAG,
	CONTROL_WAIT,	 /* seconds, up to a day */
	CONTROL_FOR,	 /* seconds, one to a year */
	CONTROL_POWER,	 /* off, on, cycle */
	CONTROL_DEVICES, /* a list of them, as List gives it */
	CONTROL_TYPES
};

struct control_parameter {
	const char *name;
	enum control_type type;
	bool optional;
};

struct control_method {
	const char *name;
	enum control_right right;
	void (*run)(struct control_caller *caller, const struct varlink_call *call);
	struct control_parameter parameters[CONTROL_PARAMETERS_MAX];
};

/* The files' rows, each list closed by one without a name; and all of them, closed by NULL. */
extern const struct control_method control_list_methods[], control_look_methods[],
	control_change_methods[], control_port_methods[], control_policy_methods[],
	control_admin_methods[], control_monitor_methods[], control_doctor_methods[],
	control_stats_methods[];
extern const struct control_method *const control_methods[];

/* control_parameters.c: what a call may have, and what it has. */
const char *control_type_name(enum control_type type);
bool control_check_parameters(struct control_caller *caller, const struct varlink_call *call,
			      const struct control_parameter *parameters);
const char *control_text(const struct varlink_call *call, const char *name);
bool control_flag(const struct varlink_call *call, const char *name);
bool control_seconds(const struct varlink_call *call, const char *name, double *ret_seconds);

/* control_wrong.c: what is said of a parameter that means nothing. */
void control_invalid(struct control_caller *caller, const char *parameter);
void control_invalid_because(struct control_caller *caller, const char *parameter,
			     const char *expected);
void control_invalid_device(struct control_caller *caller, const char *text, const char *expected);
void control_no_device(struct control_caller *caller, const char *text);
void control_no_vm(struct control_caller *caller, const char *name);
void control_ambiguous(struct control_caller *caller, const char *text);
struct route_subject;
struct selector;
int control_selector(const struct control_rooms *rooms, const char *text,
		     struct selector *ret_selector);
void control_ambiguous_wishes(struct control_caller *caller, const struct route_subject *subjects,
			      size_t n);

bool control_device_parameter(struct control_caller *caller, const char *text,
			      struct device **ret_device);

/* control_change.c: who may route, and how a command ended. */
bool control_may_route(struct control_caller *caller, const struct route_subject *subjects,
		       size_t n, const struct vm *to);
void control_refuse(struct control_caller *caller, enum route_outcome outcome, const char *text);
