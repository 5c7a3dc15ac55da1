/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way from a device to the carrier that a session sees of it; for this room alone.
 */
#pragma once

struct usb_carrier;
struct usb_device;

struct usb_carrier *usb_device_carrier(struct usb_device *dev);
