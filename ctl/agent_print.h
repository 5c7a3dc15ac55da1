/* SPDX-License-Identifier: BSD-2-Clause */
/* usbroute-agent for guests without QEMU's guest agent: as a script, and as cloud-init's user data. */
#pragma once

#include "ctl/ctl.h"

enum status agent_print_script(const struct ctl *ctl);
enum status agent_print_cloud_init(const struct ctl *ctl);
