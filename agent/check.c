/* SPDX-License-Identifier: BSD-2-Clause */
/* `usbroute-agent --check`: what is missing in this guest, a line each, for people. Changes nothing. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "agent/agent.h"

#define ASK_MS	   300
#define ASK_TIMES  5
#define CONNECT_MS 3000

static unsigned n_missing;

static void says(bool good, const char *format, ...) _printf_(2, 3);

static void says(bool good, const char *format, ...)
{
	va_list ap;

	n_missing += !good;
	printf("%s: ", good ? "ok" : "missing");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

static void check_vhci(const struct agent_options *options)
{
	_cleanup_free_ struct vhci_status *status = calloc(1, sizeof(*status));
	struct vhci vhci;
	char path[PATH_MAX];
	unsigned high, super;

	if (!status)
		return;
	snprintf(path, sizeof(path), "%s/devices", options->sysfs);
	if (access(path, F_OK) < 0) {
		says(false, "sysfs is not mounted at %s", options->sysfs);
		return;
	}
	if (vhci_init(&vhci, options->sysfs, options->run) < 0 || vhci_read(&vhci, status) < 0) {
		says(false,
		     "module vhci-hcd is not loaded (try: modprobe vhci-hcd; the kernel needs CONFIG_USBIP_VHCI_HCD)");
		return;
	}
	says(true, "vhci-hcd is there: %s", vhci.folder);
	if ((size_t)snprintf(path, sizeof(path), "%s/attach", vhci.folder) < sizeof(path) &&
	    access(path, W_OK) < 0)
		says(false, "%s can't be written: %s", path, errno_text(errno));
	high = vhci_count_free(status, false);
	super = vhci_count_free(status, true);
	says(high, "%u free ports up to high speed", high);
	if (super)
		says(true, "%u free ports for SuperSpeed", super);
	else
		printf("note: no free port for SuperSpeed; such devices can't be attached\n");
}

static bool answers(const struct agent *agent, bool v4, uint16_t port)
{
	_cleanup_close_ int sock = -1;
	socklen_t len = sizeof(int);
	struct pollfd p = {.events = POLLOUT};
	int error = 0;

	/* It says nothing, so an agent that is running keeps its connection. */
	if (agent_connect(agent, v4, port, &sock) < 0)
		return false;
	p.fd = sock;
	return poll(&p, 1, CONNECT_MS) == 1 &&
	       getsockopt(sock, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && !error;
}

/* Both ports, each of which a firewall here may keep from this guest. */
static void check_ports(const struct agent *agent)
{
	char dotted[INET_ADDRSTRLEN], v6[64];
	const char *at = v6;
	bool v4 = false;

	inet_ntop(AF_INET, &agent->options.address, dotted, sizeof(dotted));
	snprintf(v6, sizeof(v6), "fe80::1%%%s", agent->segment.name);
	if (!answers(agent, false, AGENT_PORT)) {
		v4 = answers(agent, true, AGENT_PORT);
		if (!v4) {
			says(false,
			     "usbrouted answers neither at %s nor at %s, TCP %d (does a firewall here drop it?)",
			     v6, dotted, AGENT_PORT);
			return;
		}
		at = dotted;
	}
	says(true, "usbrouted answers at %s", at);
	if (!answers(agent, v4, USBIP_PORT))
		says(false,
		     "usbrouted does not answer at %s, TCP %d (does a firewall here drop it?)", at,
		     USBIP_PORT);
}

static void check_segment(const struct agent_options *options)
{
	struct agent agent = {.options = *options};
	int r = segment_init(&agent.segment, options->interface, options->address);

	if (r == 0)
		r = segment_find(&agent.segment);
	for (unsigned i = 0; i < ASK_TIMES && r == SEGMENT_ASKED; i++) {
		poll(NULL, 0, ASK_MS);
		r = segment_find(&agent.segment);
	}
	if (r < 0)
		says(false, "interfaces can't be listed: %s", errno_text(r));
	else if (r && options->interface)
		says(false,
		     "interface %s is not there, or has no carrier (is it up? is usbrouted running on the host?)",
		     options->interface);
	else if (r)
		says(false,
		     "no interface with usbrouted at its other end (is the card up? is usbrouted running on the host? else name it with --interface)");
	else
		says(true, "interface %s", agent.segment.name);
	if (r == 0)
		check_ports(&agent);
	segment_deinit(&agent.segment);
}

/**
 * agent_check() - name what is missing
 * @options:	what the user says
 *
 * Return: the process's exit status: 1 where something is missing.
 */
int agent_check(const struct agent_options *options)
{
	says(geteuid() == 0,
	     geteuid() ? "not root (try: sudo usbroute-agent --check)" : "this is root");
	check_vhci(options);
	check_segment(options);
	return n_missing != 0;
}
