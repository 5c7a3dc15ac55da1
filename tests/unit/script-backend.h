/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device that does what a test says, behind a session; and the client's side of the wire, encoded
 * here by hand so that a mistake of the codec shows.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "usb/usb_carrier.h"
#include "usb/usb_memory.h"
#include "usbip/usbip_session.h"

#define SCRIPT_DEVID 0x00030007u

/* Endpoints: 0x81 interrupt of interface 0; 0x02, 0x82 bulk of interface 1; 0x83, 0x04 isochronous
 * of interface 2. */
/* usbfs' count of bytes, of all devices (devio.c: usbfs_increase_memory_usage). */
struct script_usbfs {
	uint64_t limit, used;
	unsigned n_refused;
};

struct script {
	struct usb_carrier carrier;
	struct list aloft;		 /* of usb_urb.device_link */
	unsigned n_aloft, n_asked;	 /* URBs that it has; submits, refused ones too */
	int submit_result, start_result; /* of the next ones */
	unsigned submit_limit;		 /* URBs that there is memory for; 0: any number */
	struct usb_memory *memory;	 /* that URBs are charged to first, or NULL */
	struct script_usbfs *usbfs;	 /* that counts their bytes then, or NULL */
	bool finish_at_once;
	struct usb_request request; /* that parks it */
	char log[8192];		    /* "+1 -1 #set_interface" … */
};

void script_init(struct script *script);
uint32_t script_seqnum(const struct usb_urb *urb);
struct usb_urb *script_find(struct script *script, uint32_t seqnum);
bool script_complete(struct script *script, uint32_t seqnum, int status, uint32_t actual,
		     bool cancelled);
bool script_complete_with(struct script *script, uint32_t seqnum, const void *data, uint32_t len);
struct script_packet {
	uint32_t actual;
	int status;
};
bool script_complete_packets(struct script *script, uint32_t seqnum,
			     const struct script_packet *packets);
void script_settle(struct script *script);
void script_finish(struct script *script, int r);

struct pdu_submit {
	uint32_t seqnum, devid, flags;
	bool in;
	uint32_t ep;
	int32_t length, start_frame, n_packets;
	uint8_t setup[8];
};

size_t pdu_submit(uint8_t *buf, const struct pdu_submit *s);
size_t pdu_packet(uint8_t *buf, uint32_t offset, uint32_t length);
size_t pdu_unlink(uint8_t *buf, uint32_t seqnum, uint32_t victim);
uint32_t pdu_u32(const uint8_t *p);
