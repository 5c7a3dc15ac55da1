/* SPDX-License-Identifier: BSD-2-Clause */
/* A domain's XML; see domain_xml.h. Source: libvirt's "Domain XML format". */
#include "libvirt/domain_xml.h"

#include <errno.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/virt_snippet.h"

#define AGENT_CHANNEL "org.qemu.guest_agent.0"

struct editor {
	xmlDocPtr doc;
	const struct domain_card *card;
	struct domain_edit *edit;
	FILE *diff;
	int r; /* -ENOMEM, sticky */
};

/* ------------------------------------------------------------- the tree */

static const xmlChar *x(const char *text)
{
	return (const xmlChar *)text;
}

static bool is_element(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && !xmlStrcmp(node->name, x(name));
}

static xmlNodePtr next_named(xmlNodePtr node, const char *name)
{
	while (node && !is_element(node, name))
		node = node->next;
	return node;
}

static xmlNodePtr child(xmlNodePtr node, const char *name)
{
	return node ? next_named(node->children, name) : NULL;
}

static bool attribute_is(xmlNodePtr node, const char *name, const char *value)
{
	xmlChar *have = node ? xmlGetNoNsProp(node, x(name)) : NULL;
	bool is = have && !xmlStrcasecmp(have, x(value));

	xmlFree(have);
	return is;
}

static bool attribute_is_one_of(xmlNodePtr node, const char *name, const char *const *values)
{
	while (*values && !attribute_is(node, name, *values))
		values++;
	return *values;
}

static xmlDocPtr parse(const char *text)
{
	size_t len = strlen(text);
	xmlDocPtr doc;

	if (len > DOMAIN_XML_MAX)
		return NULL;
	doc = xmlReadMemory(text, (int)len, NULL, NULL,
			    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	/* A document type could bring entities; libvirt never writes one. */
	if (doc && (xmlGetIntSubset(doc) || !xmlDocGetRootElement(doc) ||
		    !is_element(xmlDocGetRootElement(doc), "domain"))) {
		xmlFreeDoc(doc);
		doc = NULL;
	}
	return doc;
}

/* An element's text; to be freed. */
static char *print_node(xmlDocPtr doc, xmlNodePtr node)
{
	xmlBufferPtr buf = xmlBufferCreate();
	char *text = NULL;

	if (buf && xmlNodeDump(buf, doc, node, 0, 1) >= 0)
		text = strdup((const char *)xmlBufferContent(buf));
	xmlBufferFree(buf);
	return text;
}

/* ------------------------------------------------------------- what was changed */

static size_t line_len(const char *text)
{
	return strcspn(text, "\n");
}

static void print_lines(FILE *f, char mark, const char *text, const char *end)
{
	while (text < end) {
		size_t n = line_len(text);

		fprintf(f, "%c %.*s\n", mark, (int)n, text);
		text += n + (text[n] == '\n');
	}
}

/* The lines of an element before and after; those at its beginning that are the same stand once. */
static void print_change(struct editor *e, const char *before, const char *after)
{
	const char *was = before ? before : "", *is = after;

	if (!after) {
		e->r = -ENOMEM;
		return;
	}
	while (*was && line_len(was) == line_len(is) && !strncmp(was, is, line_len(was))) {
		size_t n = line_len(was) + (was[line_len(was)] == '\n');

		print_lines(e->diff, ' ', was, was + n);
		was += n;
		is += line_len(is) + (is[line_len(is)] == '\n');
	}
	print_lines(e->diff, '-', was, was + strlen(was));
	print_lines(e->diff, '+', is, is + strlen(is));
}

/* ------------------------------------------------------------- editing */

static xmlNodePtr child_made(struct editor *e, xmlNodePtr node, const char *name)
{
	xmlNodePtr c = child(node, name);

	if (!c)
		c = xmlNewChild(node, NULL, x(name), NULL);
	if (!c)
		e->r = -ENOMEM;
	return c;
}

/* Set an attribute where it is not so already. Return: whether it had to be. */
static bool attribute_make(struct editor *e, xmlNodePtr node, const char *name, const char *value)
{
	if (!node || attribute_is(node, name, value))
		return false;
	if (!xmlSetProp(node, x(name), x(value)))
		e->r = -ENOMEM;
	return true;
}

/* Text of ours as an element of the document; it belongs nowhere yet. */
static xmlNodePtr element_from(struct editor *e, const char *text)
{
	xmlDocPtr doc = xmlReadMemory(text, (int)strlen(text), NULL, NULL,
				      XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
					      XML_PARSE_NOBLANKS);
	xmlNodePtr node = doc ? xmlDocCopyNode(xmlDocGetRootElement(doc), e->doc, 1) : NULL;

	xmlFreeDoc(doc);
	if (!node)
		e->r = -EINVAL;
	return node;
}

static bool memory_is_shared(xmlNodePtr backing)
{
	/* A file lies where libvirt's configuration says, mostly on a disk, which the daemon refuses. */
	return attribute_is(child(backing, "access"), "mode", "shared") &&
	       (child(backing, "hugepages") ||
		attribute_is(child(backing, "source"), "type", "memfd"));
}

/* NUMA cells may say otherwise, each for itself. */
static bool cells_make_shared(struct editor *e, xmlNodePtr domain)
{
	xmlNodePtr numa = child(child(domain, "cpu"), "numa");
	bool changed = false;

	for (xmlNodePtr cell = child(numa, "cell"); cell; cell = next_named(cell->next, "cell"))
		if (attribute_is(cell, "memAccess", "private"))
			changed |= attribute_make(e, cell, "memAccess", "shared");
	return changed;
}

static void memory_edit(struct editor *e, xmlNodePtr domain)
{
	xmlNodePtr backing = child(domain, "memoryBacking"),
		   numa = child(child(domain, "cpu"), "numa");
	_cleanup_free_ char *before = backing ? print_node(e->doc, backing) : NULL;
	_cleanup_free_ char *cells = numa ? print_node(e->doc, numa) : NULL;
	_cleanup_free_ char *after = NULL, *cells_after = NULL;

	if (!memory_is_shared(backing)) {
		e->edit->memory = true;
		if (!backing) {
			xmlNodePtr place = child(domain, "currentMemory");

			backing = element_from(e, VIRT_SNIPPET_MEMORY);
			if (!backing)
				return;
			if (!place)
				place = child(domain, "memory");
			if (place)
				xmlAddNextSibling(place, backing);
			else
				xmlAddChild(domain, backing);
		} else {
			if (!child(backing, "hugepages"))
				attribute_make(e, child_made(e, backing, "source"), "type",
					       "memfd");
			attribute_make(e, child_made(e, backing, "access"), "mode", "shared");
		}
		after = print_node(e->doc, backing);
		print_change(e, before, after);
	}
	if (cells_make_shared(e, domain)) {
		e->edit->memory = true;
		cells_after = print_node(e->doc, numa);
		print_change(e, cells, cells_after);
	}
}

static xmlNodePtr card_find(struct editor *e, xmlNodePtr devices)
{
	xmlNodePtr i = child(devices, "interface");

	for (; i; i = next_named(i->next, "interface")) {
		xmlNodePtr source = child(i, "source");
		xmlChar *path = source ? xmlGetNoNsProp(source, x("path")) : NULL;
		bool ours = path && !xmlStrcmp(path, x(e->card->socket));

		xmlFree(path);
		if (ours && attribute_is(i, "type", "vhostuser"))
			break;
	}
	return i;
}

static bool card_mend(struct editor *e, xmlNodePtr interface)
{
	static const char *const models[] = {"virtio", "virtio-transitional",
					     "virtio-non-transitional", NULL};
	xmlNodePtr source = child(interface, "source"), reconnect, model;
	bool mended = attribute_make(e, source, "mode", "client");

	reconnect = child_made(e, source, "reconnect");
	if (attribute_make(e, reconnect, "enabled", "yes")) {
		attribute_make(e, reconnect, "timeout", "1");
		mended = true;
	}
	model = child_made(e, interface, "model");
	if (model && !attribute_is_one_of(model, "type", models))
		mended |= attribute_make(e, model, "type", "virtio");
	if (e->card->mac)
		mended |=
			attribute_make(e, child_made(e, interface, "mac"), "address", e->card->mac);
	return mended;
}

static xmlNodePtr card_new(struct editor *e, xmlNodePtr devices)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	xmlNodePtr interface, last = NULL;

	if (!f) {
		e->r = -ENOMEM;
		return NULL;
	}
	virt_snippet_card(f, e->card->socket, e->card->mac);
	fclose(f);
	interface = text ? element_from(e, text) : NULL;
	if (!interface)
		return NULL;
	for (xmlNodePtr i = child(devices, "interface"); i; i = next_named(i->next, "interface"))
		last = i;
	/* Behind the others, so that what was the first card stays it. */
	if (last)
		xmlAddNextSibling(last, interface);
	else
		xmlAddChild(devices, interface);
	return interface;
}

static void card_edit(struct editor *e, xmlNodePtr domain)
{
	xmlNodePtr devices = child_made(e, domain, "devices"), interface;
	_cleanup_free_ char *before = NULL;

	if (!devices)
		return;
	interface = card_find(e, devices);
	if (interface) {
		before = print_node(e->doc, interface);
		e->edit->mended = card_mend(e, interface);
	} else {
		interface = card_new(e, devices);
		e->edit->added = true;
	}
	if (!interface)
		return;
	e->edit->card = print_node(e->doc, interface);
	if (!e->edit->card)
		e->r = -ENOMEM;
	if (e->edit->added || e->edit->mended)
		print_change(e, before, e->edit->card);
}

/**
 * domain_xml_edit() - what a domain's XML would be with shared memory and the card
 * @ret_edit:	the XML, and what was changed; to be freed with domain_edit_deinit()
 * @xml:	the domain's XML, as libvirt writes it
 * @card:	the card
 *
 * Return: 0; DOMAIN_XML_COMPLETE where nothing is missing (@ret_edit is made all the same);
 * -EBADMSG where @xml is no domain; else a negative errno.
 */
int domain_xml_edit(struct domain_edit *ret_edit, const char *xml, const struct domain_card *card)
{
	struct domain_edit edit = {0};
	struct editor e = {.doc = parse(xml), .card = card, .edit = &edit};
	xmlChar *text = NULL;
	size_t diff_size = 0;
	int len = 0;

	if (!e.doc)
		return -EBADMSG;
	e.diff = open_memstream(&edit.diff, &diff_size);
	if (!e.diff) {
		xmlFreeDoc(e.doc);
		return -ENOMEM;
	}
	memory_edit(&e, xmlDocGetRootElement(e.doc));
	if (e.r == 0)
		card_edit(&e, xmlDocGetRootElement(e.doc));
	if (fclose(e.diff) != 0)
		e.r = -ENOMEM;
	xmlDocDumpMemory(e.doc, &text, &len);
	edit.xml = text ? strdup((const char *)text) : NULL;
	xmlFree(text);
	xmlFreeDoc(e.doc);
	if (e.r == 0 && !edit.xml)
		e.r = -ENOMEM;
	if (e.r < 0) {
		domain_edit_deinit(&edit);
		return e.r;
	}
	*ret_edit = edit;
	return edit.memory || edit.added || edit.mended ? 0 : DOMAIN_XML_COMPLETE;
}

void domain_edit_deinit(struct domain_edit *edit)
{
	free(take_ptr(edit->xml));
	free(take_ptr(edit->diff));
	free(take_ptr(edit->card));
}

/**
 * domain_xml_agent() - whether QEMU's guest agent has opened its channel
 * @xml:	a running domain's XML
 */
bool domain_xml_agent(const char *xml)
{
	xmlDocPtr doc = parse(xml);
	xmlNodePtr devices = doc ? child(xmlDocGetRootElement(doc), "devices") : NULL;
	bool connected = false;

	for (xmlNodePtr c = child(devices, "channel"); c; c = next_named(c->next, "channel")) {
		xmlNodePtr target = child(c, "target");

		connected |= attribute_is(target, "name", AGENT_CHANNEL) &&
			     attribute_is(target, "state", "connected");
	}
	xmlFreeDoc(doc);
	return connected;
}
