/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names that people give, and names of ports. Pure.
 *
 * A port has two spellings: the kernel's ("1-1.2", the busid on the wire) and the stable one
 * ("CONTROLLER/usb2:1.2"), in which CONTROLLER is the last sysfs name above the root hub that
 * survives a reboot, and usb2 or usb3 the speed of the root hub.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define NAME_MAX_LEN 31

/* For a message where name_valid_alias() says no: it follows the word "expected". */
#define NAME_ALIAS_EXPECTED                                                                       \
	"a name of 1 to 31 of A-Z a-z 0-9 _ -, none of host next prev all none control, and not " \
	"the form of a port such as 1-1"

bool name_valid(const char *name);
bool name_valid_alias(const char *name);
bool name_is_busid(const char *text);
bool name_is_stable_port(const char *text);
bool name_is_id(const char *text);
