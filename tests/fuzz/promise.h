/* SPDX-License-Identifier: BSD-2-Clause */
/* What a target promises of the code below it: where it does not hold, the fuzzer has found something. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

static inline _Noreturn void promise_broken(const char *what)
{
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

#define promise(what)                          \
	do {                                   \
		if (!(what))                   \
			promise_broken(#what); \
	} while (0)
