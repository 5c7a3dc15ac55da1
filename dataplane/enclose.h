/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's process shuts itself in, before it hears its first word: namespaces of its own, an empty root,
 * no capability, nothing that others can look into, and limits. What a kernel or whoever starts it does
 * not allow is left out, and said.
 */
#pragma once

void enclose(const char *name);
