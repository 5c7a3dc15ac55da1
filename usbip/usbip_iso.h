/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An isochronous URB's packets: where they lie in the client's buffer, on the bus and in the
 * answer. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct usb_packet;

int usbip_iso_check(const struct usb_packet *packets, unsigned n, uint32_t length,
		    uint32_t *ret_total);
bool usbip_iso_in_place(const struct usb_packet *packets, unsigned n);
void usbip_iso_gather(uint8_t *to, const uint8_t *from, const struct usb_packet *packets,
		      unsigned n);
uint32_t usbip_iso_finish(struct usb_packet *packets, unsigned n, uint8_t *data,
			  int32_t *ret_errors);
