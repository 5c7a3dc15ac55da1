/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices, names and callers that rules are tried on, and policies of one text. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "policy/decision.h"

/* What was refused, a line each, as "LINE: text". */
struct refused {
	unsigned n, line;
	char text[512];
};

extern const struct device_facts keyboard;
extern const struct device_facts stick;
extern const struct policy_names names;

void refuse(void *ctx, unsigned line, const char *text);
struct policy *policy_of_bytes(const char *file, const void *data, size_t len);
struct policy *policy_of(const char *text);
