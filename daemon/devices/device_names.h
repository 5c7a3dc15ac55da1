/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What devices are called: which one bears a name, of all that a section or a name by command may
 * mean. It owns what is remembered for that, in <state-directory>/bearers.
 *
 * A device bears one name at most: its section's, if it is the one that the section names; else the
 * one that it was given by command. Names in the configuration win: a name by command that is one
 * of them means no device. policy/bearer.h decides which of several devices is meant. One that is
 * not, and has no other name, is ambiguous: no wish by name reaches it, but what a rule or a
 * section forbids the name is forbidden to it, too.
 *
 * A name by command follows its device to another port. A device without a lasting serial keeps it
 * if no present device bears the name, and only one with that id could. If it could have several
 * names, it gets the one whose device was there a moment ago; else none.
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
