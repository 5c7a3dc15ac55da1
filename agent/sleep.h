/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's sleep: suspend, hibernation, all of its kinds. Linux's vhci-hcd refuses it while a
 * device is on one of its ports (drivers/usb/usbip/vhci_hcd.c, vhci_hcd_suspend()), so all are let
 * go of before, and taken back after.
 *
 *   AWAKE --sleep_begin()--> LETTING_GO --all ports free, or 3 s--> ASLEEP --sleep_end()--> AWAKE
 *
 * logind says that a sleep begins and ends (logind.h), or whoever calls this program with --let-go
 * and --take-back (control.h). logind's word counts: between a suspend and the hibernation that
 * follows it, for example, the system is awake for a moment. If nobody says that the sleep has
 * ended, it ends when the system has slept, or when it has not slept within a minute.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum sleep_state { SLEEP_AWAKE, SLEEP_LETTING_GO, SLEEP_ASLEEP };

struct sleep {
	enum sleep_state state;
	uint64_t due_ns;   /* to look; NEVER */
	uint64_t limit_ns; /* LETTING_GO: so long at the most */
	uint64_t slept_ns; /* how long the guest had slept since its boot when this sleep began */
	bool waking;	   /* taking back waits for the daemon's answer */
	bool by_logind;	   /* logind has said that the sleep begins, and will say that it ends */
};

struct agent;

void sleep_begin(struct agent *agent);
void sleep_end(struct agent *agent);
void sleep_clock(struct agent *agent);
void sleep_answered(struct agent *agent);
void sleep_say_again(struct agent *agent);
void sleep_work(struct agent *agent);
