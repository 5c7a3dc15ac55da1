/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first message of a USB/IP connection and its answer. Pure: no state, no I/O.
 *
 * A client reads the 8 bytes of an answer first, and nothing else if they tell of a failure; so a
 * refusal is exactly these 8 bytes. An answer's busid is the one that was asked for: clients
 * compare it. A device list has as many interface records as it says: else a client would read all
 * that follows at the wrong place.
 */
#include "usbip/usbip_op.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "usbip/usbip_spec.h"

static const struct {
	uint16_t request, reply;
	size_t body;
} operations[] = {
	[USBIP_OP_DEVLIST] = {OP_REQ_DEVLIST, OP_REP_DEVLIST, 0},
	[USBIP_OP_IMPORT] = {OP_REQ_IMPORT, OP_REP_IMPORT, sizeof(struct op_import_request)},
};

/**
 * usbip_op_parse() - read a connection's first message
 * @data:	bytes received so far
 * @len:	how many
 * @ret_op:	the request
 *
 * A wrong request is refused with the first bytes that show it. usbip_network.c: op_common, then
 * the body of the operation; the busid need not be terminated.
 *
 * Return: 0; USBIP_OP_SHORT where more bytes are needed; -EPROTONOSUPPORT for another version,
 * -EOPNOTSUPP for an unknown operation.
 */
int usbip_op_parse(const void *data, size_t len, struct usbip_op *ret_op)
{
	struct cursor c = cursor_of(data, len);
	const struct op_common *common = cursor_take(&c, sizeof(*common));
	const struct op_import_request *import;
	struct usbip_op op = {};

	if (!common)
		return USBIP_OP_SHORT;
	if (be16_get(common->version) != USBIP_VERSION)
		return -EPROTONOSUPPORT;
	switch (be16_get(common->code)) {
	case OP_REQ_DEVLIST:
		op.kind = USBIP_OP_DEVLIST;
		break;
	case OP_REQ_IMPORT:
		op.kind = USBIP_OP_IMPORT;
		import = cursor_take(&c, sizeof(*import));
		if (!import)
			return USBIP_OP_SHORT;
		memcpy(op.busid, import->busid, strnlen(import->busid, sizeof(import->busid)));
		break;
	default:
		return -EOPNOTSUPP;
	}
	op.size = sizeof(*common) + operations[op.kind].body;
	*ret_op = op;
	return 0;
}

static void put_common(uint8_t *buf, const struct usbip_op *op, enum usbip_op_status status)
{
	struct op_common common = {
		.version = be16_of(USBIP_VERSION),
		.code = be16_of(operations[op->kind].reply),
		.status = be32_of(status),
	};

	memcpy(buf, &common, sizeof(common));
}

/* A text into a field that is not terminated when full; the rest zero. */
static void put_text(char *field, size_t size, const char *text)
{
	memset(field, 0, size);
	memcpy(field, text, strnlen(text, size));
}

static void put_device(uint8_t *buf, const struct usb_device_info *info, const char *busid)
{
	struct usbip_usb_device d = {
		.busnum = be32_of(info->busnum),
		.devnum = be32_of(info->devnum),
		.speed = be32_of(info->speed),
		.idVendor = be16_of(info->id_vendor),
		.idProduct = be16_of(info->id_product),
		.bcdDevice = be16_of(info->bcd_device),
		.bDeviceClass = info->device_class,
		.bDeviceSubClass = info->device_subclass,
		.bDeviceProtocol = info->device_protocol,
		.bConfigurationValue = info->configuration_value,
		.bNumConfigurations = info->num_configurations,
		.bNumInterfaces = info->num_interfaces,
	};

	/* The stock tool prints the path as a string: its last byte stays zero. */
	put_text(d.path, sizeof(d.path) - 1, info->path);
	put_text(d.busid, sizeof(d.busid), busid);
	memcpy(buf, &d, sizeof(d));
}

/**
 * usbip_op_refuse() - write an answer that says no
 * @buf:	where
 * @size:	bytes there, at least 8
 * @op:		the request
 * @status:	why; not USBIP_ST_OK
 *
 * Return: bytes written; 0 where @size is too small.
 */
size_t usbip_op_refuse(uint8_t *buf, size_t size, const struct usbip_op *op,
		       enum usbip_op_status status)
{
	if (size < sizeof(struct op_common))
		return 0;
	put_common(buf, op, status);
	return sizeof(struct op_common);
}

/**
 * usbip_op_import_reply() - write the answer that hands a device out
 * @buf:	where
 * @size:	bytes there, at least USBIP_OP_IMPORT_REPLY_SIZE
 * @op:		the request, whose busid is answered as it was written
 * @info:	the device
 *
 * No interface records follow here, unlike in the list.
 *
 * Return: bytes written; 0 where @size is too small.
 */
size_t usbip_op_import_reply(uint8_t *buf, size_t size, const struct usbip_op *op,
			     const struct usb_device_info *info)
{
	if (size < USBIP_OP_IMPORT_REPLY_SIZE)
		return 0;
	put_common(buf, op, USBIP_ST_OK);
	put_device(buf + sizeof(struct op_common), info, op->busid);
	return USBIP_OP_IMPORT_REPLY_SIZE;
}

static size_t record_count(const struct usb_device_info *info)
{
	return min_t(size_t, info->num_interfaces, USB_INTERFACES_MAX);
}

/**
 * usbip_op_devlist_size() - bytes of the list of some devices
 * @infos:	the devices
 * @n:		how many
 *
 * Return: bytes that usbip_op_devlist_reply() needs.
 */
size_t usbip_op_devlist_size(const struct usb_device_info *const *infos, size_t n)
{
	size_t size = sizeof(struct op_common) + sizeof(struct op_devlist_reply);

	for (size_t i = 0; i < n; i++)
		size += sizeof(struct usbip_usb_device) +
			record_count(infos[i]) * sizeof(struct usbip_usb_interface);
	return size;
}

/**
 * usbip_op_devlist_reply() - write the list of some devices
 * @buf:	where
 * @size:	bytes there, at least usbip_op_devlist_size()
 * @infos:	the devices
 * @n:		how many
 *
 * Return: bytes written; 0 where @size is too small.
 */
size_t usbip_op_devlist_reply(uint8_t *buf, size_t size, const struct usb_device_info *const *infos,
			      size_t n)
{
	struct op_devlist_reply reply = {.ndev = be32_of((uint32_t)n)};
	uint8_t *p = buf;

	if (size < usbip_op_devlist_size(infos, n))
		return 0;
	put_common(p, &(struct usbip_op){.kind = USBIP_OP_DEVLIST}, USBIP_ST_OK);
	p += sizeof(struct op_common);
	memcpy(p, &reply, sizeof(reply));
	p += sizeof(reply);
	for (size_t i = 0; i < n; i++) {
		struct usb_device_info info = *infos[i];

		info.num_interfaces = (uint8_t)record_count(infos[i]);
		put_device(p, &info, info.busid);
		p += sizeof(struct usbip_usb_device);
		for (size_t k = 0; k < info.num_interfaces; k++) {
			struct usbip_usb_interface record = {
				.bInterfaceClass = info.interfaces[k].interface_class,
				.bInterfaceSubClass = info.interfaces[k].subclass,
				.bInterfaceProtocol = info.interfaces[k].protocol,
			};

			memcpy(p, &record, sizeof(record));
			p += sizeof(record);
		}
	}
	return (size_t)(p - buf);
}
