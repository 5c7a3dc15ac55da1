/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names that devices are given by command, for good. Names in the configuration win: a device that
 * has one gets no other, and none of them is given to anything else. Control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct commands;
struct device;

/* Outcome of device_give_name() beside 0. */
enum { NAME_TAKEN = 1 };

int device_forget_name(struct commands *commands, const char *name, char *error, size_t size);
int device_give_name(struct commands *commands, struct device *device, bool by_port,
		     const char *name, char *error, size_t size);
