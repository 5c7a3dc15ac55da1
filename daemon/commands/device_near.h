/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a person may have meant by a word that means no device: names and serials but for their
 * case, beginnings, slips of a finger, a product's name without `product=`, the bus and number that
 * lsusb(8) prints. Changes nothing, and decides nothing: a near miss is only shown.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct config_device;
struct commands;
struct device;
struct devices;
struct vms;

#define DEVICE_NEAR_MAX	 8
#define DEVICE_WORDS_MAX 400

struct device_near {
	char word[300]; /* what to type: "keyboard", "serial=E0D5", "port=1-1.2" */
	char what[DEVICE_WORDS_MAX];
	bool vm; /* it is a VM: the words changed places */
};

const char *device_words(const struct device *device, char *buf, size_t size);
size_t device_near(struct commands *commands, const char *text,
		   struct device_near near[DEVICE_NEAR_MAX]);
void device_near_section(const struct devices *devices, const struct config_device *section,
			 char *buf, size_t size);
const char *vm_near(const struct vms *vms, const char *name);
