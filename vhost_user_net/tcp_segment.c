/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a segment. All headers lie in the frame's private copy; what does not is malformed. The
 * payload stays where it is.
 *
 * Header checksums of IPv4 are not looked at: nothing lies between the guest's driver and us. TCP's
 * is, unless the guest left it to its card: it also covers the guest's own bridges and routers.
 */
#include "vhost_user_net/tcp_segment.h"

#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/net_frame.h"
#include "vhost_user_net/tcp.h"

/* May this be the address of a host (RFC 1122, 3.2.1.3; RFC 4291, 2.7)? */
static bool may_be_host4(const uint8_t a[4])
{
	return a[0] != 0 && a[0] != 127 && a[0] < 224;
}

static bool may_be_host6(const uint8_t a[16])
{
	static const uint8_t none[16], self[16] = {[15] = 1};

	return a[0] != 0xff && memcmp(a, none, 16) && memcmp(a, self, 16);
}

static bool read_path(const struct tcp_config *config, const struct net_frame *f,
		      struct tcp_path *path)
{
	const struct ethernet_header *eth = (const void *)f->head;
	const uint8_t *l3 = f->head + f->headers.l3;

	*path = (struct tcp_path){.v6 = f->headers.type == ETHERTYPE_IPV6};
	memcpy(path->mac, eth->source, 6);
	if (path->v6) {
		const struct ipv6_header *ip = (const void *)l3;

		if (memcmp(ip->destination, config->address6, 16) || !may_be_host6(ip->source) ||
		    !memcmp(ip->source, config->address6, 16))
			return false;
		memcpy(path->peer, ip->source, 16);
	} else {
		const struct ipv4_header *ip = (const void *)l3;

		if (memcmp(ip->destination, config->address4, 4) || !may_be_host4(ip->source) ||
		    !memcmp(ip->source, config->address4, 4))
			return false;
		memcpy(path->peer, ip->source, 4);
	}
	return true;
}

/*
 * RFC 9293, 3.2: an option of unknown kind is passed over, one of wrong length ends the list. Only
 * a SYN's options say anything to us.
 */
static void read_options(struct cursor c, struct tcp_segment *s)
{
	const uint8_t *kind, *len, *value;

	while ((kind = cursor_take(&c, 1)) && *kind != TCP_OPTION_END) {
		if (*kind == TCP_OPTION_NOP)
			continue;
		len = cursor_take(&c, 1);
		if (!len || *len < 2)
			return;
		value = cursor_take(&c, *len - 2u);
		if (!value)
			return;
		if (*kind == TCP_OPTION_MSS && *len == 4)
			s->mss = (uint16_t)(value[0] << 8 | value[1]);
		else if (*kind == TCP_OPTION_WSCALE && *len == 3)
			s->wscale = min_t(int, value[0], TCP_WSCALE_MAX);
	}
}

static uint32_t add_parts(uint32_t sum, const struct iovec *parts, unsigned n, bool odd)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t part = net_checksum_add(0, parts[i].iov_base, parts[i].iov_len);

		/* Bytes at an odd place count in the other half of their word (RFC 1071, 2). */
		if (odd) {
			part = (part & 0xffff) + (part >> 16);
			part = (part & 0xff) << 8 | part >> 8;
		}
		sum += part;
		sum = (sum & 0xffff) + (sum >> 16);
		odd ^= parts[i].iov_len & 1;
	}
	return sum;
}

static bool checksum_holds(const struct net_frame *f, size_t header_len,
			   const struct tcp_segment *s)
{
	const uint8_t *l3 = f->head + f->headers.l3, *l4 = f->head + f->headers.l4;
	size_t len = header_len + s->len;
	uint32_t sum;

	if (f->offload.csum && f->offload.csum_start == f->headers.l4)
		return true;
	if (s->path.v6) {
		const struct ipv6_header *ip = (const void *)l3;

		sum = net_checksum_pseudo6(ip->source, ip->destination, IP_TCP, len);
	} else {
		const struct ipv4_header *ip = (const void *)l3;

		sum = net_checksum_pseudo4(ip->source, ip->destination, IP_TCP, len);
	}
	sum = net_checksum_add(sum, l4, header_len);
	return net_checksum_fold(add_parts(sum, s->parts, s->n_parts, false)) == 0;
}

/* Show the @len bytes behind the headers, which end at @at. Return: whether there are entries
 * enough. */
static bool find_payload(const struct net_frame *f, size_t at, size_t len, struct tcp_segment *s,
			 unsigned max_parts)
{
	size_t n = min_t(size_t, len, f->head_len - at);

	s->len = len;
	if (n) {
		s->parts[s->n_parts++] = (struct iovec){(uint8_t *)(uintptr_t)f->head + at, n};
		len -= n;
	}
	for (unsigned i = 0; i < f->n_rest && len; i++) {
		n = min_t(size_t, len, f->rest[i].iov_len);
		if (!n)
			continue;
		if (s->n_parts == max_parts)
			return false;
		s->parts[s->n_parts++] = (struct iovec){f->rest[i].iov_base, n};
		len -= n;
	}
	return len == 0;
}

/**
 * tcp_segment_parse() - read a segment
 * @config:	who we are
 * @frame:	a frame that the rules passed: its headers and its offload are set
 * @parts:	room for the payload's pieces
 * @max_parts:	how many, at least 1
 * @ret_segment: the segment; points into @frame and @parts; written where the outcome is OK
 *
 * Return: an outcome.
 */
enum tcp_parse tcp_segment_parse(const struct tcp_config *config, const struct net_frame *frame,
				 struct iovec *parts, unsigned max_parts,
				 struct tcp_segment *ret_segment)
{
	struct tcp_segment s = {.parts = parts, .wscale = -1};
	const struct net_headers *h = &frame->headers;
	const struct tcp_header *tcp;
	size_t header_len, end;
	struct cursor c;

	if (h->protocol != IP_TCP || !h->l4 || h->fragment)
		return TCP_PARSE_OTHER;
	if (!read_path(config, frame, &s.path))
		return TCP_PARSE_OTHER;
	end = min_t(size_t, h->ip_end, frame->len);
	if (h->l4 > frame->head_len || h->l4 > end)
		return TCP_PARSE_MALFORMED;
	c = cursor_of(frame->head + h->l4, min_t(size_t, frame->head_len, end) - h->l4);
	tcp = cursor_take(&c, sizeof(*tcp));
	if (!tcp)
		return TCP_PARSE_MALFORMED;
	header_len = (tcp->offset >> 4) * 4u;
	if (header_len < sizeof(*tcp) || header_len - sizeof(*tcp) > c.left)
		return TCP_PARSE_MALFORMED;
	s.path.peer_port = be16_get(tcp->source_port);
	s.path.port = be16_get(tcp->destination_port);
	s.seq = be32_get(tcp->sequence);
	s.ack = be32_get(tcp->acknowledgment);
	s.flags = tcp->flags;
	s.window = be16_get(tcp->window);
	if (s.flags & TCP_SYN)
		read_options(cursor_of(c.p, header_len - sizeof(*tcp)), &s);
	if (!find_payload(frame, h->l4 + header_len, end - h->l4 - header_len, &s, max_parts))
		return TCP_PARSE_MALFORMED;
	if (!checksum_holds(frame, header_len, &s))
		return TCP_PARSE_CHECKSUM;
	*ret_segment = s;
	return TCP_PARSE_OK;
}

/**
 * tcp_segment_skip() - forget the payload's first bytes
 * @segment:	the segment; its seq moves too
 * @n:		how many, at most its len
 */
void tcp_segment_skip(struct tcp_segment *segment, size_t n)
{
	segment->seq += (uint32_t)n;
	segment->len -= n;
	while (n) {
		struct iovec *part = segment->parts;
		size_t here = min_t(size_t, n, part->iov_len);

		part->iov_base = (uint8_t *)part->iov_base + here;
		part->iov_len -= here;
		n -= here;
		if (!part->iov_len) {
			segment->parts++;
			segment->n_parts--;
		}
	}
}

/**
 * tcp_segment_cut() - forget the payload's last bytes, and a FIN behind them
 * @segment:	the segment
 * @len:	how many are kept, less than its len
 */
void tcp_segment_cut(struct tcp_segment *segment, size_t len)
{
	unsigned n = 0;

	segment->len = len;
	segment->flags &= (uint8_t)~TCP_FIN;
	while (len) {
		struct iovec *part = &segment->parts[n++];

		part->iov_len = min_t(size_t, len, part->iov_len);
		len -= part->iov_len;
	}
	segment->n_parts = n;
}

/* ------------------------------------------------------------- writing */

/**
 * tcp_head_init() - prepare the headers of a path's frames
 * @head:	what all of them begin with
 * @config:	who we are
 * @path:	the guest's end
 */
void tcp_head_init(struct tcp_head *head, const struct tcp_config *config,
		   const struct tcp_path *path)
{
	struct ethernet_header eth = {.type = be16_of(path->v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4)};
	struct tcp_header tcp = {.source_port = be16_of(path->port),
				 .destination_port = be16_of(path->peer_port),
				 .offset = sizeof(tcp) / 4 << 4};

	*head = (struct tcp_head){};
	memcpy(eth.destination, path->mac, 6);
	memcpy(eth.source, config->mac, 6);
	memcpy(head->bytes, &eth, sizeof(eth));
	if (path->v6) {
		struct ipv6_header ip = {.version_class_label = be32_of(6u << 28),
					 .next_header = IP_TCP,
					 .hop_limit = 64};

		memcpy(ip.source, config->address6, 16);
		memcpy(ip.destination, path->peer, 16);
		memcpy(head->bytes + sizeof(eth), &ip, sizeof(ip));
		head->l4 = sizeof(eth) + sizeof(ip);
		head->pseudo = net_checksum_pseudo6(ip.source, ip.destination, IP_TCP, 0);
	} else {
		/* Don't fragment: the identification then means nothing (RFC 6864, 4.1). */
		struct ipv4_header ip = {.version_ihl = 0x45,
					 .fragment = be16_of(IPV4_DONT_FRAGMENT),
					 .ttl = 64,
					 .protocol = IP_TCP};

		memcpy(ip.source, config->address4, 4);
		memcpy(ip.destination, path->peer, 4);
		memcpy(head->bytes + sizeof(eth), &ip, sizeof(ip));
		head->l4 = sizeof(eth) + sizeof(ip);
		head->pseudo = net_checksum_pseudo4(ip.source, ip.destination, IP_TCP, 0);
	}
	memcpy(head->bytes + head->l4, &tcp, sizeof(tcp));
	head->len = head->l4 + sizeof(tcp);
}

static size_t write_options(const struct tcp_said *said, uint8_t *to)
{
	uint8_t *p = to;

	if (said->mss) {
		*p++ = TCP_OPTION_MSS;
		*p++ = 4;
		*p++ = (uint8_t)(said->mss >> 8);
		*p++ = (uint8_t)said->mss;
	}
	if (said->wscale >= 0) {
		*p++ = TCP_OPTION_NOP;
		*p++ = TCP_OPTION_WSCALE;
		*p++ = 3;
		*p++ = (uint8_t)said->wscale;
	}
	return (size_t)(p - to);
}

static void write_ip(uint8_t *bytes, const struct tcp_said *said, size_t l4, size_t transport)
{
	const size_t l3 = sizeof(struct ethernet_header);

	if (l4 - l3 == sizeof(struct ipv6_header)) {
		struct ipv6_header *ip = (void *)(bytes + l3);

		ip->payload_length = be16_of((uint16_t)transport);
	} else {
		struct ipv4_header *ip = (void *)(bytes + l3);

		ip->total_length = be16_of((uint16_t)(sizeof(*ip) + transport));
		ip->identification = be16_of(said->id);
		ip->checksum = be16_of(net_checksum_fold(net_checksum_add(0, ip, sizeof(*ip))));
	}
}

/**
 * tcp_head_write() - write the headers of a frame
 * @head:	the path's
 * @said:	what the segment says
 * @parts:	its payload, for the checksum where the guest does not fill it in
 * @n_parts:	how many pieces
 * @len:	bytes in them; with headers no more than what IP can carry
 * @to:		the headers go here
 * @ret_offload: what is left for the guest to do
 *
 * Return: bytes written.
 */
size_t tcp_head_write(const struct tcp_head *head, const struct tcp_said *said,
		      const struct iovec *parts, unsigned n_parts, size_t len,
		      uint8_t to[TCP_HEAD_MAX + TCP_OPTIONS_MAX], struct net_offload *ret_offload)
{
	size_t options = write_options(said, to + head->len), header, transport;
	struct tcp_header *tcp = (void *)(to + head->l4);
	uint32_t sum;

	memcpy(to, head->bytes, head->len);
	header = sizeof(*tcp) + options;
	transport = header + len;
	write_ip(to, said, head->l4, transport);
	tcp->sequence = be32_of(said->seq);
	tcp->acknowledgment = be32_of(said->ack);
	tcp->offset = (uint8_t)(header / 4 << 4);
	tcp->flags = said->flags;
	tcp->window = be16_of(said->window);
	sum = head->pseudo + (uint32_t)transport;
	sum = (sum & 0xffff) + (sum >> 16);

	*ret_offload = (struct net_offload){};
	if (said->csum) {
		/* Virtio 1.2, 5.1.6.2: the field has the pseudo-header's sum. */
		tcp->checksum = be16_of((uint16_t)~net_checksum_fold(sum));
		ret_offload->csum = true;
		ret_offload->csum_start = head->l4;
		ret_offload->csum_offset = offsetof(struct tcp_header, checksum);
	} else {
		sum = net_checksum_add(sum, tcp, header);
		tcp->checksum = be16_of(net_checksum_fold(add_parts(sum, parts, n_parts, false)));
	}
	if (said->gso) {
		ret_offload->gso = head->l4 == 14 + sizeof(struct ipv6_header)
					   ? VIRTIO_NET_HDR_GSO_TCPV6
					   : VIRTIO_NET_HDR_GSO_TCPV4;
		ret_offload->gso_size = said->gso;
		ret_offload->hdr_len = (uint16_t)(head->l4 + header);
	}
	return head->l4 + header;
}
