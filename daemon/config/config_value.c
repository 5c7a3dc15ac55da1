/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each key's value may be: one reader a key. A reader stores the value or complains; it never
 * stops the parser.
 */
#include "daemon/config/config_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "protocol/agent_wire.h"
#include "base/hotkey.h"
#include "policy/name.h"

static void set_text(struct config_parser *p, char **slot, const char *value)
{
	char *copy = strdup(value);

	if (!copy) {
		p->r = -ENOMEM;
		return;
	}
	free(*slot);
	*slot = copy;
}

static bool directory_valid(const char *path)
{
	if (path[0] != '/' || strlen(path) >= 4096)
		return false;
	for (const char *p = path; *p;) {
		size_t n = strcspn(++p, "/");

		if ((n == 0 && *p) || (n == 1 && p[0] == '.') || (n == 2 && !strncmp(p, "..", 2)))
			return false;
		p += n;
	}
	return path[1] != '\0';
}

static void set_directory(struct config_parser *p, char **slot, const char *key, const char *value)
{
	char buf[CONFIG_FOUND_MAX + 4];

	if (directory_valid(value))
		set_text(p, slot, value);
	else
		config_complain(p, key,
				"an absolute path without . and .., such as %s; found \"%s\"",
				*slot, config_found(buf, value));
}

void config_set_runtime_directory(struct config_parser *p, const struct config_line *l)
{
	p->runtime_line = p->line;
	set_directory(p, &p->config->runtime_directory, l->key, l->words);
}

void config_set_state_directory(struct config_parser *p, const struct config_line *l)
{
	set_directory(p, &p->config->state_directory, l->key, l->words);
}

void config_set_socket_group(struct config_parser *p, const struct config_line *l)
{
	static const char chars[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789-.";
	const char *v = l->words;
	char buf[CONFIG_FOUND_MAX + 4];
	size_t n = strspn(v, chars);

	if (n && n <= 32 && !v[n] && v[0] != '-' && v[0] != '.')
		set_text(p, &p->config->socket_group, v);
	else
		config_complain(p, l->key, "the name of a group, such as kvm; found \"%s\"",
				config_found(buf, v));
}

/* Refuse "this host", loopback, multicast and reserved addresses. */
static bool address_usable(struct in_addr a)
{
	uint32_t first = ntohl(a.s_addr) >> 24;

	return first != 0 && first != 127 && first < 224;
}

static bool parse_network_address(const char *text, struct in_addr *ret_address,
				  unsigned *ret_prefix)
{
	const char *slash = strchr(text, '/');
	char address[INET_ADDRSTRLEN];
	struct in_addr a;
	unsigned prefix = 0;
	uint32_t host;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return false;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	for (const char *d = slash + 1; *d; d++) {
		if (*d < '0' || *d > '9' || d - slash > 2 || (d == slash + 1 && *d == '0'))
			return false;
		prefix = prefix * 10 + (unsigned)(*d - '0');
	}
	if (prefix < 8 || prefix > 30 || inet_pton(AF_INET, address, &a) != 1 || !address_usable(a))
		return false;
	host = ntohl(a.s_addr) & ~config_network_mask(prefix);
	if (!host || host == ~config_network_mask(prefix))
		return false;
	*ret_address = a;
	*ret_prefix = prefix;
	return true;
}

void config_set_network_address(struct config_parser *p, const struct config_line *l)
{
	char buf[CONFIG_FOUND_MAX + 4];

	p->address_line = p->line;
	if (parse_network_address(l->words, &p->config->address, &p->config->prefix))
		return;
	p->address_refused = true;
	config_complain(
		p, l->key,
		"the daemon's IPv4 address in its subnet with a prefix length from 8 to 30, such as 10.77.0.1/24; found \"%s\"",
		config_found(buf, l->words));
}

static void set_bool(struct config_parser *p, const struct config_line *l, bool *slot)
{
	char buf[CONFIG_FOUND_MAX + 4];

	if (!strcmp(l->words, "yes"))
		*slot = true;
	else if (!strcmp(l->words, "no"))
		*slot = false;
	else
		config_complain(p, l->key, "yes or no; found \"%s\"", config_found(buf, l->words));
}

void config_set_isolate(struct config_parser *p, const struct config_line *l)
{
	set_bool(p, l, &p->config->isolate);
}

/* The defaults are of no section's object. */
void config_set_trust_mac(struct config_parser *p, const struct config_line *l)
{
	if (p->vm)
		set_bool(p, l, &p->vm->trust_mac);
}

/* A network interface's name, as the kernel takes it (dev_valid_name() in net/core/dev.c), without "%". */
static bool interface_valid(const char *name)
{
	size_t n = strlen(name);

	if (!n || n >= sizeof(((struct config_network *)0)->tap) || !strcmp(name, ".") ||
	    !strcmp(name, ".."))
		return false;
	for (; *name; name++)
		if (*name <= ' ' || *name > '~' || strchr("/:%", *name))
			return false;
	return true;
}

void config_set_uplink(struct config_parser *p, const struct config_line *l)
{
	static const char kind[] = "tap:";
	char buf[CONFIG_FOUND_MAX + 4];

	if (!p->network || !strcmp(l->words, "none"))
		return;
	p->network->uplink_line = p->line;
	if (!strncmp(l->words, kind, sizeof(kind) - 1) &&
	    interface_valid(l->words + sizeof(kind) - 1))
		strcpy(p->network->tap, l->words + sizeof(kind) - 1);
	else
		config_complain(
			p, l->key,
			"an existing tap of the host, such as tap:tap-lan, or none; found \"%s\"",
			config_found(buf, l->words));
}

/* Return: whether @word is two names of VMs with a colon between them. */
static bool parse_talk(const char *word, struct config_talk *ret_talk)
{
	const char *colon = strchr(word, ':');
	size_t n = colon ? (size_t)(colon - word) : 0;

	if (!colon || n >= sizeof(ret_talk->vms[0]) ||
	    strlen(colon + 1) >= sizeof(ret_talk->vms[1]))
		return false;
	memcpy(ret_talk->vms[0], word, n);
	ret_talk->vms[0][n] = '\0';
	strcpy(ret_talk->vms[1], colon + 1);
	return name_valid(ret_talk->vms[0]) && name_valid(ret_talk->vms[1]) &&
	       strcmp(ret_talk->vms[0], ret_talk->vms[1]) != 0;
}

void config_set_talk(struct config_parser *p, const struct config_line *l)
{
	struct config *c = p->config;
	const char *word = l->words;
	char buf[CONFIG_FOUND_MAX + 4];

	p->talk_line = p->line;
	if (l->n_words > CONFIG_TALKS_MAX) {
		config_complain(p, l->key, "at most %u pairs of VMs", CONFIG_TALKS_MAX);
		return;
	}
	c->talks = calloc(l->n_words, sizeof(*c->talks));
	if (!c->talks) {
		p->r = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < l->n_words; i++, word = config_line_next_word(word)) {
		if (!parse_talk(word, &c->talks[c->n_talks])) {
			config_complain(
				p, l->key,
				"pairs of VMs, such as talk = vm1:vm2 vm2:vm3; found \"%s\"",
				config_found(buf, word));
			return;
		}
		c->n_talks++;
	}
}

void config_set_vm_address(struct config_parser *p, const struct config_line *l)
{
	char buf[CONFIG_FOUND_MAX + 4];
	struct in_addr a;

	if (inet_pton(AF_INET, l->words, &a) != 1) {
		config_complain(p, l->key, "an IPv4 address, such as 10.77.0.11; found \"%s\"",
				config_found(buf, l->words));
		return;
	}
	p->vm->address = a;
	p->vm->has_address = true;
	p->vm->address_line = p->line;
}

static bool parse_mac(const char *text, uint8_t ret_mac[6])
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	uint8_t mac[6], any = 0;

	if (strlen(text) != 17)
		return false;
	for (unsigned i = 0; i < 6; i++, text += 3) {
		const char *high = strchr(digits, text[0]), *low = strchr(digits, text[1]);

		if (!high || !low || (i < 5 && text[2] != ':'))
			return false;
		mac[i] = (uint8_t)((high - digits) % 16 << 4 | (low - digits) % 16);
		any |= mac[i];
	}
	if (!any || (mac[0] & 1))
		return false;
	memcpy(ret_mac, mac, sizeof(mac));
	return true;
}

static const uint8_t own_card[6] = AGENT_DAEMON_MAC;

void config_set_vm_mac(struct config_parser *p, const struct config_line *l)
{
	char buf[CONFIG_FOUND_MAX + 4];

	if (!parse_mac(l->words, p->vm->mac)) {
		config_complain(
			p, l->key,
			"the MAC address of one card, such as 52:54:00:77:00:0b; found \"%s\"",
			config_found(buf, l->words));
		return;
	}
	if (!memcmp(p->vm->mac, own_card, sizeof(own_card))) {
		config_complain(
			p, l->key,
			"a MAC address of its own, such as 52:54:00:77:00:0b; found that of usbrouted's card");
		return;
	}
	p->vm->has_mac = true;
	p->vm->mac_line = p->line;
}

void config_set_match(struct config_parser *p, const struct config_line *l)
{
	const char *word = l->words;
	char buf[CONFIG_FOUND_MAX + 4];

	for (size_t i = 0; i < l->n_words; i++, word = config_line_next_word(word)) {
		const char *expected = "";
		int r;

		/* On a command line an id or a port may stand alone; here every word has its key.
		 */
		if (!strchr(word, '=')) {
			expected =
				"words such as id=046d:c31c serial=… port=… class=… product=\"…\"";
			r = -EINVAL;
		} else {
			r = selector_parse_word(&p->device->match, word, &expected);
		}
		if (r == -EINVAL)
			config_complain(p, l->key, "%s; found \"%s\"", expected,
					config_found(buf, word));
		else if (r < 0)
			p->r = r;
		if (r < 0)
			return;
	}
}

void config_set_vms(struct config_parser *p, const struct config_line *l)
{
	const char *word = l->words;
	char buf[CONFIG_FOUND_MAX + 4];

	p->device->vms = calloc(l->n_words, sizeof(*p->device->vms));
	if (!p->device->vms) {
		p->r = -ENOMEM;
		return;
	}
	p->device->has_vms = true;
	p->device->vms_line = p->line;
	for (size_t i = 0; i < l->n_words; i++, word = config_line_next_word(word)) {
		if (!name_valid(word)) {
			config_complain(p, l->key,
					"names of VMs, such as vms = vm1 vm2; found \"%s\"",
					config_found(buf, word));
			return;
		}
		for (size_t k = 0; k < p->device->n_vms; k++)
			if (!strcmp(p->device->vms[k], word)) {
				config_complain(p, l->key, "each VM once; found %s twice", word);
				return;
			}
		if (p->device->n_vms == CONFIG_VMS_MAX) {
			config_complain(p, l->key, "at most %u VMs", CONFIG_VMS_MAX);
			return;
		}
		strcpy(p->device->vms[p->device->n_vms++], word);
	}
}

void config_set_domain(struct config_parser *p, const struct config_line *l)
{
	const char *name = l->words;
	char buf[CONFIG_FOUND_MAX + 4];
	size_t n = strlen(name);

	/* libvirt takes any name without a slash or a newline. */
	if (n && n <= CONFIG_DOMAIN_MAX && !strchr(name, '/'))
		set_text(p, &p->vm->domain, name);
	else
		config_complain(
			p, l->key,
			"the name of a libvirt domain, at most %u bytes without /; found \"%s\"",
			CONFIG_DOMAIN_MAX, config_found(buf, name));
}

void config_set_members(struct config_parser *p, const struct config_line *l)
{
	struct config_group *g = p->group;
	const char *word = l->words;
	char buf[CONFIG_FOUND_MAX + 4];

	if (l->n_words > CONFIG_MEMBERS_MAX) {
		config_complain(p, l->key, "at most %u devices", CONFIG_MEMBERS_MAX);
		return;
	}
	g->devices = calloc(l->n_words, sizeof(*g->devices));
	if (!g->devices) {
		p->r = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < l->n_words; i++, word = config_line_next_word(word)) {
		if (!name_valid_alias(word)) {
			config_complain(
				p, l->key,
				"names of devices, such as devices = keyboard mouse; found \"%s\"",
				config_found(buf, word));
			return;
		}
		for (size_t k = 0; k < g->n_devices; k++)
			if (!strcmp(g->devices[k], word)) {
				config_complain(p, l->key, "each device once; found %s twice",
						word);
				return;
			}
		strcpy(g->devices[g->n_devices++], word);
	}
}

static void set_hotkey(struct config_parser *p, const struct config_line *l, enum hotkey which)
{
	struct hid_chord *chord = &p->config->hotkeys.at[which];
	char buf[CONFIG_FOUND_MAX + 4];
	const char *expected = "";

	p->hotkey_lines[which] = p->line;
	if (!strcmp(l->words, "no"))
		*chord = (struct hid_chord){};
	else if (hid_chord_parse(chord, l->words, &expected) < 0)
		config_complain(p, l->key, "%s, or no; found \"%s\"", expected,
				config_found(buf, l->words));
}

void config_set_hotkey_panic(struct config_parser *p, const struct config_line *l)
{
	set_hotkey(p, l, HOTKEY_PANIC);
}

void config_set_hotkey_next(struct config_parser *p, const struct config_line *l)
{
	set_hotkey(p, l, HOTKEY_NEXT);
}
