/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control's end of a VM's process, for tests. The process is a script that speaks by its socket alone: it answers
 * as it should, dies, or was taken over.
 *
 * Needs what cmocka.h needs before it. Whatever is not as it should be fails the test.
 */
#pragma once

#include "daemon/vms/vm_process.h"
#include "protocol/vm_wire.h"

struct rig {
	struct loop *loop;
	struct guest *guest;
	int far; /* the process's end */
	unsigned links, n_ended, n_lost, n_stands;
	bool up;
	uint8_t mac_wanted[6];
	unsigned link_wanted;
	uint32_t client; /* that has asked, and for what */
	char busid[USBIP_BUSID_SIZE];
	unsigned n_agents;
	char why[100];
	int listener; /* the guest's */
	pid_t process;
	unsigned n_kills;
	unsigned n_connections_lost;
	uint16_t connection_lost; /* the last one's port */
};

struct dev {
	struct guest_device *gd;
	char said[200]; /* the events, in order */
	int r;
};

extern const struct guest_device_events device_events;

void turns(struct rig *rig);
void says(struct rig *rig, const void *message);
void says_of(struct rig *rig, const struct vm_wire_give *give, uint32_t kind, int r);
union vm_wire_message hears(struct rig *rig, uint32_t kind);
void hears_nothing(struct rig *rig);
void hears_end(struct rig *rig);
void connects_as(struct rig *rig, int pidfd);
void connects(struct rig *rig);
int goes_on_for_ever(struct rig *rig);
void is_killed(struct rig *rig);
void greets(struct rig *rig);
void begins(struct rig *rig);
void dies(struct rig *rig);
struct rig *rig_new(void);
struct rig *rig_begun(void);
void rig_free(struct rig *rig);
void device_made(struct rig *rig, struct dev *d);
struct vm_wire_give device_given(struct rig *rig, struct dev *d);
struct vm_wire_give device_opened(struct rig *rig, struct dev *d);
void client_imports(struct rig *rig, struct dev *d);
