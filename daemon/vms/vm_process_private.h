/* SPDX-License-Identifier: BSD-2-Clause */
/* What vm_process.c (the process, and what it says of its guest), vm_process_device.c (its devices) and vm_process_net.c
 * (further networks) share. */
#pragma once

#include "base/log.h"
#include "daemon/vms/vm_process.h"
#include "protocol/vm_line.h"

enum guest_state {
	GUEST_ALONE,	/* no line */
	GUEST_GREETING, /* HELLO was said */
	GUEST_STRANGE,	/* the last control's, of a version that we do not speak: left alone */
	GUEST_ENDING,	/* END was said to a process of the last control */
	GUEST_STARTING, /* START was said */
	GUEST_ASKING,	/* to one of the last control: what does it hold? */
	GUEST_STANDS,
	GUEST_LOST, /* no line; the process is killed, and its end is awaited */
};

struct guest {
	struct guest_config cfg; /* its descriptors are the guest's: each process gets them */
	struct loop *loop;
	const struct guest_events *events;
	const struct guest_process_events *process;
	void *ctx;
	enum guest_state state;
	struct vm_line *line;
	int process_fd;	     /* its pidfd; -1: unknown, and its line's end is its own */
	const char *why;     /* LOST: static */
	struct list devices; /* of struct guest_device */
	struct guest_card card;
	int next;	     /* the listener for the next control, or -1 */
	bool stopping, over; /* to end; "ended" is on its way */
	bool agent_asked;    /* guest_agent() is owed */
	struct loop_watch ended, taken;
	struct loop_watch gone; /* LOST: its process has ended */
	/* STRANGE: its QEMU connects anew; told to END, or LOST: it should have ended by now. */
	struct loop_watch anew;
	bool serves;	   /* its process is the last control's */
	bool program_told; /* which program it is */
	unsigned n_held;   /* devices that it has told of */
	uint32_t version;  /* that both speak */
	bool stats_asked;  /* STATS_ALL is awaited */
	struct guest_memory memory;
	struct log_limit limit; /* of lines that its process can trigger */
};

struct guest_device {
	struct list link;
	struct guest *guest; /* NULL: in none */
	uint32_t number;
	char name[VM_WIRE_TAG_SIZE];
	struct usb_device_info info;
	int node;				  /* until it is given, or -1 */
	const struct guest_device_events *events; /* NULL: forgotten */
	void *ctx;
	bool given;		  /* to the process there is now */
	bool opened, failed;	  /* the answer to GIVE */
	bool importing, session;  /* IMPORTED is awaited; SESSION_ENDED is */
	bool resetting, taking;	  /* WAS_RESET is, TAKEN is */
	bool gone, stuck;	  /* told */
	struct vm_wire_peer peer; /* session: the client's end */
	bool counted;		  /* @stats was told */
	struct urb_stats stats;
	/* Of the last control, and not taken up yet. */
	bool left;
	struct vm_wire_identity identity;
	uint64_t since_ns;
	struct hid_found hid;
};

/* What a process may not say; the rest of "its process is lost: …". */
#define NO_DEVICE "it speaks of a device that it was not given"
#define NOT_ASKED "it answers what was not asked"

static inline void vm_process_tell(struct guest *guest, const void *message)
{
	vm_line_send(guest->line, message, NULL, 0);
}

const char *vm_process_held(struct guest *guest, const union vm_wire_message *m);
void vm_process_give(struct guest_device *gd);
void vm_process_taken(struct guest_device *gd, int r);
void vm_process_devices_lost(struct guest *guest, const char *why);
void vm_process_devices_free(struct guest *guest);
const char *vm_process_net_says(struct guest *guest, const union vm_wire_message *m,
				bool *ret_known);
void vm_process_tell_lan(struct guest *guest);
const char *vm_process_lan_asked(struct guest *guest, const union vm_wire_message *m);
const char *vm_process_device_says(struct guest *guest, const union vm_wire_message *m);
