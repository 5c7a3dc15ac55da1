/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the present devices bears a name, and what is remembered so that it stays that one.
 * Pure: no file is touched, and the daemon says what time it is.
 *
 * A [device] section may match several present devices; one of them at most bears its name. A name
 * that was given by command was given to one device, which may come back in another port.
 *
 * The candidates of a name are the present devices that its section matches, or for a name by
 * command, those with the id of the device that it was given to. Which one bears it, the first that
 * holds decides:
 *
 *   1. The one that had it last. It is known by id and serial where that tells it from the other
 *      candidates, in whichever port; else by id, serial and port.
 *   2. The only new one: a candidate that neither had the name nor was there beside the one that
 *      had it, while all of these others are there. It can only be the one that had it, in another
 *      port, or what was plugged in in its place.
 *   3. Nobody, for as long as the name waits for the one that had it: it is perhaps on its way from
 *      one port to another, or its hub is being reset.
 *   4. After that the only new one, else the only one. (Not for a name by command: that was never
 *      given to the others.)
 *   5. Nobody: there are several, and none of them had it. All of them are ambiguous.
 *
 * A name that nobody had yet is the only candidate's. One that was given a name of its own (its
 * alias) is no candidate for it while there are others, and takes over no name that another device
 * had.
 *
 * What is remembered of a name: the device that had it last, and the candidates that were there
 * beside it. One that goes is remembered as long as the name would have waited for it, and for as
 * long as the bearer itself is away; but not if a device like it comes within that time while the
 * bearer is there: then it has moved. Of a name by command, also which device it was given to:
 * where that is another one by now, what was remembered is of an earlier giving and is forgotten.
 *
 * File form: one device a line, fields separated by one tab: "B1", the name, "last", "other" or
 * "given" (the device that it was given to), id, serial, stable port; escaped as in a file of
 * wishes. The lines of a name stand together.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "policy/selector.h"

#define BEARERS_MAX	      8192
#define BEARER_OTHERS_MAX     16
#define BEARER_CANDIDATES_MAX 256

/* What a device is known by. */
struct identity {
	uint16_t id_vendor, id_product;
	char *serial; /* NULL: none that lasts (serial.h) */
	char *port;   /* stable spelling; NULL: there is no such device */
};

struct bearer {
	struct list link;
	char name[32];
	struct identity given; /* by command, to this one */
	struct identity last;  /* that had it */
	struct identity others[BEARER_OTHERS_MAX];
	uint64_t other_gone[BEARER_OTHERS_MAX]; /* since when; 0: it is there */
	uint64_t other_came[BEARER_OTHERS_MAX]; /* since when; 0: from another port, or unknown */
	size_t n_others;
	uint64_t gone;	/* since when the one that had it is missed; 0: it is there */
	uint64_t until; /* of bearer_find(): when it is to be asked again; 0: at the next change */
};

struct bearers {
	struct list all; /* of struct bearer */
	size_t n;
};

void bearers_init(struct bearers *bearers);
void bearers_deinit(struct bearers *bearers);
struct bearer *bearers_find(const struct bearers *bearers, const char *name);
int bearers_get(struct bearers *bearers, const char *name, struct bearer **ret_bearer);
void bearers_forget(struct bearers *bearers, struct bearer *bearer);
int bearer_give(struct bearer *bearer, uint16_t id_vendor, uint16_t id_product, const char *serial,
		const char *port);
int bearer_known(const struct bearer *bearer, const struct device_facts *candidates, size_t n);
int bearer_find(struct bearer *bearer, const struct device_facts *candidates, size_t n,
		uint64_t now, uint64_t wait, bool *changed);
int bearers_parse(struct bearers *bearers, const char *text, size_t len, unsigned *ret_bad_lines);
int bearers_format(const struct bearers *bearers, char **ret_text, size_t *ret_len);
