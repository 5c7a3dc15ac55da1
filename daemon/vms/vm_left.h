/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes of VMs that are no longer in the configuration: the last control has left them behind,
 * and somebody took their VMs out while there was no control. Nobody else would ever end them.
 *
 * Each is told to end, and killed if it does not. Control's start waits for that, because what they
 * have is the host's or another VM's by now.
 */
#pragma once

#include <stdbool.h>

struct vms;
struct vms_left;

struct vms_left *vms_left_end(struct vms *vms, void (*ended)(void *ctx), void *ctx);
bool vms_left_ended(const struct vms_left *left);
struct vms_left *vms_left_free(struct vms_left *left);
