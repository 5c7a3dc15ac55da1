/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A USB/IP client that has not imported anything yet: accepted, asked what it wants, answered, or
 * handed on to its guest's thread. Which VM it is in is known from the socket it came in by.
 *
 * It has 5 seconds to say what it wants; at most 8 of a guest's may be at it at a time.
 */
#pragma once

#include <stdbool.h>

struct vm;

void usbip_client_accept(void *ctx, int res);
void usbip_clients_close(struct vm *vm);
