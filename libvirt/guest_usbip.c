/* SPDX-License-Identifier: BSD-2-Clause */
/* `usbip` in a guest; see guest_usbip.h. */
#include "libvirt/guest_usbip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/virt_wire.h"
#include "libvirt/guest_network.h"

#define USBIP_MS    15000
#define MODPROBE_MS 10000
#define PORTS_MAX   128

/* Where Debian and most others have it, for an agent whose PATH is short. */
#define USBIP_PATH "/usr/sbin/usbip"

static int run_usbip(struct guest_agent *agent, const char *const *words, struct guest_exec *ret)
{
	const char *argv[GUEST_EXEC_ARGS_MAX + 1] = {"usbip"};
	unsigned n = 1;
	int r;

	while (words[n - 1] && n < GUEST_EXEC_ARGS_MAX) {
		argv[n] = words[n - 1];
		n++;
	}
	r = guest_exec(agent, argv, USBIP_MS, ret);
	if (r != -ENOENT)
		return r;
	argv[0] = USBIP_PATH;
	return guest_exec(agent, argv, USBIP_MS, ret);
}

static int refused(struct guest_agent *agent, struct guest_exec *end)
{
	const char *line = guest_exec_last_line(end->err);

	snprintf(agent->error, sizeof(agent->error), "in the guest, usbip ended with %d: %.150s",
		 end->status, *line ? line : guest_exec_last_line(end->out));
	return -EREMOTEIO;
}

/* Whether usbip failed because the driver vhci-hcd is missing. */
static bool lacks_vhci(const struct guest_exec *end)
{
	return strstr(end->err, "vhci") || strstr(end->out, "vhci");
}

/**
 * guest_usbip_attach() - `usbip attach` in a guest
 * @agent:	the guest's agent
 * @address:	where the daemon is, as in ATTACH (virt_wire.h)
 * @busid:	the device, by busid or alias
 *
 * Where vhci-hcd is missing it is loaded and the attach tried once more.
 *
 * Return: 0, or a negative errno and @agent->error says why.
 */
int guest_usbip_attach(struct guest_agent *agent, const char *address, const char *busid)
{
	char scoped[sizeof("fe80::1%") + GUEST_INTERFACE_MAX] = "fe80::1%";
	const char *mac = virt_address_mac(address);
	const char *const attach[] = {"attach", "-r", mac ? scoped : address, "-b", busid, NULL};
	static const char *const modprobe[] = {"modprobe", "vhci-hcd", NULL};
	_cleanup_free_ struct guest_exec *end = calloc(1, sizeof(*end));
	int r;

	if (!end)
		return -ENOMEM;
	if (mac) {
		r = guest_network_find(agent, mac, scoped + strlen(scoped));
		if (r < 0)
			return r;
	}
	r = run_usbip(agent, attach, end);
	if (r == 0 && end->status && lacks_vhci(end) &&
	    guest_exec(agent, modprobe, MODPROBE_MS, end) == 0)
		r = run_usbip(agent, attach, end);
	if (r == 0 && end->status)
		r = refused(agent, end);
	return r;
}

/**
 * guest_usbip_find_port() - which port of vhci has a device, from what `usbip port` writes
 * @out:	what it wrote
 * @busid:	the device as it was attached
 *
 * Return: the port, or -ENOENT.
 */
int guest_usbip_find_port(const char *out, const char *busid)
{
	size_t len = strlen(busid);
	long port = -1;

	while (*out) {
		size_t line = strcspn(out, "\n");
		const char *url = memmem(out, line, "usbip://", 8), *slash;

		if (line > 5 && !strncmp(out, "Port ", 5)) {
			port = strtol(out + 5, NULL, 10);
			if (port < 0 || port >= PORTS_MAX)
				port = -1;
		} else if (url && port >= 0) {
			slash = memchr(url + 8, '/', (size_t)(out + line - url - 8));
			if (slash && (size_t)(out + line - slash - 1) == len &&
			    !memcmp(slash + 1, busid, len))
				return (int)port;
		}
		out += line;
		out += *out == '\n';
	}
	return -ENOENT;
}

/**
 * guest_usbip_detach() - `usbip detach` in a guest
 * @agent:	the guest's agent
 * @busid:	the device, as it was attached
 *
 * A guest that does not have it is no error.
 *
 * Return: 0, or a negative errno and @agent->error says why.
 */
int guest_usbip_detach(struct guest_agent *agent, const char *busid)
{
	static const char *const ports[] = {"port", NULL};
	_cleanup_free_ struct guest_exec *end = calloc(1, sizeof(*end));
	char number[12];
	const char *const detach[] = {"detach", "-p", number, NULL};
	int r;

	if (!end)
		return -ENOMEM;
	r = run_usbip(agent, ports, end);
	if (r < 0)
		return r;
	/* Without vhci-hcd there are no ports, and usbip ends with an error. */
	r = guest_usbip_find_port(end->out, busid);
	if (r < 0)
		return 0;
	snprintf(number, sizeof(number), "%d", r);
	r = run_usbip(agent, detach, end);
	if (r == 0 && end->status)
		r = refused(agent, end);
	return r;
}
