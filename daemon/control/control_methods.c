/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The methods of io.usbrouted: which there are, and what a call of one has to be before its body
 * sees it: parameters that the method has, each of its type, and a caller with the right to it.
 *
 * A method is one row, beside its body in the file that has it; here are the files. The test
 * `control` holds the rows against configs/io.usbrouted.varlink.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/control/control_json.h"
#include "daemon/control/control_method.h"

const struct control_method *const control_methods[] = {
	control_list_methods,	 control_look_methods,
	control_change_methods,	 control_port_methods,
	control_policy_methods,	 control_admin_methods,
	control_monitor_methods, control_doctor_methods,
	control_stats_methods,	 NULL,
};

static const struct control_method *find_method(const char *name)
{
	for (const struct control_method *const *file = control_methods; *file; file++)
		for (const struct control_method *m = *file; m->name; m++)
			if (!strcmp(m->name, name))
				return m;
	return NULL;
}

/* What may be done by everybody, or by those who have the right to the devices, goes on. */
static bool permitted(struct control_caller *caller, const struct control_method *method)
{
	if (method->right != CONTROL_ALL || control_may_change(caller))
		return true;
	log_limited(control_log_limit(caller), LOG_LEVEL_NOTICE, "%s may not call %s",
		    control_who(caller), method->name);
	control_error(caller, "Denied",
		      json_pack("{s:s}", "by",
				"your user: only root and members of the group \"usbrouted\" may"));
	return false;
}

/**
 * control_method() - carry out a call of io.usbrouted
 * @caller:	who calls; answered now, or later by way of control_wait()
 * @call:	the call; its method is of this interface
 */
void control_method(struct control_caller *caller, const struct varlink_call *call)
{
	const struct control_method *method = find_method(strrchr(call->method, '.') + 1);

	if (!method)
		control_error(caller, "MethodNotFound", json_pack("{s:s}", "method", call->method));
	else if (control_check_parameters(caller, call, method->parameters) &&
		 permitted(caller, method))
		method->run(caller, call);
}
