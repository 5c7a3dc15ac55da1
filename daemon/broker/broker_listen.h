/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets that listen for the LAN export, as the broker makes them: control and the process that takes
 * connections there may make none.
 *
 * An address that the host does not have yet is no error: the socket hears when the host has it. A port
 * below 1024 takes a right that the broker does not have.
 */
#pragma once

#include <stddef.h>

#include "base/ip.h"

int broker_listen_at(const struct ip_endpoint *at, int *ret_fd, char *text, size_t size);
