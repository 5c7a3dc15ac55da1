/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket by which `usbroute-agent --let-go` and `--take-back` ask the agent that runs here: for
 * hooks of systems without logind. Only root, or the user of the agent, is heard. A caller says one
 * word, and is answered when it is done.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#define CONTROL_CALLERS 4

struct control {
	int listener;
	int callers[CONTROL_CALLERS]; /* -1: none */
	bool asked[CONTROL_CALLERS];  /* has said its word, and waits */
	uint64_t due_ns;	      /* when callers are taken again; 0: they are taken */
};

struct agent;

void control_init(struct control *control);
int control_listen(struct control *control, const char *folder);
void control_deinit(struct control *control);
uint64_t control_due(const struct control *control);
unsigned control_polls(struct control *control, struct pollfd *polls);
void control_work(struct agent *agent, const struct pollfd *polls, unsigned n);
void control_done(struct agent *agent);

int control_ask(const char *folder, const char *word);
