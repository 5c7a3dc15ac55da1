/* SPDX-License-Identifier: BSD-2-Clause */
/* What answers on TCP in a guest's process; see guest_service.h. */
#include "dataplane/guest_service.h"

#include "base/mem.h"
#include "dataplane/guest_private.h"
#include "protocol/agent_wire.h"
#include "vhost_user_net/tcp.h"

struct guest_service {
	uint16_t port;
	void (*accept)(struct guest *guest, struct tcp_connection *c);
	void (*gone)(struct guest *guest);
	void (*stop)(struct guest *guest); /* the process ends; no connection is accepted */
};

/* A guest is gone when its card says so: its sessions end here, not with TCP. */
static void usbip_gone(struct guest *guest)
{
	guest_sessions_close(guest, "the guest has gone");
	clients_end(guest);
}

/* Sessions are the devices', and end with these (guest_devices_stop()). */
static const struct guest_service services[] = {
	{USBIP_PORT, client_accept, usbip_gone, clients_end},
	{AGENT_PORT, agent_relay_accept, agent_relays_cut, agent_relays_end},
};

/**
 * guest_services_listen() - have TCP accept connections to each service
 * @tcp:	the guest's
 *
 * Return: 0 or a negative errno.
 */
int guest_services_listen(struct tcp *tcp)
{
	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		int r = tcp_listen(tcp, services[i].port);

		if (r < 0)
			return r;
	}
	return 0;
}

/**
 * guest_services_accept() - hand a new connection to the service whose port it was made to
 * @guest:	whose
 * @c:		the connection; the service's from here on
 */
void guest_services_accept(struct guest *guest, struct tcp_connection *c)
{
	struct tcp_peer peer;

	tcp_peer(c, &peer);
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		if (services[i].port == peer.local_port) {
			services[i].accept(guest, c);
			return;
		}
	tcp_abort(c);
}

/**
 * guest_services_gone() - a guest is gone: end what ends with it
 * @guest:	whose
 */
void guest_services_gone(struct guest *guest)
{
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		services[i].gone(guest);
}

/**
 * guest_services_stop() - the process ends: end all connections that no device has
 * @guest:	whose
 */
void guest_services_stop(struct guest *guest)
{
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		services[i].stop(guest);
}
