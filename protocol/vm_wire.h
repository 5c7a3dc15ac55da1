/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What control (`usbrouted`) and a VM's process (`usbrouted-vm`) say to each other: one struct a
 * message, over a SOCK_SEQPACKET socket between two programs of one machine. docs/vm-protocol.md says
 * what each means. Pure: bytes in, a verdict out.
 *
 * Each side takes the other for hostile. A message that passes has the length of its kind, its
 * texts are terminated, its choices exist, and as many descriptors came with it as its kind
 * declares. Nothing else is promised: the receiver judges whether it makes sense now.
 *
 * Numbers are in host order. Unused bytes are zero, and nobody looks at them. A struct never
 * changes once it was in a release: a message of another form is another kind, and VM_WIRE_VERSION
 * goes up.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/urb_stats.h"
#include "usb/hid_chord.h"
#include "usb/hid_found.h"
#include "usb/usb_memory.h"
#include "usbip/usbip_op.h"

#define VM_WIRE_VERSION 5
#define VM_WIRE_LEAST	1 /* the oldest that is still understood */

/* The same, of this build: what is said and agreed on. */
extern const uint32_t vm_wire_version, vm_wire_least;

#define VM_WIRE_NAME_SIZE    32
#define VM_WIRE_TAG_SIZE     72
#define VM_WIRE_REASON_SIZE  128
#define VM_WIRE_PROGRAM_SIZE 32
#define VM_WIRE_FDS	     3	/* the most that one message brings */
#define VM_WIRE_NETS	     8	/* further networks that a process may have a port of */
#define VM_WIRE_PREFIXES     32 /* who may have a device over the LAN */

enum vm_wire_kind {
	/* From control: what it asks. */
	VM_ASK_HELLO = 1,
	VM_ASK_START,
	VM_ASK_HOTKEYS,
	VM_ASK_MEMORY,
	VM_ASK_END,
	VM_ASK_HELD,
	VM_ASK_GIVE,
	VM_ASK_TAKE,
	VM_ASK_RESET,
	VM_ASK_EXPORT,
	VM_ASK_IMPORT,
	VM_ASK_REFUSE,
	VM_ASK_PROBE,
	VM_ASK_HANG_UP,
	VM_ASK_AGENT,
	VM_ASK_PEER,
	VM_ASK_PEER_GONE,
	VM_ASK_LINK,
	VM_ASK_MAC,
	VM_ASK_AGENT_END,
	VM_ASK_STATS, /* from version 3 on */
	/* From version 4 on, about further networks. */
	VM_ASK_UPLINK,
	VM_ASK_TAP,
	VM_ASK_NET,
	VM_ASK_NET_GONE,
	VM_ASK_NETS_TOLD,
	VM_ASK_NET_PEER,
	VM_ASK_NET_PEER_GONE,
	VM_ASK_NET_LINK,
	VM_ASK_NET_MAC,
	VM_ASK_COUNTS,
	/* From version 5 on, about the LAN export. */
	VM_ASK_LAN,
	VM_ASK_LAN_LISTEN,
	VM_ASK_LAN_DEAF,
	VM_ASK_LAN_MAY,

	/* From the VM's process: what it says. */
	VM_SAY_HELLO = 65,
	VM_SAY_STARTED,
	VM_SAY_CARD,
	VM_SAY_ENDED,
	VM_SAY_HELD,
	VM_SAY_HELD_ALL,
	VM_SAY_OPENED,
	VM_SAY_IMPORT_ASKED,
	VM_SAY_IMPORTED,
	VM_SAY_SESSION_ENDED,
	VM_SAY_WAS_RESET,
	VM_SAY_GONE,
	VM_SAY_STUCK,
	VM_SAY_TAKEN,
	VM_SAY_HOTKEY,
	VM_SAY_HID,
	VM_SAY_AGENT_ASKED,
	VM_SAY_LINK_WANTED,
	VM_SAY_MAC_WANTED,
	VM_SAY_REFUSED,
	VM_SAY_PROGRAM, /* from version 2 on */
	VM_SAY_STATS,	/* from version 3 on */
	VM_SAY_STATS_ALL,
	/* From version 4 on. */
	VM_SAY_NET_CARD,
	VM_SAY_NET_LINK_WANTED,
	VM_SAY_NET_MAC_WANTED,
	VM_SAY_TAP,
	/* From version 5 on. */
	VM_SAY_LAN_ASKED,
	VM_WIRE_KINDS
};

/* Who sends it. */
enum vm_wire_side { VM_WIRE_CONTROL, VM_WIRE_VM };

/* ------------------------------------------------------------- parts of messages */

/* The guest's end of a TCP connection. */
struct vm_wire_peer {
	uint8_t v6; /* 0 or 1 */
	uint8_t unused;
	uint16_t port;
	uint8_t address[16]; /* the first 4 where not v6 */
};
static_assert(sizeof(struct vm_wire_peer) == 20, "as it goes over the line");

/* What a device must be to be the one that control means. */
struct vm_wire_identity {
	uint16_t busnum, devnum, id_vendor, id_product;
};
static_assert(sizeof(struct vm_wire_identity) == 8, "as it goes over the line");

/*
 * What a VM's process tells of a device that it holds: what it has said of it so far, and what it
 * still owes. One that is neither opened nor failed owes OPENED.
 */
enum vm_wire_held {
	VM_HELD_OPENED = 1,	/* claimed */
	VM_HELD_FAILED = 2,	/* could not be */
	VM_HELD_IMPORTING = 4,	/* IMPORTED is owed */
	VM_HELD_SESSION = 8,	/* imported: SESSION_ENDED is owed */
	VM_HELD_RESETTING = 16, /* WAS_RESET is owed */
	VM_HELD_TAKING = 32,	/* TAKEN is owed */
	VM_HELD_GONE = 64,	/* GONE was said */
	VM_HELD_STUCK = 128,	/* STUCK was said */
	VM_HELD_SETS = 256
};

/* ------------------------------------------------------------- messages */

/* END, HELD (asked), TAP, COUNTS and LAN_LISTEN (one descriptor each), NETS_TOLD; ENDED, HELD_ALL, AGENT_ASKED. */
struct vm_wire_plain {
	uint32_t kind;
};

/* Both sides', and the first that each says. */
struct vm_wire_hello {
	uint32_t kind;
	uint32_t version; /* the newest that the sender understands */
	uint32_t least;	  /* the oldest */
	uint32_t serves;  /* the process's: 1 where it has had its START already */
};

/* Two descriptors: the listener for the VM's QEMU, and the one that the next control will connect to. */
struct vm_wire_start {
	uint32_t kind;
	uint32_t prefix; /* bits */
	char name[VM_WIRE_NAME_SIZE];
	uint8_t address[4], daemon[4]; /* IPv4 */
	uint8_t mac[6], mac_before[6]; /* as in struct guest_config */
	uint8_t unused[4];
	struct hid_chords hotkeys;
	struct usb_memory_share memory;
};

struct vm_wire_hotkeys {
	uint32_t kind;
	struct hid_chords hotkeys;
};

struct vm_wire_memory {
	uint32_t kind, unused;
	struct usb_memory_share share;
};

/* One descriptor: its usbfs node. */
struct vm_wire_give {
	uint32_t kind;
	uint32_t device;	    /* control's number for it: no other has had it */
	char tag[VM_WIRE_TAG_SIZE]; /* for log lines */
	struct usb_device_info info;
};

/* TAKE, RESET; GONE. */
struct vm_wire_device {
	uint32_t kind;
	uint32_t device;
};

struct vm_wire_export {
	uint32_t kind;
	uint32_t device;
	uint32_t exported; /* 0 or 1 */
};

/* IMPORT, PROBE. */
struct vm_wire_client {
	uint32_t kind;
	uint32_t device;
	uint32_t client; /* the process's number for it */
};

struct vm_wire_refuse {
	uint32_t kind;
	uint32_t client;
	uint32_t status; /* enum usbip_op_status, not 0 */
};

struct vm_wire_hang_up {
	uint32_t kind;
	struct vm_wire_peer peer;
};

/* Another port of the private segment. */
struct vm_wire_port {
	uint32_t kind;
	uint32_t number;
	uint8_t has_mac, isolated, up; /* 0 or 1 each */
	uint8_t unused;
	uint8_t mac[6];
	uint8_t address[4];
	uint8_t unused_too[2];
};

/* PEER_GONE, AGENT (one descriptor: a socket), AGENT_END, LAN_DEAF (how many sockets stay); LINK_WANTED. */
struct vm_wire_number {
	uint32_t kind;
	uint32_t number;
};

/* Three descriptors: memory, and the eventfds that wake this end and the other. */
struct vm_wire_link {
	uint32_t kind;
	uint32_t number;
	uint32_t side; /* 0 or 1: which of its two this end is */
};

/* The answer to MAC_WANTED. */
struct vm_wire_mac_answer {
	uint32_t kind;
	uint32_t granted; /* 0 or 1 */
	uint8_t mac[6];
	uint8_t unused[2];
};

struct vm_wire_mac {
	uint32_t kind;
	uint8_t mac[6];
	uint8_t unused[2];
};

struct vm_wire_started {
	uint32_t kind;
	int32_t r; /* 0 or a negative errno */
};

struct vm_wire_card {
	uint32_t kind;
	uint8_t up, has_daemon; /* 0 or 1 each */
	uint8_t mac[6], foreign[6];
	uint8_t deaf; /* 0 or 1 */
	uint8_t unused;
};

/* A device that the process has; HELD_ALL says that these were all. */
struct vm_wire_held_device {
	uint32_t kind;
	uint32_t device;
	uint32_t held; /* a set of enum vm_wire_held */
	struct vm_wire_identity identity;
	char busid[USBIP_BUSID_SIZE];
	struct vm_wire_peer peer; /* VM_HELD_SESSION: who has it */
	uint8_t unused[8];
	uint64_t since_ns; /* CLOCK_MONOTONIC: when the last of these was said */
};

/* OPENED, SESSION_ENDED, WAS_RESET, STUCK (what, as the reason), TAKEN. */
struct vm_wire_device_result {
	uint32_t kind;
	uint32_t device;
	int32_t r;	 /* 0 or a negative errno */
	uint32_t closed; /* TAKEN: 0 or 1 */
	char reason[VM_WIRE_REASON_SIZE];
};

struct vm_wire_import_asked {
	uint32_t kind;
	uint32_t client;
	char busid[USBIP_BUSID_SIZE]; /* or an alias */
};

struct vm_wire_imported {
	uint32_t kind;
	uint32_t device;
	int32_t r;
	struct vm_wire_peer peer;
};

struct vm_wire_hotkey {
	uint32_t kind;
	uint32_t device;
	uint32_t which; /* enum hotkey */
};

struct vm_wire_hid {
	uint32_t kind;
	uint32_t device;
	struct hid_found found;
};

/* The answer to a kind that the process doesn't know: its control is newer. */
struct vm_wire_refused {
	uint32_t kind;
	uint32_t refused;
};

/* Which program it is. */
struct vm_wire_program {
	uint32_t kind;
	char name[VM_WIRE_PROGRAM_SIZE]; /* its version */
};

/* What has gone through the process's devices? STATS a device, then STATS_ALL. */
struct vm_wire_ask_stats {
	uint32_t kind;
	uint32_t timed; /* 0 or 1: whether times are counted from now on */
};

struct vm_wire_stats {
	uint32_t kind;
	uint32_t device;
	uint64_t urbs, errors, in_bytes, out_bytes;
	struct latency answer, with_device;
};

struct vm_wire_stats_all {
	uint32_t kind;
	uint32_t unused;
	uint64_t memory, memory_share; /* of the kernel's for URBs: charged now, and the most */
};

/* In place of START: be a network's uplink. One descriptor: the listener for the next control. */
struct vm_wire_uplink {
	uint32_t kind;
	char name[VM_WIRE_NAME_SIZE]; /* the network's */
};

/* A card on a further network. One descriptor: the listener for the VM's QEMU. */
struct vm_wire_net {
	uint32_t kind;
	uint32_t net; /* what the network is called from here on, below VM_WIRE_NETS */
	char name[VM_WIRE_NAME_SIZE];
	uint8_t mac[6];	 /* that its guest has taken before; all zero: none */
	uint8_t any_mac; /* 0 or 1: others are behind it */
	uint8_t unused;
};

/* NET_GONE. */
struct vm_wire_net_number {
	uint32_t kind;
	uint32_t net;
};

/* NET_PEER_GONE; NET_LINK_WANTED: another port of a network. */
struct vm_wire_net_other {
	uint32_t kind;
	uint32_t net;
	uint32_t number;
};

/* Another port of a further network. */
struct vm_wire_net_port {
	uint32_t kind;
	uint32_t net;
	uint32_t number;
	uint8_t has_mac, any, up; /* 0 or 1 each */
	uint8_t unused;
	uint8_t mac[6];
	uint8_t unused_too[2];
};

/* As of LINK. */
struct vm_wire_net_link {
	uint32_t kind;
	uint32_t net;
	uint32_t number;
	uint32_t side; /* 0 or 1 */
};

/* The answer to NET_MAC_WANTED. */
struct vm_wire_net_mac_answer {
	uint32_t kind;
	uint32_t net;
	uint32_t granted; /* 0 or 1 */
	uint8_t mac[6];
	uint8_t unused[2];
};

struct vm_wire_net_mac {
	uint32_t kind;
	uint32_t net;
	uint8_t mac[6];
	uint8_t unused[2];
};

struct vm_wire_net_card {
	uint32_t kind;
	uint32_t net;
	uint8_t up; /* 0 or 1 */
	uint8_t unused;
	uint8_t mac[6], foreign[6];
	uint8_t unused_too[2];
};

/* TAP, said by an uplink: whether it has one. */
struct vm_wire_has_tap {
	uint32_t kind;
	uint32_t has; /* 0 or 1 */
};

/* In place of START: be the LAN export's. One descriptor: the listener for the next control. */
struct vm_wire_lan {
	uint32_t kind, unused;
	struct hid_chords hotkeys;
	struct usb_memory_share memory;
};

/* Who may see and import a device over the LAN. */
struct vm_wire_lan_may {
	uint32_t kind;
	uint32_t device;
	uint32_t n; /* of @to */
	struct ip_prefix to[VM_WIRE_PREFIXES];
};

/* As IMPORT_ASKED, with who asks. */
struct vm_wire_lan_asked {
	uint32_t kind;
	uint32_t client;
	char busid[USBIP_BUSID_SIZE]; /* or an alias */
	struct vm_wire_peer peer;
};

/* Any of them. */
union vm_wire_message {
	uint32_t kind;
	struct vm_wire_plain plain;
	struct vm_wire_hello hello;
	struct vm_wire_start start;
	struct vm_wire_hotkeys hotkeys;
	struct vm_wire_memory memory;
	struct vm_wire_give give;
	struct vm_wire_device device;
	struct vm_wire_export export;
	struct vm_wire_client client;
	struct vm_wire_refuse refuse;
	struct vm_wire_hang_up hang_up;
	struct vm_wire_port port;
	struct vm_wire_number number;
	struct vm_wire_link link;
	struct vm_wire_mac_answer mac_answer;
	struct vm_wire_mac mac;
	struct vm_wire_started started;
	struct vm_wire_card card;
	struct vm_wire_held_device held;
	struct vm_wire_device_result result;
	struct vm_wire_import_asked import_asked;
	struct vm_wire_imported imported;
	struct vm_wire_hotkey hotkey;
	struct vm_wire_hid hid;
	struct vm_wire_refused refused;
	struct vm_wire_program program;
	struct vm_wire_ask_stats ask_stats;
	struct vm_wire_stats stats;
	struct vm_wire_stats_all stats_all;
	struct vm_wire_uplink uplink;
	struct vm_wire_net net;
	struct vm_wire_net_number net_number;
	struct vm_wire_net_other net_other;
	struct vm_wire_net_port net_port;
	struct vm_wire_net_link net_link;
	struct vm_wire_net_mac_answer net_mac_answer;
	struct vm_wire_net_mac net_mac;
	struct vm_wire_net_card net_card;
	struct vm_wire_has_tap has_tap;
	struct vm_wire_lan lan;
	struct vm_wire_lan_may lan_may;
	struct vm_wire_lan_asked lan_asked;
};

/* Outcomes of vm_wire_check(). */
enum {
	VM_WIRE_UNKNOWN = 1, /* no such kind from this side: a newer sender's, to be refused */
};

int vm_wire_check(const union vm_wire_message *message, size_t len, unsigned n_fds,
		  enum vm_wire_side from, const char **ret_fault);
size_t vm_wire_size(uint32_t kind);
const char *vm_wire_name(uint32_t kind);
uint32_t vm_wire_since(uint32_t kind);
struct vm_wire_hello vm_wire_hello(uint32_t kind, bool serves);
int vm_wire_agree(const struct vm_wire_hello *hello);
