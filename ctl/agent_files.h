/* SPDX-License-Identifier: BSD-2-Clause */
/* What `vm agent` puts into a guest: usbroute-agent, a program without libraries, and its unit. */
#pragma once

#include <stddef.h>

#include "ctl/ctl.h"

#define AGENT_PROGRAM "/usr/local/sbin/usbroute-agent"
#define AGENT_UNIT    "/etc/systemd/system/usbroute-agent.service"
/* What takes it out of a guest again, to be typed there. */
#define AGENT_UNDO                                                                 \
	"systemctl disable --now usbroute-agent; rm " AGENT_PROGRAM " " AGENT_UNIT \
	"; systemctl daemon-reload"

struct agent_files {
	char *program; /* its bytes */
	size_t len;
	char machine[32]; /* that it is for, as uname(1) has it */
};

enum status agent_files_load(const struct ctl *ctl, const char *machine,
			     struct agent_files *ret_files);
void agent_files_deinit(struct agent_files *files);
const char *agent_files_unit(void);
