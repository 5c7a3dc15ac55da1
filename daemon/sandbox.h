/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What rights a process keeps, in stages:
 *   1. started (root, or not): may fork the broker and make files and sockets; nobody is served.
 *   2. the broker stands: it must hold CAP_NET_ADMIN and CAP_DAC_OVERRIDE, and must not hold
 * others.
 *   3. the daemon serves: it must hold no capability and must not gain any.
 */
#pragma once

#include <stdint.h>

int sandbox_keep_caps(uint64_t keep);
