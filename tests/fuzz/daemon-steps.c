/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps of the scripted daemon; see daemon-steps.h. */
#include "tests/fuzz/daemon-steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "daemon/commands/port_job.h"
#include "daemon/devices/port_off.h"
#include "policy/usb_class.h"
#include "protocol/agent_wire.h"
#include "tests/fuzz/clock-loop.h"

#define MANY 80 /* devices: more than a message has room for */

int fsync(int fd);

static struct fixture *f;
static struct device *devices[STEP_DEVICES];
static bool have_many, disk_full;

/* A power cut is not what is looked for here, and a disk is slow. */
int fsync(int fd _unused_)
{
	if (!disk_full)
		return 0;
	errno = ENOSPC;
	return -1;
}

/* ------------------------------------------------------------- devices */

/* What a device says of itself is any text. */
static char *raw_text(struct cursor *c)
{
	size_t n = min_t(size_t, step_byte(c), c->left);

	return strndup((const char *)cursor_take(c, n), n);
}

/* @how: 0x80: another serial; 0x40: it has names of its maker's. */
void daemon_step_plug(unsigned i, uint8_t how, struct cursor *c)
{
	static const struct {
		const char *busid;
		uint16_t product;
		usb_class_set classes;
	} kinds[STEP_DEVICES] = {
		{"1-1", 0xc31c, 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD},
		{"1-2", 0xc077, 1u << USB_CLASS_HID},
		{"1-3", 0x2222, 0},
		{"1-4.1", 0x5555, 0},
		{"1-4.2", 0xc31c, 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD},
		{"1-5", 0x5555, 1u << USB_CLASS_STORAGE},
		{"1-6", 0x0bad, 1u << USB_CLASS_HID},
		{"1-7", 0x2222, 1u << USB_CLASS_SMARTCARD},
	};
	struct device *d = devices[i];
	struct guest_device *gd = d ? thread_of(d) : NULL;

	if (d) {
		devices[i] = NULL;
		unplug(d);
		if (gd)
			drop(gd);
		return;
	}
	f->devnum++;
	d = plug_at(f, kinds[i].busid, kinds[i].product,
		    i == 7	 ? NULL
		    : how & 0x80 ? "S2"
				 : "S1",
		    kinds[i].classes);
	devices[i] = d;
	if (how & 0x40) {
		d->manufacturer = raw_text(c);
		d->product = raw_text(c);
	}
}

static void plug_many(void)
{
	if (have_many)
		return;
	have_many = true;
	for (unsigned i = 0; i < MANY; i++) {
		char busid[16];
		struct device *d;

		snprintf(busid, sizeof(busid), "1-9.%u", i + 1);
		d = plug_at(f, busid, 0x7777, busid, 0);
		d->product = strdup(
			"a name that is as long as the bus lets a device's name be, or so it "
			"seems, and then some more of it: Ωmega, Ωmega, Ωmega");
	}
}

/* The broker, or its thread, is done with what it was asked about one device. */
static void device_done(struct device *d, int r, const char *text)
{
	struct guest_device *gd = thread_of(d);

	if (asks_open(d))
		node_opens(d, r);
	else if (asks_rebind(d))
		drivers_probe(d, r);
	else if (asks_reset(d))
		broker_resets(d, r, text);
	else if (gd && gd->resetting)
		was_reset(d, r, text);
	else if (gd && gd->taking)
		taken(d);
	else if (gd && gd->in && !gd->opened)
		claimed(d, r, r ? "its configuration can't be read" : NULL);
	else if (gd && gd->opened && !route_status(d).session && route_status(d).at &&
		 route_exported_to(d, route_status(d).at))
		imports(d, route_status(d).at);
	else if (gd && gd->opened && route_status(d).session)
		gd->events->session_ended(gd->ctx, r, text);
}

static void all_done(void)
{
	for (unsigned n = 0; n < 6; n++)
		for (unsigned i = 0; i < STEP_DEVICES; i++)
			if (devices[i] && !route_status(devices[i]).session)
				device_done(devices[i], 0, "");
}

/* ------------------------------------------------------------- ports */

static void port_done(void *ctx _unused_, enum route_outcome outcome _unused_, const char *text,
		      const struct device *device _unused_)
{
	assert_non_null(text);
}

static void switch_port(unsigned i, uint8_t how)
{
	static const enum port_verb verbs[] = {PORT_OFF, PORT_CYCLE, PORT_RESET, PORT_ON};
	struct port_ask ask = {.verb = verbs[how & 3],
			       .device = devices[i],
			       .force = how & 4,
			       .who = "the fuzzer"};
	struct device *off = NULL;
	struct port_job *job = NULL;

	if (ask.verb == PORT_ON && port_off_resolve(&f->rooms.devices, "class=hid", &off) == 0)
		ask.device = off;
	if (ask.device)
		port_command(&f->rooms.commands, &ask, port_done, NULL, &job);
	/* Its caller has gone; the job goes on. */
	if (job)
		port_job_forget(job);
}

static void hub_goes(uint8_t which)
{
	static const char *const hubs[] = {"1-4", "usb1", "usb2", "1"};

	port_off_hub_gone(&f->rooms.devices, hubs[which % ARRAY_SIZE(hubs)]);
}

/* ------------------------------------------------------------- VMs */

static struct vm *vm_at(unsigned i)
{
	static const char *const names[] = {"vm1", "vm2", "vm3"};
	struct vm *vm = vm_find(&f->rooms.vms, names[i % 3]);

	return vm && vm->guest && !vm->guest->told_to_end ? vm : NULL;
}

/* What its process says of its card, which its guest has the say of. */
static void card_says(struct vm *vm, uint8_t how, struct cursor *c)
{
	static const uint8_t macs[][6] = {
		{0x52, 0x54, 0, 0x77, 0, 1}, {0x52, 0x54, 0, 0x77, 0, 2}, {2, 0, 0, 0, 0, 9}, {0},
		{0x52, 0x55, 0, 0x77, 0, 1},
	};
	struct guest_card card = {.up = how & 1, .has_daemon = how & 2, .deaf = how & 4};
	uint8_t mac[6];

	memcpy(mac, macs[how / 8 % ARRAY_SIZE(macs)], 6);
	/* The daemon's own card is one of many: one bit says that it is meant. */
	if (how & 0x80)
		memcpy(mac, (const uint8_t[6])AGENT_DAEMON_MAC, 6);
	if (how & 4) {
		vm->guest->events->mac_wanted(vm->guest->ctx, mac);
		return;
	}
	memcpy(card.mac, vm->guest->mac, 6);
	memcpy(card.foreign, step_byte(c) & 1 ? mac : (const uint8_t[6]){0}, 6);
	vm->guest->events->link(vm->guest->ctx, &card);
}

static void vms_end(void)
{
	static const char *const names[] = {"vm1", "vm2", "vm3", "vm4"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		while (vm_ends(f, names[i]))
			;
}

/* ------------------------------------------------------------- files */

static void put(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
}

/* The next start or reload reads them. */
static void write_other_files(uint8_t which)
{
	static const char *const configs[] = {
		usual_config,
		"",
		"[vm vm1]\nmac = 52:54:00:77:00:01\n[vm vm2]\naddress = 10.77.0.9\n"
		"[device keyboard]\nmatch = id=046d:c31c\n",
		"[vm vm2]\n[vm vm4]\n[device mouse]\nmatch = id=046d:c31c\nvms = vm2\n",
		"[vm vm1\n",
		"[vm vm1]\n[device keyboard]\nmatch = id=046d:5555 serial=S1\n[hotkey]\n"
		"panic = LeftCtrl+RightCtrl+Esc\n[group desk]\ndevices = keyboard\n",
		"[vm vm1]\n[vm vm2]\n[network]\naddress = 10.78.0.1/24\n",
		"[vm vm1]\n[vm vm2]\n[vm vm3]\n[network]\nisolate = yes\n",
	};
	static const char *const rules[] = {
		"",
		"allow id=046d:5555 to vm2 attach=auto\n",
		"deny class=hid to vm1\n",
		"allow * to vm9\nfrobnicate\n",
		"allow alias=keyboard to vm1 user=1000\nallow class=hid to vm1 vm2 group=27\n",
		"group office class=hid\nallow group=office to vm2 attach=auto\n",
	};
	char path[160], text[1024];

	snprintf(path, sizeof(path), "%s/policy.d/test.rules", f->folder);
	put(path, rules[which / 8 % ARRAY_SIZE(rules)]);
	snprintf(text, sizeof(text),
		 "[daemon]\nruntime-directory = %s/run\nstate-directory = %s/state\n"
		 "socket-group = root\n%s",
		 f->folder, f->folder, configs[which % ARRAY_SIZE(configs)]);
	put(f->config_path, text);
}

/* ------------------------------------------------------------- the whole */

static void time_passes(uint8_t how)
{
	static const uint64_t ms[] = {1, 300, 1100, 2500, 10000, 30000, 3600000, 90000000};

	clock_pass(ms[how % 8] * 1000000);
}

/* One step, of which @what says the kind and most of the rest. */
void daemon_step(struct cursor *c, uint8_t what)
{
	unsigned rest = what / 12;
	uint8_t how = step_byte(c);
	int r = how & 0x40 ? -EBUSY : how & 0x20 ? -ENODEV : 0;
	const char *text = r ? "in use on the host: sda is mounted at /mnt" : "";

	switch (what % 12) {
	case 0:
		daemon_step_plug(rest % STEP_DEVICES, how, c);
		break;
	case 1:
		if (vm_at(rest))
			vm_is(vm_at(rest), how & 1);
		break;
	case 2:
		if (asks_power(how & 1))
			power_switched(how & 1, r, text);
		break;
	case 3:
		clock_turn();
		turn_ends();
		break;
	case 4:
		if (devices[rest % STEP_DEVICES])
			device_done(devices[rest % STEP_DEVICES], r, text);
		break;
	case 5:
		all_done();
		break;
	case 6:
		if (vm_at(rest))
			card_says(vm_at(rest), how, c);
		break;
	case 7:
		time_passes(how);
		clock_turn();
		turn_ends();
		break;
	case 8:
		write_other_files(how);
		break;
	case 9:
		vms_end();
		break;
	case 10:
		if (how & 0x40)
			disk_full = !disk_full;
		else if (how & 0x20)
			plug_many();
		else
			hub_goes(how);
		break;
	default:
		switch_port(rest % STEP_DEVICES, how);
		break;
	}
}

void daemon_steps_begin(struct fixture *fixture)
{
	f = fixture;
	memset(devices, 0, sizeof(devices));
	have_many = disk_full = false;
}

/* The daemon starts anew; its devices are looked for anew, too. */
void daemon_steps_anew(struct fixture *fixture)
{
	disk_full = false;
	write_other_files(0);
	begin_anew(fixture);
	daemon_steps_begin(fixture);
}

void daemon_steps_end(struct fixture *fixture)
{
	void *state = fixture;

	disk_full = false;
	tear_down(&state);
	if (clock_waits())
		abort();
}
