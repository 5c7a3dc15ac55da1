/* SPDX-License-Identifier: BSD-2-Clause */
/* What libvirt calls when something happens. */
#pragma once

#include <libvirt/libvirt.h>

/*
 * A function for virConnectDomainEventRegisterAny(), which takes one of each event's own type by a
 * common one. By way of void (*)(void), which stands for any function: clang 19 warns of a cast
 * straight from one type to the other (-Wcast-function-type-mismatch).
 */
#define VIRT_EVENT_CALLBACK(fn) VIR_DOMAIN_EVENT_CALLBACK((void (*)(void))(fn))
