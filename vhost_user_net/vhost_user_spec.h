/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vhost-user protocol's messages, with the names of its specification ("Vhost-user Protocol",
 * QEMU documentation). Both ends are on one machine: numbers are in its own order.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* "Header" */
struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
};
static_assert(sizeof(struct vhost_user_header) == 12, "Header");

#define VHOST_USER_VERSION	   0x1u
#define VHOST_USER_VERSION_MASK	   0x3u
#define VHOST_USER_REPLY_MASK	   (1u << 2)
#define VHOST_USER_NEED_REPLY_MASK (1u << 3)

/* "Front-end message types" */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SEND_RARP = 19,
	VHOST_USER_NET_SET_MTU = 20,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
	VHOST_USER_REQUESTS,
};

/* Feature bits of the protocol's own: what is written is logged; protocol features exist at all. */
#define VHOST_F_LOG_ALL		       26
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* "Protocol features", by number */
#define VHOST_USER_PROTOCOL_F_MQ		  0
#define VHOST_USER_PROTOCOL_F_LOG_SHMFD		  1
#define VHOST_USER_PROTOCOL_F_RARP		  2
#define VHOST_USER_PROTOCOL_F_REPLY_ACK		  3
#define VHOST_USER_PROTOCOL_F_NET_MTU		  4
#define VHOST_USER_PROTOCOL_F_RESET_DEVICE	  13
#define VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS 15
#define VHOST_USER_PROTOCOL_F_STATUS		  16

/* "A vring state description" */
struct vhost_vring_state {
	uint32_t index;
	uint32_t num;
};
static_assert(sizeof(struct vhost_vring_state) == 8, "vring state");

/* "A vring address description" */
struct vhost_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc_user_addr;
	uint64_t used_user_addr;
	uint64_t avail_user_addr;
	uint64_t log_guest_addr;
};
static_assert(sizeof(struct vhost_vring_addr) == 40, "vring address");

/* Of its flags */
#define VHOST_VRING_F_LOG 1u

/* "Memory region description" */
struct vhost_user_memory_region {
	uint64_t guest_phys_addr;
	uint64_t memory_size;
	uint64_t userspace_addr;
	uint64_t mmap_offset;
};
static_assert(sizeof(struct vhost_user_memory_region) == 32, "memory region");

#define VHOST_MEMORY_BASELINE_NREGIONS 8

/* "Multiple memory regions description" */
struct vhost_user_memory {
	uint32_t nregions;
	uint32_t padding;
	struct vhost_user_memory_region regions[VHOST_MEMORY_BASELINE_NREGIONS];
};
static_assert(sizeof(struct vhost_user_memory) == 8 + 8 * 32, "memory regions");

/* "Single memory region description" */
struct vhost_user_single_memory_region {
	uint64_t padding;
	struct vhost_user_memory_region region;
};
static_assert(sizeof(struct vhost_user_single_memory_region) == 40, "single memory region");

/* "Log description" */
struct vhost_user_log {
	uint64_t mmap_size;
	uint64_t mmap_offset;
};
static_assert(sizeof(struct vhost_user_log) == 16, "log");

/* The u64 of SET_VRING_KICK, _CALL and _ERR */
#define VHOST_USER_VRING_IDX_MASK  0xffu
#define VHOST_USER_VRING_NOFD_MASK 0x100u
