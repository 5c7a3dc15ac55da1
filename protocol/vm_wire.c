/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages between control and a VM's process; see vm_wire.h. */
#include "protocol/vm_wire.h"

#include <errno.h>
#include <string.h>

#include "base/hotkey.h"
#include "base/mem.h"

/* What is checked in a message, beside its length and its descriptors. */
enum field_kind {
	FIELD_NONE, /* ends a list */
	FIELD_TEXT, /* terminated */
	FIELD_BYTE, /* below its bound */
	FIELD_WORD, /* at least its least, below its bound; 4 bytes */
};

struct field {
	enum field_kind kind;
	uint16_t offset, size;
	uint32_t least, below;
};

/* A kind of message. */
struct shape {
	const char *name;
	enum vm_wire_side from;
	uint16_t size;
	uint8_t n_fds;
	struct field fields[5];
};

#define SHAPE(text, side, type, n, ...)                                                          \
	{                                                                                        \
		.name = text, .from = side, .size = sizeof(struct type), .n_fds = n, .fields = { \
			__VA_ARGS__                                                              \
		}                                                                                \
	}
#define TEXT(type, member)                                                   \
	{                                                                    \
		.kind = FIELD_TEXT, .offset = offsetof(struct type, member), \
		.size = sizeof(((struct type *)0)->member)                   \
	}
#define BYTE(type, member, bound)                                                           \
	{                                                                                   \
		.kind = FIELD_BYTE, .offset = offsetof(struct type, member), .below = bound \
	}
#define WORD(type, member, low, bound)                                                     \
	{                                                                                  \
		.kind = FIELD_WORD, .offset = offsetof(struct type, member), .least = low, \
		.below = bound                                                             \
	}

/* The number of a network, which is the same in all of them. */
#define NET(type) WORD(type, net, 0, VM_WIRE_NETS)

#define ASK VM_WIRE_CONTROL
#define SAY VM_WIRE_VM

static const struct shape shapes[VM_WIRE_KINDS] = {
	[VM_ASK_HELLO] = SHAPE("HELLO", ASK, vm_wire_hello, 0),
	[VM_ASK_START] = SHAPE("START", ASK, vm_wire_start, 2, TEXT(vm_wire_start, name),
			       WORD(vm_wire_start, prefix, 0, 33)),
	[VM_ASK_HOTKEYS] = SHAPE("HOTKEYS", ASK, vm_wire_hotkeys, 0),
	[VM_ASK_MEMORY] = SHAPE("MEMORY", ASK, vm_wire_memory, 0),
	[VM_ASK_END] = SHAPE("END", ASK, vm_wire_plain, 0),
	[VM_ASK_HELD] = SHAPE("HELD", ASK, vm_wire_plain, 0),
	[VM_ASK_GIVE] = SHAPE("GIVE", ASK, vm_wire_give, 1, TEXT(vm_wire_give, tag),
			      TEXT(vm_wire_give, info.path), TEXT(vm_wire_give, info.busid),
			      BYTE(vm_wire_give, info.num_interfaces, USB_INTERFACES_MAX + 1)),
	[VM_ASK_TAKE] = SHAPE("TAKE", ASK, vm_wire_device, 0),
	[VM_ASK_RESET] = SHAPE("RESET", ASK, vm_wire_device, 0),
	[VM_ASK_EXPORT] =
		SHAPE("EXPORT", ASK, vm_wire_export, 0, WORD(vm_wire_export, exported, 0, 2)),
	[VM_ASK_IMPORT] = SHAPE("IMPORT", ASK, vm_wire_client, 0),
	[VM_ASK_REFUSE] = SHAPE("REFUSE", ASK, vm_wire_refuse, 0,
				WORD(vm_wire_refuse, status, USBIP_ST_NA, USBIP_ST_ERROR + 1)),
	[VM_ASK_PROBE] = SHAPE("PROBE", ASK, vm_wire_client, 0),
	[VM_ASK_HANG_UP] =
		SHAPE("HANG_UP", ASK, vm_wire_hang_up, 0, BYTE(vm_wire_hang_up, peer.v6, 2)),
	[VM_ASK_AGENT] = SHAPE("AGENT", ASK, vm_wire_number, 1),
	[VM_ASK_PEER] = SHAPE("PEER", ASK, vm_wire_port, 0, BYTE(vm_wire_port, has_mac, 2),
			      BYTE(vm_wire_port, isolated, 2), BYTE(vm_wire_port, up, 2)),
	[VM_ASK_PEER_GONE] = SHAPE("PEER_GONE", ASK, vm_wire_number, 0),
	[VM_ASK_LINK] = SHAPE("LINK", ASK, vm_wire_link, 3, WORD(vm_wire_link, side, 0, 2)),
	[VM_ASK_MAC] =
		SHAPE("MAC", ASK, vm_wire_mac_answer, 0, WORD(vm_wire_mac_answer, granted, 0, 2)),
	[VM_ASK_AGENT_END] = SHAPE("AGENT_END", ASK, vm_wire_number, 0),
	[VM_ASK_STATS] =
		SHAPE("STATS", ASK, vm_wire_ask_stats, 0, WORD(vm_wire_ask_stats, timed, 0, 2)),
	[VM_ASK_UPLINK] = SHAPE("UPLINK", ASK, vm_wire_uplink, 1, TEXT(vm_wire_uplink, name)),
	[VM_ASK_TAP] = SHAPE("TAP", ASK, vm_wire_plain, 1),
	[VM_ASK_NET] = SHAPE("NET", ASK, vm_wire_net, 1, NET(vm_wire_net), TEXT(vm_wire_net, name),
			     BYTE(vm_wire_net, any_mac, 2)),
	[VM_ASK_NET_GONE] = SHAPE("NET_GONE", ASK, vm_wire_net_number, 0, NET(vm_wire_net_number)),
	[VM_ASK_NETS_TOLD] = SHAPE("NETS_TOLD", ASK, vm_wire_plain, 0),
	[VM_ASK_NET_PEER] = SHAPE("NET_PEER", ASK, vm_wire_net_port, 0, NET(vm_wire_net_port),
				  BYTE(vm_wire_net_port, has_mac, 2),
				  BYTE(vm_wire_net_port, any, 2), BYTE(vm_wire_net_port, up, 2)),
	[VM_ASK_NET_PEER_GONE] =
		SHAPE("NET_PEER_GONE", ASK, vm_wire_net_other, 0, NET(vm_wire_net_other)),
	[VM_ASK_NET_LINK] = SHAPE("NET_LINK", ASK, vm_wire_net_link, 3, NET(vm_wire_net_link),
				  WORD(vm_wire_net_link, side, 0, 2)),
	[VM_ASK_NET_MAC] =
		SHAPE("NET_MAC", ASK, vm_wire_net_mac_answer, 0, NET(vm_wire_net_mac_answer),
		      WORD(vm_wire_net_mac_answer, granted, 0, 2)),
	[VM_ASK_COUNTS] = SHAPE("COUNTS", ASK, vm_wire_plain, 1),
	[VM_ASK_LAN] = SHAPE("LAN", ASK, vm_wire_lan, 1),
	[VM_ASK_LAN_LISTEN] = SHAPE("LAN_LISTEN", ASK, vm_wire_plain, 1),
	[VM_ASK_LAN_DEAF] = SHAPE("LAN_DEAF", ASK, vm_wire_number, 0),
	[VM_ASK_LAN_MAY] = SHAPE("LAN_MAY", ASK, vm_wire_lan_may, 0,
				 WORD(vm_wire_lan_may, n, 0, VM_WIRE_PREFIXES + 1)),

	[VM_SAY_HELLO] = SHAPE("HELLO", SAY, vm_wire_hello, 0, WORD(vm_wire_hello, serves, 0, 2)),
	[VM_SAY_STARTED] = SHAPE("STARTED", SAY, vm_wire_started, 0),
	[VM_SAY_CARD] = SHAPE("CARD", SAY, vm_wire_card, 0, BYTE(vm_wire_card, up, 2),
			      BYTE(vm_wire_card, has_daemon, 2), BYTE(vm_wire_card, deaf, 2)),
	[VM_SAY_ENDED] = SHAPE("ENDED", SAY, vm_wire_plain, 0),
	[VM_SAY_HELD] = SHAPE("HELD", SAY, vm_wire_held_device, 0, TEXT(vm_wire_held_device, busid),
			      WORD(vm_wire_held_device, held, 0, VM_HELD_SETS),
			      BYTE(vm_wire_held_device, peer.v6, 2)),
	[VM_SAY_HELD_ALL] = SHAPE("HELD_ALL", SAY, vm_wire_plain, 0),
	[VM_SAY_OPENED] =
		SHAPE("OPENED", SAY, vm_wire_device_result, 0, TEXT(vm_wire_device_result, reason)),
	[VM_SAY_IMPORT_ASKED] = SHAPE("IMPORT_ASKED", SAY, vm_wire_import_asked, 0,
				      TEXT(vm_wire_import_asked, busid)),
	[VM_SAY_IMPORTED] =
		SHAPE("IMPORTED", SAY, vm_wire_imported, 0, BYTE(vm_wire_imported, peer.v6, 2)),
	[VM_SAY_SESSION_ENDED] = SHAPE("SESSION_ENDED", SAY, vm_wire_device_result, 0,
				       TEXT(vm_wire_device_result, reason)),
	[VM_SAY_WAS_RESET] = SHAPE("WAS_RESET", SAY, vm_wire_device_result, 0,
				   TEXT(vm_wire_device_result, reason)),
	[VM_SAY_GONE] = SHAPE("GONE", SAY, vm_wire_device, 0),
	[VM_SAY_STUCK] =
		SHAPE("STUCK", SAY, vm_wire_device_result, 0, TEXT(vm_wire_device_result, reason)),
	[VM_SAY_TAKEN] =
		SHAPE("TAKEN", SAY, vm_wire_device_result, 0, TEXT(vm_wire_device_result, reason),
		      WORD(vm_wire_device_result, closed, 0, 2)),
	[VM_SAY_HOTKEY] =
		SHAPE("HOTKEY", SAY, vm_wire_hotkey, 0, WORD(vm_wire_hotkey, which, 0, HOTKEYS)),
	[VM_SAY_HID] = SHAPE("HID", SAY, vm_wire_hid, 0),
	[VM_SAY_AGENT_ASKED] = SHAPE("AGENT_ASKED", SAY, vm_wire_plain, 0),
	[VM_SAY_LINK_WANTED] = SHAPE("LINK_WANTED", SAY, vm_wire_number, 0),
	[VM_SAY_MAC_WANTED] = SHAPE("MAC_WANTED", SAY, vm_wire_mac, 0),
	[VM_SAY_REFUSED] = SHAPE("REFUSED", SAY, vm_wire_refused, 0),
	[VM_SAY_PROGRAM] = SHAPE("PROGRAM", SAY, vm_wire_program, 0, TEXT(vm_wire_program, name)),
	[VM_SAY_STATS] = SHAPE("STATS", SAY, vm_wire_stats, 0),
	[VM_SAY_STATS_ALL] = SHAPE("STATS_ALL", SAY, vm_wire_stats_all, 0),
	[VM_SAY_NET_CARD] = SHAPE("NET_CARD", SAY, vm_wire_net_card, 0, NET(vm_wire_net_card),
				  BYTE(vm_wire_net_card, up, 2)),
	[VM_SAY_NET_LINK_WANTED] =
		SHAPE("NET_LINK_WANTED", SAY, vm_wire_net_other, 0, NET(vm_wire_net_other)),
	[VM_SAY_NET_MAC_WANTED] =
		SHAPE("NET_MAC_WANTED", SAY, vm_wire_net_mac, 0, NET(vm_wire_net_mac)),
	[VM_SAY_TAP] = SHAPE("TAP", SAY, vm_wire_has_tap, 0, WORD(vm_wire_has_tap, has, 0, 2)),
	[VM_SAY_LAN_ASKED] =
		SHAPE("LAN_ASKED", SAY, vm_wire_lan_asked, 0, TEXT(vm_wire_lan_asked, busid),
		      BYTE(vm_wire_lan_asked, peer.v6, 2)),
};

/*
 * The first version that has a kind; kinds that are not here are in all versions from 1 on. 0: it
 * may be said whatever was agreed on.
 */
static const struct {
	uint32_t kind, version;
} since[] = {
	{VM_ASK_HELLO, 0},
	{VM_SAY_HELLO, 0},
	{VM_ASK_END, 0},
	{VM_SAY_ENDED, 0},
	{VM_SAY_PROGRAM, 2},
	{VM_ASK_STATS, 3},
	{VM_SAY_STATS, 3},
	{VM_SAY_STATS_ALL, 3},
	{VM_ASK_UPLINK, 4},
	{VM_ASK_TAP, 4},
	{VM_ASK_NET, 4},
	{VM_ASK_NET_GONE, 4},
	{VM_ASK_NETS_TOLD, 4},
	{VM_ASK_NET_PEER, 4},
	{VM_ASK_NET_PEER_GONE, 4},
	{VM_ASK_NET_LINK, 4},
	{VM_ASK_NET_MAC, 4},
	{VM_ASK_COUNTS, 4},
	{VM_SAY_NET_CARD, 4},
	{VM_SAY_NET_LINK_WANTED, 4},
	{VM_SAY_NET_MAC_WANTED, 4},
	{VM_SAY_TAP, 4},
	{VM_ASK_LAN, 5},
	{VM_ASK_LAN_LISTEN, 5},
	{VM_ASK_LAN_DEAF, 5},
	{VM_ASK_LAN_MAY, 5},
	{VM_SAY_LAN_ASKED, 5},
};

static_assert(sizeof(struct usb_device_info) == 408, "as it goes over the line");
static_assert(sizeof(struct hid_chords) == 16 && sizeof(struct hid_found) == 512 &&
		      sizeof(struct usb_memory_share) == 16,
	      "as they go over the line");
static_assert(sizeof(struct vm_wire_start) == 96 && sizeof(struct vm_wire_held_device) == 88 &&
		      sizeof(struct vm_wire_port) == 24 && sizeof(struct vm_wire_card) == 20 &&
		      sizeof(struct vm_wire_net) == 48 && sizeof(struct vm_wire_net_port) == 24 &&
		      sizeof(struct vm_wire_net_card) == 24,
	      "without holes that have no name");
static_assert(sizeof(struct vm_wire_stats) == 840, "as it goes over the line");
static_assert(sizeof(struct vm_wire_lan) == 40 && sizeof(struct vm_wire_lan_may) == 588 &&
		      sizeof(struct vm_wire_lan_asked) == 60,
	      "without holes that have no name");

/* Outcomes are calls': 0 or a negative errno. */
static bool is_result(uint32_t kind)
{
	return kind == VM_SAY_STARTED || kind == VM_SAY_OPENED || kind == VM_SAY_SESSION_ENDED ||
	       kind == VM_SAY_WAS_RESET || kind == VM_SAY_STUCK || kind == VM_SAY_TAKEN ||
	       kind == VM_SAY_IMPORTED;
}

static int32_t result_of(const union vm_wire_message *m)
{
	if (m->kind == VM_SAY_STARTED)
		return m->started.r;
	return m->kind == VM_SAY_IMPORTED ? m->imported.r : m->result.r;
}

static const char *field_fault(const uint8_t *data, const struct field *f)
{
	uint32_t word;

	switch (f->kind) {
	case FIELD_TEXT:
		return memchr(data + f->offset, 0, f->size) ? NULL : "a text has no end";
	case FIELD_BYTE:
		return data[f->offset] < f->below ? NULL : "a choice is none that there is";
	case FIELD_WORD:
		memcpy(&word, data + f->offset, sizeof(word));
		return word >= f->least && word < f->below ? NULL
							   : "a choice is none that there is";
	case FIELD_NONE:
		break;
	}
	return NULL;
}

static const struct shape *shape_of(uint32_t kind)
{
	return kind < ARRAY_SIZE(shapes) && shapes[kind].name ? &shapes[kind] : NULL;
}

/**
 * vm_wire_check() - whether a message is one
 * @message:	as it came; @len bytes of it count
 * @len:	bytes
 * @n_fds:	descriptors that came with it
 * @from:	who has sent it
 * @ret_fault:	where it is none: why, static
 *
 * Return: 0; VM_WIRE_UNKNOWN, and its kind may be looked at, no more; -EBADMSG.
 */
int vm_wire_check(const union vm_wire_message *message, size_t len, unsigned n_fds,
		  enum vm_wire_side from, const char **ret_fault)
{
	const struct shape *shape;

	*ret_fault = "it is too short";
	if (len < sizeof(message->kind))
		return -EBADMSG;
	shape = shape_of(message->kind);
	if (!shape || shape->from != from)
		return VM_WIRE_UNKNOWN;
	*ret_fault = "its length is not its kind's";
	if (len != shape->size)
		return -EBADMSG;
	*ret_fault = "another number of descriptors came with it than its kind has";
	if (n_fds != shape->n_fds)
		return -EBADMSG;
	*ret_fault = "an error is not negative";
	if (is_result(message->kind) && result_of(message) > 0)
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(shape->fields); i++) {
		*ret_fault = field_fault((const uint8_t *)message, &shape->fields[i]);
		if (*ret_fault)
			return -EBADMSG;
	}
	return 0;
}

/**
 * vm_wire_size() - how long a message of a kind is
 * @kind:	of enum vm_wire_kind
 *
 * Return: bytes; 0 where there is no such kind.
 */
size_t vm_wire_size(uint32_t kind)
{
	const struct shape *shape = shape_of(kind);

	return shape ? shape->size : 0;
}

/**
 * vm_wire_name() - what a kind is called
 * @kind:	any number
 *
 * Return: static text, "?" where there is no such kind.
 */
const char *vm_wire_name(uint32_t kind)
{
	const struct shape *shape = shape_of(kind);

	return shape ? shape->name : "?";
}

/**
 * vm_wire_since() - the version from which on a kind may be said
 * @kind:	any number
 *
 * Return: the version; 0: also where there is none in common.
 */
uint32_t vm_wire_since(uint32_t kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(since); i++)
		if (since[i].kind == kind)
			return since[i].version;
	return 1;
}

/**
 * vm_wire_hello() - what this build says first
 * @kind:	whose HELLO
 * @serves:	the process's: it has had its START
 */
struct vm_wire_hello vm_wire_hello(uint32_t kind, bool serves)
{
	return (struct vm_wire_hello){
		.kind = kind, .version = vm_wire_version, .least = vm_wire_least, .serves = serves};
}

/**
 * vm_wire_agree() - the version that both sides understand
 * @hello:	the other side's
 *
 * Return: it; -EPROTO where there is none.
 */
int vm_wire_agree(const struct vm_wire_hello *hello)
{
	if (hello->least > hello->version || hello->least > vm_wire_version ||
	    hello->version < vm_wire_least)
		return -EPROTO;
	return (int)min_t(uint32_t, hello->version, vm_wire_version);
}
