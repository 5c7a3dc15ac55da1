/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usbroute-agent: one connection to the daemon, and the devices that it says are this guest's.
 *
 *   agent.c   the connection: found, made, greeted, doubted, made again; and the loop
 *   attachments.c  the devices: each is waited for, imported, put on a port of vhci-hcd, enumerated
 *   let_go.c  … and leave: by somebody's hand, or for a sleep
 *   sleep.c   the guest's sleep, of which logind.c or control.c tell
 *   check.c   what is missing here, for people
 *
 * One thread, one poll(2), no periodic work: if nothing happens, nothing runs. It attaches only
 * what the daemon has named. It leaves alone what others have attached, unless that comes from this
 * daemon, and the daemon says that it is not this guest's any more.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/agent_line.h"
#include "base/list.h"
#include "agent/by_hand.h"
#include "agent/control.h"
#include "agent/import.h"
#include "agent/logind.h"
#include "agent/segment.h"
#include "agent/sleep.h"
#include "agent/vhci.h"

#define NS_PER_MS     1000000ull
#define NS_PER_SECOND 1000000000ull
#define NEVER	      UINT64_MAX
/* An answer to PING comes by then, or the other end has forgotten the connection. */
#define AGENT_PONG_NS (5 * NS_PER_SECOND)

struct agent_options {
	const char *interface; /* NULL: find it */
	struct in_addr address;
	const char *sysfs, *run; /* where sysfs is; where `usbip port` looks */
	const char *folder;	 /* where this program keeps what is its own */
	bool load_module;
};

enum agent_state {
	AGENT_SEARCHING, /* for the interface */
	AGENT_CONNECTING,
	AGENT_GREETING, /* HELLO is said */
	AGENT_TALKING,
};

struct agent {
	struct agent_options options;
	struct segment segment;
	struct vhci vhci;
	struct vhci_status status; /* as last read */
	int uevents, clock, signals;

	enum agent_state state;
	struct agent_line line;
	bool by_v4;	      /* the connection is over IPv4 */
	uint64_t due_ns;      /* when the state's time is over; NEVER */
	uint64_t pong_ns;     /* an answer to PING must come by then; NEVER: none is awaited */
	unsigned failures;    /* in a row, to connect */
	unsigned high, super; /* free ports, as last said */
	char told[AGENT_TEXT_SIZE]; /* what was last logged of a failure */

	struct list attachments;
	unsigned n_attachments;
	bool synced; /* the daemon has told all */

	char boot[AGENT_BOOT_SIZE]; /* which boot of the guest this is; "": not known */
	bool daemon_lets_go;	    /* the daemon understands LETGO */
	struct by_hand hand;
	struct sleep sleep;
	struct logind *logind; /* NULL: none */
	struct control control;
};

uint64_t agent_now(void);
int agent_init(struct agent *agent, const struct agent_options *options);
void agent_deinit(struct agent *agent);
int agent_run(struct agent *agent);
void agent_say(struct agent *agent, const struct agent_message *message);
void agent_doubt(struct agent *agent);
int agent_connect(const struct agent *agent, bool v4, uint16_t port, int *ret_sock);
int agent_load_module(const struct agent_options *options);

/* attachments.c */
void attachments_told(struct agent *agent, const struct agent_message *message);
void attachments_synced(struct agent *agent);
void attachments_connection(struct agent *agent, bool up);
void attachments_look(struct agent *agent);
uint64_t attachments_due(const struct agent *agent);
void attachments_work(struct agent *agent);
unsigned attachments_polls(struct agent *agent, struct pollfd *polls);
void attachments_free(struct agent *agent);

/* let_go.c */
void attachments_heard(struct agent *agent);
void attachments_rest(struct agent *agent);
bool attachments_resting(struct agent *agent);
int attachments_in_use(const struct agent *agent);
void attachments_wake(struct agent *agent);

/* boot.c */
void boot_read(const char *folder, char boot[AGENT_BOOT_SIZE]);

/* check.c */
int agent_check(const struct agent_options *options);
