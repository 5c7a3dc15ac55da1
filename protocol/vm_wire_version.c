/* SPDX-License-Identifier: BSD-2-Clause */
/* Which versions of the protocol this build speaks. A file of its own: tests link programs of other versions with the rest. */
#include "protocol/vm_wire.h"

const uint32_t vm_wire_version = VM_WIRE_VERSION, vm_wire_least = VM_WIRE_LEAST;
