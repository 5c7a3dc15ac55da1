/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a device is, as people see it: the states of io.usbrouted's type Device. One table for control,
 * which tells them, and usbroutectl, which shows them. Pure.
 */
#pragma once

/* Members may be added, and never change. */
enum device_state {
	DEVICE_PRESENT,
	DEVICE_CLAIMED,
	DEVICE_EXPORTED,
	DEVICE_ATTACHED,
	DEVICE_DRAINING,
	DEVICE_DENIED,
	DEVICE_PENDING,
	DEVICE_FAILED,
	DEVICE_BROKEN,
	DEVICE_OFF,
	DEVICE_AMBIGUOUS,
	DEVICE_STATES, /* how many; as an answer: a later version's */
};

/* What a state is like: its colour, and whether `status` warns of it. */
enum device_state_like {
	DEVICE_IS_QUIET,   /* nothing is wanted of it */
	DEVICE_IS_GOOD,	   /* it is where it is wanted */
	DEVICE_IS_WAITING, /* it is on its way */
	DEVICE_IS_WRONG,   /* a person has to do something */
};

const char *device_state_name(enum device_state state);
enum device_state device_state_of(const char *name);
enum device_state_like device_state_like(enum device_state state);
