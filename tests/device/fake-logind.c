/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What logind says and does about sleep, on the bus that DBUS_SYSTEM_BUS_ADDRESS names: for a test of
 * who listens to it. Tells on stdout "inhibit WHAT WHO MODE" and "released"; a line "1" or "0" on
 * stdin is sent as PrepareForSleep(true) or (false). Ends with its input.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "base/mem.h"

#define OBJECT	  "/org/freedesktop/login1"
#define INTERFACE "org.freedesktop.login1.Manager"

static int held = -1; /* our end of the newest inhibitor */

static int on_inhibit(sd_bus_message *m, void *ctx _unused_, sd_bus_error *error _unused_)
{
	const char *what, *who, *why, *mode;
	int ends[2], r;

	r = sd_bus_message_read(m, "ssss", &what, &who, &why, &mode);
	if (r < 0 || pipe(ends) < 0)
		return -1;
	printf("inhibit %s %s %s\n", what, who, mode);
	r = sd_bus_reply_method_return(m, "h", ends[1]);
	close(ends[1]);
	if (held >= 0)
		close(held);
	held = ends[0];
	return r;
}

static const sd_bus_vtable manager[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Inhibit", "ssss", "h", on_inhibit, 0),
	SD_BUS_SIGNAL("PrepareForSleep", "b", 0),
	SD_BUS_VTABLE_END,
};

int main(void)
{
	sd_bus *bus = NULL;
	char line[8];

	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	if (sd_bus_open_system(&bus) < 0 ||
	    sd_bus_add_object_vtable(bus, NULL, OBJECT, INTERFACE, manager, NULL) < 0 ||
	    sd_bus_request_name(bus, "org.freedesktop.login1", 0) < 0)
		return 1;
	puts("ready");
	for (;;) {
		struct pollfd p[] = {
			{.fd = sd_bus_get_fd(bus), .events = POLLIN},
			{.fd = STDIN_FILENO, .events = POLLIN},
			{.fd = held, .events = POLLIN},
		};
		int r;

		while ((r = sd_bus_process(bus, NULL)) > 0)
			;
		p[2].fd = held;
		if (r < 0 || sd_bus_flush(bus) < 0 || poll(p, ARRAY_SIZE(p), -1) < 0)
			return 1;
		if (p[2].revents) {
			puts("released");
			close(held);
			held = -1;
		}
		if (!p[1].revents)
			continue;
		if (!fgets(line, sizeof(line), stdin))
			return 0;
		sd_bus_emit_signal(bus, OBJECT, INTERFACE, "PrepareForSleep", "b", line[0] == '1');
	}
}
