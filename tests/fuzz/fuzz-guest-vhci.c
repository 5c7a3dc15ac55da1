/* SPDX-License-Identifier: BSD-2-Clause */
/* A status text, a port's file, an import's answer: whatever is in them, names are names. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "agent/import.h"
#include "agent/vhci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ struct vhci_status *status = calloc(1, sizeof(*status));
	struct import_reply reply;
	struct vhci_peer peer;

	if (!status)
		abort();
	vhci_status_parse((const char *)data, size, status);
	for (unsigned i = 0; i < status->n; i++)
		if (strchr(status->ports[i].local, '/') ||
		    strlen(status->ports[i].local) >= VHCI_NAME_SIZE)
			abort();
	if (vhci_peer_parse((const char *)data, size, &peer) == 0 &&
	    (!peer.host[0] || strchr(peer.host, ' ') || strchr(peer.busid, ' ')))
		abort();
	import_parse(data, size, "1-1", &reply);
	return 0;
}
