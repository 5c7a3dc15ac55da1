/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens to devices and VMs, told to whoever listens: the method Monitor.
 *
 * Nobody is waited for. Each event is kept once, at most MONITOR_EVENTS of them. A listener that is
 * further behind than that is dropped. While nobody listens, nothing is kept and nothing is compared.
 *
 * Nothing here changes a device or a VM. So these functions may be called anywhere in a route's
 * steps. Control thread only.
 */
#pragma once

#include <stdbool.h>

#include "daemon/routing/route.h"

#define MONITOR_EVENTS 256

struct monitor;

struct monitor *monitor_new(struct devices *devices);
struct monitor *monitor_free(struct monitor *monitor);

/* What is told. @monitor may be NULL: nobody hears it. */
void monitor_moved(struct monitor *monitor, const struct device *device);
void monitor_removed(struct monitor *monitor, const struct device *device);
void monitor_vm_link(struct monitor *monitor, const struct vm *vm, bool up);
void monitor_refused(struct monitor *monitor, const struct device *device, const char *name,
		     const char *vm, const char *reason);
