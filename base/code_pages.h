/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pages of the program's and its libraries' files that are mapped here to be read or run.
 *
 * Beginning touches most of them once: the loader every library's names, libc its name services, all of us
 * what shuts a process in. The kernel keeps them mapped until memory is short, in each of our processes.
 */
#pragma once

void code_pages_give_back(void);
