/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's end of usbrouted-libvirt: the socket `<runtime-directory>/libvirt`, its one client,
 * and what that client has told of libvirt's domains. Nothing here waits for the client. Without it
 * everything works as without libvirt.
 *
 * Only root, the daemon's own user and the group "usbrouted" may be the client, because it says
 * which guests can be reached. A second client is sent away while the first is there. When the
 * client goes, all that it said is forgotten.
 *
 * virt_way is the way to a guest's inside by QEMU's guest agent (guest_side.h): what is exported to
 * the VM is attached there by the guest's own `usbip`. A device's entry goes
 *
 *	asked --> done --> leaving --> (gone)
 *	 ^  |
 *	 |  v
 *	failed: asked again after 2, 4, 8 … 60 s
 *
 * Control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/guests/guest_side.h"

struct guests;
struct virt_link;

int virt_link_new(struct virt_link **ret_link, struct guests *guests);
int virt_link_start(struct virt_link *link);
struct virt_link *virt_link_free(struct virt_link *link);

const char *virt_domain_of(const struct vm *vm);
const char *virt_domain_state(const struct vm *vm);
bool virt_warning(const struct vm *vm, char *buf, size_t size);
void virt_forget(struct vm *vm);

extern const struct guest_way virt_way;
