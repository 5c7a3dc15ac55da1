/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interface's description, configs/io.usbrouted.varlink, as what replies and errors are held
 * against: a test fails where one has a field that is not described, lacks one that is, or has one
 * of another type.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

const char *interface_method(const char *name);
void interface_check_reply(const char *method, const json_t *parameters);
void interface_check_error(const char *error, const json_t *parameters);
bool interface_next(const char *what, const char **at, char *name, size_t size);
const char *interface_plain(void);
