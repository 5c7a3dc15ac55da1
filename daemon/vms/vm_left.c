/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes of VMs that are in no configuration any more; see vm_left.h.
 *
 *   found -> told to end -> ended
 *                `--late--> killed -> ended; --late--> given up
 */
#include "daemon/vms/vm_left.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/stranger.h"
#include "daemon/broker/starter.h"
#include "daemon/core/state_file.h"
#include "daemon/vms/lan.h"
#include "daemon/vms/network.h"
#include "daemon/vms/vm_door.h"
#include "daemon/vms/vm_private.h"

/* After 10 s a process gives up on a call that is stuck in the kernel. */
#define END_SECONDS  12
#define KILL_SECONDS 5

struct vms_left {
	struct vms *vms;
	void (*ended)(void *ctx);
	void *ctx;
	struct list all; /* of struct vm_left */
};

struct vm_left {
	struct list link;
	struct vms_left *of;
	char name[VM_DOOR_NAME_SIZE];
	int line;
	int process; /* its pidfd; negative: unknown, and the line's end counts */
	struct loop_watch gone, late;
};

static void left_free(struct vm_left *l)
{
	struct loop *loop = l->of->vms->core->loop;

	list_remove(&l->link);
	loop_cancel(loop, &l->gone);
	loop_cancel(loop, &l->late);
	stranger_close(l->line);
	fd_close(l->process);
	free(l);
}

/* A reload may have brought a VM of this name meanwhile: the files are that VM's then. */
static void forget_files(const struct vm_left *l)
{
	struct vms *vms = l->of->vms;
	const char *folder = vms->core->config->runtime_directory;
	char path[PATH_MAX], name[64];

	if (vm_find(vms, l->name) || networks_have_process(vms, l->name) ||
	    lan_has_process(vms, l->name))
		return;
	vm_door_forget(folder, l->name);
	/* An uplink has no socket, nor has the LAN export. */
	if (strchr(l->name, '.'))
		return;
	snprintf(name, sizeof(name), "%s.sock", l->name);
	unlink(state_file_path(path, sizeof(path), folder, name));
}

static void left_over(struct vm_left *l)
{
	struct vms_left *left = l->of;

	left_free(l);
	if (list_empty(&left->all))
		left->ended(left->ctx);
}

static void has_ended(void *ctx, int res _unused_)
{
	struct vm_left *l = ctx;

	log_info("%s: its process of the last run has ended", l->name);
	forget_files(l);
	left_over(l);
}

static void can_not_be_ended(void *ctx, int res _unused_)
{
	struct vm_left *l = ctx;

	log_err("%s: is in no configuration, and its process can't be ended: it keeps what it holds; try: pgrep -a vm:%.12s",
		l->name, l->name);
	left_over(l);
}

static void does_not_end(void *ctx, int res _unused_)
{
	struct vm_left *l = ctx;
	struct vms *vms = l->of->vms;

	if (l->process < 0 || starter_kill(vms->starter, l->name, l->process) < 0) {
		can_not_be_ended(l, 0);
		return;
	}
	log_warning("%s: its process does not end when it is told to, and is killed", l->name);
	loop_cancel(vms->core->loop, &l->late);
	loop_watch_time(vms->core->loop, &l->late, KILL_SECONDS * 1000000000ull, can_not_be_ended,
			l);
}

/* Return: 0, or a negative errno and there is nothing to wait for. */
static int end_one(struct vms_left *left, const char *name)
{
	struct loop *loop = left->vms->core->loop;
	struct vm_left *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	list_append(&left->all, &l->link);
	l->of = left;
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->process = -1;
	l->line = vm_door_connect(left->vms->core->config->runtime_directory, name);
	r = l->line < 0 ? l->line : vm_door_tell_end(l->line);
	if (r < 0) {
		/* Nobody is there. */
		forget_files(l);
		left_free(l);
		return r;
	}
	l->process = vm_door_process(l->line);
	log_notice("%s: is in no configuration any more: its process of the last run ends now",
		   name);
	r = loop_watch_fd(loop, &l->gone, l->process < 0 ? l->line : l->process,
			  l->process < 0 ? POLLRDHUP : POLLIN, 0, has_ended, l);
	if (r == 0)
		r = loop_watch_time(loop, &l->late, END_SECONDS * 1000000000ull, does_not_end, l);
	if (r < 0)
		left_free(l);
	return r;
}

/**
 * vms_left_end() - end the processes of VMs that are in no configuration
 * @vms:	the VMs
 * @ended:	called once all have ended, or can't be ended; not where there are none
 *
 * Return: what is waited for; NULL: nothing.
 */
struct vms_left *vms_left_end(struct vms *vms, void (*ended)(void *ctx), void *ctx)
{
	struct vms_left *left = calloc(1, sizeof(*left));
	DIR *dir = opendir(vms->core->config->runtime_directory);
	char name[VM_DOOR_NAME_SIZE];
	struct dirent *e;

	if (!left || !dir) {
		log_err("looking for VMs' processes of the last run: %s", errno_text(errno));
	} else {
		left->vms = vms;
		left->ctx = ctx;
		left->ended = ended;
		list_init(&left->all);
		while ((e = readdir(dir)))
			if (vm_door_is(e->d_name, name) && !vm_find(vms, name) &&
			    !networks_have_process(vms, name) && !lan_has_process(vms, name))
				end_one(left, name);
	}
	if (dir)
		closedir(dir);
	if (!left || !list_empty(&left->all))
		return left;
	free(left);
	return NULL;
}

/**
 * vms_left_ended() - whether all have ended, or can't be ended
 * @left:	of vms_left_end()
 */
bool vms_left_ended(const struct vms_left *left)
{
	return !left || list_empty(&left->all);
}

/**
 * vms_left_free() - stop waiting
 * @left:	of vms_left_end()
 *
 * Return: NULL.
 */
struct vms_left *vms_left_free(struct vms_left *left)
{
	while (left && !list_empty(&left->all))
		left_free(list_entry(list_first(&left->all), struct vm_left, link));
	free(left);
	return NULL;
}
