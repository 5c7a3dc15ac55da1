/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way from a device to the back-end that a session sees of it; for this room alone.
 */
#pragma once

struct usb_backend;
struct usb_device;

struct usb_backend *usb_device_backend(struct usb_device *dev);
