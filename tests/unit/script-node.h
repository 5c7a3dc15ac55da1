/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A USB device that is a script: a back-end (usb/usb_backend.h) on a memfd, whose bytes are the device's
 * descriptors. It gives back what it gets: data of OUT endpoint n come by IN endpoint n, an IN waits for
 * them. For tests that link the rooms, and for usbrouted-vm with the build option scripted-devices.
 *
 * What it does otherwise is said in @script_node, one for all devices of a process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "usb/usb_backend.h"

struct script_node {
	int claim_result, reset_result; /* of the next ones: 0 or a negative errno */
	bool unplugged;
	unsigned n_started, n_stopped;
	char log[1024]; /* calls that block: "claim0 reset set_interface0.1" … */
};

extern struct script_node script_node;
extern const struct usb_backend_ops usb_backend_script;

int script_node_open(void);
