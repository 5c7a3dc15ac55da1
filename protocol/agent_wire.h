/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the daemon and usbroute-agent, the program in a guest, say to each other: lines of ASCII,
 * each a verb and its words. Pure: text in, struct out, and back. docs/agent-protocol.md is the
 * description for others.
 *
 * Both ends take the other for hostile: a line has a bound, every word has a form, and a line that
 * has not its verb's form ends the connection. An unknown verb is no mistake: a newer peer may say
 * more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGENT_PORT	3241 /* TCP, on the daemon's addresses on the private segment */
#define AGENT_PROTOCOL	1
#define AGENT_LINE_MAX	512 /* bytes, the newline among them */
#define AGENT_NAME_SIZE 32  /* of a VM, a busid, an alias, a version: with the NUL */
#define AGENT_TEXT_SIZE 120 /* of a reason for people: with the NUL */
#define AGENT_BOOT_SIZE 17  /* of a boot of the guest: 16 digits, with the NUL */
#define AGENT_PORTS_MAX 4096
#define AGENT_ROUTES	256 /* devices that a guest is told of at a time */

/* The daemon's card on the private segment, by which a guest may know that segment. */
#define AGENT_DAEMON_MAC                           \
	{                                          \
		0x02, 0x75, 0x73, 0x62, 0x72, 0x64 \
	}

enum agent_verb {
	/* from the guest */
	AGENT_HELLO,  /* HELLO protocol version hs=N ss=N [boot=X]: its first line; free ports */
	AGENT_PORTS,  /* PORTS hs=N ss=N: free ports have changed */
	AGENT_TRYING, /* TRYING busid: it is importing that */
	AGENT_HAS,    /* HAS busid port: its kernel has set the device's configuration */
	AGENT_FAILED, /* FAILED busid text: it has not got it; it goes on trying */
	AGENT_GONE,   /* GONE busid: its kernel has it no more */
	AGENT_LETGO,  /* LETGO busid: somebody in the guest has detached it */
	AGENT_SLEEP,  /* SLEEP: the guest goes to sleep, and lets go of all until it is awake */
	AGENT_AWAKE,  /* AWAKE: it is awake, or stays so */
	/* from the daemon */
	AGENT_WELCOME, /* WELCOME protocol vm version [let-go]: the answer to HELLO */
	AGENT_REFUSED, /* REFUSED text: in place of WELCOME, and the end */
	AGENT_ROUTE,   /* ROUTE busid speed devid free|held alias|-: to be imported */
	AGENT_UNROUTE, /* UNROUTE busid: to be let go of */
	AGENT_SYNCED,  /* SYNCED: all that is routed was told; what else there is, is stale */
	/* from both */
	AGENT_PING,
	AGENT_PONG,
	AGENT_VERBS
};

/* Speeds by the numbers that USB/IP and Linux give them. */
enum agent_speed {
	AGENT_SPEED_LOW = 1,
	AGENT_SPEED_FULL = 2,
	AGENT_SPEED_HIGH = 3,
	AGENT_SPEED_SUPER = 5,
};

/* A line, taken apart. Which members count is the verb's matter; texts are terminated. */
struct agent_message {
	enum agent_verb verb;
	unsigned protocol, high, super, port;
	enum agent_speed speed;
	uint32_t devid; /* bus number << 16 | device number, as an IMPORT answers it */
	bool held;	/* a connection of this guest has the device already */
	char busid[AGENT_NAME_SIZE];
	char name[AGENT_NAME_SIZE]; /* the VM; the alias, "" for none */
	char version[AGENT_NAME_SIZE];
	char text[AGENT_TEXT_SIZE];
	char boot[AGENT_BOOT_SIZE]; /* which boot of the guest this is; "": it does not say */
	bool let_go;		    /* the daemon understands LETGO */
};

/* Outcomes of agent_wire_parse() beside 0. */
enum { AGENT_WIRE_UNKNOWN = 1 };

int agent_wire_parse(const char *line, size_t len, bool from_guest, struct agent_message *ret);
size_t agent_wire_format(char *line, size_t size, const struct agent_message *message);
const char *agent_speed_name(enum agent_speed speed);
