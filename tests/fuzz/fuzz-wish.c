/* SPDX-License-Identifier: BSD-2-Clause */
/* What was read of any file is written and read again without loss. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/wish.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(wishes_deinit) struct wishes first, second;
	_cleanup_free_ char *text = NULL, *again = NULL;
	size_t len, again_len;
	unsigned bad;

	wishes_init(&first);
	wishes_init(&second);
	if (wishes_parse(&first, (const char *)data, size, &bad) ||
	    wishes_format(&first, &text, &len) || wishes_parse(&second, text, len, &bad) ||
	    wishes_format(&second, &again, &again_len))
		abort();
	if (bad || first.n != second.n || len != again_len || memcmp(text, again, len))
		abort();
	return 0;
}
