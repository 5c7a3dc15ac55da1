/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first words of a USB/IP connection; see import.h. Names and layout are those of Linux,
 * tools/usb/usbip/src/usbip_network.h and libsrc/usbip_common.h.
 */
#include "agent/import.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/endian_types.h"

#define USBIP_VERSION 0x0111
#define OP_REQ_IMPORT 0x8003
#define OP_REP_IMPORT 0x0003

enum { ST_OK, ST_NA, ST_DEV_BUSY, ST_DEV_ERR, ST_NODEV, ST_ERROR };

struct op_common {
	be16 version, code;
	be32 status;
};

struct op_import_request {
	struct op_common common;
	char busid[32];
};
static_assert(sizeof(struct op_import_request) == IMPORT_REQUEST_SIZE, "OP_REQ_IMPORT");

struct op_import_reply {
	struct op_common common;
	char path[256], busid[32];
	be32 busnum, devnum, speed;
	be16 idVendor, idProduct, bcdDevice;
	uint8_t bDeviceClass, bDeviceSubClass, bDeviceProtocol;
	uint8_t bConfigurationValue, bNumConfigurations, bNumInterfaces;
};
static_assert(sizeof(struct op_import_reply) == IMPORT_REPLY_SIZE, "OP_REP_IMPORT");

/**
 * import_request() - ask for a device
 * @request:	the bytes to send
 * @busid:	at most 31 characters
 */
void import_request(uint8_t request[IMPORT_REQUEST_SIZE], const char *busid)
{
	struct op_import_request op = {
		.common = {.version = be16_of(USBIP_VERSION), .code = be16_of(OP_REQ_IMPORT)}};

	memcpy(op.busid, busid, strnlen(busid, sizeof(op.busid) - 1));
	memcpy(request, &op, sizeof(op));
}

/**
 * import_parse() - read the answer, as far as it has come
 * @reply:	the bytes that have come
 * @len:	how many; no more than IMPORT_REFUSAL_SIZE until this has said IMPORT_MORE to those
 * @busid:	what was asked for
 * @ret:	the device
 *
 * Return: 0; IMPORT_MORE where it is not whole; -ENODEV where the server does not have the device
 * for this guest, -EBUSY where it is in use, -EIO for another refusal, -EPROTO where it is no
 * answer to what was asked.
 */
int import_parse(const uint8_t *reply, size_t len, const char *busid, struct import_reply *ret)
{
	struct op_import_reply op = {0};
	uint32_t busnum, devnum;

	if (len < IMPORT_REFUSAL_SIZE)
		return IMPORT_MORE;
	memcpy(&op, reply, len < sizeof(op) ? len : sizeof(op));
	if (be16_get(op.common.version) != USBIP_VERSION ||
	    be16_get(op.common.code) != OP_REP_IMPORT)
		return -EPROTO;
	switch (be32_get(op.common.status)) {
	case ST_OK:
		break;
	case ST_NODEV:
		return -ENODEV;
	case ST_DEV_BUSY:
		return -EBUSY;
	default:
		return -EIO;
	}
	if (len < sizeof(op))
		return IMPORT_MORE;
	busnum = be32_get(op.busnum);
	devnum = be32_get(op.devnum);
	if (strncmp(op.busid, busid, sizeof(op.busid)) || busnum > 0xffff || devnum > 0xffff)
		return -EPROTO;
	*ret = (struct import_reply){.devid = busnum << 16 | devnum, .speed = be32_get(op.speed)};
	return 0;
}
