/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests of the front-end: one table, one handler each; what is not in it is refused.
 */
#include "vhost_user_net/vu_device.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"

#define BIT(n) (1ull << (n))

/*
 * In order: buffers are used as they were posted, always; a driver that agrees makes use of it.
 * Announcing: the guest does it itself after it has moved, and the front-end tells it to.
 */
#define FEATURES                                                                                   \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_INDIRECT_DESC) | BIT(VIRTIO_F_EVENT_IDX) |         \
	 BIT(VIRTIO_F_IN_ORDER) | BIT(VIRTIO_F_RING_PACKED) | BIT(VHOST_F_LOG_ALL) |               \
	 BIT(VHOST_USER_F_PROTOCOL_FEATURES) | BIT(VIRTIO_NET_F_MRG_RXBUF) |                       \
	 BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | BIT(VIRTIO_NET_F_CSUM) |       \
	 BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) |                              \
	 BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_TSO4) | \
	 BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(VIRTIO_NET_F_HOST_USO) | \
	 BIT(VIRTIO_NET_F_GUEST_USO4) | BIT(VIRTIO_NET_F_GUEST_USO6))

#define PROTOCOL_FEATURES                                                               \
	(BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD) |         \
	 BIT(VHOST_USER_PROTOCOL_F_RARP) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |       \
	 BIT(VHOST_USER_PROTOCOL_F_NET_MTU) | BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) | \
	 BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | BIT(VHOST_USER_PROTOCOL_F_STATUS))

/*
 * What the handler did. A refusal is a negative errno; a reply was sent by the handler itself;
 * taken, but a ring that should run now can't.
 */
enum { DONE, REPLIED, NOT_RUNNING };

static int refuse(struct vu_device *dev, int r, const char *why)
{
	dev->refused = why;
	return r;
}

static int reply_u64(struct vu_device *dev, uint64_t x)
{
	int r = vu_message_reply(dev->sock, dev->msg.header.request, &x, sizeof(x));

	return r < 0 ? r : REPLIED;
}

static void close_kick(struct vu_device *dev, unsigned i)
{
	struct vu_ring *ring = &dev->ring[i];

	if (ring->kick < 0)
		return;
	dev->ops->watch_kick(dev->ctx, i, -1);
	ring->kick = fd_close(ring->kick);
}

static void ring_pause(struct vu_ring *ring)
{
	if (!ring->running)
		return;
	ring->running = false;
	ring->base = vu_vring_position(&ring->q);
	vu_vring_stop(&ring->q);
}

static void ring_stop(struct vu_device *dev, unsigned i)
{
	ring_pause(&dev->ring[i]);
	close_kick(dev, i);
}

static void pause_all(struct vu_device *dev)
{
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		ring_pause(&dev->ring[i]);
}

static bool logs(const struct vu_device *dev)
{
	return vu_device_has(dev, VHOST_F_LOG_ALL);
}

static int start(struct vu_device *dev, struct vu_ring *ring, const struct vu_vring_log *log)
{
	struct vu_vring_how how = {.num = ring->num,
				   .base = ring->base,
				   .event_idx = vu_device_has(dev, VIRTIO_F_EVENT_IDX),
				   .indirect = vu_device_has(dev, VIRTIO_F_INDIRECT_DESC),
				   .packed = vu_device_has(dev, VIRTIO_F_RING_PACKED)};

	return vu_vring_start(&ring->q, &dev->mem, &ring->place, &how, log);
}

/* Start what is ready, stop what is not. */
static void settle(struct vu_device *dev)
{
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++) {
		struct vu_ring *ring = &dev->ring[i];
		bool ready = ring->num && ring->placed && ring->enabled && ring->kick >= 0 &&
			     vu_device_has(dev, VIRTIO_F_VERSION_1) && dev->mem.n &&
			     (!logs(dev) || dev->log.pages);
		struct vu_vring_log log = {.log = logs(dev) ? &dev->log : NULL,
					   .used = ring->logs_used,
					   .used_gpa = ring->used_gpa};

		ring->ready = ready;
		ready = ready && !dev->held;
		ring->unmapped = false;
		vu_vring_log_to(&ring->q, &log);
		if (ready == ring->running || ring->q.fault.what)
			continue;
		if (!ready) {
			ring_pause(ring);
			continue;
		}
		ring->running = start(dev, ring, &log) == 0;
		ring->unmapped = !ring->running;
		if (ring->running && vu_vring_position(&ring->q) != ring->base)
			log_debug(
				"ring %u: told to go on at 0x%x, going on where buffers were given back, at 0x%x",
				i, ring->base, vu_vring_position(&ring->q));
	}
}

static int get_features(struct vu_device *dev)
{
	return reply_u64(dev, FEATURES);
}

static int set_features(struct vu_device *dev)
{
	uint64_t x = dev->msg.payload.u64;

	if (x & ~FEATURES)
		return refuse(dev, -EOPNOTSUPP, "features that were not offered");
	if (x == dev->features)
		return DONE;
	/* Rings are set up by the features, but for logging; so they start again with the new ones. */
	if ((x ^ dev->features) != BIT(VHOST_F_LOG_ALL))
		pause_all(dev);
	dev->features = x;
	if (!(x & BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
			dev->ring[i].enabled = true;
	return DONE;
}

static int set_owner(struct vu_device *dev)
{
	return DONE;
}

static int reset_device(struct vu_device *dev)
{
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++) {
		ring_stop(dev, i);
		dev->ring[i].enabled = !vu_device_has(dev, VHOST_USER_F_PROTOCOL_FEATURES);
	}
	dev->status = 0;
	return DONE;
}

static int map_failed(struct vu_device *dev, int r)
{
	switch (r) {
	case -EINVAL:
		return refuse(dev, r, "a memory region wraps or is larger than its file");
	case -EEXIST:
		return refuse(dev, r, "memory regions overlap");
	case -ENOSPC:
		return refuse(dev, r, "too many memory regions");
	case -E2BIG:
		return refuse(dev, r, "more memory than twice what this machine has");
	case -EMEDIUMTYPE:
		return refuse(dev, r,
			      "memory that is neither a memfd nor a file on tmpfs or hugetlbfs");
	default:
		return refuse(dev, r, "memory can't be mapped");
	}
}

/* What changes the memory is run with both rings paused. */

static int set_mem_table(struct vu_device *dev)
{
	const struct vhost_user_memory *table = &dev->msg.payload.memory;
	static_assert(VHOST_MEMORY_BASELINE_NREGIONS <= VU_REGIONS, "");
	struct vu_memory new;
	int r = 0;

	if (table->nregions == 0 || table->nregions > VHOST_MEMORY_BASELINE_NREGIONS ||
	    dev->msg.header.size != 8 + table->nregions * sizeof(table->regions[0]) ||
	    dev->msg.n_fds != table->nregions)
		return refuse(dev, -EPROTO, "memory table, descriptors and length disagree");
	vu_memory_init(&new);
	for (unsigned i = 0; i < table->nregions && r == 0; i++)
		r = vu_memory_add(&new, &table->regions[i], dev->msg.fds[i]);
	if (r < 0) {
		vu_memory_clear(&new);
		return map_failed(dev, r);
	}
	vu_memory_move(&dev->mem, &new);
	return DONE;
}

static int add_mem_reg(struct vu_device *dev)
{
	int r = vu_memory_add(&dev->mem, &dev->msg.payload.single.region, dev->msg.fds[0]);

	return r < 0 ? map_failed(dev, r) : DONE;
}

static int rem_mem_reg(struct vu_device *dev)
{
	if (vu_memory_remove(&dev->mem, &dev->msg.payload.single.region) < 0)
		return refuse(dev, -ENOENT, "no such memory region");
	return DONE;
}

static int get_max_mem_slots(struct vu_device *dev)
{
	return reply_u64(dev, VU_REGIONS);
}

static int set_log_base(struct vu_device *dev)
{
	const struct vhost_user_log *log = &dev->msg.payload.log;
	int r;

	if (dev->msg.n_fds != 1)
		return refuse(dev, -EPROTO, "log without a descriptor");
	r = vu_log_set(&dev->log, dev->msg.fds[0], log->mmap_offset, log->mmap_size);
	switch (r) {
	case 0:
		/* It is always answered, and not only where the front-end asks for that. */
		return reply_u64(dev, 0);
	case -EINVAL:
		return refuse(dev, r, "a log of no length, or larger than its file");
	case -E2BIG:
		return refuse(dev, r, "a log for more memory than any guest has");
	case -EMEDIUMTYPE:
		return refuse(dev, r,
			      "a log that is neither a memfd nor a file on tmpfs or hugetlbfs");
	default:
		return refuse(dev, r, "a log that can't be mapped");
	}
}

/* The ring that a request is about, or NULL. The whole index is compared, not its low bits. */
static struct vu_ring *ring_of(struct vu_device *dev, uint64_t index)
{
	if (index < VIRTIO_NET_RINGS)
		return &dev->ring[index];
	refuse(dev, -EINVAL, "no such ring; the card has one pair of queues");
	return NULL;
}

static int set_vring_num(struct vu_device *dev)
{
	const struct vhost_vring_state *s = &dev->msg.payload.state;
	struct vu_ring *ring = ring_of(dev, s->index);

	if (!ring)
		return -EINVAL;
	if (s->num == 0 || s->num > VU_VRING_MAX ||
	    ((s->num & (s->num - 1)) && !vu_device_has(dev, VIRTIO_F_RING_PACKED)))
		return refuse(
			dev, -EINVAL,
			"a ring's size must be up to 1024, and a power of two unless it is packed");
	if (ring->running && s->num != ring->num)
		return refuse(dev, -EBUSY, "a running ring can't change its size");
	ring->num = s->num;
	return DONE;
}

static int set_vring_addr(struct vu_device *dev)
{
	const struct vhost_vring_addr *a = &dev->msg.payload.addr;
	struct vu_ring *ring = ring_of(dev, a->index);
	struct vu_vring_place place;

	if (!ring)
		return -EINVAL;
	if (a->desc_user_addr % VIRTQ_DESC_ALIGN || a->avail_user_addr % VIRTQ_AVAIL_ALIGN ||
	    a->used_user_addr % VIRTQ_USED_ALIGN)
		return refuse(dev, -EINVAL, "a ring's address is misaligned");
	ring->logs_used = a->flags & VHOST_VRING_F_LOG;
	ring->used_gpa = a->log_guest_addr;
	place = (struct vu_vring_place){
		.desc = a->desc_user_addr, .avail = a->avail_user_addr, .used = a->used_user_addr};
	/* Told to log from now on, and nothing else. */
	if (ring->placed && !memcmp(&place, &ring->place, sizeof(place)))
		return DONE;
	ring_pause(ring);
	ring->place = place;
	ring->placed = true;
	return DONE;
}

static int set_vring_base(struct vu_device *dev)
{
	const struct vhost_vring_state *s = &dev->msg.payload.state;
	struct vu_ring *ring = ring_of(dev, s->index);

	if (!ring)
		return -EINVAL;
	if (s->num > UINT16_MAX && !vu_device_has(dev, VIRTIO_F_RING_PACKED))
		return refuse(dev, -EINVAL, "a ring's position is out of range");
	if (ring->running && s->num != vu_vring_position(&ring->q))
		return refuse(dev, -EBUSY, "a running ring can't change its position");
	ring->base = s->num;
	return DONE;
}

static int get_vring_base(struct vu_device *dev)
{
	struct vhost_vring_state s = dev->msg.payload.state;
	struct vu_ring *ring = ring_of(dev, s.index);
	int r;

	if (!ring)
		return -EINVAL;
	ring_stop(dev, s.index);
	s.num = ring->base;
	r = vu_message_reply(dev->sock, VHOST_USER_GET_VRING_BASE, &s, sizeof(s));
	return r < 0 ? r : REPLIED;
}

/* The ring that a descriptor is for, or NULL where index, NOFD bit and descriptor don't fit. */
static struct vu_ring *ring_of_fd(struct vu_device *dev)
{
	uint64_t x = dev->msg.payload.u64;

	if (x & ~(uint64_t)(VHOST_USER_VRING_IDX_MASK | VHOST_USER_VRING_NOFD_MASK)) {
		refuse(dev, -EPROTO, "unknown bits beside the ring's index");
		return NULL;
	}
	if (dev->msg.n_fds != (x & VHOST_USER_VRING_NOFD_MASK ? 0 : 1)) {
		refuse(dev, -EPROTO, "descriptor missing, or not announced");
		return NULL;
	}
	return ring_of(dev, x & VHOST_USER_VRING_IDX_MASK);
}

static int set_vring_kick(struct vu_device *dev)
{
	struct vu_ring *ring = ring_of_fd(dev);
	unsigned i = (unsigned)(dev->msg.payload.u64 & VHOST_USER_VRING_IDX_MASK);

	if (!ring)
		return -EPROTO;
	if (!dev->msg.n_fds)
		return refuse(dev, -EOPNOTSUPP, "a ring without a kick would have to be polled");
	if (bell_fits(&dev->probe, dev->msg.fds[0]) < 0)
		return refuse(dev, -EBADF, "a kick that is no eventfd");
	close_kick(dev, i);
	ring->kick = take_fd(&dev->msg.fds[0]);
	dev->ops->watch_kick(dev->ctx, i, ring->kick);
	if (!ring->running)
		ring->q.fault.what = NULL; /* the guest sets it up anew */
	return DONE;
}

static int set_vring_call(struct vu_device *dev)
{
	struct vu_ring *ring = ring_of_fd(dev);

	if (!ring)
		return -EPROTO;
	if (!dev->msg.n_fds)
		bell_detach(&ring->call);
	else if (bell_attach(&ring->call, dev->msg.fds[0]) < 0)
		return refuse(dev, -EBADF, "a call that is no eventfd");
	return DONE;
}

/* Errors go to the log; so the descriptor is closed with the message. */
static int set_vring_err(struct vu_device *dev)
{
	if (!ring_of_fd(dev))
		return -EPROTO;
	if (dev->msg.n_fds && bell_fits(&dev->probe, dev->msg.fds[0]) < 0)
		return refuse(dev, -EBADF, "a descriptor for errors that is no eventfd");
	return DONE;
}

static int get_protocol_features(struct vu_device *dev)
{
	return reply_u64(dev, PROTOCOL_FEATURES);
}

static int set_protocol_features(struct vu_device *dev)
{
	uint64_t x = dev->msg.payload.u64;

	if (x & ~PROTOCOL_FEATURES)
		return refuse(dev, -EOPNOTSUPP, "protocol features that were not offered");
	dev->protocol_features = x;
	return DONE;
}

static int get_queue_num(struct vu_device *dev)
{
	return reply_u64(dev, 1);
}

static int set_vring_enable(struct vu_device *dev)
{
	const struct vhost_vring_state *s = &dev->msg.payload.state;
	struct vu_ring *ring = ring_of(dev, s->index);

	if (!ring)
		return -EINVAL;
	if (s->num > 1)
		return refuse(dev, -EINVAL, "a ring is enabled by 1 and disabled by 0");
	ring->enabled = s->num == 1;
	return DONE;
}

/* The guest can't announce itself: its card's address stands in the first six bytes. */
static int send_rarp(struct vu_device *dev)
{
	uint8_t mac[6];

	memcpy(mac, &dev->msg.payload.u64, sizeof(mac));
	if (mac[0] & 1)
		return refuse(dev, -EINVAL, "an address that is no card's");
	dev->ops->announce(dev->ctx, mac);
	return DONE;
}

#define MTU_LEAST 68 /* RFC 791 */

/* It is the driver's to keep: whatever comes for the guest is given to it as it is. */
static int net_set_mtu(struct vu_device *dev)
{
	if (dev->msg.payload.u64 < MTU_LEAST || dev->msg.payload.u64 > UINT16_MAX)
		return refuse(dev, -EINVAL, "an MTU must be 68 to 65535");
	return DONE;
}

static int set_status(struct vu_device *dev)
{
	if (dev->msg.payload.u64 > UINT8_MAX)
		return refuse(dev, -EINVAL, "a status has eight bits");
	dev->status = (uint8_t)dev->msg.payload.u64;
	/* Enabling is the front-end's, not the driver's: a reset by the driver keeps it. */
	if (dev->status == 0)
		for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
			ring_stop(dev, i);
	return DONE;
}

static int get_status(struct vu_device *dev)
{
	return reply_u64(dev, dev->status);
}

#define SIZE_OF(member) sizeof(((union vu_payload *)0)->member)

static const struct request {
	const char *name;
	uint16_t min, max; /* bytes of payload */
	uint8_t fds;	   /* at most; the handler says if that many is wrong here */
	int8_t feature;	   /* the protocol feature that brings it, or -1 */
	bool memory;	   /* it changes the memory */
	int (*handle)(struct vu_device *dev);
} requests[VHOST_USER_REQUESTS] = {
#define REQUEST(name, min, max, fds, feature, handle) \
	[VHOST_USER_##name] = {#name, min, max, fds, feature, false, handle}
#define MEMORY(name, min, max, fds, feature, handle) \
	[VHOST_USER_##name] = {#name, min, max, fds, feature, true, handle}
	REQUEST(GET_FEATURES, 0, 0, 0, -1, get_features),
	REQUEST(SET_FEATURES, 8, 8, 0, -1, set_features),
	REQUEST(SET_OWNER, 0, 0, 0, -1, set_owner),
	REQUEST(RESET_OWNER, 0, 0, 0, -1, reset_device),
	MEMORY(SET_MEM_TABLE, 8 + 32, SIZE_OF(memory), VU_MESSAGE_FDS, -1, set_mem_table),
	REQUEST(SET_LOG_BASE, SIZE_OF(log), SIZE_OF(log), 1, VHOST_USER_PROTOCOL_F_LOG_SHMFD,
		set_log_base),
	REQUEST(SET_VRING_NUM, SIZE_OF(state), SIZE_OF(state), 0, -1, set_vring_num),
	REQUEST(SET_VRING_ADDR, SIZE_OF(addr), SIZE_OF(addr), 0, -1, set_vring_addr),
	REQUEST(SET_VRING_BASE, SIZE_OF(state), SIZE_OF(state), 0, -1, set_vring_base),
	REQUEST(GET_VRING_BASE, SIZE_OF(state), SIZE_OF(state), 0, -1, get_vring_base),
	REQUEST(SET_VRING_KICK, 8, 8, 1, -1, set_vring_kick),
	REQUEST(SET_VRING_CALL, 8, 8, 1, -1, set_vring_call),
	REQUEST(SET_VRING_ERR, 8, 8, 1, -1, set_vring_err),
	REQUEST(GET_PROTOCOL_FEATURES, 0, 0, 0, -1, get_protocol_features),
	REQUEST(SET_PROTOCOL_FEATURES, 8, 8, 0, -1, set_protocol_features),
	REQUEST(GET_QUEUE_NUM, 0, 0, 0, VHOST_USER_PROTOCOL_F_MQ, get_queue_num),
	REQUEST(SET_VRING_ENABLE, SIZE_OF(state), SIZE_OF(state), 0, -1, set_vring_enable),
	REQUEST(SEND_RARP, 8, 8, 0, VHOST_USER_PROTOCOL_F_RARP, send_rarp),
	REQUEST(NET_SET_MTU, 8, 8, 0, VHOST_USER_PROTOCOL_F_NET_MTU, net_set_mtu),
	REQUEST(RESET_DEVICE, 0, 0, 0, VHOST_USER_PROTOCOL_F_RESET_DEVICE, reset_device),
	REQUEST(GET_MAX_MEM_SLOTS, 0, 0, 0, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS,
		get_max_mem_slots),
	MEMORY(ADD_MEM_REG, SIZE_OF(single), SIZE_OF(single), 1,
	       VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS, add_mem_reg),
	/* Some front-ends send the descriptor here too; the specification has it closed. */
	MEMORY(REM_MEM_REG, SIZE_OF(single), SIZE_OF(single), 1,
	       VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS, rem_mem_reg),
	REQUEST(SET_STATUS, 8, 8, 0, VHOST_USER_PROTOCOL_F_STATUS, set_status),
	REQUEST(GET_STATUS, 0, 0, 0, VHOST_USER_PROTOCOL_F_STATUS, get_status),
#undef REQUEST
#undef MEMORY
};

/**
 * vu_device_request_name() - a request's name for a log line
 * @request:	its number, anything
 */
const char *vu_device_request_name(uint32_t request)
{
	if (request >= VHOST_USER_REQUESTS || !requests[request].name)
		return "unknown request";
	return requests[request].name;
}

static int dispatch(struct vu_device *dev)
{
	uint32_t n = dev->msg.header.request, size = dev->msg.header.size;
	const struct request *rq = n < VHOST_USER_REQUESTS ? &requests[n] : NULL;
	int r;

	if (!rq || !rq->handle)
		return refuse(dev, -EOPNOTSUPP, "unknown request");
	if (rq->feature >= 0 && !(dev->protocol_features >> rq->feature & 1))
		return refuse(dev, -EOPNOTSUPP, "request of a feature that was not agreed on");
	if (size < rq->min || size > rq->max)
		return refuse(dev, -EPROTO, "payload of the wrong length");
	if (dev->msg.n_fds > rq->fds)
		return refuse(dev, -EPROTO, "descriptors where none belong");
	if (n == VHOST_USER_ADD_MEM_REG && dev->msg.n_fds != 1)
		return refuse(dev, -EPROTO, "memory region without a descriptor");

	if (rq->memory)
		pause_all(dev);
	r = rq->handle(dev);
	settle(dev);
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		if (r == DONE && dev->ring[i].unmapped)
			r = NOT_RUNNING;
	return r;
}

/**
 * vu_device_message() - receive and serve one message
 * @dev:	the device, connected
 *
 * Return: 0; VU_DEVICE_PART where the next message is not whole yet; VU_DEVICE_END where the
 * front-end closed the connection; a negative errno where the connection can't go on, and then
 * @dev->refused says why, where the message and not the socket was at fault.
 */
int vu_device_message(struct vu_device *dev)
{
	bool tell;
	int r;

	dev->refused = NULL;
	r = vu_message_receive(&dev->msg, dev->sock);
	dev->request = dev->msg.header.request;
	if (r < 0)
		return r == -EPROTO || r == -EPROTONOSUPPORT || r == -EMSGSIZE
			       ? refuse(dev, r, "not a vhost-user message")
			       : r;
	if (r == VU_MESSAGE_PART)
		return VU_DEVICE_PART;
	if (r == VU_MESSAGE_END)
		return VU_DEVICE_END;

	tell = (dev->msg.header.flags & VHOST_USER_NEED_REPLY_MASK) &&
	       (dev->protocol_features & BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK));
	r = dispatch(dev);
	if (r < 0 && dev->refused)
		log_debug("vhost-user %s refused: %s", vu_device_request_name(dev->request),
			  dev->refused);
	if (tell && r != REPLIED && (r >= 0 || dev->refused)) {
		r = reply_u64(dev, r == DONE ? 0 : 1);
	}
	vu_message_clear(&dev->msg);
	return r < 0 ? r : 0;
}

/**
 * vu_device_init() - a device without a connection
 * @dev:	the device
 * @ops:	what it asks of its owner
 * @ctx:	given to them
 *
 * Return: 0 or a negative errno; vu_device_deinit() is due in both cases.
 */
int vu_device_init(struct vu_device *dev, const struct vu_device_ops *ops, void *ctx)
{
	int r;

	memset(dev, 0, sizeof(*dev));
	dev->ops = ops;
	dev->ctx = ctx;
	dev->sock = -1;
	vu_message_init(&dev->msg);
	vu_memory_init(&dev->mem);
	vu_log_init(&dev->log);
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		dev->ring[i].kick = -1;
	r = bell_init(&dev->probe);
	for (unsigned i = 0; i < VIRTIO_NET_RINGS && r == 0; i++)
		r = bell_init(&dev->ring[i].call);
	return r;
}

/**
 * vu_device_deinit() - free what vu_device_init() made
 * @dev:	the device, not connected
 */
void vu_device_deinit(struct vu_device *dev)
{
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		bell_deinit(&dev->ring[i].call);
	bell_deinit(&dev->probe);
}

/**
 * vu_device_connect() - serve a new connection
 * @dev:	the device, not connected
 * @sock:	the connection; stays the caller's
 */
void vu_device_connect(struct vu_device *dev, int sock)
{
	dev->sock = sock;
}

/**
 * vu_device_disconnect() - forget the connection and all that came over it
 * @dev:	the device, connected or not
 */
void vu_device_disconnect(struct vu_device *dev)
{
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++) {
		ring_stop(dev, i);
		bell_detach(&dev->ring[i].call);
		dev->ring[i] = (struct vu_ring){.kick = -1, .call = dev->ring[i].call};
	}
	dev->features = dev->protocol_features = 0;
	dev->status = 0;
	dev->held = false;
	dev->sock = -1;
	vu_memory_clear(&dev->mem);
	vu_log_clear(&dev->log);
	vu_message_clear(&dev->msg);
}

/**
 * vu_device_hold() - let its rings run, or not
 * @dev:	the device, connected or not
 * @held:	none runs from here on; else those that are ready do
 */
void vu_device_hold(struct vu_device *dev, bool held)
{
	dev->held = held;
	settle(dev);
}

/**
 * vu_device_break() - use a ring no more until the guest sets it up anew
 * @dev:	the device
 * @i:		which ring
 * @what:	why, a literal; NULL: as the ring itself says
 */
void vu_device_break(struct vu_device *dev, unsigned i, const char *what)
{
	struct vu_ring *ring = &dev->ring[i];

	if (what)
		ring->q.fault = (struct vu_vring_fault){.what = what};
	ring_pause(ring);
}
