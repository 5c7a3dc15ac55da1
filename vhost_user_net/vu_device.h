/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The back-end side of one vhost-user connection: features, memory, and the two rings' set-up.
 *
 * A ring is *ready* when it has a size, an address, a kick descriptor, is enabled, the driver
 * agreed to VIRTIO_F_VERSION_1, and its parts are mapped; it *runs* while it is ready and not
 * broken. Order of the requests doesn't matter. GET_VRING_BASE, RESET_OWNER, RESET_DEVICE and
 * status 0 stop it: the kick descriptor is closed, and a new one starts it again, also where it was
 * broken. Without the protocol-features bit rings are enabled from the start ("Starting and
 * stopping rings").
 *
 * Refusing: where the front-end can be told (REPLY_ACK, and it asks), it gets a non-zero answer and
 * the connection goes on with nothing changed. Otherwise the two sides would disagree: the
 * connection ends.
 *
 * A device that is *held* runs no ring: another connection's do. It takes all requests, and where its
 * rings would run it says so (vu_device_ready()).
 *
 * The memory changes while the rings are paused.
 *
 * What is written into the guest's memory is logged while VHOST_F_LOG_ALL is agreed on (vu_log.h). A ring
 * is not ready then until there is a log: QEMU sets cards up that are started during a migration in this
 * order (hw/virtio/vhost.c, vhost_dev_start()).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bell.h"
#include "vhost_user_net/virtio_spec.h"
#include "vhost_user_net/vu_memory.h"
#include "vhost_user_net/vu_message.h"
#include "vhost_user_net/vu_vring.h"

struct vu_ring {
	struct vu_vring q;
	bool running;
	bool ready;    /* all is told; it runs, unless its device is held, or: */
	bool unmapped; /* all is told, but its parts are not in the guest's memory */

	unsigned num;  /* 0: not told */
	uint32_t base; /* as told, or where it stood when it was stopped; vu_vring_position() */
	bool placed;
	struct vu_vring_place place;
	bool logs_used; /* writes into its used ring are logged, and it counts as lying at: */
	uint64_t used_gpa;
	bool enabled;
	int kick;	  /* -1: none */
	struct bell call; /* its driver's interrupt */
};

struct vu_device_ops {
	/* The kick descriptor of @ring changed; -1: none, the old one is closed after this returns.
	 */
	void (*watch_kick)(void *ctx, unsigned ring, int fd);
	/* The guest is to be announced from a card with this address. */
	void (*announce)(void *ctx, const uint8_t mac[6]);
};

struct vu_device {
	const struct vu_device_ops *ops;
	void *ctx;

	int sock; /* the owner's; -1: not connected */
	bool held;
	struct vu_message msg;
	uint64_t features, protocol_features;
	uint8_t status;
	struct vu_memory mem;
	struct vu_log log;
	struct vu_ring ring[VIRTIO_NET_RINGS];
	struct bell probe;   /* for the question what a descriptor is */
	const char *refused; /* why the last message was refused, for the owner's log line */
	uint32_t request;    /* which that was */
};

/* Outcomes of vu_device_message(), beside 0. */
enum { VU_DEVICE_PART = 1, VU_DEVICE_END };

int vu_device_init(struct vu_device *dev, const struct vu_device_ops *ops, void *ctx);
void vu_device_deinit(struct vu_device *dev);
void vu_device_connect(struct vu_device *dev, int sock);
void vu_device_disconnect(struct vu_device *dev);
void vu_device_hold(struct vu_device *dev, bool held);
int vu_device_message(struct vu_device *dev);
void vu_device_break(struct vu_device *dev, unsigned ring, const char *what);
const char *vu_device_request_name(uint32_t request);

/* A file that the front-end shares was cut off, and zeros stand in its place. */
static inline bool vu_device_lost(struct vu_device *dev)
{
	return vu_memory_lost(&dev->mem) || vu_log_lost(&dev->log);
}

/* Both rings are set up. */
static inline bool vu_device_ready(const struct vu_device *dev)
{
	return dev->ring[VIRTIO_NET_RX].ready && dev->ring[VIRTIO_NET_TX].ready;
}

/* A ring runs. */
static inline bool vu_device_runs(const struct vu_device *dev)
{
	return dev->ring[VIRTIO_NET_RX].running || dev->ring[VIRTIO_NET_TX].running;
}

static inline bool vu_device_has(const struct vu_device *dev, unsigned feature)
{
	return dev->features >> feature & 1;
}
