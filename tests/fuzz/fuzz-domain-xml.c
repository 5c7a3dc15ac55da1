/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A domain's XML, as libvirt or whoever speaks in its place gives it. What was edited is complete:
 * to edit it again changes nothing.
 */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "libvirt/domain_xml.h"
#include "tests/fuzz/promise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says whether the card has a MAC. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct domain_card card = {.socket = "/run/usbrouted/vm1.sock",
				   .mac = size && (data[0] & 1) ? "52:54:00:77:00:01" : NULL};
	_cleanup_free_ char *xml = size ? strndup((const char *)data + 1, size - 1) : NULL;
	struct domain_edit edit = {0}, again = {0};
	int r;

	if (!xml)
		return 0;
	domain_xml_agent(xml);
	r = domain_xml_edit(&edit, xml, &card);
	if (r == 0) {
		promise(edit.xml && edit.diff && edit.card);
		promise(edit.memory || edit.added || edit.mended);
		promise(domain_xml_edit(&again, edit.xml, &card) == DOMAIN_XML_COMPLETE);
		domain_edit_deinit(&again);
	}
	domain_edit_deinit(&edit);
	return 0;
}
