/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a device is, as people see it; see device_state.h. */
#include "protocol/device_state.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"

static const struct {
	const char *name;
	enum device_state_like like;
} states[] = {
	[DEVICE_PRESENT] = {"present", DEVICE_IS_QUIET},
	[DEVICE_CLAIMED] = {"claimed", DEVICE_IS_QUIET},
	[DEVICE_EXPORTED] = {"exported", DEVICE_IS_WAITING},
	[DEVICE_ATTACHED] = {"attached", DEVICE_IS_GOOD},
	[DEVICE_DRAINING] = {"draining", DEVICE_IS_WAITING},
	[DEVICE_DENIED] = {"denied", DEVICE_IS_WRONG},
	[DEVICE_PENDING] = {"pending", DEVICE_IS_WAITING},
	[DEVICE_FAILED] = {"failed", DEVICE_IS_WRONG},
	[DEVICE_BROKEN] = {"broken", DEVICE_IS_WRONG},
	[DEVICE_OFF] = {"off", DEVICE_IS_QUIET},
	[DEVICE_AMBIGUOUS] = {"ambiguous", DEVICE_IS_WRONG},
};
static_assert(ARRAY_SIZE(states) == DEVICE_STATES, "a row for each");

/**
 * device_state_name() - a state as the interface names it
 * @state:	the state
 *
 * Return: static text; "" for a number that is none.
 */
const char *device_state_name(enum device_state state)
{
	return state < DEVICE_STATES ? states[state].name : "";
}

/**
 * device_state_of() - the state with a name
 * @name:	the name
 *
 * Return: the state; DEVICE_STATES where there is none of that name.
 */
enum device_state device_state_of(const char *name)
{
	enum device_state state = 0;

	while (state < DEVICE_STATES && strcmp(states[state].name, name) != 0)
		state++;
	return state;
}

/**
 * device_state_like() - what a state is like
 * @state:	the state
 *
 * Return: DEVICE_IS_QUIET for a number that is none, too.
 */
enum device_state_like device_state_like(enum device_state state)
{
	return state < DEVICE_STATES ? states[state].like : DEVICE_IS_QUIET;
}
