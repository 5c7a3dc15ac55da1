/* SPDX-License-Identifier: BSD-2-Clause */
/* A domain, opened on a command line; see domain_open.h. */
#include "libvirt/domain_open.h"

#include <stdarg.h>
#include <stdio.h>

#include "libvirt/virt_error.h"

/**
 * domain_fail() - say an error
 * @status:	the exit status
 * @kind:	its kind, one word
 * @format:	what, to which object, why
 *
 * Return: @status.
 */
int domain_fail(int status, const char *kind, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "error[%s]: ", kind);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	putc('\n', stderr);
	return status;
}

/**
 * domain_fail_libvirt() - say what libvirt refused
 * @o:		the domain
 * @what:	what was tried
 *
 * Return: the exit status.
 */
int domain_fail_libvirt(const struct domain_open *o, const char *what)
{
	int code = virt_error_code();
	bool denied = code == VIR_ERR_AUTH_FAILED || code == VIR_ERR_AUTH_UNAVAILABLE ||
		      code == VIR_ERR_AUTH_CANCELLED || code == VIR_ERR_ACCESS_DENIED ||
		      code == VIR_ERR_OPERATION_DENIED;

	if (code == VIR_ERR_NO_DOMAIN)
		return domain_fail(DOMAIN_NOT_FOUND, "not-found",
				   "libvirt at %s has no domain \"%s\"", o->uri, o->name);
	return domain_fail(denied ? DOMAIN_DENIED : DOMAIN_FAILED, denied ? "denied" : "failed",
			   "%s: %s: %s", o->name, what, virt_error_text());
}

static void no_print(void *ctx, virErrorPtr error)
{
}

/**
 * domain_open() - find a domain
 * @o:		its @uri and @name are given; to be closed whatever is returned
 * @changes:	it is to be changed, or what runs in it
 *
 * Return: DOMAIN_DONE; else the exit status, and it has been said why.
 */
int domain_open(struct domain_open *o, bool changes)
{
	virSetErrorFunc(NULL, no_print);
	if (virInitialize() < 0)
		return domain_fail(DOMAIN_FAILED, "failed", "libvirt can't be used");
	o->conn = changes ? virConnectOpen(o->uri) : virConnectOpenReadOnly(o->uri);
	if (!o->conn)
		return domain_fail_libvirt(o, "connecting to libvirt");
	o->domain = virDomainLookupByName(o->conn, o->name);
	return o->domain ? DOMAIN_DONE : domain_fail_libvirt(o, "finding it");
}

void domain_close(struct domain_open *o)
{
	if (o->domain)
		virDomainFree(o->domain);
	if (o->conn)
		virConnectClose(o->conn);
	o->domain = NULL;
	o->conn = NULL;
}
