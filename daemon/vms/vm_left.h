/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes of VMs that are in no configuration any more: the last control has left them behind, and while
 * there was none, somebody took their VMs out. Nobody else would ever end them.
 *
 * Each is told to end, and killed where it does not. A start waits for that, for what they have is the
 * host's or another VM's by now; it never waits longer than that takes.
 */
#pragma once

#include <stdbool.h>

struct vms;
struct vms_left;

struct vms_left *vms_left_end(struct vms *vms, void (*ended)(void *ctx), void *ctx);
bool vms_left_ended(const struct vms_left *left);
struct vms_left *vms_left_free(struct vms_left *left);
