/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In the place of protocol/vm_wire_version.c: a program that speaks other versions. All else of it is
 * linked as it is, so one that speaks a newer version than ours says nothing new.
 */
#include "protocol/vm_wire.h"

const uint32_t vm_wire_version = OTHER_VERSION, vm_wire_least = OTHER_LEAST;
