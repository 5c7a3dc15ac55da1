/* SPDX-License-Identifier: BSD-2-Clause */
/* What was read of any line, from either side, is written and read again without loss. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/agent_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_line(const char *line, size_t len, bool from_guest)
{
	struct agent_message first, second;
	char text[AGENT_LINE_MAX + 1];
	size_t n;

	if (agent_wire_parse(line, len, from_guest, &first))
		return;
	n = agent_wire_format(text, sizeof(text), &first);
	if (!n || agent_wire_parse(text, n - 1, from_guest, &second) ||
	    memcmp(&first, &second, sizeof(first)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size;

	while (at < end) {
		const char *eol = memchr(at, '\n', (size_t)(end - at)) ?: end;

		try_line(at, (size_t)(eol - at), true);
		try_line(at, (size_t)(eol - at), false);
		at = eol < end ? eol + 1 : end;
	}
	return 0;
}
