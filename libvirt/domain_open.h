/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A domain, opened for whoever runs this program on a command line: what goes wrong is said on
 * stderr as usbroutectl says it, and becomes an exit status.
 */
#pragma once

#include <libvirt/libvirt.h>
#include <stdbool.h>

#include "base/mem.h"

/* Exit statuses, usbroutectl's. */
enum { DOMAIN_DONE = 0, DOMAIN_FAILED = 1, DOMAIN_NOT_FOUND = 3, DOMAIN_DENIED = 5 };

struct domain_open {
	const char *uri, *name;
	virConnectPtr conn;
	virDomainPtr domain;
};

int domain_open(struct domain_open *o, bool changes);
void domain_close(struct domain_open *o);
int domain_fail(int status, const char *kind, const char *format, ...) _printf_(3, 4);
int domain_fail_libvirt(const struct domain_open *o, const char *what);
