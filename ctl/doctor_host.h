/* SPDX-License-Identifier: BSD-2-Clause */
/* Doctor's checks that take the caller's own rights: other programs, libvirt's domains. */
#pragma once

#include <jansson.h>

struct ctl;

void doctor_host(const struct ctl *ctl, const json_t *vms, const json_t *devices, json_t *checks);
