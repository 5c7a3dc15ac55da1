/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a service tells whoever started it, by sd_notify(3)'s protocol: a datagram of lines to
 * $NOTIFY_SOCKET. libsystemd could do it, but brings six libraries into each process that is
 * forked.
 */
#pragma once

void service_notify(const char *state);
