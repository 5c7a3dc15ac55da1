/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ring from the inside: what split ones (vu_vring.c) and packed ones (vu_packed.c) have in common, and
 * what vu_vring.c calls for a packed one.
 */
#pragma once

#include <errno.h>

#include "vhost_user_net/virtio_spec.h"
#include "vhost_user_net/vu_vring.h"

/* A descriptor's own copy: of either kind, read once. */
struct vu_element {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	unsigned index; /* where it stands */
};

int vu_vring_fault(struct vu_vring *v, const char *what, unsigned index,
		   const struct vu_element *e);

/* One element's bytes, appended to @segs piece by piece. */
static inline int vu_vring_add(struct vu_vring *v, const struct vu_element *e, struct iovec *segs,
			       unsigned max, struct vu_chain *chain)
{
	uint64_t addr = e->addr;
	size_t len = e->len;

	if (len == 0)
		return vu_vring_fault(v, "buffer of no length", e->index, e);
	if (len - 1 > UINT64_MAX - addr || len > SIZE_MAX - chain->len)
		return vu_vring_fault(v, "buffer's address wraps", e->index, e);
	chain->len += len;
	while (len) {
		size_t n = len;
		void *p = vu_memory_at(v->mem, &v->hint, addr, &n);

		if (!p)
			return vu_vring_fault(v, "buffer is outside of the guest's memory",
					      e->index, e);
		if (chain->n_segs >= max)
			return max < VU_SEGMENTS ? -ENOBUFS
						 : vu_vring_fault(v, "buffer is in too many pieces",
								  e->index, e);
		segs[chain->n_segs++] = (struct iovec){.iov_base = p, .iov_len = n};
		addr += n;
		len -= n;
	}
	return 0;
}

int vu_packed_start(struct vu_vring *v, const struct vu_vring_place *place, uint32_t base);
void vu_packed_stop(struct vu_vring *v);
unsigned vu_packed_available(struct vu_vring *v);
int vu_packed_peek(struct vu_vring *v, unsigned ahead, bool writable, struct iovec *segs,
		   unsigned max, struct vu_chain *ret_chain);
void vu_packed_take(struct vu_vring *v, const struct vu_chain *chains, unsigned n);
void vu_packed_push(struct vu_vring *v, const struct vu_chain *chains, unsigned n, size_t len);
void vu_packed_publish(struct vu_vring *v);
bool vu_packed_wants(const struct vu_vring *v, unsigned n);
void vu_packed_kicks_off(struct vu_vring *v);
bool vu_packed_kicks_on(struct vu_vring *v, unsigned n);
