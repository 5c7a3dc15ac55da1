/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process beside the daemon: libvirt on one side, the daemon's socket on the other, each of
 * which may go away and come back at any time. It decides nothing: it tells what it knows, and does
 * what it is asked for.
 *
 * One thread with libvirt's event loop owns both connections and the list of domains. Each command
 * in a guest has a thread of its own for as long as it takes (job.c), because libvirt's call waits
 * for the guest.
 */
#pragma once

int helper_run(const char *uri, const char *daemon_socket);
