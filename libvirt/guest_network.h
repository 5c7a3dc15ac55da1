/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's network as QEMU's guest agent tells it. */
#pragma once

#include "qemu_agent/guest_agent.h"

#define GUEST_INTERFACE_MAX 15 /* bytes of a name; Linux's IFNAMSIZ with its NUL is 16 */

int guest_network_find(struct guest_agent *agent, const char *mac,
		       char ret_name[GUEST_INTERFACE_MAX + 1]);
