/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wishes: where a person said that a device should be, and which present device each one means.
 * Pure; reading and writing the file is the daemon's.
 *
 * A wish hangs on id + serial where that pair is unique among the present devices when the wish is
 * made, else on id + stable port; one that was given by port= hangs on the port alone. Another
 * device in that port inherits nothing (but from a wish that hangs on the port). One that was made
 * for an alias while no such device was present hangs on the alias.
 *
 * A wish on id + serial remembers its port too, so that it stays with its device while a twin with
 * the same serial is present. Where several wishes mean the same device, the newest decides; making
 * one takes away all others that mean the device then.
 *
 * File form: one wish a line, fields separated by one tab, "V1" in front: target, kind (serial,
 * port-id, port, alias), id, serial (of an alias wish: the alias), stable port. Tabs, newlines,
 * backslashes and control characters are escaped as \xHH. Unused fields are empty.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "policy/selector.h"

#define WISHES_MAX 4096

enum wish_kind { WISH_SERIAL, WISH_PORT_ID, WISH_PORT, WISH_ALIAS };

struct wish {
	struct list link;
	enum wish_kind kind;
	uint16_t id_vendor, id_product;
	char *serial;	 /* WISH_SERIAL */
	char *port;	 /* stable spelling; all but WISH_ALIAS */
	char *alias;	 /* WISH_ALIAS */
	char target[32]; /* a VM's name, or "host" */
};

struct wishes {
	struct list all; /* of struct wish, in the order of their making */
	size_t n;
};

void wishes_init(struct wishes *wishes);
void wishes_deinit(struct wishes *wishes);
int wishes_copy(struct wishes *ret_to, const struct wishes *from);
int wish_set(struct wishes *wishes, const struct device_facts *device, bool by_port,
	     bool pair_is_unique, const char *target);
int wish_set_alias(struct wishes *wishes, const char *alias, const char *target);
void wish_forget(struct wishes *wishes, const struct device_facts *device, bool pair_is_unique);
int wish_restore(struct wishes *wishes, const struct wishes *before,
		 const struct device_facts *device, bool pair_is_unique);
const struct wish *wish_find(const struct wishes *wishes, const struct device_facts *device,
			     bool pair_is_unique);
const struct wish *wish_find_absent(const struct wishes *wishes, const struct selector *selector,
				    const char *alias);
int wishes_parse(struct wishes *wishes, const char *text, size_t len, unsigned *ret_bad_lines);
int wishes_format(const struct wishes *wishes, char **ret_text, size_t *ret_len);
