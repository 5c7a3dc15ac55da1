/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration's tree: made with its defaults, read from its file, searched, freed.
 */
#include "daemon/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/config/config_private.h"

/**
 * config_free() - free a configuration
 * @config:	the configuration, or NULL
 *
 * Return: NULL.
 */
struct config *config_free(struct config *config)
{
	struct list *l;

	if (!config)
		return NULL;
	while ((l = list_pop(&config->vms))) {
		struct config_vm *vm = list_entry(l, struct config_vm, link);

		free(vm->domain);
		free(vm);
	}
	while ((l = list_pop(&config->devices))) {
		struct config_device *d = list_entry(l, struct config_device, link);

		selector_deinit(&d->match);
		free(d->vms);
		free(d);
	}
	while ((l = list_pop(&config->groups))) {
		struct config_group *g = list_entry(l, struct config_group, link);

		free(g->devices);
		free(g);
	}
	while ((l = list_pop(&config->networks)))
		free(list_entry(l, struct config_network, link));
	while ((l = list_pop(&config->exports))) {
		struct config_export *e = list_entry(l, struct config_export, link);

		free(e->to);
		free(e);
	}
	free(config->runtime_directory);
	free(config->state_directory);
	free(config->socket_group);
	free(config->talks);
	free(config);
	return NULL;
}

static void config_freep(struct config **config)
{
	*config = config_free(*config);
}

#define _cleanup_config_ _cleanup_(config_freep)

/**
 * config_new_default() - the configuration of an empty file
 * @ret_config:	the configuration, to be freed with config_free()
 *
 * Return: 0; -ENOMEM; -EINVAL, as of config_set_defaults().
 */
int config_new_default(struct config **ret_config)
{
	_cleanup_config_ struct config *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	list_init(&c->vms);
	list_init(&c->devices);
	list_init(&c->groups);
	list_init(&c->networks);
	list_init(&c->exports);
	r = config_set_defaults(c);
	if (r == 0)
		*ret_config = take_ptr(c);
	return r;
}

/**
 * config_read_file() - read all of an open file
 * @fd:		the file
 * @file:	its name, for messages
 * @ret_data:	its bytes, to be freed; at most one more than CONFIG_FILE_MAX
 * @ret_len:	how many
 * @errors:	where messages go
 *
 * Return: 0; CONFIG_BAD, and @errors has one; -ENOMEM.
 */
int config_read_file(int fd, const char *file, char **ret_data, size_t *ret_len,
		     struct config_errors *errors)
{
	_cleanup_free_ char *data = NULL;
	struct stat st;
	size_t len = 0;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		config_errors_add(errors, "%s: expected a regular file", file);
		return CONFIG_BAD;
	}
	data = malloc(CONFIG_FILE_MAX + 1);
	if (!data)
		return -ENOMEM;
	while (len <= CONFIG_FILE_MAX) {
		ssize_t n = read(fd, data + len, CONFIG_FILE_MAX + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			config_errors_add(errors, "%s: expected a readable file; %s", file,
					  errno_text(errno));
			return CONFIG_BAD;
		}
		if (!n)
			break;
		len += (size_t)n;
	}
	*ret_data = take_ptr(data);
	*ret_len = len;
	return 0;
}

/**
 * config_load() - read the configuration's file
 * @ret_config:	the configuration, to be freed with config_free(); written only on success
 * @file:	its path
 * @must_exist:	a missing file is an error; else it is as an empty one
 * @errors:	where messages go; zero at first, to be freed with config_errors_deinit()
 *
 * Return: 0; CONFIG_BAD, and @errors has at least one; -ENOMEM.
 */
int config_load(struct config **ret_config, const char *file, bool must_exist,
		struct config_errors *errors)
{
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *data = NULL;
	size_t len;
	int r;

	if (fd < 0) {
		if (errno == ENOENT && !must_exist)
			return config_new_default(ret_config);
		config_errors_add(errors, "%s: expected a readable file; %s", file,
				  errno_text(errno));
		return CONFIG_BAD;
	}
	r = config_read_file(fd, file, &data, &len, errors);
	return r ? r : config_parse(ret_config, file, data, len, errors);
}

/**
 * config_errors_deinit() - free messages
 * @errors:	the messages; none afterwards
 */
void config_errors_deinit(struct config_errors *errors)
{
	free(errors->text);
	*errors = (struct config_errors){0};
}

/**
 * config_find_vm() - the VM with a name
 * @config:	the configuration
 * @name:	the name
 *
 * Return: the VM, owned by the configuration, or NULL.
 */
const struct config_vm *config_find_vm(const struct config *config, const char *name)
{
	list_for_each(it, &config->vms) {
		const struct config_vm *vm = list_entry(it, struct config_vm, link);

		if (!strcmp(vm->name, name))
			return vm;
	}
	return NULL;
}

/**
 * config_may_talk() - whether two VMs reach each other though guests are isolated
 * @config:	the configuration
 * @a:		one VM's name
 * @b:		the other's, in any order
 */
bool config_may_talk(const struct config *config, const char *a, const char *b)
{
	for (size_t i = 0; i < config->n_talks; i++) {
		const struct config_talk *t = &config->talks[i];

		if ((!strcmp(t->vms[0], a) && !strcmp(t->vms[1], b)) ||
		    (!strcmp(t->vms[0], b) && !strcmp(t->vms[1], a)))
			return true;
	}
	return false;
}

/**
 * config_find_device() - the device with an alias
 * @config:	the configuration
 * @name:	the alias
 *
 * Return: the device, owned by the configuration, or NULL.
 */
const struct config_device *config_find_device(const struct config *config, const char *name)
{
	list_for_each(it, &config->devices) {
		const struct config_device *d = list_entry(it, struct config_device, link);

		if (!strcmp(d->name, name))
			return d;
	}
	return NULL;
}

/**
 * config_find_network() - the further network with a name
 * @config:	the configuration
 * @name:	the name
 *
 * Return: the network, owned by the configuration, or NULL.
 */
const struct config_network *config_find_network(const struct config *config, const char *name)
{
	list_for_each(it, &config->networks) {
		const struct config_network *n = list_entry(it, struct config_network, link);

		if (!strcmp(n->name, name))
			return n;
	}
	return NULL;
}

/**
 * config_find_group() - the group with a name
 * @config:	the configuration
 * @name:	the name
 *
 * Return: the group, owned by the configuration, or NULL.
 */
const struct config_group *config_find_group(const struct config *config, const char *name)
{
	list_for_each(it, &config->groups) {
		const struct config_group *g = list_entry(it, struct config_group, link);

		if (!strcmp(g->name, name))
			return g;
	}
	return NULL;
}

/**
 * config_find_export() - the export with a name
 * @config:	the configuration
 * @name:	the device's alias, or the group's
 *
 * Return: the export, owned by the configuration, or NULL.
 */
const struct config_export *config_find_export(const struct config *config, const char *name)
{
	list_for_each(it, &config->exports) {
		const struct config_export *e = list_entry(it, struct config_export, link);

		if (!strcmp(e->name, name))
			return e;
	}
	return NULL;
}
