/* SPDX-License-Identifier: BSD-2-Clause */
/* What route.c (steps) and route_call.c (commands) need of each other. */
#pragma once

#include "daemon/route.h"

bool route_permits(const struct daemon *daemon, const struct device *device,
		   const struct config_device *alias, const char *vm, char *by, size_t size);
void route_wish_changed(struct device *device);

void route_calls_check(struct device *device);
void route_calls_added(struct device *device);
void route_calls_removed(struct device *device);
void route_calls_end(struct daemon *daemon);
