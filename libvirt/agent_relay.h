/* SPDX-License-Identifier: BSD-2-Clause */
/* `usbroutectl vm agent`: QEMU's guest agent of a domain, for a program that knows no libvirt. */
#pragma once

int agent_relay(const char *uri, const char *domain);
