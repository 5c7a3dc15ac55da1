/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 48-byte headers after an import, between bytes and host structs. What a header alone shows is
 * judged here; the session judges what needs the device (endpoint, devid). Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USBIP_HEADER_SIZE     48
#define USBIP_ISO_PACKET_SIZE 16
#define USBIP_MAX_ISO_PACKETS 1024
#define USBIP_MAX_LENGTH      (16u << 20) /* bytes of one URB */

/* The transfer_flags that are used here (include/uapi/linux/usbip.h); all others are ignored. */
#define USBIP_URB_ZERO_PACKET 0x0040u

struct usb_packet;

enum usbip_command { USBIP_SUBMIT, USBIP_UNLINK };

/* What a client asks, judged as far as a header can be. */
struct usbip_request {
	enum usbip_command command;
	uint32_t seqnum, devid;
	/* SUBMIT */
	bool in; /* the wire's direction: which message carries the data */
	uint8_t ep;
	uint32_t flags;
	uint32_t length; /* 0 … USBIP_MAX_LENGTH */
	int32_t start_frame, n_packets, interval;
	uint8_t setup[8];
	/* UNLINK */
	uint32_t victim; /* seqnum of the URB to give back */
};

struct usbip_submit_answer {
	uint32_t seqnum;
	int32_t status; /* 0 or a negative Linux errno */
	uint32_t actual_length;
	int32_t start_frame, n_packets, error_count;
};

int usbip_codec_request(const uint8_t header[USBIP_HEADER_SIZE], struct usbip_request *ret_request,
			const char **ret_fault);
void usbip_codec_ret_submit(uint8_t header[USBIP_HEADER_SIZE],
			    const struct usbip_submit_answer *answer);
void usbip_codec_ret_unlink(uint8_t header[USBIP_HEADER_SIZE], uint32_t seqnum, int32_t status);
void usbip_codec_read_packets(struct usb_packet *packets, unsigned n);
void usbip_codec_write_packets(struct usb_packet *packets, unsigned n);
