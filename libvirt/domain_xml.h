/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A domain's XML: which parts for usbrouted it has, and the XML with all of them. It works over
 * memory; the caller speaks to libvirt. All other parts stay as they are.
 */
#pragma once

#include <stdbool.h>

#include <libxml/tree.h>

#define DOMAIN_XML_MAX (4 * 1024 * 1024)

/* Outcome of domain_xml_edit(). */
enum { DOMAIN_XML_COMPLETE = 1 /* all is there */ };

/* The card that a domain should have. */
struct domain_card {
	const char *socket; /* the VM's socket */
	const char *mac;    /* NULL: any */
};

struct domain_edit {
	char *xml;   /* the domain's XML with all in it */
	char *diff;  /* what was changed, lines that begin with "+", "-" or " " */
	char *card;  /* the <interface> that is in @xml */
	bool memory; /* its memory was not shared */
	bool added;  /* it had no such card */
	bool mended; /* it had the card, but not as it should be */
};

int domain_xml_edit(struct domain_edit *ret_edit, const char *xml, const struct domain_card *card);
void domain_edit_deinit(struct domain_edit *edit);
bool domain_xml_agent(const char *xml);
