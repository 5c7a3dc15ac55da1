/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Doctor: what goes wrong in practice, each with what mends it. A check is a row of the table below:
 * its name, and a function that looks at the host, at a VM or at a device. A check changes nothing.
 * It tells nothing that List and Vms do not tell everybody.
 *
 * usbroutectl itself checks what takes the caller's own rights (other users' programs, libvirt's
 * domains).
 */
#include <arpa/inet.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <build_info.h>

#include "daemon/control/control_json.h"
#include "daemon/control/control_method.h"
#include "daemon/core/state_file.h"
#include "daemon/devices/device.h"
#include "daemon/guests/guest_side.h"
#include "daemon/guests/virt_link.h"
#include "daemon/routing/route.h"
#include "policy/usb_class.h"

#define TEXT_SIZE     900
#define FULL_SPEED    12 /* Mbit/s, as sysfs has it */
#define STREAMS_MB    64 /* what a camera and a headset at once take, with room */
#define KERNEL_MAJOR  6
#define KERNEL_MINOR  1
#define SOCKET_STANDS "03" /* SS_CONNECTED in /proc/net/unix */

/* An agent says that it fails after 15 s at the latest (agent/attachments.c). */
#define SAYS_WITHIN_NS 20000000000ull

enum verdict { GOOD, WARNING, WRONG };

struct doctor {
	const struct control_rooms *rooms;
	const struct vm *only; /* NULL: all VMs */
	const char *name;      /* of the check that runs */
	json_t *checks;
	size_t room;
	unsigned left_out;
};

static void found(struct doctor *d, enum verdict verdict, const char *about, const char *mend,
		  const char *format, ...) _printf_(5, 6);

/* What a check has found; @mend: NULL where nothing is to be mended. */
static void found(struct doctor *d, enum verdict verdict, const char *about, const char *mend,
		  const char *format, ...)
{
	static const char *const verdicts[] = {"good", "warning", "wrong"};
	char text[TEXT_SIZE];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (!json_append_within(d->checks,
				json_pack("{s:s, s:o, s:s, s:o, s:o}", "name", d->name, "about",
					  json_text(about), "verdict", verdicts[verdict], "found",
					  json_text(text), "mend", json_text(mend)),
				&d->room))
		d->left_out++;
}

/* ------------------------------------------------------------- the host */

static void look_at_kernel(struct doctor *d)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return;
	if (major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR))
		found(d, WRONG, NULL, "boot a kernel of 6.1 or later",
		      "Linux %s is too old: 6.1 is the least", u.release);
	else
		found(d, GOOD, NULL, NULL, "Linux %s", u.release);
}

static void look_at_configuration(struct doctor *d)
{
	const struct config *c = d->rooms->core->config;

	if (c->n_vms)
		found(d, GOOD, NULL, NULL, "%u VM%s configured", (unsigned)c->n_vms,
		      c->n_vms == 1 ? " is" : "s are");
	else
		found(d, WRONG, NULL,
		      "add a [vm NAME] section to " USBROUTED_CONFIG ", then: usbroutectl reload",
		      "no VM is configured");
}

static void look_at_socket_group(struct doctor *d)
{
	const struct vms *vms = d->rooms->vms;
	const char *group = d->rooms->core->config->socket_group;
	char mend[TEXT_SIZE];

	if (vms->socket_group != (gid_t)-1) {
		found(d, GOOD, NULL, NULL, "the group \"%s\" may open the VMs' sockets", group);
		return;
	}
	snprintf(
		mend, sizeof(mend),
		"groupadd --system %s, or name QEMU's group by socket-group; then: systemctl restart usbrouted",
		group);
	found(d, WRONG, NULL, mend,
	      "there is no group \"%s\" ([daemon] socket-group), so that only root may open the VMs' sockets",
	      group);
}

/* Devices that move sound or pictures take much of the kernel's memory for transfers. */
static bool streams(const struct device *device)
{
	return device->classes & (1u << USB_CLASS_AUDIO | 1u << USB_CLASS_VIDEO);
}

static void look_at_usb_memory(struct doctor *d)
{
	unsigned limit, wanted;
	const char *why = "for so many VMs";
	char mend[TEXT_SIZE];

	vms_memory_limit(d->rooms->vms, &limit, &wanted);
	list_for_each(it, &d->rooms->devices->all)
		if (streams(list_entry(it, struct device, link)) && wanted < STREAMS_MB) {
			wanted = STREAMS_MB;
			why = "for a device that streams sound or pictures";
		}
	if (!limit || limit >= wanted) {
		found(d, GOOD, NULL, NULL, "usbfs_memory_mb is %u%s", limit,
		      limit ? "" : " (no limit)");
		return;
	}
	snprintf(
		mend, sizeof(mend),
		"echo %u > /sys/module/usbcore/parameters/usbfs_memory_mb, then: usbroutectl reload; for good: usbcore.usbfs_memory_mb=%u on the kernel's command line",
		wanted, wanted);
	found(d, WARNING, NULL, mend, "usbfs_memory_mb is %u, which is little %s", limit, why);
}

static void look_at_flapping(struct doctor *d)
{
	const struct port_flaps *flaps = &d->rooms->devices->flaps;

	for (unsigned i = 0; i < PORT_FLAPS_KEPT; i++) {
		const char *port = flaps->at[i].port;
		unsigned n = *port ? port_flaps_count(flaps, port) : 0;
		bool told = false;

		for (unsigned j = 0; j < i && !told; j++)
			told = !strcmp(flaps->at[j].port, port);
		if (n < PORT_FLAPS_MANY || told)
			continue;
		found(d, WARNING, port,
		      "try another cable and another port, and a hub with a power supply of its own; dmesg says what the kernel saw",
		      "port %s: its device was unplugged %u times within %u minutes", port, n,
		      PORT_FLAPS_SECONDS / 60);
	}
}

/* ------------------------------------------------------------- a VM */

static bool is_running(const struct vm *vm)
{
	const char *state = virt_domain_state(vm);

	return state && !strcmp(state, "running");
}

static bool is_wanted_there(const struct doctor *d, const struct vm *vm)
{
	list_for_each(it, &d->rooms->devices->all)
		if (!strcmp(route_wanted(list_entry(it, struct device, link)).target, vm->name))
			return true;
	return false;
}

static void look_at_card(struct doctor *d, struct vm *vm)
{
	char mend[TEXT_SIZE];

	if (vm->connected) {
		found(d, GOOD, vm->name, NULL, "%s: its card is connected", vm->name);
		return;
	}
	if (is_running(vm)) {
		snprintf(mend, sizeof(mend), "usbroutectl vm add %s --apply",
			 vm->domain ? vm->domain : vm->name);
		found(d, WRONG, vm->name, mend,
		      "%s: its domain runs, and its card is not connected", vm->name);
		return;
	}
	if (!d->only && !is_wanted_there(d, vm)) {
		found(d, GOOD, vm->name, NULL, "%s: it is off, and nothing is wanted there",
		      vm->name);
		return;
	}
	snprintf(mend, sizeof(mend), "start it; the card that it needs: usbroutectl vm xml %s",
		 vm->name);
	found(d, WARNING, vm->name, mend,
	      "%s: its card is not connected: it is off, or it has no card of usbrouted's",
	      vm->name);
}

/* Whether a front-end is connected at a VM's socket, as the kernel's list of sockets says. */
static bool has_front_end(const struct vm *vm)
{
	char path[PATH_MAX], name[48], line[PATH_MAX + 128], state[8];
	FILE *f = fopen("/proc/net/unix", "re");
	bool has = false;

	if (!f)
		return false;
	snprintf(name, sizeof(name), "%s.sock", vm->name);
	state_file_path(path, sizeof(path), vm->vms->core->config->runtime_directory, name);
	while (!has && fgets(line, sizeof(line), f)) {
		char *at = strchr(line, '/');

		line[strcspn(line, "\n")] = '\0';
		/* Num RefCount Protocol Flags Type St Inode Path */
		has = at && !strcmp(at, path) &&
		      sscanf(line, "%*s %*s %*s %*s %*s %7s", state) == 1 &&
		      !strcmp(state, SOCKET_STANDS);
	}
	fclose(f);
	return has;
}

static void look_at_memory(struct doctor *d, struct vm *vm)
{
	if (vm->connected || !has_front_end(vm))
		return;
	found(d, WARNING, vm->name,
	      "give it shared memory: <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>, or -object memory-backend-memfd,share=on,…; usbroutectl vm add DOMAIN --apply does the first",
	      "%s: its virtual machine is connected, and its card has not come up: its memory is not shared, or its guest has not started the card's driver yet",
	      vm->name);
}

/* What a firewall in a guest has to let through. */
static void allow(const struct doctor *d, char text[TEXT_SIZE], const char *first)
{
	char daemon[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &d->rooms->core->config->address, daemon, sizeof(daemon));
	snprintf(
		text, TEXT_SIZE,
		"%sin the guest: a firewall must let TCP to ports 3240 and 3241 of %s and fe80::1 out, and the answers in; nft list ruleset and iptables -S show its rules",
		first, daemon);
}

static void look_at_agent(struct doctor *d, struct vm *vm)
{
	const char *version = guest_side_version(vm);
	char mend[TEXT_SIZE];

	if (!vm->connected)
		return;
	if (!version) {
		allow(d, mend,
		      "install usbroute-agent in the guest, or qemu-guest-agent there and usbrouted-libvirt here; where one is there, ");
		found(d, WARNING, vm->name, mend,
		      "%s: no agent is in its guest, or none gets through: each device has to be imported there by hand",
		      vm->name);
	} else if (*version >= '0' && *version <= '9' &&
		   strverscmp(version, USBROUTED_VERSION) < 0) {
		found(d, WARNING, vm->name,
		      "install the usbroute-agent of this version in the guest",
		      "%s: the agent in its guest is %s, older than usbrouted " USBROUTED_VERSION,
		      vm->name, version);
	} else {
		found(d, GOOD, vm->name, NULL, "%s: agent %s", vm->name, version);
	}
}

static void look_at_vhci(struct doctor *d, struct vm *vm)
{
	struct guest_ports ports = guest_side_ports(vm);

	if (!vm->connected || ports.high < 0)
		return;
	if (!ports.high && ports.super <= 0)
		found(d, WRONG, vm->name,
		      "in the guest: modprobe vhci-hcd; `usbip port` there shows what takes its ports",
		      "%s: its guest has no free port: vhci-hcd is not loaded there, or all its ports are taken",
		      vm->name);
	else if (!ports.high || !ports.super)
		found(d, WARNING, vm->name, "in the guest: `usbip port` shows what takes its ports",
		      "%s: its guest has no free port for %s", vm->name,
		      ports.high ? "a SuperSpeed device" : "a device up to high speed");
	else
		found(d, GOOD, vm->name, NULL,
		      "%s: %d ports up to high speed and %d of SuperSpeed are free", vm->name,
		      ports.high, max_t(int, ports.super, 0));
}

static void look_at_mac(struct doctor *d, struct vm *vm)
{
	char text[512];

	if (vm->has_foreign && vm_card_warning(vm, 0, text, sizeof(text)))
		found(d, WRONG, vm->name,
		      "give each card an address of its own, and the same in [vm] mac = as in the VM's definition",
		      "%s", text);
}

static void look_at_address(struct doctor *d, struct vm *vm)
{
	char text[512];

	if (vm->has_daemon && vm_card_warning(vm, vm->has_foreign, text, sizeof(text)))
		found(d, WRONG, vm->name,
		      "[network] address = another one, then: systemctl restart usbrouted", "%s",
		      text);
}

/* What the guest lets out and does not let in. Of what it does not let out nothing is seen here. */
static void look_at_firewall(struct doctor *d, struct vm *vm)
{
	char mend[TEXT_SIZE];

	if (!vm->connected || !vm->deaf)
		return;
	allow(d, mend, "");
	found(d, WRONG, vm->name, mend,
	      "%s: its guest asks usbrouted for connections, and does not hear the answers: a firewall there drops them",
	      vm->name);
}

/* The agent was told of it, and has neither got it nor said why. */
static bool says_nothing(const struct vm *vm, const struct route_status *r)
{
	return guest_side_takes(vm) && !r->importing && !r->let_go.vm[0] && !vm->asleep &&
	       loop_now() - r->held_ns > SAYS_WITHIN_NS;
}

static void look_at_import(struct doctor *d, struct vm *vm)
{
	char mend[TEXT_SIZE];

	allow(d, mend, "");
	list_for_each(it, &d->rooms->devices->all) {
		const struct device *device = list_entry(it, struct device, link);
		struct route_status r = route_status(device);

		if (r.at != vm || !r.exported || r.session)
			continue;
		if (*r.guest_text)
			found(d, WRONG, vm->name, mend,
			      "%s: it is offered to %s, which can't get it: %s", device->tag,
			      vm->name, r.guest_text);
		else if (says_nothing(vm, &r))
			found(d, WARNING, vm->name, mend,
			      "%s: it is offered to %s, whose agent has neither got it nor said why: its guest stands still, or a firewall there drops what they say to each other",
			      device->tag, vm->name);
	}
}

/* ------------------------------------------------------------- a device */

static const char *device_word(const struct device *device)
{
	return device_alias(device) ? device_alias(device) : device->busid;
}

static void look_at_state(struct doctor *d, const struct device *device)
{
	char reason[400], mend[TEXT_SIZE];
	enum device_state state = route_shown(device, reason, sizeof(reason));

	if (device_state_like(state) != DEVICE_IS_WRONG)
		return;
	snprintf(mend, sizeof(mend), "usbroutectl why %s says more", device_word(device));
	found(d, WRONG, device_word(device), mend, "%s: %s: %s", device->tag,
	      device_state_name(state), reason);
}

/* The line in a file of sysfs whose reading takes no lock of the device; "": there is none. */
static void read_attribute(const struct device *device, const char *name, char text[32])
{
	char path[PATH_MAX];
	FILE *f = NULL;

	*text = '\0';
	if (snprintf(path, sizeof(path), "%s/%s", device->syspath, name) < (int)sizeof(path))
		f = fopen(path, "re");
	if (!f)
		return;
	if (!fgets(text, 32, f))
		*text = '\0';
	text[strcspn(text, "\n")] = '\0';
	fclose(f);
}

static void look_at_autosuspend(struct doctor *d, const struct device *device)
{
	char control[32], mend[TEXT_SIZE];

	read_attribute(device, "power/control", control);
	if (strcmp(control, "auto") != 0)
		return;
	snprintf(
		mend, sizeof(mend),
		"echo on > /sys/bus/usb/devices/%s/power/control; for good: 70-usbrouted.rules in /lib/udev/rules.d",
		device->busid);
	found(d, WARNING, device_word(device), mend,
	      "%s: it may be suspended between two guests, and come back reset", device->tag);
}

static void look_at_hub(struct doctor *d, const struct device *device)
{
	char speed[32];

	/*
	 * Devices at a root hub are passed over. A root hub is so slow only where its controller is
	 * of USB 1.1, and no other hub would help.
	 */
	if (!strchr(device->busid, '.'))
		return;
	read_attribute(device, "../speed", speed);
	if (!*speed || strtod(speed, NULL) > FULL_SPEED)
		return;
	found(d, WARNING, device_word(device),
	      "plug it in elsewhere, or replace the hub or its cable",
	      "%s: its hub runs at %s Mbit/s, and all that is plugged into it shares that",
	      device->tag, speed);
}

/* ------------------------------------------------------------- all of them */

static const struct {
	const char *name;
	void (*host)(struct doctor *d);
	void (*vm)(struct doctor *d, struct vm *vm);
	void (*device)(struct doctor *d, const struct device *device);
} checks[] = {
	{"kernel", .host = look_at_kernel},
	{"configuration", .host = look_at_configuration},
	{"socket-group", .host = look_at_socket_group},
	{"usb-memory", .host = look_at_usb_memory},
	{"flapping", .host = look_at_flapping},
	{"card", .vm = look_at_card},
	{"memory", .vm = look_at_memory},
	{"mac", .vm = look_at_mac},
	{"address", .vm = look_at_address},
	{"agent", .vm = look_at_agent},
	{"vhci", .vm = look_at_vhci},
	{"firewall", .vm = look_at_firewall},
	{"import", .vm = look_at_import},
	{"device", .device = look_at_state},
	{"autosuspend", .device = look_at_autosuspend},
	{"hub", .device = look_at_hub},
};

static bool is_about(const struct doctor *d, const struct device *device)
{
	return !d->only || !strcmp(route_wanted(device).target, d->only->name) ||
	       route_status(device).at == d->only;
}

static void look(struct doctor *d, size_t i)
{
	d->name = checks[i].name;
	if (checks[i].host)
		checks[i].host(d);
	list_for_each(it, &d->rooms->vms->all) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (checks[i].vm && (!d->only || d->only == vm))
			checks[i].vm(d, vm);
	}
	list_for_each(it, &d->rooms->devices->all) {
		const struct device *device = list_entry(it, struct device, link);

		if (checks[i].device && is_about(d, device))
			checks[i].device(d, device);
	}
}

static void method_doctor(struct control_caller *caller, const struct varlink_call *call)
{
	const char *vm = control_text(call, "vm");
	struct doctor d = {.rooms = control_rooms(caller), .room = JSON_LIST_MAX};

	if (vm) {
		d.only = vm_find(d.rooms->vms, vm);
		if (!d.only) {
			control_no_vm(caller, vm);
			return;
		}
	}
	d.checks = json_array();
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		look(&d, i);
	control_reply(caller, json_pack("{s:o, s:i}", "checks", d.checks, "checks_left_out",
					(int)d.left_out));
}

const struct control_method control_doctor_methods[] = {
	{"Doctor", CONTROL_LOOK, method_doctor, {{"vm", CONTROL_TEXT, true}}},
	{},
};
