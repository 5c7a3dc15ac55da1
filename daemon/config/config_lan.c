/* SPDX-License-Identifier: BSD-2-Clause */
/* Which values the keys of [lan-export] and [export NAME] may have; see config_value.c. */
#include "daemon/config/config_private.h"

#include <errno.h>
#include <string.h>

/* A socket can listen at an address of one host, or at all. */
static bool may_listen(const struct ip_endpoint *at)
{
	static const struct ip_prefix refused[] = {
		{.v6 = 0, .bits = 4, .address = {224}},		/* multicast */
		{.v6 = 1, .bits = 8, .address = {0xff}},	/* multicast */
		{.v6 = 1, .bits = 10, .address = {0xfe, 0x80}}, /* of which interface? */
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (ip_prefix_has(&refused[i], at->v6, at->address))
			return false;
	return true;
}

static bool listens_twice(const struct config *c, const struct ip_endpoint *at)
{
	for (size_t i = 0; i < c->n_listens; i++)
		if (ip_endpoint_same(&c->listens[i], at))
			return true;
	return false;
}

void config_set_listen(struct config_parser *p, const struct config_line *l)
{
	struct config *c = p->config;
	const char *word = l->words;
	char buf[CONFIG_FOUND_MAX + 4];

	if (l->n_words > CONFIG_LISTENS_MAX) {
		config_complain(p, l->key, "at most %u addresses", CONFIG_LISTENS_MAX);
		return;
	}
	for (size_t i = 0; i < l->n_words; i++, word = config_line_next_word(word)) {
		struct ip_endpoint at;

		if (ip_endpoint_parse(word, CONFIG_EXPORT_PORT, &at) < 0 || !may_listen(&at)) {
			config_complain(
				p, l->key,
				"addresses of this host, such as 192.168.1.10:3240 or [2001:db8::1]:3240; found \"%s\"",
				config_found(buf, word));
			return;
		}
		if (listens_twice(c, &at)) {
			config_complain(p, l->key, "each address once; found %s twice",
					config_found(buf, word));
			return;
		}
		c->listens[c->n_listens++] = at;
	}
}

void config_set_to(struct config_parser *p, const struct config_line *l)
{
	struct config_export *e = p->export;
	const char *word = l->words;
	char buf[CONFIG_FOUND_MAX + 4];

	if (l->n_words > CONFIG_EXPORT_TO_MAX) {
		config_complain(p, l->key, "at most %u addresses and networks",
				CONFIG_EXPORT_TO_MAX);
		return;
	}
	e->to = calloc(l->n_words, sizeof(*e->to));
	if (!e->to) {
		p->r = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < l->n_words; i++, word = config_line_next_word(word)) {
		if (ip_prefix_parse(word, &e->to[e->n_to]) < 0) {
			config_complain(
				p, l->key,
				"addresses and networks, such as to = 192.168.1.7 192.168.2.0/24 2001:db8::/32; found \"%s\"",
				config_found(buf, word));
			return;
		}
		e->n_to++;
	}
}
