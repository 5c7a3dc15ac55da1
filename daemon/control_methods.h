/* SPDX-License-Identifier: BSD-2-Clause */
/* What the methods' files share: a call's parameters, and things as JSON. */
#pragma once

#include <jansson.h>

#include "daemon/control_socket.h"
#include "daemon/daemon.h"
#include "daemon/varlink.h"

/* Text as JSON, also where it is not UTF-8; null for NULL. */
json_t *json_text(const char *text);
json_t *json_device(const struct device *d);
json_t *json_absent(struct daemon *daemon, const char *alias);

/* Each answers the call itself where it returns false or NULL. */
bool only_parameters(struct control_caller *caller, const struct varlink_call *call,
		     const char *const *names);
const char *text_parameter(struct control_caller *caller, const struct varlink_call *call,
			   const char *name);
bool device_parameter(struct control_caller *caller, const char *text, struct device **ret_device,
		      bool *ret_by_port);
void invalid(struct control_caller *caller, const char *parameter);

/* control_policy.c */
void method_why(struct control_caller *caller, const struct varlink_call *call);
void method_test_policy(struct control_caller *caller, const struct varlink_call *call);
