/* SPDX-License-Identifier: BSD-2-Clause */
/* What comes by the socket between the daemon and usbrouted-libvirt; what is taken can be said
 * again. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/virt_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virt_reader reader = {0};
	struct virt_line line, back;
	char buf[VIRT_LINE_MAX];

	for (;;) {
		int r = virt_reader_next(&reader, &line);
		size_t room, n;
		char *space;

		if (r == 0) {
			int len = virt_line_format(buf, &line);

			assert(len > 0 && len <= VIRT_LINE_MAX && buf[len - 1] == '\n');
			assert(virt_line_parse(&back, buf, (size_t)len - 1) == 0);
			assert(!memcmp(&line, &back, sizeof(line)));
			continue;
		}
		if (r < 0 || !size)
			return 0;
		space = virt_reader_space(&reader, &room);
		assert(room > 0);
		n = min_t(size_t, room, 1 + data[0] % 64);
		n = min_t(size_t, n, size);
		memcpy(space, data, n);
		virt_reader_filled(&reader, n);
		data += n;
		size -= n;
	}
}
