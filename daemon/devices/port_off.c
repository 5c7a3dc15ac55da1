/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports that are switched off; see port_off.h. */
#include "daemon/devices/port_off.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/broker/broker.h"
#include "daemon/core/state_file.h"

#define PORTS_OFF_MAX 256
#define FILE_NAME     "unpowered"

/* ------------------------------------------------------------- one of them */

static struct port_off *port_off_free(struct port_off *off)
{
	if (!off)
		return NULL;
	free(off->device.syspath);
	free(off->device.busid);
	free(off->device.stable_port);
	free(off->device.serial);
	free(off->device.manufacturer);
	free(off->device.product);
	free(off);
	return NULL;
}

static void port_off_freep(struct port_off **off)
{
	*off = port_off_free(*off);
}

static struct port_off *port_off_new(struct devices *devices)
{
	struct port_off *off = calloc(1, sizeof(*off));

	if (!off)
		return NULL;
	list_init(&off->device.link);
	off->device.devices = devices;
	off->device.number = ++devices->n_seen;
	off->device.unpowered = true;
	return off;
}

static int copy_text(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

/* What it would be called in the other half of the connector: "2-1" for "usb2-port1". */
static void find_peer(const struct device *device, char peer[PORT_PEER_SIZE])
{
	char path[600], target[512];
	const char *name, *dash;
	ssize_t n;

	*peer = 0;
	snprintf(path, sizeof(path), "%.500s/port/peer", device->syspath);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return;
	target[n] = 0;
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	dash = strstr(name, "-port");
	if (!dash || dash - name > 24 || strlen(dash) > 8)
		return;
	if (!strncmp(name, "usb", 3))
		snprintf(peer, PORT_PEER_SIZE, "%.*s-%.3s", (int)(dash - name - 3), name + 3,
			 dash + 5);
	else
		snprintf(peer, PORT_PEER_SIZE, "%.*s.%.3s", (int)(dash - name), name, dash + 5);
}

static int port_off_copy(struct port_off **ret_off, const struct device *device)
{
	_cleanup_(port_off_freep) struct port_off *off = port_off_new(device->devices);
	struct device *d = off ? &off->device : NULL;

	if (!off || copy_text(&d->syspath, device->syspath) ||
	    copy_text(&d->busid, device->busid) ||
	    copy_text(&d->stable_port, device->stable_port) ||
	    copy_text(&d->serial, device->serial) ||
	    copy_text(&d->manufacturer, device->manufacturer) ||
	    copy_text(&d->product, device->product))
		return -ENOMEM;
	d->number = device->number;
	d->id_vendor = device->id_vendor;
	d->id_product = device->id_product;
	d->classes = device->classes;
	d->info.speed = device->info.speed;
	find_peer(device, off->peer);
	memcpy(d->alias, device->alias, sizeof(d->alias));
	device_find_section(d);
	*ret_off = take_ptr(off);
	return 0;
}

/* ------------------------------------------------------------- the file */

/*
 * A line a port, fields with tabs between them: what is in it and its peer are called, the stable
 * port, id, classes, speed, whether it is to be switched on again; then what the device says of
 * itself, in which %, a control character or a byte above ASCII is %XX.
 */
enum {
	BUSID,
	PEER,
	STABLE_PORT,
	ID,
	CLASSES,
	SPEED,
	CYCLING,
	SERIAL,
	MANUFACTURER,
	PRODUCT,
	FIELDS
};

static bool must_escape(char c)
{
	return (unsigned char)c < 0x20 || (unsigned char)c > 0x7e || c == '%';
}

static void put_text(FILE *f, const char *text)
{
	fputc('\t', f);
	for (; text && *text; text++)
		if (must_escape(*text))
			fprintf(f, "%%%02X", (unsigned char)*text);
		else
			fputc(*text, f);
}

/* Decode it in place; false if put_text() would not write it so. */
static bool take_text(char *field)
{
	char *to = field;

	for (const char *p = field; *p; p++) {
		unsigned value;
		char digits[3] = {0};

		if (*p != '%') {
			*to++ = *p;
			continue;
		}
		digits[0] = p[1];
		digits[1] = p[1] ? p[2] : 0;
		if (strspn(digits, "0123456789ABCDEF") != 2)
			return false;
		value = (unsigned)strtoul(digits, NULL, 16);
		if (!value)
			return false;
		*to++ = (char)value;
		p += 2;
	}
	*to = 0;
	return true;
}

static char *unpowered_path(const struct devices *devices, char *path)
{
	return state_file_path(path, PATH_MAX, devices->core->config->runtime_directory, FILE_NAME);
}

static void put_line(FILE *f, const struct port_off *off)
{
	const struct device *d = &off->device;

	fprintf(f, "%s\t%s\t%s\t%04x:%04x\t%llx\t%u\t%d", d->busid, off->peer, d->stable_port,
		d->id_vendor, d->id_product, (unsigned long long)d->classes, d->info.speed,
		off->cycling);
	put_text(f, d->serial);
	put_text(f, d->manufacturer);
	put_text(f, d->product);
	fputc('\n', f);
}

static void ports_off_print(FILE *f, const void *ctx)
{
	const struct devices *devices = ctx;

	list_for_each(it, &devices->off)
		put_line(f, list_entry(it, struct port_off, device.link));
}

static int ports_off_save(struct devices *devices)
{
	char path[PATH_MAX];

	return state_file_print(unpowered_path(devices, path), ports_off_print, devices);
}

static int fill(struct port_off *off, char *const field[FIELDS])
{
	struct device *d = &off->device;
	unsigned long long classes;
	int r;

	if (!*field[BUSID] || strlen(field[BUSID]) >= BROKER_BUSID_SIZE ||
	    strlen(field[PEER]) >= PORT_PEER_SIZE ||
	    sscanf(field[ID], "%4hx:%4hx", &d->id_vendor, &d->id_product) != 2 ||
	    sscanf(field[CLASSES], "%llx", &classes) != 1 ||
	    sscanf(field[SPEED], "%u", &d->info.speed) != 1)
		return -EINVAL;
	d->classes = (usb_class_set)classes;
	snprintf(off->peer, sizeof(off->peer), "%s", field[PEER]);
	off->cycling = !strcmp(field[CYCLING], "1");
	off->off = true;
	r = copy_text(&d->syspath, "");
	if (r == 0)
		r = copy_text(&d->busid, field[BUSID]);
	if (r == 0)
		r = copy_text(&d->stable_port, field[STABLE_PORT]);
	if (r == 0)
		r = copy_text(&d->serial, *field[SERIAL] ? field[SERIAL] : NULL);
	if (r == 0)
		r = copy_text(&d->manufacturer, *field[MANUFACTURER] ? field[MANUFACTURER] : NULL);
	if (r == 0)
		r = copy_text(&d->product, *field[PRODUCT] ? field[PRODUCT] : NULL);
	return r;
}

/* One line, which is cut up. */
static int port_off_read(struct devices *devices, char *line)
{
	_cleanup_(port_off_freep) struct port_off *off = port_off_new(devices);
	char *field[FIELDS];
	int r;

	if (!off)
		return -ENOMEM;
	for (unsigned i = 0; i < FIELDS; i++) {
		field[i] = strsep(&line, "\t");
		if (!field[i] || !take_text(field[i]))
			return -EINVAL;
	}
	r = line ? -EINVAL : fill(off, field);
	if (r < 0)
		return r;
	device_find_section(&off->device);
	list_append(&devices->off, &off->device.link);
	off = NULL;
	return 0;
}

/**
 * ports_off_load() - read which ports the last run left switched off
 * @devices:	with its configuration and names
 *
 * Return: 0 (also where there is no file), or a negative errno. Lines that say nothing are skipped.
 */
int ports_off_load(struct devices *devices)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX], *save = NULL;
	unsigned n = 0;
	size_t len;
	int r;

	r = state_file_read(unpowered_path(devices, path), &text, &len);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (char *line = strtok_r(text, "\n", &save); line && n < PORTS_OFF_MAX;
	     line = strtok_r(NULL, "\n", &save), n++) {
		r = port_off_read(devices, line);
		if (r == -EINVAL)
			log_warning("%s: a line can't be read; that a port is off is forgotten",
				    path);
		else if (r < 0)
			return r;
	}
	return 0;
}

/**
 * ports_off_free() - forget all, and leave the file
 * @devices:	the devices; control ends
 */
void ports_off_free(struct devices *devices)
{
	struct list *l;

	while ((l = list_pop(&devices->off)))
		port_off_free(list_entry(l, struct port_off, device.link));
}

/* ------------------------------------------------------------- all of them */

/**
 * port_off_find() - what is known of a port that is switched off, or about to be
 * @devices:	the devices
 * @busid:	what is in it is called so, in either half of its connector
 *
 * Return: NULL where nothing is.
 */
struct port_off *port_off_find(const struct devices *devices, const char *busid)
{
	list_for_each(it, &devices->off) {
		struct port_off *off = list_entry(it, struct port_off, device.link);

		if (!strcmp(off->device.busid, busid) || !strcmp(off->peer, busid))
			return off;
	}
	return NULL;
}

static void port_off_drop(struct port_off *off)
{
	struct devices *devices = off->device.devices;
	int r;

	list_remove(&off->device.link);
	port_off_free(off);
	r = ports_off_save(devices);
	if (r < 0)
		log_err("which ports are off can't be written: %s", errno_text(r));
}

/**
 * port_off_add() - write down that a port is about to be switched off
 * @device:	what is in it
 * @cycling:	it is to be switched on again
 * @error:	on an error: what went wrong, for a person
 * @size:	room there
 *
 * This is done first: the next control must know after a crash.
 *
 * Return: 0, or a negative errno and nothing is remembered.
 */
int port_off_add(const struct device *device, bool cycling, char *error, size_t size)
{
	struct port_off *off = NULL;
	int r = port_off_copy(&off, device);

	if (r == 0) {
		off->cycling = cycling;
		list_append(&device->devices->off, &off->device.link);
		r = ports_off_save(device->devices);
	}
	if (r < 0) {
		snprintf(error, size, "it can't be written down that its port is off: %s",
			 errno_text(r));
		if (off)
			list_remove(&off->device.link);
		port_off_free(off);
	}
	return r;
}

/**
 * port_off_confirm() - a port is switched off now
 * @devices:	the devices
 * @busid:	of port_off_add()
 *
 * Return: 0; -ENODEV where it was forgotten meanwhile.
 */
int port_off_confirm(struct devices *devices, const char *busid)
{
	struct port_off *off = port_off_find(devices, busid);

	if (!off)
		return -ENODEV;
	off->off = true;
	return 0;
}

/**
 * port_off_forget() - a port is switched on, or was never switched off
 * @devices:	the devices
 * @busid:	of port_off_add(); may be unknown
 */
void port_off_forget(struct devices *devices, const char *busid)
{
	struct port_off *off = port_off_find(devices, busid);

	if (off)
		port_off_drop(off);
}

/**
 * port_off_shown() - whether a port's device is told of as switched off
 * @off:	the port
 *
 * Return: false while the device is listed as itself, as it is for a moment.
 */
bool port_off_shown(const struct port_off *off)
{
	if (!off->off)
		return false;
	list_for_each(it, &off->device.devices->all)
		if (!strcmp(list_entry(it, struct device, link)->busid, off->device.busid))
			return false;
	return true;
}

/**
 * port_off_resolve() - find the device that a person means, among those whose ports are off
 * @devices:	the devices
 * @text:	an alias or a selector
 * @ret_device:	the device
 *
 * Return: 0, RESOLVE_UNKNOWN, RESOLVE_AMBIGUOUS.
 */
int port_off_resolve(struct devices *devices, const char *text, struct device **ret_device)
{
	struct device *found = NULL;

	list_for_each(it, &devices->off) {
		struct port_off *off = list_entry(it, struct port_off, device.link);

		if (!port_off_shown(off) || !device_is_meant(&off->device, text))
			continue;
		if (found)
			return RESOLVE_AMBIGUOUS;
		found = &off->device;
	}
	if (!found)
		return RESOLVE_UNKNOWN;
	*ret_device = found;
	return 0;
}

/**
 * port_off_returned() - a device is there: its port is on, whoever switched it
 * @device:	the device
 */
void port_off_returned(const struct device *device)
{
	struct port_off *off = port_off_find(device->devices, device->busid);

	if (!off || !off->off)
		return;
	if (!off->cycling)
		log_notice("%s: its port is on again", device->tag);
	port_off_drop(off);
}

/* Whether a port is a hub's, or one of a hub that is plugged into it. */
static bool is_behind(const char *busid, const char *hub)
{
	size_t n;

	if (!strncmp(hub, "usb", 3)) {
		n = strlen(hub + 3);
		return !strncmp(busid, hub + 3, n) && busid[n] == '-';
	}
	n = strlen(hub);
	return !strncmp(busid, hub, n) && busid[n] == '.';
}

/**
 * port_off_hub_gone() - a hub was unplugged, and comes back with its ports on
 * @devices:	the devices
 * @hub:	its name in sysfs: "1-1", "usb1"
 */
void port_off_hub_gone(struct devices *devices, const char *hub)
{
	list_for_each_safe(it, &devices->off) {
		struct port_off *off = list_entry(it, struct port_off, device.link);

		if (!off->off || !is_behind(off->device.busid, hub))
			continue;
		log_notice("%s: the hub of its port, which was off, has gone", off->device.tag);
		port_off_drop(off);
	}
}
