/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of methods share: how parameters are read, and what is said of wrong ones. A
 * method answers its caller once, now or by way of control_wait().
 */
#pragma once

#include <stdbool.h>

#include "daemon/control/control_socket.h"
#include "daemon/daemon.h"
#include "daemon/routing/route.h"
#include "daemon/control/varlink.h"

typedef void (*control_method_fn)(struct control_caller *caller, const struct varlink_call *call);

/* control_wrong.c: what is said of a parameter that means nothing. */
void control_invalid(struct control_caller *caller, const char *parameter);
void control_invalid_because(struct control_caller *caller, const char *parameter,
			     const char *expected);
void control_invalid_device(struct control_caller *caller, const char *text, const char *expected);
void control_no_device(struct control_caller *caller, const char *text);
void control_no_vm(struct control_caller *caller, const char *name);
void control_ambiguous(struct control_caller *caller, const char *text);
struct daemon;
struct route_subject;
struct selector;
int control_selector(struct daemon *daemon, const char *text, struct selector *ret_selector);
void control_ambiguous_wishes(struct control_caller *caller, const struct route_subject *subjects,
			      size_t n);

/* control_methods.c: reading parameters. */
bool control_only_parameters(struct control_caller *caller, const struct varlink_call *call,
			     const char *const *names);
const char *control_text_parameter(struct control_caller *caller, const struct varlink_call *call,
				   const char *name);
bool control_device_parameter(struct control_caller *caller, const char *text,
			      struct device **ret_device);

/* control_list.c: what there is. */
void method_list(struct control_caller *caller, const struct varlink_call *call);
void method_vms(struct control_caller *caller, const struct varlink_call *call);

/* control_change.c: what changes something. */
bool control_may_route(struct control_caller *caller, const struct route_subject *subjects,
		       size_t n, const struct vm *to);
void control_refuse(struct control_caller *caller, enum route_outcome outcome, const char *text);
void method_attach(struct control_caller *caller, const struct varlink_call *call);
void method_detach(struct control_caller *caller, const struct varlink_call *call);
void method_assign(struct control_caller *caller, const struct varlink_call *call);
void method_unassign(struct control_caller *caller, const struct varlink_call *call);
void method_release(struct control_caller *caller, const struct varlink_call *call);
void method_reserve(struct control_caller *caller, const struct varlink_call *call);
void method_switch(struct control_caller *caller, const struct varlink_call *call);
void method_undo(struct control_caller *caller, const struct varlink_call *call);

/* control_port.c: resets, and ports' power. */
void method_reset(struct control_caller *caller, const struct varlink_call *call);
void method_power(struct control_caller *caller, const struct varlink_call *call);

/* control_policy.c: what the policy says. */
void method_why(struct control_caller *caller, const struct varlink_call *call);
void method_test_policy(struct control_caller *caller, const struct varlink_call *call);

/* control_admin.c: names, and the configuration. */
void method_set_alias(struct control_caller *caller, const struct varlink_call *call);
void method_reload(struct control_caller *caller, const struct varlink_call *call);
