/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices as the broker touches them; see broker_device.c. */
#pragma once

#include "daemon/broker/broker.h"
#include "daemon/broker/broker_disk.h"

bool broker_busid_sound(const char busid[BROKER_BUSID_SIZE]);
bool broker_device_sound(const struct broker_device *d);
int broker_device_may_touch(const struct broker_device *d, const char **ret_text);
int broker_device_open(const struct broker_device *d, int *ret_fd, const char **ret_text);
int broker_device_claim_disks(const struct broker_device *d, struct broker_disks *disks, char *text,
			      size_t size);
int broker_device_reset(const struct broker_device *d, bool force, char *text, size_t size);
int broker_device_attr(const char *busid, const char *attr, int base, unsigned *ret_value);
int broker_device_node(unsigned busnum, unsigned devnum, int *ret_fd, const char **ret_text);
int broker_device_probe(const struct broker_device *d, const char **ret_text);
