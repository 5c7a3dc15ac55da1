/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a process may still do, in stages. Each stage is entered once and never left; docs/security.md
 * has what each must and must not be able to do, and tests/device/test-sandbox-table.py tries it.
 *
 *   1. started: root, or whoever runs it. Reads the configuration, forks, makes folders. Serves nobody.
 *   2. broker: root with CAP_DAC_OVERRIDE; opens, claims and resets devices.
 *   3. closer: the user's own, no capability, no file; closes what it is handed, and ushers.
 *   4. control: the user's own, no capability; its two folders are all that it writes.
 *   5. starter: the VMs' processes' user, no capability; starts them. They can make no call that it can't: it
 *      has their lists in its own.
 *   6. vm-start: a VM's own process before it serves; may read files, make its ring.
 *   7. vm: the same while it serves; no file, no socket, no process, no ring; usbfs by a descriptor.
 *   8. lan: the LAN export's process while it serves, in place of vm: no ring and no socket pair either.
 *   9. libvirt: the helper beside control, as its unit starts it; Unix sockets to libvirt and to control.
 *
 * A stage is made of four parts, in this order, each for good and each kept by children:
 * sandbox_become() (whose ids), sandbox_keep_caps() (capabilities), sandbox_files() (Landlock: which
 * files can be opened), sandbox_calls() (seccomp: which system calls, with which arguments).
 *
 * A call that is not on a stage's list is refused with EPERM, and said in the log as an error. One that
 * only an intruder makes ends the process, and so does every such call in the closer. One that is newer
 * than the list does not exist, so that libc takes the way that it takes on older kernels.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum sandbox_stage {
	SANDBOX_BROKER,
	SANDBOX_CLOSER,
	SANDBOX_CONTROL,
	SANDBOX_STARTER,
	SANDBOX_VM_START,
	SANDBOX_VM,
	SANDBOX_LAN,
	SANDBOX_LIBVIRT,
	SANDBOX_STAGES
};

/* Those that a VM's process makes for itself, to have no files and no network. */
#define SANDBOX_NAMESPACES \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

/* Whose a process becomes. */
struct sandbox_user {
	uid_t uid;
	gid_t gid;
};

/* What may be done beneath a folder, or with a file. */
enum sandbox_use {
	SANDBOX_READ, /* read */
	SANDBOX_OPEN, /* read, write, and call the drivers of devices; make and remove nothing */
	SANDBOX_OWN,  /* all that one does with files of one's own, and sockets */
};

struct sandbox_path {
	const char *path; /* one that is not there is left out */
	enum sandbox_use use;
};

int sandbox_user_find(struct sandbox_user *ret_user, const char *name);
int sandbox_become(const struct sandbox_user *user, const gid_t *groups, size_t n_groups);
int sandbox_keep_caps(uint64_t keep);
int sandbox_files(const struct sandbox_path *paths, size_t n);
int sandbox_files_and_listen(const struct sandbox_path *paths, size_t n);
int sandbox_calls(enum sandbox_stage stage);
