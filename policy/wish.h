/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wishes: where a person said that a device should be, and which present device each one means.
 * Pure; reading and writing the file is the daemon's.
 *
 * What a wish hangs on:
 *
 *   WISH_NAME     given by a name: whichever device bears the name now, in whichever port, with
 *                 whichever serial. Which one that is, bearer.h decides; a name that nobody bears
 *                 means nobody, until somebody does.
 *   WISH_SERIAL   given without a name, for a device whose id and serial no other present device
 *                 has: id and serial. A serial that contains the port is none (serial.h).
 *   WISH_PORT_ID  given without a name, for any other device: id and stable port.
 *   WISH_PORT     given by port=: whatever is in the port.
 *
 * Another device in the port inherits nothing, but from a wish that hangs on the port alone.
 *
 * A wish on id + serial remembers its port too, so that it stays with its device while a twin with
 * the same serial is present. Where several wishes mean the same device, the newest decides; making
 * one takes away all others that mean the device then.
 *
 * A wish may end by itself: at a time, or when its device is unplugged. There is no clock here: the
 * daemon says what time it is. What was unplugged and plugged in again while the daemon was down has
 * another number on its bus.
 *
 * The same list with another meaning of "target" serves for what else hangs on a device: a name
 * that it was given (the target is the name), or that it is reserved (the target is "host").
 *
 * Who wished it is remembered where only a rule gave them the right to: when more is known of the
 * device, or another device is meant, the rules may say otherwise.
 *
 * File form: one wish a line, fields separated by one tab: "V3", target, kind (serial, port-id,
 * port, name), id, serial (of a name wish: the name), stable port, the time of its end, "unplug", or
 * "unplug:BUS:NUMBER" with the numbers that its device has had since it was plugged in.
 * "V4" has one more: the numbers of the user that wished it, and of that user's groups, separated
 * by commas. Tabs, newlines, backslashes and control characters are escaped as \xHH. Unused fields
 * are empty.
 *
 * Files of older versions are read, too: "V1" without the last two fields, "V2" with them, and
 * "alias" for "name". There a wish that was given by the name of a present device hangs on the
 * device: such a one (old) becomes a wish on the name as soon as its device is there and bears one
 * (wish_adopt()), and is written as it was until then.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "policy/selector.h"

#define WISHES_MAX 4096
/* A user's number and the numbers of the groups that are remembered with a wish. */
#define WISH_ASKER_MAX 256
/* Room for what a wish hangs on, in words. */
#define WISH_TEXT_MAX 160

enum wish_kind { WISH_SERIAL, WISH_PORT_ID, WISH_PORT, WISH_NAME };

struct wish {
	struct list link;
	enum wish_kind kind;
	uint16_t id_vendor, id_product;
	char *serial;	 /* WISH_SERIAL */
	char *port;	 /* stable spelling; all but WISH_NAME */
	char *name;	 /* WISH_NAME */
	char target[32]; /* a VM's name, or "host" */
	uint64_t
		until; /* the second at which it ends, of a clock that the daemon chose; 0: never */
	bool until_unplug;
	uint32_t plugging; /* its device's, with until_unplug; 0: not known, or it is yet to come */
	bool old;	   /* of an older version's file, and may have been given by a name */
	/* Who wished it: the user, then the groups; NULL for those who may wish anything. */
	uint32_t *asker;
	size_t n_asker;
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
int wish_append(struct wishes *wishes, const struct device_facts *device, bool by_port,
		bool pair_is_unique, const char *target);
int wish_set_name(struct wishes *wishes, const char *name, const struct device_facts *device,
		  bool pair_is_unique, const char *target);
void wish_adopt_serial(struct wishes *wishes, const struct device_facts *device);
unsigned wish_adopt(struct wishes *wishes, const struct device_facts *device, bool pair_is_unique);
unsigned wish_moved(struct wishes *wishes, const struct device_facts *device, bool pair_is_unique);
void wishes_limit_last(struct wishes *wishes, uint64_t until, bool until_unplug);
int wishes_last_asked_by(struct wishes *wishes, uint32_t uid, const uint32_t *gids, size_t n_gids);
unsigned wishes_expire(struct wishes *wishes, uint64_t now);
uint64_t wishes_next_end(const struct wishes *wishes);
unsigned wish_unplugged(struct wishes *wishes, const struct device_facts *device,
			bool pair_is_unique);
unsigned wish_switched_off(struct wishes *wishes, const struct device_facts *device,
			   bool pair_is_unique);
unsigned wish_plugged(struct wishes *wishes, const struct device_facts *device, bool pair_is_unique,
		      unsigned *ret_ended);
void wish_forget(struct wishes *wishes, const struct device_facts *device, bool pair_is_unique);
int wish_restore(struct wishes *wishes, const struct wishes *before,
		 const struct device_facts *device, bool pair_is_unique);
void wish_forget_name(struct wishes *wishes, const char *name);
int wish_restore_name(struct wishes *wishes, const struct wishes *before, const char *name);
void wish_forget_target(struct wishes *wishes, const char *target);
bool wish_is_named(const struct wish *w, const struct selector *selector);
const struct wish *wish_find_on(const struct wishes *wishes, const char *text);
int wish_set_like(struct wishes *wishes, const struct wish *like, const char *target);
void wish_forget_on(struct wishes *wishes, const char *text);
int wish_restore_on(struct wishes *wishes, const struct wishes *before, const char *text);
void wish_text(const struct wish *w, char *text, size_t size);
const struct wish *wish_find_target(const struct wishes *wishes, const char *target);
const struct wish *wish_find(const struct wishes *wishes, const struct device_facts *device,
			     bool pair_is_unique);
const struct wish *wish_find_name(const struct wishes *wishes, const char *name);
const struct wish *wish_find_absent(const struct wishes *wishes, const struct selector *selector,
				    const char *alias);
int wishes_parse(struct wishes *wishes, const char *text, size_t len, unsigned *ret_bad_lines);
int wishes_format(const struct wishes *wishes, char **ret_text, size_t *ret_len);
