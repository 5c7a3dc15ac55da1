/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices and VMs as the types of io.usbrouted. What is returned is the caller's; NULL: no memory.
 */
#pragma once

#include <jansson.h>

#include "daemon/daemon.h"

json_t *json_text(const char *text);
json_t *json_device(const struct device *device);
json_t *json_absent(struct daemon *daemon, const char *alias);
json_t *json_vm(struct vm *vm);
