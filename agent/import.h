/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first words of a USB/IP connection, from the client's side: asking for a device
 * (OP_REQ_IMPORT), and the answer (OP_REP_IMPORT). Pure. What follows the answer is the kernel's:
 * not one byte beyond it may be read here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "usbip/usbip_op.h"

#define IMPORT_REQUEST_SIZE 40
#define IMPORT_REFUSAL_SIZE 8 /* an answer that refuses ends here */
#define IMPORT_REPLY_SIZE   320

/* Outcomes of import_parse(); beside 0. */
enum { IMPORT_MORE = 1 };

struct import_reply {
	uint32_t devid;
	unsigned speed;
};

void import_request(uint8_t request[IMPORT_REQUEST_SIZE], const char *busid);
int import_parse(const uint8_t *reply, size_t len, const char *busid, struct import_reply *ret);
