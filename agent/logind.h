/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * logind, where there is one: it tells when the system goes to sleep (PrepareForSleep), and delays the
 * sleep while this program holds one of its inhibitors (org.freedesktop.login1(5)).
 *
 * The program looks for libsystemd when it starts, and starts without it, too. Without it, without
 * D-Bus, without logind, or if the build left this out (-Dagent-logind=disabled), only this is
 * missing; then a hook says when the system sleeps (control.h). A bus or a logind that ends and
 * comes again is found again.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

struct agent;
struct logind;

void logind_start(struct agent *agent);
void logind_stop(struct agent *agent);
void logind_poll(struct agent *agent, struct pollfd *ret_poll);
uint64_t logind_due(struct agent *agent);
void logind_work(struct agent *agent);
void logind_release(struct agent *agent);
void logind_again(struct agent *agent);
void logind_look(struct agent *agent);
bool logind_there(const struct agent *agent);
