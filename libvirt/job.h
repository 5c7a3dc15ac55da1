/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A command in a guest, in a thread of its own. The thread touches only the job. When it has ended,
 * the job's address comes out of the pipe that it was given, and the job belongs to the pipe's
 * reader again.
 */
#pragma once

#include <libvirt/libvirt.h>

#include "protocol/virt_wire.h"

struct job {
	struct virt_line ask;	 /* ATTACH or DETACH */
	struct virt_line answer; /* DONE or FAILED */
	unsigned link;		 /* which connection to the daemon it came by */
	virDomainPtr domain;
	int pipe;
};

int job_start(struct job *job);
struct job *job_free(struct job *job);
