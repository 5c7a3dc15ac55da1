/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared memory and the card into a domain; see domain_add.h. Two XMLs are looked at: the one that
 * the domain starts with next, which is completed, and the one that it runs with, where the card
 * can be plugged in while its memory is shared.
 */
#include "libvirt/domain_add.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "libvirt/domain_open.h"
#include "libvirt/virt_error.h"

struct adding {
	const struct domain_add *ask;
	struct domain_open o;
	bool running, persistent;
};

static int open_domain(struct adding *a)
{
	int status = domain_open(&a->o, a->ask->apply);

	if (status)
		return status;
	a->running = virDomainIsActive(a->o.domain) == 1;
	a->persistent = virDomainIsPersistent(a->o.domain) == 1;
	return DOMAIN_DONE;
}

static int get_edit(struct adding *a, unsigned flags, struct domain_edit *ret_edit)
{
	_cleanup_free_ char *xml = NULL;
	int r;

	/* The XML is written back, so it needs the passwords of displays. A reader gets none. */
	if (a->ask->apply)
		flags |= VIR_DOMAIN_XML_SECURE;
	xml = virDomainGetXMLDesc(a->o.domain, flags);
	if (!xml)
		return domain_fail_libvirt(&a->o, "reading its XML");
	r = domain_xml_edit(ret_edit, xml, &a->ask->card);
	if (r < 0)
		return domain_fail(DOMAIN_FAILED, "failed", "%s: its XML can't be edited: %s",
				   a->ask->domain, errno_text(r));
	return DOMAIN_DONE;
}

static bool complete(const struct domain_edit *edit)
{
	return !edit->memory && !edit->added && !edit->mended;
}

/* The configuration that it starts with next. */
static int add_persistent(struct adding *a, char **ret_card)
{
	__attribute__((cleanup(domain_edit_deinit))) struct domain_edit edit = {0};
	const char *name = a->ask->domain;
	virDomainPtr defined;
	int status;

	if (!a->persistent) {
		printf("%s: it is transient: it has no configuration to put anything into\n", name);
		return DOMAIN_DONE;
	}
	status = get_edit(a, VIR_DOMAIN_XML_INACTIVE, &edit);
	if (status)
		return status;
	if (complete(&edit)) {
		printf("%s: its configuration has all that is needed\n", name);
		*ret_card = take_ptr(edit.card);
		return DOMAIN_DONE;
	}
	printf("%s: %s in its configuration:\n%s", name,
	       a->ask->apply ? "changed" : "to be changed", edit.diff);
	if (!a->ask->apply)
		return DOMAIN_DONE;
	fflush(stdout);
	defined = virDomainDefineXML(a->o.conn, edit.xml);
	if (!defined)
		return domain_fail_libvirt(&a->o, "defining it; nothing was changed");
	virDomainFree(defined);
	/* libvirt has completed it: a card that is plugged in now gets the same address. */
	domain_edit_deinit(&edit);
	status = get_edit(a, VIR_DOMAIN_XML_INACTIVE, &edit);
	if (status == DOMAIN_DONE)
		*ret_card = take_ptr(edit.card);
	return status;
}

/* What runs now. */
static int add_running(struct adding *a, const char *card)
{
	__attribute__((cleanup(domain_edit_deinit))) struct domain_edit edit = {0};
	const char *name = a->ask->domain, *restart = "it has to be shut down and started again";
	int status;

	if (!a->running) {
		printf("%s: it is not running; it has the card when it is started\n", name);
		return DOMAIN_DONE;
	}
	status = get_edit(a, 0, &edit);
	if (status)
		return status;
	if (edit.memory) {
		printf("%s: it runs with memory that is not shared: %s\n", name, restart);
	} else if (edit.mended) {
		printf("%s: it runs with a card that is not as it should be: %s\n", name, restart);
	} else if (!edit.added) {
		printf("%s: it runs with the card\n", name);
	} else if (!a->ask->apply) {
		printf("%s: the card can be plugged in while it runs\n", name);
	} else if (virDomainAttachDeviceFlags(a->o.domain, card ? card : edit.card,
					      VIR_DOMAIN_AFFECT_LIVE) < 0) {
		printf("%s: the card can't be plugged in while it runs (%s): %s\n", name,
		       virt_error_text(), restart);
	} else {
		/* Seen with libvirt 9.0 and QEMU 7.2, although the XML has a <reconnect>. */
		printf("%s: the card was plugged in; until the domain is next shut down and started, it does not come back once usbrouted was stopped\n",
		       name);
	}
	return DOMAIN_DONE;
}

/**
 * domain_add() - complete a domain, or say what is missing
 * @ask:	which, and with what
 *
 * What is there already stays as it is: doing it again changes nothing.
 *
 * Return: the exit status; errors have been said on stderr.
 */
int domain_add(const struct domain_add *ask)
{
	struct adding a = {.ask = ask, .o = {.uri = ask->uri, .name = ask->domain}};
	_cleanup_free_ char *card = NULL;
	int status = open_domain(&a);

	if (status == DOMAIN_DONE)
		status = add_persistent(&a, &card);
	if (status == DOMAIN_DONE)
		status = add_running(&a, card);
	domain_close(&a.o);
	return status;
}
