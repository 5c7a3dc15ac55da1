/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens to the scripted daemon of tests/unit/route-fixture.h, a step a byte and what it needs:
 * devices come and go, cards change, the broker and the guests' threads take their time, time passes,
 * files can't be written, the configuration is another one.
 */
#pragma once

#include "tests/unit/route-fixture.h"

#include "base/cursor.h"

#define STEP_DEVICES 8

void daemon_steps_begin(struct fixture *f);
void daemon_steps_anew(struct fixture *f);
void daemon_steps_end(struct fixture *f);
void daemon_step(struct cursor *c, uint8_t what);
void daemon_step_plug(unsigned i, uint8_t how, struct cursor *c);

/* The next byte, or 0. */
static inline uint8_t step_byte(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 1);

	return p ? *p : 0;
}
