/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pages of the program's and its libraries' files that are mapped here to be read or run.
 *
 * Most of them are touched once, at the start: by the loader, which reads each library's names, by
 * libc's name services, by the code that shuts a process in. The kernel keeps them mapped in each
 * of our processes until memory is short.
 */
#pragma once

void code_pages_give_back(void);
