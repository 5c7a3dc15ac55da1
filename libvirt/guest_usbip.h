/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's own `usbip`, run by QEMU's guest agent: attach a device, detach one. The daemon says
 * which device; the words of the command line are made here, and no shell sees them.
 */
#pragma once

#include <stddef.h>

#include "qemu_agent/guest_exec.h"

int guest_usbip_attach(struct guest_agent *agent, const char *address, const char *busid);
int guest_usbip_detach(struct guest_agent *agent, const char *busid);
int guest_usbip_find_port(const char *out, const char *busid);
