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
 * A wish may end by itself: at a time, or when its device is unplugged. There is no clock here: the
 * daemon says what time it is.
 *
 * The same list with another meaning of "target" serves for what else hangs on a device: a name
 * that it was given (the target is the name), or that it is reserved (the target is "host").
 *
 * File form: one wish a line, fields separated by one tab, "V1" in front: target, kind (serial,
 * port-id, port, alias), id, serial (of an alias wish: the alias), stable port; "V2" has two more:
 * the time of its end, and "unplug". Tabs, newlines, backslashes and control characters are escaped
 * as \xHH. Unused fields are empty. A wish without an end is written as V1.
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
	uint64_t
		until; /* the second at which it ends, of a clock that the daemon chose; 0: never */
	bool until_unplug;
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
void wishes_limit_last(struct wishes *wishes, uint64_t until, bool until_unplug);
unsigned wishes_expire(struct wishes *wishes, uint64_t now);
uint64_t wishes_next_end(const struct wishes *wishes);
unsigned wish_unplugged(struct wishes *wishes, const struct device_facts *device,
			bool pair_is_unique);
void wish_forget(struct wishes *wishes, const struct device_facts *device, bool pair_is_unique);
int wish_restore(struct wishes *wishes, const struct wishes *before,
		 const struct device_facts *device, bool pair_is_unique);
void wish_forget_alias(struct wishes *wishes, const char *alias);
int wish_restore_alias(struct wishes *wishes, const struct wishes *before, const char *alias);
void wish_forget_target(struct wishes *wishes, const char *target);
const struct wish *wish_find_target(const struct wishes *wishes, const char *target);
const struct wish *wish_find(const struct wishes *wishes, const struct device_facts *device,
			     bool pair_is_unique);
const struct wish *wish_find_absent(const struct wishes *wishes, const struct selector *selector,
				    const char *alias);
int wishes_parse(struct wishes *wishes, const char *text, size_t len, unsigned *ret_bad_lines);
int wishes_format(const struct wishes *wishes, char **ret_text, size_t *ret_len);
