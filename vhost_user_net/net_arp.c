/* SPDX-License-Identifier: BSD-2-Clause */
/* ARP: one request, one answer. The daemon never asks: a guest's card is known from its frames. */
#include "vhost_user_net/net_arp.h"

#include <string.h>

#include "base/cursor.h"
#include "vhost_user_net/net_spec.h"

/**
 * net_arp_answer() - answer an ARP request
 * @mac:	the daemon's card
 * @address:	its address
 * @frame:	from its Ethernet header on, passed by the rules
 * @len:	bytes
 * @reply:	room for the answer
 *
 * A probe for the address (RFC 5227: sender 0.0.0.0) is answered too: the address is taken.
 *
 * Return: length of the answer; 0 where there is none.
 */
size_t net_arp_answer(const uint8_t mac[6], const uint8_t address[4], const uint8_t *frame,
		      size_t len, uint8_t reply[NET_ARP_REPLY])
{
	struct cursor c = cursor_of(frame, len);
	const struct ethernet_header *eth = cursor_take(&c, sizeof(*eth));
	const struct arp_packet *asked = eth ? cursor_take(&c, sizeof(*asked)) : NULL;
	struct ethernet_header to = {.type = be16_of(ETHERTYPE_ARP)};
	struct arp_packet answer = {.hrd = be16_of(ARP_HRD_ETHERNET),
				    .pro = be16_of(ETHERTYPE_IPV4),
				    .hln = 6,
				    .pln = 4,
				    .op = be16_of(ARP_REPLY)};

	if (!asked || be16_get(eth->type) != ETHERTYPE_ARP ||
	    be16_get(asked->hrd) != ARP_HRD_ETHERNET || be16_get(asked->pro) != ETHERTYPE_IPV4 ||
	    asked->hln != 6 || asked->pln != 4 || be16_get(asked->op) != ARP_REQUEST ||
	    memcmp(asked->tpa, address, 4))
		return 0;
	memcpy(to.destination, asked->sha, 6);
	memcpy(to.source, mac, 6);
	memcpy(answer.sha, mac, 6);
	memcpy(answer.spa, address, 4);
	memcpy(answer.tha, asked->sha, 6);
	memcpy(answer.tpa, asked->spa, 4);
	memcpy(reply, &to, sizeof(to));
	memcpy(reply + sizeof(to), &answer, sizeof(answer));
	return NET_ARP_REPLY;
}
