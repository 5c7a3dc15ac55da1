/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What devices are called: of those that a section or a name by command may mean, which one bears
 * the name. Owns what is remembered for that, in <state-directory>/bearers.
 *
 * A device bears one name at most: its section's, where it is the one that the section names; else
 * the one that it was given by command. Names in the configuration win: a name by command that is
 * one of them means nobody. Who of several is meant, policy/bearer.h decides; one that is not, and
 * has no other name, is ambiguous: nothing that is said by name reaches it, but what a rule or a
 * section forbids the name is forbidden to it, too.
 *
 * A name by command follows its device to another port: one without a serial that lasts where no
 * present device bears the name, and just one with that id could. Where several names could be its,
 * it gets the one that was there a moment ago; else none.
 *
 * Nothing is decided before the daemon is ready: which devices are there must not depend on the
 * order in which they are found. Control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "policy/bearer.h"

/* How long a name waits for the device that had it, where another one could have it. */
#define NAME_WAIT_NS (10ull * 1000000000)

struct devices;
struct device;

struct names {
	struct bearers bearers;
	struct loop_watch waits; /* until a name waits no longer */
	uint64_t wait_ns;	 /* NAME_WAIT_NS */
};

int device_names_load(struct devices *devices);
void devices_name_anew(struct devices *devices);
void devices_find_sections(struct devices *devices);

bool device_name_is_borne(const struct devices *devices, const char *name);
bool device_name_exists(const struct devices *devices, const char *name);
bool device_is_ambiguous(const struct device *device);
void device_why_ambiguous(const struct device *device, char *text, size_t size);
bool device_name_why_absent(const struct devices *devices, const char *name, char *text,
			    size_t size);
