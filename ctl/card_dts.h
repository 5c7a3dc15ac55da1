/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's card for a guest without PCI, as text: a node of a device tree, and above it, as comments, what
 * QEMU and a kernel without a device tree are told.
 */
#pragma once

#include <stdio.h>

void card_dts(FILE *f, unsigned card, const char *vm, const char *network, const char *socket,
	      const char *mac);
