/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The broker: a process that keeps the few rights that control needs, and control's end of the line
 * to it.
 *
 * It is forked before anything else, and ends when the line closes. Over a SOCK_SEQPACKET pair it
 * does these things and no others:
 *
 * OPEN: the usbfs node of a device named by what sysfs says of it, checked again after the open.
 * Not of hubs, nor of a device with a disk in use: see broker_disk.h.
 *
 * REBIND: have the host's drivers probe a device's interfaces again.
 *
 * RESET: reset a device that the host has. Not a hub, nor a device with a disk in use.
 *
 * POWER_OFF, POWER_ON: switch the power of one port of a hub; see broker_port.h.
 *
 * TAP: attach to the tap that is a network's uplink; see broker_tap.h.
 *
 * LISTEN: make a TCP socket that listens at one address, for the LAN export; see broker_listen.h.
 *
 * Requests are answered in any order. All may take seconds in the kernel, so each runs in a thread
 * of the broker's. In control a request is embedded in its object, and its answer is a callback:
 * nobody waits.
 *
 * As root the broker keeps CAP_DAC_OVERRIDE, and drops the rest. Without root, as in tests, it can
 * do all but open others' device nodes.
 */
#pragma once

#include <linux/capability.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/loop.h"
#include "daemon/broker/helper_line.h"

#define BROKER_BUSID_SIZE 32
#define BROKER_FDS	  HELPER_FDS
#define BROKER_CAPS	  (1u << CAP_DAC_OVERRIDE)

/* What a device must be to be opened; all of it is compared again after the open. */
struct broker_device {
	char busid[BROKER_BUSID_SIZE];
	uint16_t busnum, devnum, id_vendor, id_product;
};

struct broker;
struct broker_request;

/**
 * typedef broker_done - an answer has come
 * @req:	the request, free to be used again
 * @r:		0 or a negative errno
 * @fds:	BROKER_FDS of them. TAP: the tap. LISTEN: the socket. OPEN: the node, and a guard where it has disks: while that is open, nobody mounts them
 *		(broker_disk.h). The callee's; -1: there is none
 * @text:	what went wrong, for a person; "" on success
 */
typedef void (*broker_done)(struct broker_request *req, int r, int *fds, const char *text);

struct broker_request {
	struct helper_request line;
	broker_done done;
};

int broker_start(int *ret_line, char *error, size_t error_size);

int broker_new(struct broker **ret_broker, struct loop *loop, int line, void (*lost)(void *ctx),
	       void *ctx);
struct broker *broker_free(struct broker *broker);
int broker_open(struct broker *broker, struct broker_request *req,
		const struct broker_device *device, broker_done done);
int broker_rebind(struct broker *broker, struct broker_request *req,
		  const struct broker_device *device, broker_done done);
int broker_reset(struct broker *broker, struct broker_request *req,
		 const struct broker_device *device, bool force, broker_done done);
int broker_power_off(struct broker *broker, struct broker_request *req,
		     const struct broker_device *device, bool force, broker_done done);
int broker_power_on(struct broker *broker, struct broker_request *req, const char *busid,
		    broker_done done);
int broker_tap(struct broker *broker, struct broker_request *req, const char *name,
	       broker_done done);
int broker_listen(struct broker *broker, struct broker_request *req, const struct ip_endpoint *at,
		  broker_done done);
void broker_forget(struct broker *broker, struct broker_request *req);
