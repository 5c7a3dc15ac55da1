/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `usbrouted --release`: give back to the host's drivers what a stopped daemon has left claimed.
 *
 * The daemon gives nothing back when it stops, so that a restart does not type a password into the
 * host's console; the unit runs this only once the service is really stopped.
 */
#pragma once

int release_claimed(const char *runtime_directory);
