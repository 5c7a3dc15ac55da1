/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's process shuts itself in before it hears its first word: namespaces of its own, an empty
 * root, no capability, no memory that others can look into, and limits. What the kernel or its
 * starter does not allow is left out, and logged.
 */
#pragma once

void enclose(const char *name);
