/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program usbrouted-vm, driven as usbrouted drives it: control's end is the real one
 * (daemon/vms/vm_process.c), the guest is a vhost-user front-end of the tests.
 *
 * Needs what cmocka.h needs before it. Whatever is not as it should be fails the test.
 */
#pragma once

#include "daemon/vms/vm_process.h"
#include "tests/unit/vu-frontend.h"

#define SECONDS 60

struct rig {
	struct loop *loop;
	struct guest *guest;
	char folder[64], path[96], next_path[96];
	pid_t pid;
	struct fe fe;
	unsigned n_stands, n_lost, n_ended, ups, downs, links_wanted, n_agents, n_asked, n_stats;
	unsigned n_connections_lost;
	uint32_t client; /* that asked */
};

struct dev {
	struct guest_device *gd;
	unsigned opened, imported, ended, taken;
	int r;
};

extern const char *vm_program; /* what is run */
extern const struct guest_device_events device_events;

void until(struct rig *rig, const unsigned *count, unsigned n, const char *what);
int unix_listen(const char *path, int type);
int unix_connect(const char *path, int type);
void start_process(struct rig *rig);
int process_ends(struct rig *rig);
struct rig *rig_at(const char *address);
struct rig *rig_new(void);
void rig_free(struct rig *rig);
void machine_boots(struct rig *rig, struct fe *fe);
void frame_passes(struct fe *fe);
