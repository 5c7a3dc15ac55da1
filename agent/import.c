/* SPDX-License-Identifier: BSD-2-Clause */
/* The first words of a USB/IP connection; see import.h. */
#include "agent/import.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "usbip/usbip_spec.h"

struct request {
	struct op_common common;
	struct op_import_request import;
};
static_assert(sizeof(struct request) == IMPORT_REQUEST_SIZE, "OP_REQ_IMPORT");

struct reply {
	struct op_common common;
	struct usbip_usb_device device;
};
static_assert(sizeof(struct reply) == IMPORT_REPLY_SIZE, "OP_REP_IMPORT");

/**
 * import_request() - ask for a device
 * @request:	the bytes to send
 * @busid:	at most 31 characters
 */
void import_request(uint8_t request[IMPORT_REQUEST_SIZE], const char *busid)
{
	struct request op = {
		.common = {.version = be16_of(USBIP_VERSION), .code = be16_of(OP_REQ_IMPORT)}};

	memcpy(op.import.busid, busid, strnlen(busid, sizeof(op.import.busid) - 1));
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
	struct reply op = {0};
	uint32_t busnum, devnum;

	if (len < IMPORT_REFUSAL_SIZE)
		return IMPORT_MORE;
	memcpy(&op, reply, len < sizeof(op) ? len : sizeof(op));
	if (be16_get(op.common.version) != USBIP_VERSION ||
	    be16_get(op.common.code) != OP_REP_IMPORT)
		return -EPROTO;
	switch (be32_get(op.common.status)) {
	case USBIP_ST_OK:
		break;
	case USBIP_ST_NODEV:
		return -ENODEV;
	case USBIP_ST_DEV_BUSY:
		return -EBUSY;
	default:
		return -EIO;
	}
	if (len < sizeof(op))
		return IMPORT_MORE;
	busnum = be32_get(op.device.busnum);
	devnum = be32_get(op.device.devnum);
	if (strncmp(op.device.busid, busid, sizeof(op.device.busid)) || busnum > 0xffff ||
	    devnum > 0xffff)
		return -EPROTO;
	*ret = (struct import_reply){.devid = busnum << 16 | devnum,
				     .speed = be32_get(op.device.speed)};
	return 0;
}
