/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 48-byte headers after an import. Pure: no state, no I/O; any thread.
 *
 * Answers carry devid, direction and ep as 0 as Linux's own server does (stub_tx.c), and zeros in
 * what is unused.
 */
#include "usbip/usbip_codec.h"

#include <errno.h>
#include <string.h>

#include "usb/usb_urb.h"
#include "usbip/usbip_spec.h"

static_assert(sizeof(struct usbip_header) == USBIP_HEADER_SIZE, "header");
static_assert(sizeof(struct usbip_iso_packet_descriptor) == USBIP_ISO_PACKET_SIZE, "packet");
static_assert(sizeof(struct usb_packet) == USBIP_ISO_PACKET_SIZE, "read and written in place");

static int read_submit(const struct usbip_header *h, struct usbip_request *request,
		       const char **ret_fault)
{
	const struct usbip_header_cmd_submit *s = &h->u.cmd_submit;
	int32_t length = (int32_t)be32_get(s->transfer_buffer_length);

	if (be32_get(h->base.direction) > USBIP_DIR_IN) {
		*ret_fault = "a SUBMIT whose direction is neither in nor out";
		return -EPROTO;
	}
	if (be32_get(h->base.ep) > 15) {
		*ret_fault = "a SUBMIT to an endpoint above 15";
		return -EPROTO;
	}
	if (length < 0 || length > (int32_t)USBIP_MAX_LENGTH) {
		*ret_fault = "a SUBMIT whose length is negative or above 16 MiB";
		return -EPROTO;
	}
	request->in = be32_get(h->base.direction) == USBIP_DIR_IN;
	request->ep = (uint8_t)be32_get(h->base.ep);
	request->flags = be32_get(s->transfer_flags);
	request->length = (uint32_t)length;
	request->start_frame = (int32_t)be32_get(s->start_frame);
	request->n_packets = (int32_t)be32_get(s->number_of_packets);
	request->interval = (int32_t)be32_get(s->interval);
	memcpy(request->setup, s->setup, sizeof(request->setup));
	return 0;
}

/**
 * usbip_codec_request() - read a client's header
 * @header:	its bytes
 * @ret_request: what it asks
 * @ret_fault:	where it is wrong: a static text that fits after "sent "
 *
 * Return: 0; -EPROTO where the stream can't be trusted any more.
 */
int usbip_codec_request(const uint8_t header[USBIP_HEADER_SIZE], struct usbip_request *ret_request,
			const char **ret_fault)
{
	struct usbip_request request = {};
	struct usbip_header h;
	int r;

	memcpy(&h, header, sizeof(h));
	request.seqnum = be32_get(h.base.seqnum);
	request.devid = be32_get(h.base.devid);
	switch (be32_get(h.base.command)) {
	case USBIP_CMD_SUBMIT:
		request.command = USBIP_SUBMIT;
		r = read_submit(&h, &request, ret_fault);
		if (r < 0)
			return r;
		break;
	case USBIP_CMD_UNLINK:
		request.command = USBIP_UNLINK;
		request.victim = be32_get(h.u.cmd_unlink.seqnum);
		break;
	default:
		*ret_fault = "an unknown command";
		return -EPROTO;
	}
	*ret_request = request;
	return 0;
}

/**
 * usbip_codec_ret_submit() - write the header that gives a URB back
 * @header:	where
 * @answer:	what it says; data and packet descriptors follow it on the wire
 */
void usbip_codec_ret_submit(uint8_t header[USBIP_HEADER_SIZE],
			    const struct usbip_submit_answer *answer)
{
	struct usbip_header h = {};

	h.base.command = be32_of(USBIP_RET_SUBMIT);
	h.base.seqnum = be32_of(answer->seqnum);
	h.u.ret_submit.status = be32_of((uint32_t)answer->status);
	h.u.ret_submit.actual_length = be32_of(answer->actual_length);
	h.u.ret_submit.start_frame = be32_of((uint32_t)answer->start_frame);
	h.u.ret_submit.number_of_packets = be32_of((uint32_t)answer->n_packets);
	h.u.ret_submit.error_count = be32_of((uint32_t)answer->error_count);
	memcpy(header, &h, sizeof(h));
}

/**
 * usbip_codec_ret_unlink() - write the answer to an unlink
 * @header:	where
 * @seqnum:	the unlink's own
 * @status:	-ECONNRESET: the URB is given back by this; 0: it had its RET_SUBMIT before
 */
void usbip_codec_ret_unlink(uint8_t header[USBIP_HEADER_SIZE], uint32_t seqnum, int32_t status)
{
	struct usbip_header h = {};

	h.base.command = be32_of(USBIP_RET_UNLINK);
	h.base.seqnum = be32_of(seqnum);
	h.u.ret_unlink.status = be32_of((uint32_t)status);
	memcpy(header, &h, sizeof(h));
}

/**
 * usbip_codec_read_packets() - make packets of isochronous packets' descriptors
 * @packets:	the descriptors, as they lie on the wire; packets afterwards, with unchecked numbers
 * @n:		how many
 */
void usbip_codec_read_packets(struct usb_packet *packets, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct usbip_iso_packet_descriptor d;

		memcpy(&d, &packets[i], sizeof(d));
		packets[i] = (struct usb_packet){
			.offset = be32_get(d.offset),
			.length = be32_get(d.length),
			.actual_length = be32_get(d.actual_length),
			.status = (int32_t)be32_get(d.status),
		};
	}
}

/**
 * usbip_codec_write_packets() - make descriptors of packets
 * @packets:	the packets; descriptors afterwards, as they lie on the wire
 * @n:		how many
 */
void usbip_codec_write_packets(struct usb_packet *packets, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct usb_packet *p = &packets[i];
		struct usbip_iso_packet_descriptor d = {
			.offset = be32_of(p->offset),
			.length = be32_of(p->length),
			.actual_length = be32_of(p->actual_length),
			.status = be32_of((uint32_t)p->status),
		};

		memcpy(&packets[i], &d, sizeof(d));
	}
}
