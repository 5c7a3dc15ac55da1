/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The LAN export ([lan-export]): where the host listens, and the process that serves whoever connects there
 * (dataplane/guest_lan.h).
 *
 * The process is started, started again and taken up as a VM's is (vm_run.c); the struct vm of it is in
 * no list of VMs. Devices are placed in it as in a VM, by routing, which says what is exported to whom. It is
 * "connected" while its process stands.
 *
 * The sockets that listen are made by the broker, or were passed by systemd (vms->passed). Control keeps
 * them, so that the next process gets the same. An address that can't be had now is tried again.
 *
 *   (no section) --section--> runs --section gone--> leaving: its devices leave, then it ends --> (none)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct lan;
struct vm;
struct vms;

int lan_start(struct vms *vms);
void lan_change(struct vms *vms);
void lan_stop(struct vms *vms);
void lan_leave(struct vms *vms);
void lan_free(struct vms *vms);

struct vm *lan_vm(const struct vms *vms);
bool lan_has_process(const struct vms *vms, const char *name);
bool lan_known(const struct vms *vms);
bool lan_warning(const struct vms *vms, unsigned i, char *text, size_t size);
