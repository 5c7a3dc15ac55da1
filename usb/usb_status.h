/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From libusb's words to the Linux errno that a guest's driver expects. Pure.
 */
#pragma once

#include <libusb.h>

int usb_status_of_transfer(enum libusb_transfer_status status);
int usb_status_of_packet(enum libusb_transfer_status status);
int usb_status_of_submit(int error);
int usb_status_of_call(int error);
