/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The USB devices that are plugged in (device_registry.c), and what they are called (device_names.c). Control thread
 * only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "daemon/config/config.h"
#include "daemon/core/core.h"
#include "daemon/core/wish_book.h"
#include "daemon/devices/device_names.h"
#include "daemon/devices/port_flaps.h"
#include "policy/selector.h"
#include "policy/usb_class.h"
#include "usb/hid_found.h"
#include "usb/usb_device_info.h"

struct device_registry;
struct route;

struct devices {
	struct core *core;
	struct wish_books *books;
	struct device_registry *registry;
	struct list all;    /* of struct device, as plugged in */
	struct list gone;   /* of struct device, unplugged: until all have heard of it */
	struct list off;    /* of struct port_off: their ports are switched off by command */
	uint64_t n_seen;    /* how many were ever in @all */
	struct names names; /* which device bears which */
	char *twins_before; /* of the last run; see twins.h */
	struct port_flaps flaps;
};

void devices_init(struct devices *devices, struct core *core, struct wish_books *books);

struct device {
	struct list link;
	struct event_source events;
	struct devices *devices;
	uint64_t number; /* counted from 1 as they are seen: no other has it */
	char *syspath, *busid, *stable_port;
	char *serial, *manufacturer, *product; /* NULL: none */
	char tag[72];			       /* alias, else "046d:c31c at 1-1.2": for log lines */
	uint16_t id_vendor, id_product;
	uint16_t busnum, devnum;
	usb_class_set classes; /* what device_classes_anew() makes of @info and @hid */
	struct hid_found hid;  /* its keyboards and pointers, until it is unplugged */
	struct usb_device_info info;
	const char *never_routed; /* why it is in no list that people see, static; or NULL */
	bool unread;		  /* the kernel has not told what it is; it is broken meanwhile */
	char broken[384]; /* why its descriptors can't be used, and what to do; "" where they can */
	const struct config_device *section; /* the first whose match means it, or NULL */
	char alias[32]; /* the name that it bears; "" if none (device_names.h) */
	bool had_twin;	/* of the same id and serial, beside it */
	bool unpowered; /* of struct port_off: its port is switched off, and it is in no list here */
	bool ours;	/* no driver of the host has it: we have it, or had */
	/* More is known of it, or it has another name: may who wished it somewhere? */
	bool judge;
	struct route *route; /* routing's; NULL: never routed, or its port is off */
};

struct device *device_new(struct devices *devices);
struct device *device_free(struct device *device);
void device_freep(struct device **device);
void device_list(struct device *device);
void device_listed(struct device *device);
void device_unlist(struct device *device);
void device_known_anew(struct device *device);

static inline void device_raise(struct device *device, enum event event)
{
	events_raise(&device->devices->core->events, &device->events, device, event);
}

struct device_facts device_facts_of(const struct device *device);
bool device_pair_is_unique(const struct device *device);
bool device_pair_tells(const struct device *device);
bool device_has_twin(const struct device *device);
const char *device_alias(const struct device *device);
bool device_bears_section(const struct device *device);
void device_find_section(struct device *device);
bool device_stands_reset(const struct device *device);

/* Outcomes of device_resolve(). */
enum { RESOLVE_UNKNOWN = 1, RESOLVE_AMBIGUOUS, RESOLVE_ABSENT /* the alias is configured */ };

/* How a person named a device: its wish hangs on that. */
enum device_by { DEVICE_BY_SELECTOR, DEVICE_BY_PORT, DEVICE_BY_NAME };

int device_resolve(struct devices *devices, const char *text, struct device **ret_device,
		   enum device_by *ret_by, const char **ret_expected);
bool device_is_meant(const struct device *device, const char *text);
