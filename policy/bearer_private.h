/* SPDX-License-Identifier: BSD-2-Clause */
/* What bearer.c and the file form (bearer_file.c) share. */
#pragma once

#include "policy/bearer.h"

int identity_set(struct identity *i, uint16_t id_vendor, uint16_t id_product, const char *serial,
		 const char *port);
