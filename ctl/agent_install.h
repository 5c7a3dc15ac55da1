/* SPDX-License-Identifier: BSD-2-Clause */
/* usbroute-agent into a guest that runs, by QEMU's guest agent. */
#pragma once

#include "ctl/ctl.h"
#include "qemu_agent/guest_agent.h"

#define AGENT_VERSION_SIZE 64

enum status agent_install(const struct ctl *ctl, const char *vm, struct guest_agent *agent,
			  char ret_version[AGENT_VERSION_SIZE]);
