/* SPDX-License-Identifier: BSD-2-Clause */
/* A device that the daemon says is this guest's, for attachments.c (its way here) and let_go.c (its way out). */
#pragma once

#include "agent/agent.h"

enum attachment_state { WAITING, CONNECTING, ASKING, STARTING, THERE };

struct attachment {
	struct list link;
	char busid[AGENT_NAME_SIZE], alias[AGENT_NAME_SIZE];
	enum agent_speed speed;
	uint32_t devid;
	bool held; /* the daemon says that something in this guest has it */
	bool told; /* on this connection to the daemon */
	bool needs_port;
	enum attachment_state state;
	uint64_t due_ns;      /* WAITING: to try; CONNECTING, ASKING: too late; else: to look */
	uint64_t complain_ns; /* STARTING: it takes too long */
	unsigned failures;
	int sock;
	uint8_t reply[IMPORT_REPLY_SIZE];
	size_t got;
	unsigned port;
	bool filed;	     /* on its port: the port's file was there */
	bool by_hand;	     /* somebody has told the kernel to take it off its port */
	bool let_go;	     /* somebody did, and the daemon does not know yet */
	bool leaving;	     /* for a sleep: its port may be in use yet */
	struct pollfd *poll; /* of this turn of the loop */
	char said[AGENT_TEXT_SIZE];
};

void attachment_say(struct agent *agent, const struct attachment *attachment, enum agent_verb verb);
const char *attachment_name(const struct attachment *attachment);
void attachment_take_off(struct agent *agent, unsigned number);
void attachment_forget(struct agent *agent, struct attachment *attachment);

/* let_go.c */
void attachments_hands(struct agent *agent);
bool attachment_was_let_go(struct agent *agent, const struct attachment *attachment,
			   const struct vhci_port *port);
bool attachment_lets_go(struct agent *agent, struct attachment *attachment);
