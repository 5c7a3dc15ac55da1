/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest sees exported, and who in it gets what he asks for. A VM's thread answers lists by
 * itself, by what it is told here; each import it asks for.
 *
 * Control thread only.
 */
#pragma once

#include <stdint.h>

struct routing;
struct vm;

void exports_tell(struct routing *routing, struct vm *vm);
void exports_import_asked(struct routing *routing, struct vm *vm, uint32_t client,
			  const char *busid);
