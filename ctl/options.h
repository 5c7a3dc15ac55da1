/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The options of the command line: a table says which there are, what stands after each, and which
 * commands take it.
 */
#pragma once

#include "ctl/ctl.h"

enum status options_parse(struct ctl *ctl, int argc, char **argv);
enum status options_check(const struct ctl *ctl);
bool options_given(const struct ctl *ctl, const char *name);
