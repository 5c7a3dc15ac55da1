/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Standard output of a program that a person or a script runs: what could not be written is known
 * and told at the end, whatever printed it.
 */
#pragma once

void output_init(void);
void output_deinit(void);
int output_end(const char *prefix, int status);
