/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Further networks. Each is a switch of its own, apart from the private segment, and every VM has a
 * card on it. A network may have an uplink: a process that has a tap of the host's. Control only.
 *
 * A card's MAC is the first that its guest sends from. It stays its VM's, as on the private segment
 * (vhost_user_net/net_roster.h). Frames cross by links between pairs of ports; control sees none.
 *
 *   network: configured -> its VMs' cards are entered -> … -> out of the configuration: all cards closed
 *   uplink:  its process is asked for -> stands -> has no tap: the broker opens it -> has it -> … -> has
 *            none: again, every TAP_AGAIN_SECONDS
 */
#pragma once

#include "daemon/broker/broker.h"
#include "daemon/vms/vm.h"

struct network {
	struct vms *vms;
	unsigned net; /* its place in vms->networks, and what processes know it by */
	char name[32];
	char tap[16]; /* "": guests only */
	struct net_roster roster;
	struct vm *ports[NET_PORTS]; /* by number; the uplink's process, too */

	struct vm *uplink; /* the uplink's process; NULL: there is none */
	unsigned uplink_number;
	bool has_tap;
	char no_tap[160]; /* why it has none, while it is known */
	struct broker_request tap_asked;
	struct loop_watch tap_again;
	struct log_limit limit;
};

void networks_make(struct vms *vms);
void networks_change(struct vms *vms);
void networks_free(struct vms *vms);
struct network *network_find(struct vms *vms, const char *name);
bool networks_have_process(struct vms *vms, const char *name);
bool network_warning(const struct network *network, char *text, size_t size);

/* One VM's cards. */
void vm_nics_enter(struct vm *vm);
void vm_nics_leave(struct vm *vm);
void vm_nics_close(struct vm *vm);
void vm_nics_stand(struct vm *vm);
void vm_counts_stand(struct vm *vm);
void vm_nics_lost(struct vm *vm);
bool vm_nic_loaded(struct vms *vms, const char *name, const uint8_t mac[6]);
bool vm_nic_warning(const struct vm *vm, const struct network *network, char *text, size_t size);

/* One card. */
int vm_nic_enter(struct network *network, struct vm *vm);
void vm_nic_stand(struct network *network, struct vm *vm);
void vm_nic_leave(struct network *network, struct vm *vm);
void vm_nic_is(struct network *network, struct vm *vm, const struct guest_card *card);
void vm_nic_has_mac(struct network *network, struct vm *vm);

/* Uplinks. */
void network_uplink_start(struct network *network);
void network_uplink_end(struct network *network);
void network_uplink_tap(struct network *network, bool has);
void network_uplinks_start(struct vms *vms);
void network_uplinks_stop(struct vms *vms);
void network_uplinks_leave(struct vms *vms);
void network_uplinks_free(struct vms *vms);
