/* SPDX-License-Identifier: BSD-2-Clause */
/* The domains that libvirt has; see domains.h. */
#include "libvirt/domains.h"

#include <libvirt/libvirt.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

struct domain {
	struct list link;
	char name[VIRT_DOMAIN_MAX + 1];
	enum virt_state state;
	bool agent;
};

void domains_init(struct domains *domains, void (*tell)(void *ctx, const struct virt_line *line),
		  void *ctx)
{
	*domains = (struct domains){.tell = tell, .ctx = ctx};
	list_init(&domains->all);
}

/**
 * domains_clear() - forget all of them, and say nothing
 * @domains:	the list
 */
void domains_clear(struct domains *domains)
{
	struct list *l;

	while ((l = list_pop(&domains->all)))
		free(list_entry(l, struct domain, link));
	domains->n = 0;
}

static struct domain *domain_find(const struct domains *domains, const char *name)
{
	list_for_each(it, &domains->all) {
		struct domain *d = list_entry(it, struct domain, link);

		if (!strcmp(d->name, name))
			return d;
	}
	return NULL;
}

static void tell_state(const struct domains *domains, const struct domain *d)
{
	struct virt_line line = {.verb = VIRT_DOMAIN, .state = d->state};

	strcpy(line.domain, d->name);
	domains->tell(domains->ctx, &line);
}

static void tell_agent(const struct domains *domains, const struct domain *d)
{
	struct virt_line line = {.verb = VIRT_AGENT, .yes = d->agent};

	strcpy(line.domain, d->name);
	domains->tell(domains->ctx, &line);
}

/**
 * domains_tell_all() - say all there is, for somebody who knows nothing
 * @domains:	the list
 */
void domains_tell_all(const struct domains *domains)
{
	list_for_each(it, &domains->all) {
		const struct domain *d = list_entry(it, struct domain, link);

		tell_state(domains, d);
		if (d->agent)
			tell_agent(domains, d);
	}
}

static struct domain *domain_add(struct domains *domains, const char *name)
{
	struct domain *d;

	if (!virt_domain_valid(name))
		return NULL;
	if (domains->n == DOMAINS_MAX) {
		log_warning("more than %d domains: %s is left out", DOMAINS_MAX, name);
		return NULL;
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	strcpy(d->name, name);
	d->state = VIRT_GONE;
	list_append(&domains->all, &d->link);
	domains->n++;
	return d;
}

/**
 * domains_set_state() - a domain is in this state now
 * @domains:	the list
 * @name:	its name
 * @state:	the state; VIRT_GONE: there is no such domain
 */
void domains_set_state(struct domains *domains, const char *name, enum virt_state state)
{
	struct domain *d = domain_find(domains, name);

	if (!d && state != VIRT_GONE)
		d = domain_add(domains, name);
	if (!d || d->state == state)
		return;
	if (state != VIRT_RUNNING && state != VIRT_PAUSED)
		domains_set_agent(domains, name, false);
	d->state = state;
	tell_state(domains, d);
	if (state == VIRT_GONE) {
		list_remove(&d->link);
		domains->n--;
		free(d);
	}
}

/**
 * domains_set_agent() - whether a domain's guest agent answers
 * @domains:	the list
 * @name:	the domain's name
 * @yes:	it does
 */
void domains_set_agent(struct domains *domains, const char *name, bool yes)
{
	struct domain *d = domain_find(domains, name);

	/* The agent's event may come before the start's. */
	if (!d && yes)
		d = domain_add(domains, name);
	if (!d || d->agent == yes)
		return;
	if (d->state == VIRT_GONE || d->state == VIRT_SHUTOFF || d->state == VIRT_CRASHED) {
		if (!yes)
			return;
		d->state = VIRT_RUNNING;
		tell_state(domains, d);
	}
	d->agent = yes;
	tell_agent(domains, d);
}

/**
 * domains_lifecycle() - a lifecycle event has come
 * @domains:	the list
 * @name:	the domain's name; after a rename the old one with UNDEFINED, then the new one with
 *		DEFINED
 * @event:	virDomainEventType
 * @detail:	what the event's own enumeration has
 */
void domains_lifecycle(struct domains *domains, const char *name, int event, int detail)
{
	const struct domain *d = domain_find(domains, name);
	bool up = d && (d->state == VIRT_RUNNING || d->state == VIRT_PAUSED);

	switch (event) {
	case VIR_DOMAIN_EVENT_DEFINED:
		if (!d)
			domains_set_state(domains, name, VIRT_SHUTOFF);
		break;
	case VIR_DOMAIN_EVENT_UNDEFINED:
		/* One that runs goes on running, until it stops. */
		if (!up || detail == VIR_DOMAIN_EVENT_UNDEFINED_RENAMED)
			domains_set_state(domains, name, VIRT_GONE);
		break;
	case VIR_DOMAIN_EVENT_STARTED:
	case VIR_DOMAIN_EVENT_RESUMED:
		domains_set_state(domains, name, VIRT_RUNNING);
		break;
	case VIR_DOMAIN_EVENT_SUSPENDED:
	case VIR_DOMAIN_EVENT_PMSUSPENDED:
		domains_set_state(domains, name, VIRT_PAUSED);
		break;
	case VIR_DOMAIN_EVENT_CRASHED:
		domains_set_state(domains, name, VIRT_CRASHED);
		break;
	case VIR_DOMAIN_EVENT_STOPPED:
		domains_set_state(domains, name,
				  detail == VIR_DOMAIN_EVENT_STOPPED_CRASHED ||
						  detail == VIR_DOMAIN_EVENT_STOPPED_FAILED
					  ? VIRT_CRASHED
					  : VIRT_SHUTOFF);
		break;
	default:
		/* SHUTDOWN: it has yet to stop. */
		break;
	}
}

/**
 * domains_state_of() - a state as libvirt numbers it, in the wire's words
 * @state:	virDomainState
 * @reason:	what the state's own enumeration has
 */
enum virt_state domains_state_of(int state, int reason)
{
	switch (state) {
	case VIR_DOMAIN_PAUSED:
	case VIR_DOMAIN_PMSUSPENDED:
		return VIRT_PAUSED;
	case VIR_DOMAIN_SHUTOFF:
		return reason == VIR_DOMAIN_SHUTOFF_CRASHED || reason == VIR_DOMAIN_SHUTOFF_FAILED
			       ? VIRT_CRASHED
			       : VIRT_SHUTOFF;
	case VIR_DOMAIN_CRASHED:
		return VIRT_CRASHED;
	default:
		return VIRT_RUNNING;
	}
}
