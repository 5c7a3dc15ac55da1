/* SPDX-License-Identifier: BSD-2-Clause */
/* Models of devices; see usb_model.h. */
#include "usb/usb_model.h"

#include <stddef.h>

#include "base/mem.h"

/* Devices that don't stand a reset: the ones that usbredir leaves out as well. */
static const struct {
	uint16_t vendor, product;
} never_reset[] = {
	{0x1210, 0x001c},
	{0x2798, 0x0001},
};

/**
 * usb_model_stands_reset() - whether a model may be reset
 * @vendor:	its idVendor
 * @product:	its idProduct
 *
 * Return: false where it is known to be of no use afterwards.
 */
bool usb_model_stands_reset(uint16_t vendor, uint16_t product)
{
	for (size_t i = 0; i < ARRAY_SIZE(never_reset); i++)
		if (vendor == never_reset[i].vendor && product == never_reset[i].product)
			return false;
	return true;
}
