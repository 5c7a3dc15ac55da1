/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first message of a USB/IP connection, and its answer: OP_REQ_DEVLIST and OP_REQ_IMPORT. Pure:
 * bytes in, bytes out.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "usb/usb_device_info.h"

#define USBIP_PORT	 3240
#define USBIP_BUSID_SIZE 32

/* Statuses of an answer (tools/usb/usbip/libsrc/usbip_common.h in Linux). */
enum usbip_op_status {
	USBIP_ST_OK = 0,
	USBIP_ST_NA = 1,
	USBIP_ST_DEV_BUSY = 2,
	USBIP_ST_DEV_ERR = 3,
	USBIP_ST_NODEV = 4,
	USBIP_ST_ERROR = 5,
};

/* Outcomes of usbip_op_parse(). */
enum { USBIP_OP_SHORT = 1 };

struct usbip_op {
	enum { USBIP_OP_DEVLIST, USBIP_OP_IMPORT } kind;
	char busid[USBIP_BUSID_SIZE + 1]; /* IMPORT: as asked, always terminated */
	size_t size;			  /* bytes of the request; what follows is not part of it */
};

#define USBIP_OP_IMPORT_REPLY_SIZE (8 + 312)

static inline uint32_t usbip_devid(const struct usb_device_info *info)
{
	return info->busnum << 16 | info->devnum;
}

int usbip_op_parse(const void *data, size_t len, struct usbip_op *ret_op);
size_t usbip_op_refuse(uint8_t *buf, size_t size, const struct usbip_op *op,
		       enum usbip_op_status status);
size_t usbip_op_import_reply(uint8_t *buf, size_t size, const struct usbip_op *op,
			     const struct usb_device_info *info);
size_t usbip_op_devlist_size(const struct usb_device_info *const *infos, size_t n);
size_t usbip_op_devlist_reply(uint8_t *buf, size_t size, const struct usb_device_info *const *infos,
			      size_t n);
