/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a line's words to a rule. A table says which keys there are, where each may stand, and who
 * reads its value; what is refused comes back as "expected …; found …".
 */
#include "policy/rule.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "policy/name.h"
#include "policy/rule_line.h"
#include "policy/usb_class.h"

#define FOUND_MAX 60

enum stage { STAGE_VERB, STAGE_MATCHERS, STAGE_VMS, STAGE_OPTIONS };

struct rule_parser {
	struct rule *rule;
	const struct policy_names *names;
	enum stage stage;
	bool has_matcher, has_to;
	const char *word; /* the one being read */
	char *expected;
	size_t expected_size;
};

/* Refuse the present word, or what it should have been followed by. */
static int refuse(struct rule_parser *p, const char *expected)
{
	char found[FOUND_MAX + 4];
	size_t n = utf8_cut(p->word, FOUND_MAX);

	for (size_t i = 0; i < n; i++)
		found[i] = p->word[i] == RULE_OR ? '|' : p->word[i];
	strcpy(found + n, p->word[n] ? "…" : "");
	snprintf(p->expected, p->expected_size, "expected %s; found \"%s\"", expected, found);
	return POLICY_BAD;
}

static int list_add(struct rule_list *list, const char *item, size_t len)
{
	char **items = reallocarray(list->items, list->n + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	list->items = items;
	list->items[list->n] = strndup(item, len);
	if (!list->items[list->n])
		return -ENOMEM;
	list->n++;
	return 0;
}

static bool is_pattern(const char *text)
{
	return strpbrk(text, "*?") != NULL;
}

/* ------------------------------------------------------------- one alternative of each kind */

static bool item_id(const struct rule_parser *p, char *item)
{
	size_t len = strlen(item);
	char id[10];

	if (len == 6 && !strcmp(item + 4, ":*"))
		snprintf(id, sizeof(id), "%.5s0000", item);
	else if (len == 9)
		memcpy(id, item, sizeof(id));
	else
		return false;
	for (char *c = item; *c; c++)
		if (*c >= 'A' && *c <= 'F')
			*c = (char)(*c - 'A' + 'a');
	return name_is_id(id);
}

static bool item_text(const struct rule_parser *p, char *item)
{
	return true;
}

static bool item_port(const struct rule_parser *p, char *item)
{
	return is_pattern(item) || name_is_busid(item) || name_is_stable_port(item);
}

static bool item_class(const struct rule_parser *p, char *item)
{
	return usb_class_parse(item) >= 0;
}

static bool item_alias(const struct rule_parser *p, char *item)
{
	return is_pattern(item) || name_valid_alias(item);
}

static bool item_in(const struct rule_parser *p, char *item)
{
	return name_valid(item) && p->names->is_group(p->names->ctx, item);
}

static bool parse_number(const char *text, uint32_t *ret_number)
{
	uint64_t number = 0;
	size_t n = strspn(text, "0123456789");

	if (!n || n > 10 || text[n])
		return false;
	for (; *text; text++)
		number = number * 10 + (uint64_t)(*text - '0');
	if (number >= RULE_ID_UNKNOWN)
		return false;
	*ret_number = (uint32_t)number;
	return true;
}

static bool item_account(const struct rule_parser *p, char *item)
{
	static const char chars[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-@";
	uint32_t number;

	if (item[0] >= '0' && item[0] <= '9')
		return parse_number(item, &number);
	return item[0] != '-' && !item[strspn(item, chars)];
}

static const struct {
	const char *key;
	bool (*item)(const struct rule_parser *p, char *item); /* may change its spelling */
	const char *expected;
} kinds[RULE_LISTS] = {
	[RULE_ID] =
		{"id", item_id,
		 "id=VVVV:PPPP, four hexadecimal digits each, such as id=046d:c31c, or id=046d:*"},
	[RULE_SERIAL] = {"serial", item_text, "a serial number after serial="},
	[RULE_PORT] =
		{"port", item_port,
		 "port=BUS-PORT, such as port=1-1.2, or port=CONTROLLER/usb2:PORT as `usbroutectl show` prints it, or a pattern such as port=1-1.*"},
	[RULE_CLASS] = {"class", item_class,
			"class= with some of" USB_CLASS_NAMES ", separated by |"},
	[RULE_PRODUCT] = {"product", item_text, "a product's name after product="},
	[RULE_ALIAS] = {"alias", item_alias, "alias= with the name of a device"},
	[RULE_IN] = {"in", item_in, "in= with a group that has a section [group NAME]"},
	[RULE_USER] = {"user", item_account, "user= with names or numbers of local users"},
	[RULE_GROUP] = {"group", item_account, "group= with names or numbers of local groups"},
};

static int set_list(struct rule_parser *p, enum rule_list_kind kind, const char *value)
{
	struct rule_list *list = &p->rule->lists[kind];

	if (list->n)
		return refuse(p, "each word once; alternatives are separated by |");
	for (;;) {
		size_t len = strcspn(value, (const char[]){RULE_OR, '\0'});
		int r;

		if (!len)
			return refuse(p, value[len] || list->n ? "a value on both sides of |"
							       : kinds[kind].expected);
		r = list_add(list, value, len);
		if (r < 0)
			return r;
		if (!kinds[kind].item(p, list->items[list->n - 1]))
			return refuse(p, kinds[kind].expected);
		if (!value[len])
			break;
		value += len + 1;
	}
	if (kind < RULE_MATCHERS)
		return 0;
	list->ids = calloc(list->n, sizeof(*list->ids));
	if (!list->ids)
		return -ENOMEM;
	for (size_t i = 0; i < list->n; i++)
		if (!parse_number(list->items[i], &list->ids[i]))
			list->ids[i] = RULE_ID_UNKNOWN;
	return 0;
}

/* ------------------------------------------------------------- to VMS */

static int add_vm(struct rule_parser *p, const char *name, size_t len)
{
	struct rule_list *vms = &p->rule->vms;
	int r;

	if (len == strlen("host") && !memcmp(name, "host", len))
		return refuse(p, "names of VMs after to; the host may have every device");
	if (!len)
		return refuse(
			p, "names of VMs separated by commas without blanks, such as to vm1,vm2");
	r = list_add(vms, name, len);
	if (r < 0)
		return r;
	name = vms->items[vms->n - 1];
	if (!strcmp(name, "all") || !strcmp(name, "none"))
		return refuse(p, "all or none alone, or names of VMs");
	if (!name_valid(name) || !p->names->is_vm(p->names->ctx, name))
		return refuse(
			p,
			"all, none, or names of VMs that have a section [vm NAME] after to, such as to vm1,vm2");
	for (size_t i = 0; i + 1 < vms->n; i++)
		if (!strcmp(vms->items[i], name))
			return refuse(p, "each VM once after to");
	return 0;
}

static int set_vms(struct rule_parser *p)
{
	const char *word = p->word;

	p->stage = STAGE_OPTIONS;
	p->has_to = true;
	if (!strcmp(word, "all"))
		return 0;
	if (!strcmp(word, "none")) {
		p->rule->to = RULE_TO_NONE;
		return 0;
	}
	p->rule->to = RULE_TO_LISTED;
	for (;;) {
		size_t len = strcspn(word, ",");
		int r = add_vm(p, word, len);

		if (r || !word[len])
			return r;
		word += len + 1;
	}
}

/* ------------------------------------------------------------- options */

static int set_attach(struct rule_parser *p, const char *value)
{
	if (p->rule->attach)
		return refuse(p, "each word once");
	if (!strcmp(value, "auto"))
		p->rule->attach = RULE_ATTACH_AUTO;
	else if (!strcmp(value, "never"))
		p->rule->attach = RULE_ATTACH_NEVER;
	else
		return refuse(p, "attach=auto or attach=never");
	return 0;
}

static int set_join(struct rule_parser *p, const char *value)
{
	if (*p->rule->join)
		return refuse(p, "each word once");
	if (!name_valid(value) || !p->names->is_group(p->names->ctx, value))
		return refuse(p, "join= with a group that has a section [group NAME]");
	strcpy(p->rule->join, value);
	return 0;
}

/* ------------------------------------------------------------- words */

static int set_verb(struct rule_parser *p)
{
	p->stage = STAGE_MATCHERS;
	p->rule->deny = !strcmp(p->word, "deny");
	if (!p->rule->deny && strcmp(p->word, "allow"))
		return refuse(p, "allow or deny at the start of a rule");
	return 0;
}

static int set_matcher(struct rule_parser *p, enum rule_list_kind kind, const char *value)
{
	if (p->stage != STAGE_MATCHERS)
		return refuse(p, "words that match the device before to and before options");
	if (p->rule->any_device)
		return refuse(p, "* alone, or words that match the device");
	p->has_matcher = true;
	return set_list(p, kind, value);
}

static int set_star(struct rule_parser *p)
{
	if (p->stage != STAGE_MATCHERS || p->has_matcher)
		return refuse(p, "* alone, or words that match the device");
	p->has_matcher = p->rule->any_device = true;
	return 0;
}

static int set_option(struct rule_parser *p, const char *key, size_t len, const char *value)
{
	static const struct {
		const char *key;
		int (*set)(struct rule_parser *p, const char *value);
	} options[] = {{"attach", set_attach}, {"join", set_join}};

	for (unsigned kind = RULE_MATCHERS; kind < RULE_LISTS; kind++)
		if (strlen(kinds[kind].key) == len && !memcmp(kinds[kind].key, key, len)) {
			p->stage = STAGE_OPTIONS;
			return set_list(p, (enum rule_list_kind)kind, value);
		}
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (strlen(options[i].key) == len && !memcmp(options[i].key, key, len)) {
			p->stage = STAGE_OPTIONS;
			return options[i].set(p, value);
		}
	return refuse(
		p,
		"one of id= serial= port= class= product= alias= in=, `to`, or one of attach= join= user= group=");
}

static int set_word(struct rule_parser *p)
{
	size_t len = strcspn(p->word, "=");

	if (p->stage == STAGE_VERB)
		return set_verb(p);
	if (p->stage == STAGE_VMS)
		return set_vms(p);
	if (!strcmp(p->word, "*"))
		return set_star(p);
	if (!strcmp(p->word, "to")) {
		if (p->stage == STAGE_OPTIONS)
			return refuse(p, p->has_to ? "to once" : "to before options");
		p->stage = STAGE_VMS;
		return 0;
	}
	for (unsigned kind = 0; kind < RULE_MATCHERS && p->word[len]; kind++)
		if (strlen(kinds[kind].key) == len && !memcmp(kinds[kind].key, p->word, len))
			return set_matcher(p, (enum rule_list_kind)kind, p->word + len + 1);
	return set_option(p, p->word, p->word[len] ? len : 0, p->word + len + !!p->word[len]);
}

/* Mistakes that show only when all words are there. */
static int check_rule(struct rule_parser *p)
{
	const struct rule *rule = p->rule;
	bool rights = rule_about_rights(rule);

	if (p->stage == STAGE_VMS)
		return refuse(p, "all, none, or names of VMs after to");
	if (!p->has_matcher)
		return refuse(
			p, "words that match the device, such as class=hid, or * for every device");
	if (rule->deny && (rule->attach || *rule->join))
		return refuse(p, "attach= and join= in an allow only");
	if (rights && (rule->attach || *rule->join))
		return refuse(
			p,
			"a rule of its own for attach= and join=; one with user= or group= says who may route");
	if (rule->to == RULE_TO_NONE && (rule->deny || rights))
		return refuse(p,
			      "VMs or all after to; none is for an allow without user= and group=");
	if (rule->attach == RULE_ATTACH_AUTO && rule->to != RULE_TO_LISTED)
		return refuse(p, "the name of a VM after to, for attach=auto");
	return 0;
}

static void list_deinit(struct rule_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
	free(list->ids);
}

/**
 * rule_unref() - give a reference back
 * @rule:	the rule; freed with its last reference
 */
void rule_unref(struct rule *rule)
{
	if (--rule->refs)
		return;
	for (unsigned i = 0; i < RULE_LISTS; i++)
		list_deinit(&rule->lists[i]);
	list_deinit(&rule->vms);
	free(rule->file);
	free(rule->text);
	free(rule);
}

static int parse_words(struct rule_parser *p, const struct rule_line *line)
{
	int r = 0;

	p->word = line->words;
	for (size_t i = 0; !r && i < line->n_words; i++) {
		p->word = i ? rule_line_next_word(p->word) : line->words;
		r = set_word(p);
	}
	return r ? r : check_rule(p);
}

/**
 * rule_parse() - read one line
 * @ret_rule:		the rule, with one reference, without file and line number; NULL where the
 *			line has none
 * @text:		the line, without its newline
 * @len:		its length in bytes
 * @names:		which VMs and groups there are
 * @expected:		where the line is refused, why: "expected …"
 * @expected_size:	room there
 *
 * Return: 0, POLICY_BAD or -ENOMEM.
 */
int rule_parse(struct rule **ret_rule, const char *text, size_t len,
	       const struct policy_names *names, char *expected, size_t expected_size)
{
	struct rule_line line;
	struct rule_parser p = {
		.names = names, .expected = expected, .expected_size = expected_size};
	const char *why;
	int r;

	*ret_rule = NULL;
	if (rule_line_cut(&line, text, len, &why)) {
		snprintf(expected, expected_size, "expected %s", why);
		return POLICY_BAD;
	}
	if (!line.n_words)
		return 0;
	p.rule = calloc(1, sizeof(*p.rule));
	if (!p.rule)
		return -ENOMEM;
	p.rule->refs = 1;
	p.rule->text = strndup(line.text, line.text_len);
	r = p.rule->text ? parse_words(&p, &line) : -ENOMEM;
	if (r) {
		rule_unref(p.rule);
		return r;
	}
	*ret_rule = p.rule;
	return 0;
}

/**
 * rule_key() - how a list is called in a rule
 * @kind:	which list
 */
const char *rule_key(enum rule_list_kind kind)
{
	return kinds[kind].key;
}
