/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading policy.d: which files there are, and which local users they name. Errors are lines
 * "FILE:LINE: expected …" beside the configuration's.
 */
#include "daemon/config/policy_files.h"

#include <build_info.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/config/config_private.h"

#define FILES_MAX 1024
#define SUFFIX	  ".rules"

struct complaint {
	const char *path;
	struct config_errors *errors;
};

static void complain(void *ctx, unsigned line, const char *text)
{
	const struct complaint *c = ctx;

	if (c->errors->n > CONFIG_ERRORS_MAX)
		return;
	if (c->errors->n == CONFIG_ERRORS_MAX)
		config_errors_add(c->errors, "%s: expected fewer errors; the rest is left out",
				  c->path);
	else if (line)
		config_errors_add(c->errors, "%s:%u: %s", c->path, line, text);
	else
		config_errors_add(c->errors, "%s: %s", c->path, text);
}

static bool is_vm(void *ctx, const char *name)
{
	return config_find_vm(ctx, name);
}

static bool is_group(void *ctx, const char *name)
{
	return config_find_group(ctx, name);
}

/* An unknown user is only a warning: a package or a directory may bring the user later. */
static uint32_t look_up(void *ctx _unused_, const struct rule *rule, bool group, const char *name)
{
	const struct passwd *pw = group ? NULL : getpwnam(name);
	const struct group *gr = group ? getgrnam(name) : NULL;

	if (pw)
		return pw->pw_uid;
	if (gr)
		return gr->gr_gid;
	log_warning(
		"%s:%u: there is no %s \"%s\"; the rule gives nobody of that name a right before the next reload",
		rule->file, rule->line, group ? "group" : "user", name);
	return RULE_ID_UNKNOWN;
}

/**
 * policy_files_parse() - add the rules of one file
 * @policy:	the policy; to be dropped where this does not return 0
 * @name:	the file, where a rule of it is named: "policy.d/10-usb.rules"
 * @path:	the file, where a line of it is refused
 * @data:	its bytes
 * @len:	how many
 * @config:	which VMs and groups there are
 * @errors:	where messages go
 *
 * Return: 0; CONFIG_BAD, and @errors has at least one; -ENOMEM.
 */
int policy_files_parse(struct policy *policy, const char *name, const char *path, const void *data,
		       size_t len, const struct config *config, struct config_errors *errors)
{
	struct complaint c = {.path = path, .errors = errors};
	const struct policy_names names = {
		.ctx = (void *)config, .is_vm = is_vm, .is_group = is_group};
	int r = policy_parse(policy, name, data, len, &names, complain, &c);

	return r == POLICY_BAD ? CONFIG_BAD : r;
}

/* ------------------------------------------------------------- the folder */

static int load_file(struct policy *policy, int folder, const char *folder_path, const char *name,
		     const struct config *config, struct config_errors *errors)
{
	_cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *path = NULL, *data = NULL;
	char shown[CONFIG_FOUND_MAX + 4], label[sizeof(POLICY_FOLDER) + sizeof(shown)];
	size_t len;
	int r;

	config_found(shown, name);
	snprintf(label, sizeof(label), "%s/%s", POLICY_FOLDER, shown);
	if (asprintf(&path, "%s/%s", folder_path, shown) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (fd < 0) {
		config_errors_add(errors, "%s: expected a readable file; %s", path,
				  errno_text(errno));
		return CONFIG_BAD;
	}
	r = config_read_file(fd, path, &data, &len, errors);
	return r ? r : policy_files_parse(policy, label, path, data, len, config, errors);
}

/* An editor's leftovers begin with a dot, or end differently. */
static int is_rules_file(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > strlen(SUFFIX) &&
	       !strcmp(e->d_name + n - strlen(SUFFIX), SUFFIX);
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_files(struct policy *policy, int folder, const char *path, struct dirent **files,
		      int n, const struct config *config, struct config_errors *errors)
{
	int status = 0;

	if (n > FILES_MAX) {
		config_errors_add(errors, "%s: expected at most %d files; found %d", path,
				  FILES_MAX, n);
		return CONFIG_BAD;
	}
	for (int i = 0; i < n; i++) {
		int r = load_file(policy, folder, path, files[i]->d_name, config, errors);

		if (r < 0)
			return r;
		status = r ? r : status;
	}
	return status;
}

static int load_folder(struct policy *policy, const char *path, const struct config *config,
		       struct config_errors *errors)
{
	_cleanup_close_ int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **files = NULL;
	int n, r;

	if (folder < 0 && errno == ENOENT)
		return 0;
	n = folder < 0 ? -1 : scandirat(folder, ".", &files, is_rules_file, by_bytes);
	if (n < 0) {
		config_errors_add(errors, "%s: expected a readable folder; %s", path,
				  errno_text(errno));
		return CONFIG_BAD;
	}
	r = load_files(policy, folder, path, files, n, config, errors);
	for (int i = 0; i < n; i++)
		free(files[i]);
	free(files);
	return r;
}

/**
 * policy_files_load() - read all files of the policy
 * @ret_policy:		the policy, to be freed with policy_free(); written only on success
 * @config_file:	the configuration's path; policy.d lies beside it. NULL: the default one
 * @config:		which VMs and groups there are
 * @errors:		where messages go; zero at first, to be freed with config_errors_deinit()
 *
 * Without the folder the policy has no rules. Local users and groups are looked up; those that
 * don't exist are warned of.
 *
 * Return: 0; CONFIG_BAD, and @errors has at least one; -ENOMEM.
 */
int policy_files_load(struct policy **ret_policy, const char *config_file,
		      const struct config *config, struct config_errors *errors)
{
	const char *file = config_file ? config_file : USBROUTED_CONFIG;
	const char *slash = strrchr(file, '/');
	_cleanup_(policy_freep) struct policy *policy = NULL;
	_cleanup_free_ char *path = NULL;
	int r = policy_new(&policy);

	if (r < 0)
		return r;
	if (asprintf(&path, "%.*s%s", slash ? (int)(slash + 1 - file) : 0, file, POLICY_FOLDER) <
	    0) {
		path = NULL;
		return -ENOMEM;
	}
	r = load_folder(policy, path, config, errors);
	if (r)
		return r;
	policy_resolve(policy, look_up, NULL);
	*ret_policy = take_ptr(policy);
	return 0;
}
