/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Selectors: one reader for the command line and the configuration, one matcher.
 *
 * What could be had but is refused comes back as a phrase that ends "expected …", so that the
 * message of either place says what to type.
 */
#include "policy/selector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/name.h"

static int store(char **slot, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	*slot = copy;
	return 0;
}

static int add_id(struct selector *s, const char *value, const char **ret_expected)
{
	if (s->has_id) {
		*ret_expected = "id= only once";
		return -EINVAL;
	}
	if (!name_is_id(value)) {
		*ret_expected = "id=VVVV:PPPP, four hexadecimal digits each, such as id=046d:c31c";
		return -EINVAL;
	}
	s->id_vendor = (uint16_t)strtoul(value, NULL, 16);
	s->id_product = (uint16_t)strtoul(value + 5, NULL, 16);
	s->has_id = true;
	return 0;
}

static int add_serial(struct selector *s, const char *value, const char **ret_expected)
{
	*ret_expected = s->serial ? "serial= only once" : "a serial number after serial=";
	return s->serial || !*value ? -EINVAL : store(&s->serial, value);
}

static int add_product(struct selector *s, const char *value, const char **ret_expected)
{
	*ret_expected = s->product ? "product= only once" : "a product's name after product=";
	return s->product || !*value ? -EINVAL : store(&s->product, value);
}

static int add_port(struct selector *s, const char *value, const char **ret_expected)
{
	*ret_expected =
		s->port ? "port= only once"
			: "port=BUS-PORT, such as port=1-1.2, or port=CONTROLLER/usb2:PORT as `usbroutectl show` prints it";
	if (s->port || (!name_is_busid(value) && !name_is_stable_port(value)))
		return -EINVAL;
	return store(&s->port, value);
}

static int add_class(struct selector *s, const char *value, const char **ret_expected)
{
	int c = usb_class_parse(value);

	*ret_expected = s->class_ >= 0 ? "class= only once" : "class= with one of" USB_CLASS_NAMES;
	if (s->class_ >= 0 || c < 0)
		return -EINVAL;
	s->class_ = c;
	return 0;
}

static const struct {
	const char *key;
	int (*add)(struct selector *s, const char *value, const char **ret_expected);
} keys[] = {
	{"id", add_id},	      {"serial", add_serial},	{"port", add_port},
	{"class", add_class}, {"product", add_product},
};

/**
 * selector_add() - add one condition
 * @selector:		the selector; unchanged on error
 * @key:		id, serial, port, class or product
 * @value:		its value
 * @ret_expected:	on -EINVAL, static text that follows "expected "; else not to be used
 *
 * Return: 0, -EINVAL or -ENOMEM.
 */
int selector_add(struct selector *selector, const char *key, const char *value,
		 const char **ret_expected)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(key, keys[i].key))
			return keys[i].add(selector, value, ret_expected);
	*ret_expected = "one of id= serial= port= class= product=";
	return -EINVAL;
}

/**
 * selector_parse_word() - add what one word says
 * @selector:		the selector; unchanged on error
 * @word:		KEY=VALUE, an id alone, or a port alone in either spelling
 * @ret_expected:	on -EINVAL, static text that follows "expected "; else not to be used
 *
 * An alias is no word of this kind: whoever accepts aliases looks for one first.
 *
 * Return: 0, -EINVAL or -ENOMEM.
 */
int selector_parse_word(struct selector *selector, const char *word, const char **ret_expected)
{
	const char *equals = strchr(word, '=');
	char key[16];
	size_t len;

	if (name_is_id(word))
		return selector_add(selector, "id", word, ret_expected);
	if (name_is_busid(word) || name_is_stable_port(word))
		return selector_add(selector, "port", word, ret_expected);

	len = equals ? (size_t)(equals - word) : sizeof(key);
	if (len >= sizeof(key)) {
		*ret_expected =
			"an id such as 046d:c31c, or one of id= serial= port= class= product=";
		return -EINVAL;
	}
	memcpy(key, word, len);
	key[len] = '\0';
	return selector_add(selector, key, equals + 1, ret_expected);
}

/**
 * selector_deinit() - free what a selector holds
 * @selector:	initialised with SELECTOR_INIT; is so again afterwards
 */
void selector_deinit(struct selector *selector)
{
	free(selector->serial);
	free(selector->product);
	free(selector->port);
	*selector = (struct selector)SELECTOR_INIT;
}

/**
 * selector_empty() - ask whether a selector has no condition
 * @selector:	the selector
 *
 * Return: true where nothing was given; such a selector is not valid, and matches nothing.
 */
bool selector_empty(const struct selector *selector)
{
	return !selector->has_id && !selector->serial && !selector->product && !selector->port &&
	       selector->class_ < 0;
}

/**
 * selector_matches() - ask whether a device is meant
 * @selector:	the conditions
 * @facts:	the device
 *
 * Return: true where all conditions hold and there is at least one.
 */
bool selector_matches(const struct selector *selector, const struct device_facts *facts)
{
	if (selector_empty(selector))
		return false;
	if (selector->has_id &&
	    (selector->id_vendor != facts->id_vendor || selector->id_product != facts->id_product))
		return false;
	if (selector->serial &&
	    (!facts->serial || !pattern_matches(selector->serial, facts->serial)))
		return false;
	if (selector->product &&
	    (!facts->product || !pattern_matches(selector->product, facts->product)))
		return false;
	if (selector->port && (!facts->busid || strcmp(selector->port, facts->busid)) &&
	    (!facts->stable_port || strcmp(selector->port, facts->stable_port)))
		return false;
	return selector->class_ < 0 || (facts->classes & (usb_class_set)1 << selector->class_);
}

/* To the next character of UTF-8 text; a stray byte counts as one. */
static const char *next_char(const char *p)
{
	p++;
	while (((unsigned char)*p & 0xc0) == 0x80)
		p++;
	return p;
}

/**
 * pattern_matches() - compare text with a pattern
 * @pattern:	* stands for any run of characters, ? for one, all else for itself
 * @text:	the text, in UTF-8
 *
 * Time is bounded by the product of the lengths: only the last * is ever tried again.
 *
 * Return: true where the pattern covers the whole text.
 */
bool pattern_matches(const char *pattern, const char *text)
{
	const char *star = NULL, *retry = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			retry = text;
		} else if (*pattern == '?') {
			pattern++;
			text = next_char(text);
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			retry++;
			text = retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}
