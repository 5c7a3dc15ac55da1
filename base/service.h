/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a service and whoever started it tell each other, by systemd's protocols. sd_notify(3): a datagram
 * of lines to $NOTIFY_SOCKET. sd_listen_fds(3): sockets that it is handed from descriptor 3 on, as many as
 * $LISTEN_FDS says, where $LISTEN_PID is its number. libsystemd could do it, but brings six libraries into
 * each process that is forked.
 */
#pragma once

#include <stddef.h>

void service_notify(const char *state);
size_t service_take_sockets(int *fds, size_t max);
