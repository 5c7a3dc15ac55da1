/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A Unix socket that has a place in a folder: its address, and a socket that listens there.
 *
 * Nobody but its owner may open the file before it has its group and its mode.
 */
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#define UNIX_NO_GROUP ((gid_t)-1)

struct unix_place {
	const char *folder, *name;
	int type;    /* SOCK_STREAM or SOCK_SEQPACKET */
	int backlog; /* connections that wait */
	mode_t mode; /* of its file */
	gid_t group; /* whose the file becomes, or UNIX_NO_GROUP */
};

int unix_address(struct sockaddr_un *ret_address, const char *folder, const char *name);
int unix_listen(const struct unix_place *place);
