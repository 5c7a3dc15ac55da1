/* SPDX-License-Identifier: BSD-2-Clause */
/* See script-backend.h. */
#include "script-backend.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "usbip/usbip_urb.h"

static void note(struct script *script, const char *what, uint32_t number)
{
	size_t used = strlen(script->log);

	if (used + 16 < sizeof(script->log))
		snprintf(script->log + used, sizeof(script->log) - used, "%s%s%u", used ? " " : "",
			 what, number);
}

/* What Linux 6.1 charges on a 64-bit machine, or a little less. */
static uint64_t usbfs_cost(const struct usb_urb *urb)
{
	return urb->length + 336 + (urb->length + 16383) / 16384 * 32;
}

static int usbfs_take(struct script *script, const struct usb_urb *urb)
{
	struct script_usbfs *usbfs = script->usbfs;

	if (!usbfs)
		return 0;
	if (usbfs_cost(urb) > usbfs->limit - usbfs->used) {
		usbfs->n_refused++;
		return -ENOMEM;
	}
	usbfs->used += usbfs_cost(urb);
	return 0;
}

static void give_back(struct script *script, struct usb_urb *urb)
{
	list_remove(&urb->device_link);
	script->n_aloft--;
	if (script->usbfs)
		script->usbfs->used -= usbfs_cost(urb);
	if (script->memory)
		usb_memory_release(script->memory, urb);
}

static int script_submit(struct usb_carrier *carrier, struct usb_urb *urb)
{
	struct script *script = container_of(carrier, struct script, carrier);
	int r;

	assert(!carrier->parked);
	script->n_asked++;
	if (script->submit_result < 0)
		return script->submit_result;
	if (script->submit_limit && script->n_aloft >= script->submit_limit)
		return -ENOMEM;
	r = script->memory ? usb_memory_charge(script->memory, urb) : 0;
	if (r < 0)
		return r;
	r = usbfs_take(script, urb);
	if (r < 0) {
		if (script->memory)
			usb_memory_release(script->memory, urb);
		return r;
	}
	note(script, "+", script_seqnum(urb));
	list_append(&script->aloft, &urb->device_link);
	script->n_aloft++;
	return 0;
}

static void script_cancel(struct usb_carrier *carrier, struct usb_urb *urb)
{
	struct script *script = container_of(carrier, struct script, carrier);

	assert(script_find(script, script_seqnum(urb)) == urb);
	note(script, "-", script_seqnum(urb));
}

static int script_start(struct usb_carrier *carrier, const struct usb_request *request)
{
	struct script *script = container_of(carrier, struct script, carrier);

	assert(!carrier->parked);
	if (script->start_result < 0)
		return script->start_result;
	note(script, "#", request->kind);
	script->request = *request;
	carrier->parked = true;
	if (script->finish_at_once)
		script_finish(script, 0);
	return 0;
}

static const struct usb_carrier_ops script_ops = {
	.submit = script_submit,
	.cancel = script_cancel,
	.start = script_start,
};

static void add_endpoint(struct script *script, uint8_t address, uint8_t interface,
			 enum usb_transfer_type type)
{
	script->carrier.endpoints.at[usb_endpoint_slot(address)] = (struct usb_endpoint){
		.exists = true,
		.interface = interface,
		.attributes = (uint8_t)type,
		.max_packet = 64,
	};
}

void script_init(struct script *script)
{
	memset(script, 0, sizeof(*script));
	script->carrier.ops = &script_ops;
	list_init(&script->aloft);
	add_endpoint(script, 0x81, 0, USB_INTERRUPT);
	add_endpoint(script, 0x02, 1, USB_BULK);
	add_endpoint(script, 0x82, 1, USB_BULK);
	add_endpoint(script, 0x83, 2, USB_ISOCHRONOUS);
	add_endpoint(script, 0x04, 2, USB_ISOCHRONOUS);
}

/* A device doesn't know it; what a test says of URBs is told by it. */
uint32_t script_seqnum(const struct usb_urb *urb)
{
	return container_of(urb, const struct usbip_urb, usb)->seqnum;
}

/* The URB of a seqnum that the device has. */
struct usb_urb *script_find(struct script *script, uint32_t seqnum)
{
	list_for_each(l, &script->aloft) {
		struct usb_urb *urb = list_entry(l, struct usb_urb, device_link);

		if (script_seqnum(urb) == seqnum)
			return urb;
	}
	return NULL;
}

/* An isochronous URB's packets are filled one after the other. */
static void fill_packets(struct usb_urb *urb, uint32_t actual)
{
	for (unsigned i = 0; i < urb->n_packets; i++) {
		struct usb_packet *p = &urb->packets[i];

		p->actual_length = min_t(uint32_t, p->length, actual);
		p->status = urb->cancelled && !p->actual_length ? -EXDEV : 0;
		actual -= p->actual_length;
	}
}

/* Give a URB back; IN data are the bytes seqnum, seqnum + 1, … */
bool script_complete(struct script *script, uint32_t seqnum, int status, uint32_t actual,
		     bool cancelled)
{
	struct usb_urb *urb = script_find(script, seqnum);

	if (!urb)
		return false;
	give_back(script, urb);
	urb->status = status;
	urb->actual = actual;
	urb->cancelled = cancelled;
	fill_packets(urb, actual);
	for (uint32_t i = 0; urb->in && i < actual; i++)
		urb->data[i] = (uint8_t)(seqnum + i);
	script->carrier.client->ops->completed(script->carrier.client, urb);
	return true;
}

/* The same, with IN data as told. */
bool script_complete_with(struct script *script, uint32_t seqnum, const void *data, uint32_t len)
{
	struct usb_urb *urb = script_find(script, seqnum);

	if (!urb)
		return false;
	give_back(script, urb);
	urb->status = 0;
	urb->actual = len;
	urb->cancelled = false;
	memcpy(urb->data, data, len);
	script->carrier.client->ops->completed(script->carrier.client, urb);
	return true;
}

/* The same, for an isochronous URB whose packets fare as told; those of IN carry the bytes
 * 16 * packet, 16 * packet + 1, … */
bool script_complete_packets(struct script *script, uint32_t seqnum,
			     const struct script_packet *packets)
{
	struct usb_urb *urb = script_find(script, seqnum);
	uint32_t at = 0;

	if (!urb)
		return false;
	give_back(script, urb);
	for (unsigned i = 0; i < urb->n_packets; i++) {
		struct usb_packet *p = &urb->packets[i];

		p->actual_length = packets[i].actual;
		p->status = packets[i].status;
		for (uint32_t k = 0; urb->in && k < p->length; k++)
			urb->data[at + k] = (uint8_t)(16 * i + k);
		at += p->length;
	}
	script->carrier.client->ops->completed(script->carrier.client, urb);
	return true;
}

/* A batch of completions ends. */
void script_settle(struct script *script)
{
	if (script->carrier.client)
		script->carrier.client->ops->settled(script->carrier.client);
}

/* The request that parks it has ended. */
void script_finish(struct script *script, int r)
{
	assert(script->carrier.parked);
	script->carrier.parked = false;
	script->carrier.client->ops->request_done(script->carrier.client, r);
}

static void put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

size_t pdu_packet(uint8_t *buf, uint32_t offset, uint32_t length)
{
	memset(buf, 0, 16);
	put_u32(buf, offset);
	put_u32(buf + 4, length);
	return 16;
}

uint32_t pdu_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

size_t pdu_submit(uint8_t *buf, const struct pdu_submit *s)
{
	memset(buf, 0, 48);
	put_u32(buf, 1);
	put_u32(buf + 4, s->seqnum);
	put_u32(buf + 8, s->devid ? s->devid : SCRIPT_DEVID);
	put_u32(buf + 12, s->in);
	put_u32(buf + 16, s->ep);
	put_u32(buf + 20, s->flags);
	put_u32(buf + 24, (uint32_t)s->length);
	put_u32(buf + 28, (uint32_t)s->start_frame);
	put_u32(buf + 32, (uint32_t)s->n_packets);
	memcpy(buf + 40, s->setup, 8);
	return 48;
}

size_t pdu_unlink(uint8_t *buf, uint32_t seqnum, uint32_t victim)
{
	memset(buf, 0, 48);
	put_u32(buf, 2);
	put_u32(buf + 4, seqnum);
	put_u32(buf + 8, SCRIPT_DEVID);
	put_u32(buf + 20, victim);
	return 48;
}
