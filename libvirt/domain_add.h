/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `usbroutectl vm add`: shared memory and the card into a domain, with the rights of whoever runs
 * it.
 */
#pragma once

#include <stdbool.h>

#include "libvirt/domain_xml.h"

struct domain_add {
	const char *uri, *domain;
	struct domain_card card;
	bool apply; /* else only say what would be changed */
};

int domain_add(const struct domain_add *ask);
