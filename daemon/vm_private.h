/* SPDX-License-Identifier: BSD-2-Clause */
/* What vm_registry.c, vm_address.c, vm_card.c and vm_change.c share. */
#pragma once

#include <sys/types.h>

#include "daemon/daemon.h"

int vm_new(struct vm **ret_vm, struct daemon *daemon, const struct config_vm *c);
void vm_free(struct vm *vm);
int vm_make_socket(struct vm *vm, gid_t group);
int vm_start(struct vm *vm);
void vm_silence(struct vm *vm, const char *why);
void vm_close(struct vm *vm);

int vm_addresses_assign(const struct config *config, const struct vm_list *vms);

void vm_cards_load(struct daemon *daemon);
void vm_cards_stop(struct daemon *daemon);
void vm_card_changed(struct vm *vm, const struct guest_card *card);

void vms_start_waiting(struct daemon *daemon);
void vms_share_memory(struct daemon *daemon);
