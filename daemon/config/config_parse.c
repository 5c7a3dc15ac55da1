/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From lines to the tree: sections, keys, and each at most once.
 *
 * A table says which keys a section has and who reads each. Every line is read even where an
 * earlier one was refused, so that a person sees all errors at once; what belongs to a refused
 * section is passed over. The checks between lines come last. The tree is handed out only where
 * nothing was refused.
 */
#include "daemon/config/config_private.h"

#include <errno.h>
#include <string.h>

#include "base/text_file.h"
#include "policy/name.h"

#define SECTION_LIST                                                           \
	"one of [daemon], [network], [vm NAME], [device NAME], [group NAME], " \
	"[hotkey]"

struct key {
	const char *name;
	bool list; /* any number of words, but at least one; else exactly one */
	const char *example;
	config_set_fn set;
};

static const struct {
	const char *kind;
	bool named;
	struct key keys[CONFIG_KEYS_MAX];
	const char *key_list;
} sections[SECTIONS] = {
	[SECTION_DAEMON] =
		{"daemon",
		 false,
		 {{"runtime-directory", false, "/run/usbrouted", config_set_runtime_directory},
		  {"state-directory", false, "/var/lib/usbrouted", config_set_state_directory},
		  {"socket-group", false, "kvm", config_set_socket_group}},
		 "runtime-directory, state-directory, socket-group"},
	[SECTION_NETWORK] = {"network",
			     false,
			     {{"address", false, "10.77.0.1/24", config_set_network_address},
			      {"isolate", false, "no", config_set_isolate}},
			     "address, isolate"},
	[SECTION_VM] = {"vm",
			true,
			{{"address", false, "10.77.0.11", config_set_vm_address},
			 {"mac", false, "52:54:00:77:00:0b", config_set_vm_mac},
			 {"domain", false, "\"win 10\"", config_set_domain}},
			"address, mac, domain"},
	[SECTION_DEVICE] = {"device",
			    true,
			    {{"match", true, "id=046d:c31c", config_set_match},
			     {"vms", true, "vm1 vm2", config_set_vms}},
			    "match, vms"},
	[SECTION_GROUP] = {"group",
			   true,
			   {{"devices", true, "keyboard mouse", config_set_members}},
			   "devices"},
	[SECTION_HOTKEY] = {"hotkey",
			    false,
			    {{"panic", false, "LeftCtrl+RightCtrl+Esc", config_set_hotkey_panic},
			     {"next", false, "LeftCtrl+RightCtrl+Space", config_set_hotkey_next}},
			    "panic, next"},
};

static void config_freep(struct config **config)
{
	*config = config_free(*config);
}

/* A new [vm …] or [device …] in the tree; false where it was refused. */
static bool begin_vm(struct config_parser *p, const char *name)
{
	const struct config_vm *other = config_find_vm(p->config, name);
	struct config_vm *vm;

	if (!name_valid(name)) {
		config_complain(
			p, NULL,
			"a VM's name of 1 to 31 of A-Z a-z 0-9 _ -, and none of host next prev all "
			"none control");
		return false;
	}
	if (other) {
		config_complain(p, NULL, "each VM once; line %u has it too", other->line);
		return false;
	}
	if (p->config->n_vms == CONFIG_VMS_MAX) {
		config_complain(p, NULL, "at most %u VMs", CONFIG_VMS_MAX);
		return false;
	}
	vm = calloc(1, sizeof(*vm));
	if (!vm) {
		p->r = -ENOMEM;
		return false;
	}
	strcpy(vm->name, name);
	vm->line = p->line;
	list_append(&p->config->vms, &vm->link);
	p->config->n_vms++;
	p->vm = vm;
	return true;
}

static bool begin_device(struct config_parser *p, const char *name)
{
	const struct config_device *other = config_find_device(p->config, name);
	struct config_device *device;

	if (!name_valid_alias(name)) {
		config_complain(
			p, NULL,
			"a device's name of 1 to 31 of A-Z a-z 0-9 _ -, none of host next prev all "
			"none control, and not the form of a port such as 1-1");
		return false;
	}
	if (other) {
		config_complain(p, NULL, "each device once; line %u has it too", other->line);
		return false;
	}
	if (p->config->n_devices == CONFIG_DEVICES_MAX) {
		config_complain(p, NULL, "at most %u devices", CONFIG_DEVICES_MAX);
		return false;
	}
	device = calloc(1, sizeof(*device));
	if (!device) {
		p->r = -ENOMEM;
		return false;
	}
	device->match = (struct selector)SELECTOR_INIT;
	strcpy(device->name, name);
	device->line = p->line;
	list_append(&p->config->devices, &device->link);
	p->config->n_devices++;
	p->device = device;
	return true;
}

static bool begin_group(struct config_parser *p, const char *name)
{
	const struct config_group *other = config_find_group(p->config, name);
	struct config_group *group;

	if (!name_valid_alias(name)) {
		config_complain(
			p, NULL,
			"a group's name of 1 to 31 of A-Z a-z 0-9 _ -, none of host next prev all "
			"none control, and not the form of a port such as 1-1");
		return false;
	}
	if (other) {
		config_complain(p, NULL, "each group once; line %u has it too", other->line);
		return false;
	}
	if (p->config->n_groups == CONFIG_GROUPS_MAX) {
		config_complain(p, NULL, "at most %u groups", CONFIG_GROUPS_MAX);
		return false;
	}
	group = calloc(1, sizeof(*group));
	if (!group) {
		p->r = -ENOMEM;
		return false;
	}
	strcpy(group->name, name);
	group->line = p->line;
	list_append(&p->config->groups, &group->link);
	p->config->n_groups++;
	p->group = group;
	return true;
}

/* What a section lacks is only known at its end. */
static void end_section(struct config_parser *p)
{
	bool lacks = !p->key_lines[0] && !p->unread;

	if (p->section == SECTION_DEVICE && lacks)
		config_complain_at(
			p, p->section_line, p->section_text, "match",
			"what the device is known by, such as match = id=046d:c31c; found no "
			"such line");
	if (p->section == SECTION_GROUP && lacks)
		config_complain_at(p, p->section_line, p->section_text, "devices",
				   "who is in the group, such as devices = keyboard mouse; found "
				   "no such line");
	p->section = SECTION_REFUSED;
}

static void begin_section(struct config_parser *p, const char *text)
{
	size_t kind_len = strcspn(text, " ");
	const char *name = text[kind_len] ? text + kind_len + 1 : NULL;
	unsigned s;

	end_section(p);
	config_found(p->section_text, text);
	p->section_line = p->line;
	memset(p->key_lines, 0, sizeof(p->key_lines));
	p->unread = false;

	for (s = SECTION_DAEMON; s < SECTIONS; s++)
		if (strlen(sections[s].kind) == kind_len &&
		    !memcmp(sections[s].kind, text, kind_len))
			break;
	if (s == SECTIONS || (name && !sections[s].named)) {
		config_complain(p, NULL, SECTION_LIST);
		return;
	}
	if (!sections[s].named && p->section_lines[s]) {
		config_complain(p, NULL, "each section once; line %u begins it too",
				p->section_lines[s]);
		return;
	}
	if (sections[s].named && !name) {
		config_complain(p, NULL, "a name, such as [%s %s]", sections[s].kind,
				s == SECTION_VM	      ? "vm1"
				: s == SECTION_DEVICE ? "keyboard"
						      : "desk");
		return;
	}
	if ((s == SECTION_VM && !begin_vm(p, name)) ||
	    (s == SECTION_DEVICE && !begin_device(p, name)) ||
	    (s == SECTION_GROUP && !begin_group(p, name)))
		return;
	p->section_lines[s] = p->line;
	p->section = (enum config_section)s;
}

static void set_key(struct config_parser *p, const struct config_line *l)
{
	const struct key *k = NULL;
	unsigned i;

	if (p->section == SECTION_REFUSED)
		return;
	if (p->section == SECTION_NONE) {
		config_complain_at(p, p->line, NULL, l->key, "a section above it, " SECTION_LIST);
		return;
	}
	for (i = 0; i < CONFIG_KEYS_MAX && sections[p->section].keys[i].name; i++)
		if (!strcmp(sections[p->section].keys[i].name, l->key)) {
			k = &sections[p->section].keys[i];
			break;
		}
	if (!k) {
		config_complain(p, l->key, "one of the keys %s", sections[p->section].key_list);
		return;
	}
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
		/* What follows a section that can't be read is not the last one's. */
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

	if (r < 0 || !line)
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
