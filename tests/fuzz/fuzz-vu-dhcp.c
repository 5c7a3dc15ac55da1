/* SPDX-License-Identifier: BSD-2-Clause */
/* Any DHCP message, behind headers of zeros. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/net_dhcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct net_dhcp dhcp = {
		.mac = {2, 0, 0, 0, 0, 10},
		.address = {10, 77, 0, 11},
		.daemon = {10, 77, 0, 1},
		.prefix = 24,
	};
	_cleanup_free_ uint8_t *frame = calloc(1, 42 + size);
	uint8_t reply[NET_DHCP_REPLY_MAX];
	size_t n;

	if (!frame)
		return 0;
	memcpy(frame + 42, data, size);
	n = net_dhcp_answer(&dhcp, frame, 42 + size, 34, reply);
	if (n != 0 && n != NET_DHCP_REPLY_MAX)
		abort();
	return 0;
}
