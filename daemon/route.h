/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where each device should be, where it is, and the way from the one to the other.
 *
 * *Wanted* is decided anew at every step from the wishes and the policy; *actual* is the route's
 * state. route_reconcile() takes the one next step that leads from actual to wanted, if none is
 * under way; whatever ends a step calls it again. Each device has its own: one that fails, or
 * waits, holds up no other. What failed is tried again after 1, 2, 4 … 60 s, or when it is wished
 * elsewhere.
 *
 * A command that moves a device is a transaction: its wish is written before anything is done, and
 * where the device can't be had for the new guest, wish and device go back to where they were.
 */
#pragma once

#include <stdbool.h>

#include "daemon/daemon.h"

struct route_call;

/* How a command ended. */
enum route_outcome {
	ROUTE_DONE,
	ROUTE_PENDING,	  /* the wish stands; not there within the wait */
	ROUTE_NOT_DONE,	  /* failed, and all is as before */
	ROUTE_BUSY,	  /* claimed by another program; all is as before */
	ROUTE_SUPERSEDED, /* a newer command has overtaken it */
	ROUTE_DENIED,	  /* policy; the wish is not stored */
	ROUTE_UNPLUGGED,  /* it went meanwhile; the wish stands */
};

/**
 * typedef route_done - a command has ended
 * @ctx:	as given
 * @outcome:	how
 * @device:	the device; NULL where it is not plugged in
 * @text:	a message for a person, or the reason
 * @ms:		how long it took the guest to have the device, or < 0
 */
typedef void (*route_done)(void *ctx, enum route_outcome outcome, struct device *device,
			   const char *text, double ms);

/* What a command asks. */
struct route_ask {
	struct device *device; /* NULL: not plugged in, but @alias is configured */
	const char *alias;
	bool by_port;
	struct vm *vm;	     /* NULL: the host */
	bool has_wait;	     /* else: until the device is exported */
	double wait_seconds; /* 0: not at all; else until the guest has it */
	char who[64];	     /* for the log: "uid 0 (pid 123)" */
};

void route_command(struct daemon *daemon, const struct route_ask *ask, route_done done, void *ctx,
		   struct route_call **ret_call);
void route_call_cancel(struct route_call *call);

int routes_load(struct daemon *daemon);
void routes_started(struct daemon *daemon);
void routes_stop(struct daemon *daemon);

void route_added(struct device *device);
void route_changed(struct device *device);
void route_removed(struct device *device);
void route_vm_changed(struct vm *vm);

void route_guest_says(struct device *device, bool has, const char *text);

bool route_exported_to(const struct device *device, const struct vm *vm);
int route_import(struct device *device, struct vm *vm, int sock, const struct usbip_op *op);

/* For people. */
const char *route_wanted(const struct device *device, const char **ret_by);
const char *route_actual(const struct device *device);
const char *route_state_name(const struct device *device, char *reason, size_t size);
