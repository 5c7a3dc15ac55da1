/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client's bytes: framing gives the same messages however they are cut, and each is a call that
 * is answered or none. The first byte is the length of the pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/varlink_wire.h"
#include "daemon/control/varlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const char *message, size_t len)
{
	struct varlink_call call;
	char *reply = NULL;
	size_t reply_len = 0;
	int r;

	if (varlink_call_parse(&call, message, len))
		return;
	r = varlink_service_call(&call, "io.usbrouted", "interface io.usbrouted\n", &reply,
				 &reply_len);
	if (r < 0 || (r == 0 && (!reply || reply[reply_len - 1])) || (r > 0 && reply))
		abort();
	free(reply);
	varlink_call_deinit(&call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(varlink_wire_deinit) struct varlink_wire wire = {0};
	size_t piece = size ? (size_t)data[0] + 1 : 0, nuls = 0, messages = 0;

	for (size_t i = 1; i < size;) {
		const char *message;
		size_t room, n;
		char *space;

		if (varlink_wire_space(&wire, &space, &room) < 0)
			return 0;
		n = min_t(size_t, piece, room);
		n = min_t(size_t, n, size - i);
		memcpy(space, data + i, n);
		for (size_t k = 0; k < n; k++)
			nuls += !space[k];
		varlink_wire_filled(&wire, n);
		i += n;
		while (!varlink_wire_next(&wire, &message, &n)) {
			if (strlen(message) != n)
				abort();
			answer(message, n);
			messages++;
		}
	}
	if (messages != nuls)
		abort();
	return 0;
}
