/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which USB devices are plugged in: the list that people see, of struct device. Where they come from is
 * a source's to know (device_source.h), which tells each as it comes, changes and goes.
 *
 * Hubs (whose removal would take other devices along), and devices that themselves come over
 * vhci_hcd (a loop), are never listed and so never routed; device_registry_refuses() tells who
 * names one.
 */
#pragma once

#include <stdbool.h>

struct devices;
struct device;
struct device_registry;
struct device_source;

/**
 * typedef device_prepare - make what the rooms above keep with a device
 * @ctx:	as given
 * @device:	about to be listed; it raises EVENT_DEVICE_ADDED, and EVENT_DEVICE_REMOVED at its end
 *
 * Return: 0, or a negative errno: it can't be listed.
 */
typedef int (*device_prepare)(void *ctx, struct device *device);

int device_registry_new(struct device_registry **ret_registry, struct devices *devices,
			struct device_source *source, device_prepare prepare, void *ctx);
struct device_registry *device_registry_free(struct device_registry *registry);
int device_registry_start(struct device_registry *registry);
bool device_registry_settled(const struct device_registry *registry);
int device_registry_stable_port(struct device_registry *registry, const char *busid,
				char **ret_port);
const char *device_registry_refuses(struct device_registry *registry, const char *text);

/* A source's. */
void device_registry_told(struct device_registry *registry, struct device *d);
void device_registry_look_again(struct device_registry *registry, const char *syspath);
void device_registry_bound(struct device_registry *registry, const char *syspath);
void device_registry_gone(struct device_registry *registry, const char *syspath, const char *busid);
void device_registry_sweep(struct device_registry *registry);
void device_registry_has_settled(struct device_registry *registry);
