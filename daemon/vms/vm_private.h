/* SPDX-License-Identifier: BSD-2-Clause */
/* What vm_registry.c, vm_address.c, vm_card.c, vm_net.c, vm_change.c, vm_run.c and vm_stats.c share. */
#pragma once

#include <sys/types.h>

#include "daemon/vms/vm.h"

int vm_new(struct vm **ret_vm, struct vms *vms, const struct config_vm *c);
void vm_free(struct vm *vm);
void vm_leave_list(struct vm *vm);
int vm_listen(const struct vms *vms, const char *file);
int vm_make_socket(struct vm *vm);
int vm_start(struct vm *vm);
int vm_run(struct vm *vm);
void vm_run_end(struct vm *vm);
void vm_run_ended(struct vm *vm);
void vm_stranger_ended(struct vm *vm);
void vm_silence(struct vm *vm, const char *why);
void vm_close(struct vm *vm);

int vm_addresses_assign(const struct config *config, const struct vm_list *vms);

void vm_cards_load(struct vms *vms);
void vm_cards_stop(struct vms *vms);
void vm_cards_save_soon(struct vms *vms);
void vm_card_changed(struct vm *vm, const struct guest_card *card);
void vm_card_has_mac(struct vm *vm, const uint8_t mac[6]);

void vm_net_init(struct vms *vms);
int vm_net_enter(struct vm *vm);
void vm_net_leave(struct vm *vm);
void vms_net_talk(struct vms *vms);
void vm_net_started(struct vm *vm);
void vm_net_ended(struct vm *vm);
void vm_net_up(struct vm *vm, bool up);
void vm_net_mac_wanted(void *ctx, const uint8_t mac[6]);
void vm_net_link_wanted(void *ctx, unsigned number);

extern const struct guest_net_events network_events;
void vms_stats_stop(struct vms *vms);
void vm_stats_told(struct vm *vm);
void vm_anew_end(struct vm *vm, int r);

void vms_start_waiting(struct vms *vms);
void vms_share_memory(struct vms *vms);
struct usb_memory_share vms_memory_share(const struct vms *vms);
