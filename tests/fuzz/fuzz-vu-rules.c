/* SPDX-License-Identifier: BSD-2-Clause */
/* Any frame: judged without reading beyond it, and what passes holds what the rules promise. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/fuzz/promise.h"
#include "vhost_user_net/net_frame.h"
#include "vhost_user_net/net_segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct net_rules rules = {
	.address = {10, 77, 0, 11},
	.daemon = {10, 77, 0, 1},
};

/* On a further network: where it is from counts, and what is found lies within it. */
static void judge_plain(struct net_frame *f, const struct virtio_net_hdr *hdr, const uint8_t *head)
{
	static const struct net_rules plain = {.plain = true};
	enum net_verdict v = net_rules_judge(&plain, head, f->head_len, f->len, &f->headers);

	promise((v == NET_REFUSE) == ((head[6] & 1) || !memcmp(head + 6, "\0\0\0\0\0\0", 6)));
	promise(v != NET_DHCP);
	if (v == NET_REFUSE)
		return;
	promise(f->headers.l3 <= f->head_len && f->headers.l4 <= f->head_len);
	promise(f->headers.ip_end <= f->len && !f->headers.source6 && !f->headers.target6);
	if (net_frame_offload(f, hdr, UINT64_MAX))
		return;
	if (f->offload.csum)
		promise((size_t)f->offload.csum_start + f->offload.csum_offset + 2 <= f->len);
	if (f->offload.gso)
		promise(f->offload.hdr_len <= f->head_len && f->offload.hdr_len <= f->len);
}

/* Input: the virtio-net header, then the frame. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *bytes = malloc(size ? size : 1), *flat = malloc(size ? size : 1);
	struct iovec seg = {.iov_base = bytes, .iov_len = size};
	static struct net_frame f;
	struct virtio_net_hdr hdr;
	enum net_verdict v;
	uint8_t *head;

	if (!bytes || !flat)
		return 0;
	memcpy(bytes, data, size);
	if (!net_frame_take(&f, &seg, 1, size, &hdr))
		return 0;
	/* Exactly as long as what was copied. */
	head = malloc(f.head_len);
	if (!head)
		return 0;
	memcpy(head, f.head, f.head_len);
	judge_plain(&f, &hdr, head);
	v = net_rules_judge(&rules, head, f.head_len, f.len, &f.headers);
	free(head);
	promise((v == NET_REFUSE) == (f.headers.reason != NULL));
	if (v == NET_REFUSE)
		return 0;
	promise(!(f.head[6] & 1) && memcmp(f.head + 6, net_daemon_mac, 6));
	promise(f.headers.l3 == 14 && f.headers.l4 <= f.head_len && f.headers.ip_end <= f.len);
	if (f.headers.type == 0x0800 && v == NET_PASS)
		promise(!memcmp(f.head + 26, rules.address, 4) ||
			!memcmp(f.head + 26, "\0\0\0\0", 4));
	if (f.headers.type == 0x0806)
		promise(memcmp(f.head + 28, rules.daemon, 4) &&
			!memcmp(f.head + 22, f.head + 6, 6));
	if (f.headers.type == 0x86dd)
		promise(f.headers.target6 + (f.headers.target6 ? 16u : 0u) <= f.head_len &&
			memcmp(f.head + 22, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16));

	if (net_frame_offload(&f, &hdr, UINT64_MAX))
		return 0;
	net_frame_flatten(&f, flat);
	if (f.offload.gso) {
		struct net_segmenter s;
		uint8_t out[NET_RULES_HEAD];
		const uint8_t *payload;
		size_t n, sum = 0;

		if (net_segment_begin(&s, &f, flat))
			while ((n = net_segment_next(&s, out, &payload)))
				sum += n;
		promise(sum == 0 || sum == f.len - f.offload.hdr_len);
	}
	if (f.offload.csum) {
		net_frame_fill_checksum(&f.offload, flat, f.len);
		/* Nothing that was judged changes. */
		promise(!memcmp(flat, f.head, min_t(size_t, f.headers.l4 + 6u, f.head_len)));
	}
	return 0;
}
