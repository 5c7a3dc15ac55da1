/* SPDX-License-Identifier: BSD-2-Clause */
/* `vm agent`: usbroute-agent into a guest that runs. */
#pragma once

#include "ctl/ctl.h"

enum status ctl_vm_agent(struct ctl *ctl, const json_t *vm);
