/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which device is meant: DEVICE on a command line, `match =` in the configuration, and what a wish
 * hangs on. Pure: text and facts in, a verdict out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/usb_class.h"

/* What selectors look at; strings are the caller's. */
struct device_facts {
	uint16_t id_vendor, id_product;
	const char *serial;	 /* NULL: none */
	const char *product;	 /* NULL: none */
	const char *busid;	 /* "1-1.2" */
	const char *stable_port; /* "0000:00:14.0/usb2:1.2" */
	const char *alias;	 /* NULL: none */
	usb_class_set classes;
	const char *const *groups; /* those that it is a member of */
	size_t n_groups;
	uint32_t plugging; /* which one it is: bus << 16 | device number; 0: not told */
	/*
	 * The same with a name that another device bears, though its section matches this one: what
	 * that forbids holds for this one, and what it grants does not. NULL: there is none.
	 */
	const struct device_facts *also;
};

/* All that is given must hold; a selector with nothing given is invalid. */
struct selector {
	bool has_id;
	uint16_t id_vendor, id_product;
	char *serial, *product; /* patterns: * any run, ? one character */
	char *port;		/* either spelling, never a pattern */
	int class_;		/* enum usb_class, or -1 */
};

#define SELECTOR_INIT        \
	{                    \
		.class_ = -1 \
	}

int selector_add(struct selector *selector, const char *key, const char *value,
		 const char **ret_expected);
int selector_parse_word(struct selector *selector, const char *word, const char **ret_expected);
void selector_deinit(struct selector *selector);
bool selector_empty(const struct selector *selector);
bool selector_matches(const struct selector *selector, const struct device_facts *facts);
bool pattern_matches(const char *pattern, const char *text);
