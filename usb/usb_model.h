/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of models of devices, by their vendor's and product's numbers. Pure, and without libusb. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

bool usb_model_stands_reset(uint16_t vendor, uint16_t product);
