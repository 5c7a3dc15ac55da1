/* SPDX-License-Identifier: BSD-2-Clause */
/* What is said to the LAN export's process, and by it; see vm_process.h. */
#include <string.h>

#include "daemon/vms/vm_process_private.h"

/* A process that does not stand yet is told nothing: when it stands, it is told of all. */
static bool hears(const struct guest *guest)
{
	return guest->state == GUEST_STANDS && guest->cfg.lan;
}

/**
 * vm_process_tell_lan() - have a process be the LAN export's
 * @guest:	it
 */
void vm_process_tell_lan(struct guest *guest)
{
	struct vm_wire_lan m = {
		.kind = VM_ASK_LAN, .hotkeys = guest->cfg.hotkeys, .memory = guest->cfg.memory};

	vm_line_send(guest->line, &m, &guest->next, 1);
}

/**
 * guest_listen() - have the LAN export's process take connections at one more socket
 * @guest:	it
 * @sock:	listens; stays the caller's
 */
void guest_listen(struct guest *guest, int sock)
{
	if (hears(guest))
		vm_line_send(guest->line, &(struct vm_wire_plain){.kind = VM_ASK_LAN_LISTEN}, &sock,
			     1);
}

/**
 * guest_deaf() - have the LAN export's process close sockets at which it listens
 * @guest:	it; who is connected stays so
 * @n_kept:	so many that it was given last stay
 */
void guest_deaf(struct guest *guest, unsigned n_kept)
{
	if (hears(guest))
		vm_process_tell(
			guest, &(struct vm_wire_number){.kind = VM_ASK_LAN_DEAF, .number = n_kept});
}

/**
 * guest_may() - say who may see and import a device over the LAN
 * @guest:	the LAN export's, which has it
 * @gd:		the device
 * @to:		copied
 * @n:		how many; those behind VM_WIRE_PREFIXES are left out
 */
void guest_may(struct guest *guest, struct guest_device *gd, const struct ip_prefix *to, size_t n)
{
	struct vm_wire_lan_may m = {.kind = VM_ASK_LAN_MAY, .device = gd->number};

	m.n = (uint32_t)min_t(size_t, n, VM_WIRE_PREFIXES);
	memcpy(m.to, to, m.n * sizeof(*to));
	if (gd->given && hears(guest))
		vm_process_tell(guest, &m);
}

/**
 * vm_process_lan_asked() - a client on the LAN asks for a device
 * @guest:	whose process says so
 * @m:		what it has said
 *
 * Return: NULL, or what is wrong with it.
 */
const char *vm_process_lan_asked(struct guest *guest, const union vm_wire_message *m)
{
	struct guest_peer peer = {.v6 = m->lan_asked.peer.v6, .port = m->lan_asked.peer.port};

	if (!hears(guest))
		return NOT_ASKED;
	memcpy(peer.address, m->lan_asked.peer.address, sizeof(peer.address));
	guest->events->lan_asked(guest->ctx, m->lan_asked.client, m->lan_asked.busid, &peer);
	return NULL;
}
