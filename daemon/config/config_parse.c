/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From lines to the tree: sections, keys, and each at most once.
 *
 * config_keys.c says which keys a section has and who reads each. Every line is read even after a
 * refused one, so that a person sees all errors at once; the lines of a refused section are passed
 * over. The checks between lines come last. The tree is handed out only if nothing was refused.
 */
#include "daemon/config/config_private.h"

#include <errno.h>
#include <string.h>

#include "base/text_file.h"
#include "policy/name.h"

static void config_freep(struct config **config)
{
	*config = config_free(*config);
}

/* ------------------------------------------------------------- sections with a name */

static unsigned vm_line(const struct config *config, const char *name)
{
	const struct config_vm *vm = config_find_vm(config, name);

	return vm ? vm->line : 0;
}

static size_t add_vm(struct config_parser *p, const char *name)
{
	struct config_vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return 0;
	strcpy(vm->name, name);
	vm->line = p->line;
	list_append(&p->config->vms, &vm->link);
	p->vm = vm;
	return ++p->config->n_vms;
}

/* The kinds of named sections are alike except for their types; what follows is the table's. */

static unsigned device_line(const struct config *config, const char *name)
{
	const struct config_device *device = config_find_device(config, name);

	return device ? device->line : 0;
}

static size_t add_device(struct config_parser *p, const char *name)
{
	struct config_device *device = calloc(1, sizeof(*device));

	if (!device)
		return 0;
	device->match = (struct selector)SELECTOR_INIT;
	strcpy(device->name, name);
	device->line = p->line;
	list_append(&p->config->devices, &device->link);
	p->device = device;
	return ++p->config->n_devices;
}

static unsigned group_line(const struct config *config, const char *name)
{
	const struct config_group *group = config_find_group(config, name);

	return group ? group->line : 0;
}

static size_t add_group(struct config_parser *p, const char *name)
{
	struct config_group *group = calloc(1, sizeof(*group));

	if (!group)
		return 0;
	strcpy(group->name, name);
	group->line = p->line;
	list_append(&p->config->groups, &group->link);
	p->group = group;
	return ++p->config->n_groups;
}

static unsigned network_line(const struct config *config, const char *name)
{
	const struct config_network *network = config_find_network(config, name);

	return network ? network->line : 0;
}

static size_t add_network(struct config_parser *p, const char *name)
{
	struct config_network *network = calloc(1, sizeof(*network));

	if (!network)
		return 0;
	strcpy(network->name, name);
	network->line = p->line;
	list_append(&p->config->networks, &network->link);
	p->network = network;
	return ++p->config->n_networks;
}

static unsigned export_line(const struct config *config, const char *name)
{
	const struct config_export *export = config_find_export(config, name);

	return export ? export->line : 0;
}

static size_t add_export(struct config_parser *p, const char *name)
{
	struct config_export *export = calloc(1, sizeof(*export));

	if (!export)
		return 0;
	strcpy(export->name, name);
	export->line = p->line;
	list_append(&p->config->exports, &export->link);
	p->export = export;
	return ++p->config->n_exports;
}

static const struct {
	const char *what;
	bool (*valid)(const char *name);
	unsigned (*line)(const struct config *config, const char *name); /* 0: there is none */
	size_t (*add)(struct config_parser *p,
		      const char *name); /* how many there are; 0: no memory */
	size_t max;
} named[SECTIONS] = {
	[SECTION_VM] = {"VM", name_valid, vm_line, add_vm, CONFIG_VMS_MAX},
	[SECTION_DEVICE] = {"device", name_valid_alias, device_line, add_device,
			    CONFIG_DEVICES_MAX},
	[SECTION_GROUP] = {"group", name_valid_alias, group_line, add_group, CONFIG_GROUPS_MAX},
	[SECTION_LAN] = {"network", name_valid, network_line, add_network, CONFIG_NETWORKS_MAX},
	[SECTION_EXPORT] = {"LAN export", name_valid_alias, export_line, add_export,
			    CONFIG_EXPORTS_MAX},
};

static size_t how_many(const struct config *c, unsigned s)
{
	switch (s) {
	case SECTION_VM:
		return c->n_vms;
	case SECTION_DEVICE:
		return c->n_devices;
	case SECTION_LAN:
		return c->n_networks;
	case SECTION_EXPORT:
		return c->n_exports;
	default:
		return c->n_groups;
	}
}

/* A new [vm …], [device …], [group …], [network …] or [export …] in the tree; false where it was refused. */
static bool begin_named(struct config_parser *p, unsigned s, const char *name)
{
	const struct config *c = p->config;
	size_t n = how_many(c, s);
	unsigned other = named[s].line(c, name);

	if (!named[s].valid(name)) {
		config_complain(
			p, NULL, "a %s's name of 1 to 31 of A-Z a-z 0-9 _ -, %s", named[s].what,
			named[s].valid == name_valid
				? "and none of host next prev all none control"
				: "none of host next prev all none control, and not the form of a port such as 1-1");
		return false;
	}
	if (other) {
		config_complain(p, NULL, "each %s once; line %u has it too", named[s].what, other);
		return false;
	}
	if (n == named[s].max) {
		config_complain(p, NULL, "at most %zu %ss", named[s].max, named[s].what);
		return false;
	}
	if (!named[s].add(p, name))
		p->r = -ENOMEM;
	return p->r == 0;
}

/* Only a section's end shows what it lacks. */
static void end_section(struct config_parser *p)
{
	const struct config_key *keys = config_sections[p->section].keys;

	for (unsigned i = 0; i < CONFIG_KEYS_MAX && !p->unread; i++)
		if (keys[i].required && !p->key_lines[i])
			config_complain_at(p, p->section_line, p->section_text, keys[i].name,
					   "%s, such as %s = %s; found no such line",
					   keys[i].required, keys[i].name, keys[i].example);
	p->section = SECTION_REFUSED;
}

/*
 * The section of a kind, with a name where it is given one, where there is such a one. Return: SECTIONS
 * where there is no such kind.
 */
static unsigned find_section(const char *kind, size_t kind_len, bool has_name)
{
	unsigned found = SECTIONS;

	for (unsigned s = SECTION_FIRST; s < SECTIONS; s++) {
		if (strlen(config_sections[s].kind) != kind_len ||
		    memcmp(config_sections[s].kind, kind, kind_len) != 0)
			continue;
		if (has_name == !!config_sections[s].name)
			return s;
		found = s;
	}
	return found;
}

static void begin_section(struct config_parser *p, const char *text)
{
	size_t kind_len = strcspn(text, " ");
	const char *name = text[kind_len] ? text + kind_len + 1 : NULL;
	char list[CONFIG_LIST_MAX];
	unsigned s;

	end_section(p);
	config_found(p->section_text, text);
	p->section_line = p->line;
	memset(p->key_lines, 0, sizeof(p->key_lines));
	p->unread = false;

	s = find_section(text, kind_len, name != NULL);
	if (s == SECTIONS || (name && !config_sections[s].name)) {
		config_complain(p, NULL, "%s", config_section_list(list));
		return;
	}
	if (!config_sections[s].name && p->section_lines[s]) {
		config_complain(p, NULL, "each section once; line %u begins it too",
				p->section_lines[s]);
		return;
	}
	if (config_sections[s].name && !name) {
		config_complain(p, NULL, "a name, such as [%s %s]", config_sections[s].kind,
				config_sections[s].name);
		return;
	}
	if (name && !begin_named(p, s, name))
		return;
	p->section_lines[s] = p->line;
	p->section = (enum config_section)s;
	p->config->lan_export = p->config->lan_export || s == SECTION_LAN_EXPORT;
}

static void set_key(struct config_parser *p, const struct config_line *l)
{
	const struct config_key *k;
	char list[CONFIG_LIST_MAX];
	int i;

	if (p->section == SECTION_REFUSED)
		return;
	if (p->section == SECTION_NONE) {
		config_complain_at(p, p->line, NULL, l->key, "a section above it, %s",
				   config_section_list(list));
		return;
	}
	i = config_key_find(p->section, l->key);
	if (i < 0) {
		config_complain(p, l->key, "one of the keys %s", config_key_list(p->section, list));
		return;
	}
	k = &config_sections[p->section].keys[i];
	if (p->key_lines[i]) {
		config_complain(p, l->key, "the key once; line %u has it too", p->key_lines[i]);
		return;
	}
	p->key_lines[i] = p->line;
	if (!l->n_words)
		config_complain(p, l->key, "a value, such as %s = %s", k->name, k->example);
	else if (l->n_words > 1 && !k->list)
		config_complain(p, l->key,
				"one word, or \"quotes\" around white space, such as %s = %s",
				k->name, k->example);
	else
		k->set(p, l);
}

static void parse_one_line(struct config_parser *p, struct config_line *line, const char *text,
			   size_t len)
{
	const char *expected = "";

	if (config_line_parse(line, text, len, &expected)) {
		config_complain_at(p, p->line,
				   line->key && *p->section_text ? p->section_text : NULL,
				   line->key, "%s", expected);
		p->unread = true;
		/*
		 * The lines behind a section that can't be read do not belong to the last section.
		 */
		if (line->kind == CONFIG_LINE_SECTION) {
			end_section(p);
			p->section_text[0] = '\0';
		}
	} else if (line->kind == CONFIG_LINE_SECTION) {
		begin_section(p, line->section);
	} else if (line->kind == CONFIG_LINE_KEY) {
		set_key(p, line);
	}
}

/**
 * config_parse() - read a configuration from memory
 * @ret_config:	the configuration, to be freed with config_free(); written only on success
 * @file:	the file's name, for messages
 * @data:	its bytes
 * @len:	how many
 * @errors:	where messages go; zero at first, to be freed with config_errors_deinit()
 *
 * Return: 0; CONFIG_BAD, and @errors has at least one; -ENOMEM.
 */
int config_parse(struct config **ret_config, const char *file, const void *data, size_t len,
		 struct config_errors *errors)
{
	_cleanup_(config_freep) struct config *config = NULL;
	_cleanup_free_ struct config_line *line = malloc(sizeof(*line));
	struct config_parser p = {.file = file, .errors = errors};
	const char *text = data, *expected;
	int r = config_new_default(&config);

	if (r < 0)
		return r;
	if (!line)
		return -ENOMEM;
	if (len > CONFIG_FILE_MAX) {
		config_errors_add(errors, "%s: expected a file of at most %u bytes; found more",
				  file, CONFIG_FILE_MAX);
		return CONFIG_BAD;
	}
	p.config = config;
	switch (text_file_begins(text, len, &expected)) {
	case TEXT_FILE_GOOD:
		break;
	case TEXT_FILE_MARKED:
		config_complain_at(&p, 1, NULL, NULL, "%s", expected);
		text += TEXT_FILE_MARK_LEN;
		len -= TEXT_FILE_MARK_LEN;
		break;
	case TEXT_FILE_OTHER:
		config_complain_at(&p, 1, NULL, NULL, "%s", expected);
		return CONFIG_BAD;
	}
	while (len && !p.r && errors->n <= CONFIG_ERRORS_MAX) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		p.line++;
		parse_one_line(&p, line, text, n);
		text += end ? n + 1 : n;
		len -= end ? n + 1 : n;
	}
	end_section(&p);
	config_check(&p);
	if (p.r < 0)
		return p.r;
	if (errors->n)
		return CONFIG_BAD;
	*ret_config = take_ptr(config);
	return 0;
}
