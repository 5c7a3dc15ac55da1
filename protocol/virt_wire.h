/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the daemon and usbrouted-libvirt say to each other over one Unix socket: a verb a line. This
 * file is about bytes only. The sockets are their owners', and nothing here acts.
 *
 * A line is a verb and its words, with one space between two words. It has at most VIRT_LINE_MAX
 * bytes, the newline among them. In a word, every byte but A-Z a-z 0-9 and _ - . : @ + , is written
 * as % and two hexadecimal digits: a domain's name may have spaces in it. A line that is not
 * exactly what its verb takes is refused, and its sender is sent away.
 *
 *	daemon -> helper
 *	STATE				say all domains, from the beginning
 *	ATTACH ID DOMAIN ADDRESS BUSID	in the domain: usbip attach -r ADDRESS -b BUSID
 *					ADDRESS: IPv4, or fe80::1@MAC (lower case, colons), for
 *					fe80::1% and the name of the interface that has the MAC;
 *					so where the guest has the daemon's IPv4 address itself
 *	DETACH ID DOMAIN BUSID		in the domain: detach what was attached as BUSID
 *
 *	helper -> daemon
 *	LIBVIRT yes|no			whether libvirtd answers; no: all domains are forgotten
 *	DOMAIN DOMAIN STATE		STATE: running, paused, shutoff, crashed;
 *					gone: there is no such domain any more
 *	AGENT DOMAIN yes|no		whether QEMU's guest agent answers in it
 *	DONE ID				what was asked for with this ID is done
 *	FAILED ID TEXT			it is not done; TEXT says why
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define VIRT_LINE_MAX	 512 /* with the newline */
#define VIRT_DOMAIN_MAX	 127 /* bytes of a domain's name, before they are written as above */
#define VIRT_BUSID_MAX	 31
#define VIRT_TEXT_MAX	 140
#define VIRT_ADDRESS_MAX 25 /* fe80::1@ and a MAC */
#define VIRT_ID_MAX	 999999999u

enum virt_verb {
	VIRT_STATE,
	VIRT_ATTACH,
	VIRT_DETACH,
	VIRT_LIBVIRT,
	VIRT_DOMAIN,
	VIRT_AGENT,
	VIRT_DONE,
	VIRT_FAILED,
};

enum virt_state { VIRT_GONE, VIRT_SHUTOFF, VIRT_RUNNING, VIRT_PAUSED, VIRT_CRASHED, VIRT_STATES };

/* A line; what its verb does not have is zero. */
struct virt_line {
	enum virt_verb verb;
	unsigned id; /* 1 to VIRT_ID_MAX */
	char domain[VIRT_DOMAIN_MAX + 1];
	char address[VIRT_ADDRESS_MAX + 1];
	char busid[VIRT_BUSID_MAX + 1];
	char text[VIRT_TEXT_MAX + 1]; /* for people */
	enum virt_state state;
	bool yes;
};

int virt_line_parse(struct virt_line *ret_line, const char *text, size_t len);
int virt_line_format(char buf[VIRT_LINE_MAX], const struct virt_line *line);
const char *virt_state_name(enum virt_state state);
bool virt_domain_valid(const char *name);
bool virt_busid_valid(const char *busid);
const char *virt_address_mac(const char *address);

/* The bytes of one direction; {0} is an empty one. */
struct virt_reader {
	char data[VIRT_LINE_MAX];
	size_t start, end;
};

/* Outcomes of virt_reader_next() beside 0. */
enum { VIRT_READER_MORE = 1 };

char *virt_reader_space(struct virt_reader *reader, size_t *ret_size);
void virt_reader_filled(struct virt_reader *reader, size_t n);
int virt_reader_next(struct virt_reader *reader, struct virt_line *ret_line);
