/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of a libvirt domain's XML that make it a guest of usbrouted, as text: shared memory,
 * and the card. One text for `usbroutectl vm xml`, for what usbrouted-libvirt puts into a domain,
 * and for the files that are installed.
 */
#pragma once

#include <stdio.h>

#define VIRT_SNIPPET_MEMORY           \
	"<memoryBacking>\n"           \
	"  <source type='memfd'/>\n"  \
	"  <access mode='shared'/>\n" \
	"</memoryBacking>\n"

void virt_snippet_card(FILE *f, const char *socket, const char *mac);
void virt_snippet_network(FILE *f, const char *network);
void virt_snippet_both(FILE *f, const char *vm, const char *socket, const char *mac);
