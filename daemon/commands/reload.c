/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another configuration while the daemon runs: read whole, checked whole, and then put in place of
 * the old one; or refused, and nothing has changed.
 *
 * VMs, devices, groups, hot keys and rules may come, go and change. [daemon] needs a restart, and so
 * do address and isolate in [network]: they were set up with rights that were dropped since.
 */
#include <build_info.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/commands/commands.h"
#include "daemon/config/policy_files.h"

static void compare_text(struct config_errors *errors, const char *file, const char *key,
			 const char *old, const char *new)
{
	if (strcmp(old, new))
		config_errors_add(errors,
				  "%s: %s: expected %s, as it is now; a change needs a restart",
				  file, key, old);
}

static void compare(struct config_errors *errors, const char *file, const struct config *old,
		    const struct config *new)
{
	compare_text(errors, file, "[daemon] runtime-directory", old->runtime_directory,
		     new->runtime_directory);
	compare_text(errors, file, "[daemon] state-directory", old->state_directory,
		     new->state_directory);
	compare_text(errors, file, "[daemon] socket-group", old->socket_group, new->socket_group);
	if (old->address.s_addr != new->address.s_addr || old->prefix != new->prefix)
		config_errors_add(errors,
				  "%s: [network] address: expected no change; it needs a restart",
				  file);
	if (old->isolate != new->isolate)
		config_errors_add(
			errors,
			"%s: [network] isolate: expected %s, as it is now; a change needs a restart",
			file, old->isolate ? "yes" : "no");
}

/**
 * commands_reload() - read the configuration and the policy anew
 * @commands:	the commands, ready
 * @errors:	what is wrong with them; zero at first, to be freed with config_errors_deinit()
 *
 * Return: 0; or CONFIG_BAD or a negative errno, and nothing has changed.
 */
int commands_reload(struct commands *commands, struct config_errors *errors)
{
	const char *file =
		commands->core->config_file ? commands->core->config_file : USBROUTED_CONFIG;
	struct config *config = NULL;
	struct policy *policy = NULL;
	struct vm_list vms;
	int r = config_load(&config, file, commands->core->config_file != NULL, errors);

	if (r == 0)
		r = policy_files_load(&policy, commands->core->config_file, config, errors);
	if (r == 0) {
		compare(errors, file, commands->core->config, config);
		r = errors->n ? CONFIG_BAD : 0;
	}
	if (r == 0)
		r = vms_prepare(commands->vms, config, &vms, errors);
	if (r) {
		policy_free(policy);
		config_free(config);
		return r;
	}
	/* From here on nothing can fail. */
	policy_free(commands->core->policy);
	commands->core->policy = policy;
	/*
	 * Only the devices still point into the old tree; they get their sections from the new one.
	 */
	config_free(commands->core->config);
	commands->core->config = config;
	commands->core->runtime_directory = config->runtime_directory;
	commands->core->state_directory = config->state_directory;
	core_basis_changed(commands->core);
	devices_find_sections(commands->devices);
	devices_name_anew(commands->devices);
	list_for_each(it, &commands->vms->all) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (vm->guest)
			guest_set_hotkeys(vm->guest, &config->hotkeys);
	}
	vms_change(commands->vms, &vms);
	log_notice("the configuration was read anew");
	routes_review(commands->routing);
	return 0;
}
