/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What usbrouted-vm does for a URB and for a frame, turn by turn as in its thread, and without its
 * thread: real rings, rules, TCP, session and links; no io_uring, no libusb, no kernel. The device is
 * one that has its answer at once. For tests/bench/instructions, which counts what lies between
 * measured_begin() and measured_end(); the guest's part does not.
 *
 * usage: turns WORK COUNT; WORK is a row of the table below
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bell.h"
#include "base/mem.h"
#include "tests/unit/vu-frontend.h"
#include "usb/usb_carrier.h"
#include "usbip/usbip_session.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/net_frame.h"
#include "vhost_user_net/net_rules.h"
#include "vhost_user_net/net_spec.h"
#include "vhost_user_net/tcp.h"
#include "vhost_user_net/tcp_segment.h"

#define DEVID	 0x00030007u
#define HEADER	 48u /* of a USB/IP message */
#define PORT	 3240
#define RING	 256
#define SEGMENT	 60000u /* the most that one frame of the guest has */
#define MSS	 1448u
#define TURN_NS	 100000u
#define RX_SIZE	 4096u
#define ENDPOINT 2u

static const struct work {
	const char *name;
	bool in, frame, interrupt;
	uint32_t length;
} works[] = {
	{"key", .in = true, .interrupt = true, .length = 8},
	{"in-512", .in = true, .length = 512},
	{"out-512", .length = 512},
	{"in-65536", .in = true, .length = 65536},
	{"out-65536", .length = 65536},
	{"frame-64", .frame = true, .length = 64},
	{"frame-1514", .frame = true, .length = 1514},
	{"frame-60000", .frame = true, .length = 60000},
};

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "turns: %s\n", what);
	exit(1);
}

/* What the counter knows by name. */
void measured_begin(void);
void measured_end(void);

__attribute__((noinline)) void measured_begin(void)
{
	__asm__ volatile("");
}

__attribute__((noinline)) void measured_end(void)
{
	__asm__ volatile("");
}

/*
 * The guest's interrupts are the loop's, which makes them with its next wait. They are left out (the
 * linker's --wrap): an emulator of programs has no io_uring.
 */
int __wrap_bell_init(struct bell *bell);
int __wrap_bell_attach(struct bell *bell, int fd);
int __wrap_bell_fits(struct bell *bell, int fd);
void __wrap_bell_ring(struct bell *bell);

int __wrap_bell_init(struct bell *bell)
{
	memset(bell, 0, sizeof(*bell));
	return 0;
}

int __wrap_bell_attach(struct bell *bell _unused_, int fd)
{
	return fd < 0 ? -EBADF : 0;
}

int __wrap_bell_fits(struct bell *bell _unused_, int fd)
{
	return fd < 0 ? -EBADF : 0;
}

void __wrap_bell_ring(struct bell *bell _unused_)
{
}

/* ------------------------------------------------------------- usbrouted-vm's part */

static struct {
	struct net_port *port;
	struct tcp *tcp;
	struct tcp_connection *connection;
	struct usbip_session *session;
	struct usb_carrier carrier;
	struct list aloft; /* of usb_urb.device_link */
	uint64_t now;
} vm;

static int device_submit(struct usb_carrier *carrier _unused_, struct usb_urb *urb)
{
	list_append(&vm.aloft, &urb->device_link);
	return 0;
}

static void device_cancel(struct usb_carrier *carrier _unused_, struct usb_urb *urb _unused_)
{
}

static int device_start(struct usb_carrier *carrier _unused_,
			const struct usb_request *request _unused_)
{
	return -EOPNOTSUPP;
}

static const struct usb_carrier_ops device_ops = {
	.submit = device_submit, .cancel = device_cancel, .start = device_start};

static void device_answers(void)
{
	struct list *l;

	while ((l = list_pop(&vm.aloft))) {
		struct usb_urb *urb = list_entry(l, struct usb_urb, device_link);

		urb->status = 0;
		urb->actual = urb->length;
		vm.carrier.client->ops->completed(vm.carrier.client, urb);
	}
	vm.carrier.client->ops->settled(vm.carrier.client);
}

static int on_frame(void *ctx _unused_, const struct net_offload *offload,
		    const struct iovec *parts, unsigned n_parts, size_t len)
{
	return net_port_send(vm.port, offload, parts, n_parts, len) == NET_PORT_SENT
		       ? TCP_FRAME_SENT
		       : TCP_FRAME_FULL;
}

static void on_accept(void *ctx _unused_, struct tcp_connection *c)
{
	vm.connection = c;
	tcp_set_room(c, (uint32_t)usbip_session_takes(vm.session));
}

static size_t on_receive(void *ctx _unused_, struct tcp_connection *c, const struct iovec *parts,
			 unsigned n_parts _unused_, size_t len)
{
	size_t taken = 0;

	must(usbip_session_take(vm.session, parts, len, &taken) == 0, "the session is broken");
	tcp_set_room(c, (uint32_t)usbip_session_takes(vm.session));
	return taken;
}

static void on_release(void *ctx _unused_, struct tcp_connection *c _unused_,
		       struct stream_buffer *buffer)
{
	usbip_session_sent(vm.session, buffer);
}

static void on_ended(void *ctx _unused_, struct tcp_connection *c _unused_)
{
	must(false, "the connection has ended");
}

static void on_closed(void *ctx, struct tcp_connection *c, int why _unused_)
{
	on_ended(ctx, c);
}

static const struct tcp_ops tcp_ops = {
	.frame = on_frame,
	.accept = on_accept,
	.receive = on_receive,
	.release = on_release,
	.ended = on_ended,
	.closed = on_closed,
};

static void on_kick(void *ctx _unused_, unsigned ring _unused_, int fd _unused_)
{
}

static void on_link(void *ctx _unused_, bool up, unsigned takes)
{
	if (up)
		tcp_set_offloads(vm.tcp, takes & NET_TAKES_CSUM, takes & NET_TAKES_TSO4,
				 takes & NET_TAKES_TSO6);
}

static void on_gone(void *ctx _unused_)
{
}

static void on_daemon(void *ctx _unused_, const struct net_frame *frame)
{
	tcp_input(vm.tcp, frame, vm.now);
}

static void on_mac_wanted(void *ctx _unused_, const uint8_t mac[6])
{
	net_port_mac_granted(vm.port, mac, true);
	tcp_set_card(vm.tcp, mac);
}

static void on_number(void *ctx _unused_, unsigned number _unused_)
{
}

static void on_foreign(void *ctx _unused_, const uint8_t *mac _unused_)
{
}

static void on_has_daemon(void *ctx _unused_, bool has _unused_)
{
}

static const struct net_port_ops port_ops = {
	.watch_kick = on_kick,
	.link = on_link,
	.gone = on_gone,
	.daemon = on_daemon,
	.mac_wanted = on_mac_wanted,
	.link_wanted = on_number,
	.watch_link = on_kick,
	.foreign = on_foreign,
	.has_daemon = on_has_daemon,
};

static int vm_puts(void *ctx _unused_, struct stream_buffer *buffer)
{
	return tcp_send(vm.connection, buffer);
}

/* As guest_turn() (dataplane/guest.c). */
static void vm_turns(bool kicked)
{
	vm.now += TURN_NS;
	if (kicked)
		while (net_port_transmit(vm.port))
			;
	else
		device_answers();
	if (usbip_session_has_unsent(vm.session))
		must(usbip_session_answer(vm.session, vm_puts, NULL) == 0, "an answer is refused");
	tcp_flush(vm.tcp, vm.now);
	net_port_flush(vm.port);
}

static void vm_begins(int sock)
{
	const struct net_port_config config = fe_config(1);
	struct tcp_config tcp = {.key = {1}};

	memcpy(tcp.mac, net_daemon_mac, sizeof(tcp.mac));
	memcpy(tcp.address4, &config.daemon, sizeof(tcp.address4));
	memcpy(tcp.address6, net_daemon_address6, sizeof(tcp.address6));
	list_init(&vm.aloft);
	vm.now = TURN_NS;
	vm.carrier.ops = &device_ops;
	for (unsigned i = 0; i < 2; i++)
		vm.carrier.endpoints.at[usb_endpoint_slot((uint8_t)(ENDPOINT | i << 7))] =
			(struct usb_endpoint){
				.exists = true, .attributes = USB_BULK, .max_packet = 512};
	must(tcp_new(&vm.tcp, &tcp, &tcp_ops, NULL) == 0, "no TCP");
	must(tcp_listen(vm.tcp, PORT) == 0, "TCP does not listen");
	must(net_port_new(&vm.port, &config, &port_ops, NULL) == 0, "no port");
	must(net_port_connect(vm.port, sock) == 0, "no connection");
	must(usbip_session_new_on(&vm.session, "work", &vm.carrier, DEVID, NULL, 0) == 0,
	     "no session");
}

/* ------------------------------------------------------------- the guest's part */

static struct fe guest;
static struct {
	uint32_t snd, rcv;
	uint64_t heard; /* bytes of payload */
} end = {.snd = 1000};

/* As Linux sends it: checksums are left to do, and so is cutting. */
static void guest_says(uint8_t flags, const uint8_t *data, size_t len)
{
	static uint8_t f[58 + SEGMENT];
	size_t options = flags & TCP_SYN ? 4 : 0, head = 54 + options;
	struct virtio_net_hdr hdr = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				     .csum_start = le16_of(34),
				     .csum_offset = le16_of(16)};
	struct ethernet_header eth = {.source = {0x52, 0x54, 0, 0, 0, 9},
				      .type = be16_of(ETHERTYPE_IPV4)};
	struct ipv4_header ip = {.version_ihl = 0x45,
				 .total_length = be16_of((uint16_t)(head - 14 + len)),
				 .ttl = 64,
				 .protocol = IP_TCP,
				 .source = {10, 77, 0, 11},
				 .destination = {10, 77, 0, 1}};
	struct tcp_header tcp = {.source_port = be16_of(40000),
				 .destination_port = be16_of(PORT),
				 .sequence = be32_of(end.snd),
				 .acknowledgment = be32_of(end.rcv),
				 .offset = (uint8_t)((20 + options) / 4 << 4),
				 .flags = flags,
				 .window = be16_of(4096)};
	uint32_t sum = net_checksum_pseudo4(ip.source, ip.destination, IP_TCP, head - 34 + len);

	memcpy(eth.destination, net_daemon_mac, sizeof(eth.destination));
	ip.checksum = be16_of(net_checksum_fold(net_checksum_add(0, (const void *)&ip, 20)));
	tcp.checksum = be16_of((uint16_t)~net_checksum_fold(sum));
	if (len > MSS) {
		hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		hdr.gso_size = le16_of(MSS);
		hdr.hdr_len = le16_of((uint16_t)head);
	}
	memcpy(f, &eth, sizeof(eth));
	memcpy(f + 14, &ip, sizeof(ip));
	memcpy(f + 34, &tcp, sizeof(tcp));
	if (options)
		memcpy(f + 54, "\x01\x03\x03\x08", options); /* windows in units of 256 */
	if (len)
		memcpy(f + head, data, len);
	fe_tx(&guest, &hdr, f, head + len);
	net_port_kicked(vm.port, VIRTIO_NET_TX);
	end.snd += (uint32_t)len + (flags & TCP_SYN ? 1 : 0);
}

static void guest_hears(void)
{
	static uint8_t f[70000];
	struct virtio_net_hdr hdr;
	struct tcp_header tcp;

	while (fe_rx(&guest, &hdr, f, sizeof(f)) >= 54) {
		size_t len = ((size_t)f[16] << 8 | f[17]) - 20;

		memcpy(&tcp, f + 34, sizeof(tcp));
		len -= (tcp.offset >> 4) * 4u;
		end.rcv = be32_get(tcp.sequence) + (uint32_t)len + (tcp.flags & TCP_SYN ? 1 : 0);
		end.heard += len;
	}
	net_port_kicked(vm.port, VIRTIO_NET_RX);
}

static void guest_begins(void)
{
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "no socket");
	fe_open_far(&guest, pair[0]);
	vm_begins(pair[1]);
	fe_start(&guest, FE_FEATURES, RING);
	must(net_port_message(vm.port, 0) == 0 && net_port_up(vm.port), "the card is down");
	fe_rx_fill(&guest, RING, RX_SIZE);
	guest_says(TCP_SYN, NULL, 0);
	vm_turns(true);
	guest_hears();
	guest_says(TCP_ACK, NULL, 0);
	vm_turns(true);
	must(vm.connection, "no connection was accepted");
}

static void put_u32(uint8_t *to, uint32_t x)
{
	be32 b = be32_of(x);

	memcpy(to, &b, sizeof(b));
}

/* CMD_SUBMIT (the kernel's Documentation/usb/usbip_protocol.rst). Return: its length. */
static size_t submit(uint8_t *to, const struct work *w, uint32_t seqnum)
{
	memset(to, 0, HEADER);
	put_u32(to, 1);
	put_u32(to + 4, seqnum);
	put_u32(to + 8, DEVID);
	put_u32(to + 12, w->in);
	put_u32(to + 16, ENDPOINT);
	put_u32(to + 24, w->length);
	return HEADER + (w->in ? 0 : w->length);
}

static void one_urb(const struct work *w, uint32_t seqnum)
{
	static uint8_t message[HEADER + 65536];
	size_t len = submit(message, w, seqnum);
	uint64_t heard = end.heard;

	for (size_t at = 0; at < len;) {
		size_t n = min_t(size_t, len - at, SEGMENT - SEGMENT % MSS);

		guest_says(TCP_ACK | TCP_PSH, message + at, n);
		at += n;
		measured_begin();
		vm_turns(true);
		measured_end();
	}
	must(!list_empty(&vm.aloft), "the device has no URB");
	measured_begin();
	vm_turns(false);
	measured_end();
	guest_hears();
	must(end.heard - heard == HEADER + (w->in ? w->length : 0), "the answer is not whole");
}

static void urbs(const struct work *w, unsigned count)
{
	guest_begins();
	if (w->interrupt)
		vm.carrier.endpoints.at[usb_endpoint_slot(ENDPOINT | 0x80)].attributes =
			USB_INTERRUPT;
	for (unsigned i = 0; i < count; i++)
		one_urb(w, i + 1);
}

/* ------------------------------------------------------------- frames between two guests */

static void frames(const struct work *w, unsigned count)
{
	static uint8_t f[70000], got[70000];
	struct net_port_config config[2] = {fe_config(0), fe_config(1)};
	static struct fe_net net;
	static struct fe fe[2];
	struct virtio_net_hdr hdr = {.num_buffers = le16_of(0)};

	fe_net_init(&net);
	for (unsigned i = 0; i < 2; i++) {
		fe_open(&fe[i], &net, &config[i]);
		fe_start(&fe[i], FE_FEATURES, RING);
		fe_rx_fill(&fe[i], RING, RX_SIZE);
		/* A frame to all, so that each card is known, and the link is there. */
		memset(f, 0xff, 6);
		memcpy(f + 6, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(10 + i), 8, 0}, 8);
		memcpy(f + 14, (uint8_t[]){0x45, 0, 0, 46, 0, 0, 0, 0, 64, 253}, 10);
		memcpy(f + 26, &config[i].address, 4);
		memset(f + 30, 0xff, 4);
		fe_tx(&fe[i], NULL, f, 60);
		net_port_kicked(fe[i].port, VIRTIO_NET_TX);
		while (net_port_transmit(fe[i].port))
			;
		net_port_flush(fe[i].port);
	}
	memcpy(f, (uint8_t[]){2, 0, 0, 0, 0, 10, 2, 0, 0, 0, 0, 11}, 12);
	memcpy(f + 30, &config[0].address, 4);
	put_u32(f + 16, (w->length - 14) << 16);
	if (w->length > 1514) {
		f[23] = IP_TCP;
		f[46] = 0x50;
		hdr = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					      .csum_start = le16_of(34),
					      .csum_offset = le16_of(16),
					      .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					      .gso_size = le16_of(MSS),
					      .hdr_len = le16_of(54)};
	}
	for (unsigned i = 0; i < count + 2; i++) {
		struct virtio_net_hdr came;
		size_t len;

		fe_tx(&fe[1], &hdr, f, w->length);
		net_port_kicked(fe[1].port, VIRTIO_NET_TX);
		measured_begin();
		while (net_port_transmit(fe[1].port))
			;
		net_port_flush(fe[1].port);
		measured_end();
		net_port_kicked(fe[0].port, VIRTIO_NET_RX);
		net_port_link_ready(fe[0].port, fe[1].number);
		measured_begin();
		while (net_port_arrive(fe[0].port))
			;
		net_port_flush(fe[0].port);
		measured_end();
		len = fe_rx(&fe[0], &came, got, sizeof(got));
		must(i < 2 || len == w->length, "the frame did not come");
	}
}

int main(int argc, char **argv)
{
	unsigned count = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;

	for (size_t i = 0; count && i < ARRAY_SIZE(works); i++)
		if (!strcmp(argv[1], works[i].name)) {
			(works[i].frame ? frames : urbs)(&works[i], count);
			return 0;
		}
	fprintf(stderr, "usage: turns WORK COUNT; WORK is one of");
	for (size_t i = 0; i < ARRAY_SIZE(works); i++)
		fprintf(stderr, " %s", works[i].name);
	fprintf(stderr, "\n");
	return 2;
}
