/* SPDX-License-Identifier: BSD-2-Clause */
/* A descriptor whose last close blocks: a TCP socket that lingers, with a peer that does not read. */
#pragma once

struct blocker {
	int far; /* the end that does not read */
};

int blocker_new(struct blocker *b);
void blocker_end(struct blocker *b);
