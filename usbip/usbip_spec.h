/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * USB/IP as it lies on the wire, protocol version 1.1.1. Names are those of Linux:
 * Documentation/usb/usbip_protocol.rst, tools/usb/usbip/src/usbip_network.h, libsrc/usbip_common.h,
 * drivers/usb/usbip/usbip_common.h, include/uapi/linux/usbip.h.
 *
 * Included by the codecs alone (usbip_op.c, usbip_codec.c, the agent's import.c): these structs never
 * leave them.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endian_types.h"

#define USBIP_VERSION 0x0111

/* First message of a connection, and its answer. */
#define OP_REQ_IMPORT  0x8003
#define OP_REP_IMPORT  0x0003
#define OP_REQ_DEVLIST 0x8005
#define OP_REP_DEVLIST 0x0005

struct op_common {
	be16 version;
	be16 code;
	be32 status;
};
static_assert(sizeof(struct op_common) == 8, "op_common");

struct op_import_request {
	char busid[32];
};
static_assert(sizeof(struct op_import_request) == 32, "op_import_request");

struct op_devlist_reply {
	be32 ndev;
};
static_assert(sizeof(struct op_devlist_reply) == 4, "op_devlist_reply");

struct usbip_usb_interface {
	uint8_t bInterfaceClass;
	uint8_t bInterfaceSubClass;
	uint8_t bInterfaceProtocol;
	uint8_t padding;
};
static_assert(sizeof(struct usbip_usb_interface) == 4, "usbip_usb_interface");

struct usbip_usb_device {
	char path[256];
	char busid[32];
	be32 busnum;
	be32 devnum;
	be32 speed;
	be16 idVendor;
	be16 idProduct;
	be16 bcdDevice;
	uint8_t bDeviceClass;
	uint8_t bDeviceSubClass;
	uint8_t bDeviceProtocol;
	uint8_t bConfigurationValue;
	uint8_t bNumConfigurations;
	uint8_t bNumInterfaces;
};
static_assert(sizeof(struct usbip_usb_device) == 312, "usbip_usb_device");
static_assert(offsetof(struct usbip_usb_device, busnum) == 288, "usbip_usb_device.busnum");
static_assert(offsetof(struct usbip_usb_device, bNumInterfaces) == 311, "bNumInterfaces");

/* After a successful import: 48 bytes of header, both ways. */
#define USBIP_CMD_SUBMIT 1
#define USBIP_CMD_UNLINK 2
#define USBIP_RET_SUBMIT 3
#define USBIP_RET_UNLINK 4

#define USBIP_DIR_OUT 0
#define USBIP_DIR_IN  1

struct usbip_header_basic {
	be32 command;
	be32 seqnum;
	be32 devid;
	be32 direction;
	be32 ep;
};
static_assert(sizeof(struct usbip_header_basic) == 20, "usbip_header_basic");

struct usbip_header_cmd_submit {
	be32 transfer_flags;
	be32 transfer_buffer_length; /* signed */
	be32 start_frame;	     /* signed */
	be32 number_of_packets;	     /* signed */
	be32 interval;		     /* signed */
	uint8_t setup[8];	     /* as on the bus: little endian */
};
static_assert(sizeof(struct usbip_header_cmd_submit) == 28, "cmd_submit");

struct usbip_header_ret_submit {
	be32 status; /* signed, a Linux errno */
	be32 actual_length;
	be32 start_frame;
	be32 number_of_packets;
	be32 error_count;
	uint8_t padding[8];
};
static_assert(sizeof(struct usbip_header_ret_submit) == 28, "ret_submit");

struct usbip_header_cmd_unlink {
	be32 seqnum;
	uint8_t padding[24];
};
static_assert(sizeof(struct usbip_header_cmd_unlink) == 28, "cmd_unlink");

struct usbip_header_ret_unlink {
	be32 status;
	uint8_t padding[24];
};
static_assert(sizeof(struct usbip_header_ret_unlink) == 28, "ret_unlink");

struct usbip_header {
	struct usbip_header_basic base;
	union {
		struct usbip_header_cmd_submit cmd_submit;
		struct usbip_header_ret_submit ret_submit;
		struct usbip_header_cmd_unlink cmd_unlink;
		struct usbip_header_ret_unlink ret_unlink;
	} u;
};
static_assert(sizeof(struct usbip_header) == 48, "usbip_header");
static_assert(offsetof(struct usbip_header, u) == 20, "usbip_header.u");

struct usbip_iso_packet_descriptor {
	be32 offset;
	be32 length;
	be32 actual_length;
	be32 status;
};
static_assert(sizeof(struct usbip_iso_packet_descriptor) == 16, "iso_packet_descriptor");
