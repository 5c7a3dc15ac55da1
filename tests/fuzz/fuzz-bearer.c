/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was read of any file of bearers is written and read again without loss, and whoever is there,
 * at most one of them bears each name. The first half is as fuzz-wish.c, for another type.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/bearer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct device_facts there[] = {
	{.id_vendor = 0x046d, .id_product = 0xc31c, .stable_port = "x/usb2:1"},
	{.id_vendor = 0x046d, .id_product = 0xc31c, .stable_port = "x/usb2:2", .serial = "S"},
	{.id_vendor = 0x1d6b, .id_product = 0x0104, .stable_port = "x/usb2:3", .serial = "S"},
};

static void look(struct bearers *bearers)
{
	list_for_each(it, &bearers->all) {
		struct bearer *b = list_entry(it, struct bearer, link);
		bool changed = false;

		for (uint64_t now = 1; now < 100; now += 20) {
			size_t n = now % 3 + 1;
			int first = bearer_find(b, there, n, now, 10, &changed);

			if (first >= (int)n || bearer_find(b, there, n, now, 10, &changed) != first)
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(bearers_deinit) struct bearers first, second;
	_cleanup_free_ char *text = NULL, *again = NULL;
	size_t len, again_len;
	unsigned bad;

	bearers_init(&first);
	bearers_init(&second);
	if (bearers_parse(&first, (const char *)data, size, &bad) ||
	    bearers_format(&first, &text, &len) || bearers_parse(&second, text, len, &bad) ||
	    bearers_format(&second, &again, &again_len))
		abort();
	if (bad || first.n != second.n || len != again_len || memcmp(text, again, len))
		abort();
	look(&second);
	return 0;
}
