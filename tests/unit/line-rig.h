/* SPDX-License-Identifier: BSD-2-Clause */
/* A process with a scripted control (dataplane/control_line.h). One thread has both. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>

#include "base/loop.h"
#include "dataplane/control_line.h"
#include "protocol/vm_wire.h"

struct rig {
	struct loop *loop;
	struct control_line *line;
	int control; /* the scripted one's end */
	char door[108];
	bool serves;
};

struct rig *begin_line(bool for_lan);
void end_line(struct rig *rig);
void turns(struct rig *rig);
void asks_with(struct rig *rig, const void *message, const int *fds, unsigned n);
void asks(struct rig *rig, const void *message);
union vm_wire_message hears(struct rig *rig, uint32_t kind);
void hears_nothing(struct rig *rig);
void line_is_over(struct rig *rig);
int listens(struct rig *rig, const char *name);
void greet(struct rig *rig, bool serves);
void next_control(struct rig *rig);
