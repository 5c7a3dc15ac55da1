/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest kernel's virtual USB host controller, vhci-hcd, by its files in sysfs: which ports
 * there are and what is on them, putting a connection on a port, taking it off, and whether the
 * device behind one is enumerated. Also the files by which `usbip port` knows what is on a port.
 *
 * Facts relied on (drivers/usb/usbip/vhci_sysfs.c, Documentation/ABI/testing): `attach` takes "port
 * socket devid speed", the socket being a number of the writer's descriptor table; it is refused
 * where the port is in use. `status` has a line a port; a second controller's are in `status.1`,
 * and so on; all ports are attached by the first controller's files. Since Linux 4.13 a line begins
 * with the port's hub, "hs" or "ss"; before, all are for high speed.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VHCI_PORTS_MAX 4096 /* 128 controllers of 30 */
#define VHCI_NAME_SIZE 32

/* What a port's line says of it (enum usbip_device_status in Linux). */
enum vhci_port_status {
	VHCI_FREE = 4,
	VHCI_STARTING = 5, /* a connection is on it, and its device has no address yet */
	VHCI_USED = 6,
	VHCI_BROKEN = 7,
};

struct vhci_port {
	unsigned number;
	bool super;
	unsigned status;
	uint32_t devid;		    /* VHCI_USED: as at the server */
	char local[VHCI_NAME_SIZE]; /* VHCI_USED: the device's name in this kernel, "1-1" */
};

struct vhci_status {
	unsigned n;
	struct vhci_port ports[VHCI_PORTS_MAX];
};

/* Who is at the other end of a port's connection, as its file says. */
struct vhci_peer {
	char host[64], busid[VHCI_NAME_SIZE];
	unsigned port;
};

struct vhci {
	char folder[PATH_MAX];	/* the first controller's */
	char devices[PATH_MAX]; /* USB devices of this kernel */
	char files[PATH_MAX];	/* of `usbip port` */
};

int vhci_init(struct vhci *vhci, const char *sysfs, const char *run);

int vhci_status_parse(const char *text, size_t len, struct vhci_status *status);
int vhci_read(const struct vhci *vhci, struct vhci_status *status);
const struct vhci_port *vhci_find(const struct vhci_status *status, unsigned number);
unsigned vhci_count_free(const struct vhci_status *status, bool super);
int vhci_attach(const struct vhci *vhci, int sock, uint32_t devid, unsigned speed,
		unsigned *ret_number);
int vhci_detach(const struct vhci *vhci, unsigned number);
bool vhci_configured(const struct vhci *vhci, const struct vhci_port *port);

int vhci_peer_parse(const char *text, size_t len, struct vhci_peer *peer);
int vhci_peer_read(const struct vhci *vhci, unsigned number, struct vhci_peer *peer);
int vhci_peer_write(const struct vhci *vhci, unsigned number, const struct vhci_peer *peer);
void vhci_peer_remove(const struct vhci *vhci, unsigned number);
