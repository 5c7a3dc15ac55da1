/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's end of usbrouted-libvirt, with a scripted helper at a real socket: what it is asked
 * and when, and that nothing it says or leaves unsaid stays behind.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "protocol/virt_wire.h"
#include "daemon/core/state_file.h"
#include "daemon/guests/guests.h"
#include "daemon/routing/route.h"
#include "daemon/guests/virt_link.h"

static char domain[] = "win 10", busid[] = "1-1.2";
static char folder[] = "/tmp/test-virt-link-XXXXXX";
static struct config config;
static struct core core = {.config = &config};
static struct devices devices = {.core = &core};
static struct vms all_vms = {.core = &core};
static struct guests guests = {.core = &core, .devices = &devices, .vms = &all_vms};
static struct guest_side side = {.guests = &guests};
static struct vm vms[2];
static struct device device;
static struct route_status route;
static char guest_text[120];
static struct vm *exported_to; /* where the device is */
static unsigned changes;       /* calls of guest_side_changed() */
static int helper = -1;
static struct virt_reader reader;

char *state_file_path(char *buf, size_t size, const char *in, const char *name)
{
	snprintf(buf, size, "%s/%s", in, name);
	return buf;
}

bool route_exported_to(const struct device *dev, const struct vm *vm)
{
	return vm == exported_to && vm->connected;
}

struct route_status route_status(const struct device *dev)
{
	return route;
}

void route_guest_says(struct device *dev, const struct vm *vm _unused_, bool has, const char *text)
{
	route.guest_has = has;
	snprintf(guest_text, sizeof(guest_text), "%s", has ? "" : text);
}

void guest_side_changed(struct vm *vm)
{
	changes++;
}

bool vm_daemon_by_mac(const struct vm *vm, char mac[18])
{
	if (vm->has_daemon)
		strcpy(mac, "52:54:00:77:00:0b");
	return vm->has_daemon;
}

/* ------------------------------------------------------------- the helper */

static int connect_helper(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = 10};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/libvirt", folder);
	assert_int_equal(connect(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return sock;
}

static void turn(void)
{
	assert_true(loop_turn(core.loop, true) >= 0);
}

static void turn_now(void)
{
	assert_true(loop_turn(core.loop, false) >= 0);
}

/* The next line that the daemon says; turns the loop until it has. */
static void expect(const char *want)
{
	struct virt_line line;
	char buf[VIRT_LINE_MAX];
	int r, len;

	while ((r = virt_reader_next(&reader, &line)) == VIRT_READER_MORE) {
		struct pollfd p = {.fd = helper, .events = POLLIN};
		size_t room;
		char *space = virt_reader_space(&reader, &room);
		ssize_t n;

		while (poll(&p, 1, 0) == 0)
			turn();
		n = recv(helper, space, room, 0);
		assert_true(n > 0);
		virt_reader_filled(&reader, (size_t)n);
	}
	assert_int_equal(r, 0);
	len = virt_line_format(buf, &line);
	buf[len - 1] = '\0';
	assert_string_equal(buf, want);
}

static void expect_nothing(void)
{
	struct pollfd p = {.fd = helper, .events = POLLIN};

	turn_now();
	assert_int_equal(poll(&p, 1, 0), 0);
}

static void say(const char *text)
{
	assert_int_equal(send(helper, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	turn();
}

static void helper_comes(void)
{
	helper = connect_helper();
	reader = (struct virt_reader){0};
	expect("STATE");
}

static void helper_goes(void)
{
	helper = fd_close(helper);
	turn();
}

/* ------------------------------------------------------------- tests */

static void test_domains(void **state)
{
	char text[400];

	assert_true(virt_warning(&vms[1], text, sizeof(text)));
	assert_non_null(strstr(text, "usbrouted-libvirt is not there"));
	/* vm1 names no domain: there may be no libvirt at all. */
	assert_false(virt_warning(&vms[0], text, sizeof(text)));

	helper_comes();
	assert_true(virt_warning(&vms[1], text, sizeof(text)));
	assert_non_null(strstr(text, "libvirt can't be reached"));
	say("LIBVIRT yes\nDOMAIN vm1 running\n");
	assert_string_equal(virt_domain_state(&vms[0]), "running");
	assert_null(virt_domain_state(&vms[1]));
	assert_true(virt_warning(&vms[1], text, sizeof(text)));
	assert_string_equal(text, "vm2: libvirt has no domain \"win 10\"");
	say("DOMAIN win%2010 crashed\n");
	assert_true(virt_warning(&vms[1], text, sizeof(text)));
	assert_string_equal(text, "vm2: its domain \"win 10\" has crashed");
	vms[0].connected = false;
	assert_true(virt_warning(&vms[0], text, sizeof(text)));
	assert_non_null(strstr(text, "usbroutectl vm add \"vm1\""));
	vms[0].connected = true;
	say("DOMAIN vm1 gone\n");
	assert_null(virt_domain_state(&vms[0]));
	say("LIBVIRT no\n");
	assert_null(virt_domain_state(&vms[1]));
	say("DOMAIN vm1 paused\n");
	assert_string_equal(virt_domain_state(&vms[0]), "paused");
	helper_goes();
	assert_null(virt_domain_state(&vms[0]));
}

static void test_attach(void **state)
{
	helper_comes();
	say("LIBVIRT yes\nDOMAIN vm1 running\nDOMAIN win%2010 running\n");
	assert_false(virt_way.there(&vms[0]));
	changes = 0;
	say("AGENT vm1 yes\n");
	assert_int_equal(changes, 1);
	assert_true(virt_way.there(&vms[0]));
	assert_false(virt_way.there(&vms[1]));
	assert_int_equal(virt_way.ports(&vms[0]).high, -1);

	/* Asked once, however often one looks. */
	exported_to = &vms[0];
	virt_way.changed(&vms[0]);
	virt_way.changed(&vms[0]);
	expect("ATTACH 1 vm1 10.77.0.1 1-1.2");
	expect_nothing();
	changes = 0;
	say("DONE 1\n");
	assert_int_equal(changes, 1);
	assert_false(route.guest_has);
	route.session = true;
	virt_way.changed(&vms[0]);
	assert_true(route.guest_has);

	/* Elsewhere: it is to let go of it, and only then may it have it again. */
	exported_to = NULL;
	route.session = route.guest_has = false;
	virt_way.changed(&vms[0]);
	expect("DETACH 2 vm1 1-1.2");
	exported_to = &vms[0];
	virt_way.changed(&vms[0]);
	expect_nothing();
	changes = 0;
	say("DONE 2\n");
	assert_int_equal(changes, 1);
	virt_way.changed(&vms[0]);
	expect("ATTACH 3 vm1 10.77.0.1 1-1.2");

	/* Taken away while it is being attached. */
	exported_to = NULL;
	virt_way.changed(&vms[0]);
	expect_nothing();
	say("DONE 3\n");
	virt_way.changed(&vms[0]);
	expect("DETACH 4 vm1 1-1.2");
	say("FAILED 4 no\n");
	helper_goes();
}

static void test_failed(void **state)
{
	helper_comes();
	say("LIBVIRT yes\nDOMAIN vm1 running\nAGENT vm1 yes\n");
	exported_to = &vms[0];
	virt_way.changed(&vms[0]);
	expect("ATTACH 5 vm1 10.77.0.1 1-1.2");
	say("FAILED 5 no%20usbip\n");
	assert_string_equal(guest_text, "no usbip");
	/* It tries again by itself, by what is known then: the guest has that address itself. */
	vms[0].has_daemon = true;
	expect("ATTACH 6 vm1 fe80::1@52:54:00:77:00:0b 1-1.2");
	vms[0].has_daemon = false;
	/* Answers to what nobody asked are nobody's. */
	say("DONE 5\nDONE 999999999\n");
	say("DONE 6\n");
	route.session = true;
	virt_way.changed(&vms[0]);
	assert_true(route.guest_has);
	/* The guest lets go of it by itself, and is given it again. */
	route.session = false;
	virt_way.changed(&vms[0]);
	assert_false(route.guest_has);
	assert_string_equal(guest_text, "the guest has let go of it");
	expect("DETACH 7 vm1 1-1.2");
	say("DONE 7\n");
	virt_way.changed(&vms[0]);
	expect("ATTACH 8 vm1 10.77.0.1 1-1.2");

	/* The agent goes: nothing is open any more, and all begins again when it is back. */
	say("AGENT vm1 no\n");
	assert_false(virt_way.there(&vms[0]));
	say("AGENT vm1 yes\n");
	virt_way.changed(&vms[0]);
	expect("ATTACH 9 vm1 10.77.0.1 1-1.2");
	/* A VM that goes takes what is open with it. */
	virt_forget(&vms[0]);
	say("DONE 9\n");
	exported_to = NULL;
	virt_way.changed(&vms[0]);
	expect_nothing();
	helper_goes();
}

static void test_by_hand(void **state)
{
	helper_comes();
	say("LIBVIRT yes\nDOMAIN vm1 running\nAGENT vm1 yes\n");
	exported_to = &vms[0];
	route.session = true;
	virt_way.changed(&vms[0]);
	assert_true(route.guest_has);
	expect_nothing();
	helper_goes();
}

/* Whether the helper was cut off. */
static bool cut_off(int sock)
{
	char byte;

	for (unsigned i = 0; i < 10; i++) {
		if (recv(sock, &byte, 1, MSG_DONTWAIT) == 0)
			return true;
		turn_now();
	}
	return false;
}

static void test_hostile(void **state)
{
	static const char *const bad[] = {"STATE\n", "DOMAIN vm1\n", "ATTACH 1 vm1 10.77.0.1 1-1\n",
					  "x\n", "\n"};
	char line[VIRT_LINE_MAX + 10];
	int second;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		helper_comes();
		say("LIBVIRT yes\nDOMAIN vm1 running\n");
		say(bad[i]);
		assert_true(cut_off(helper));
		assert_null(virt_domain_state(&vms[0]));
		helper = fd_close(helper);
	}
	helper_comes();
	memset(line, 'A', sizeof(line));
	line[sizeof(line) - 1] = '\0';
	say(line);
	assert_true(cut_off(helper));
	helper = fd_close(helper);

	/* More domains than there is room for cost no more than the room. */
	helper_comes();
	for (unsigned i = 0; i < 1100; i++) {
		snprintf(line, sizeof(line), "DOMAIN d%u running\n", i);
		say(line);
	}
	say("DOMAIN vm1 running\n");
	assert_null(virt_domain_state(&vms[0]));

	/* A second one is sent away, the first one stays. */
	second = connect_helper();
	turn();
	assert_true(cut_off(second));
	close(second);
	say("DOMAIN d0 gone\nDOMAIN vm1 running\n");
	assert_string_equal(virt_domain_state(&vms[0]), "running");
	/* Where the first one has gone, and nobody has looked yet, the second one is the helper. */
	close(helper);
	helper = connect_helper();
	reader = (struct virt_reader){0};
	expect("STATE");
	helper_goes();
}

static int setup(void **state)
{
	struct stat st;
	char path[64];

	if (!mkdtemp(folder))
		return -1;
	config.runtime_directory = folder;
	inet_pton(AF_INET, "10.77.0.1", &config.address);
	list_init(&all_vms.all);
	list_init(&devices.all);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(vms[i].name, sizeof(vms[i].name), "vm%u", i + 1);
		vms[i].vms = &all_vms;
		vms[i].side = &side;
		vms[i].connected = true;
		list_append(&all_vms.all, &vms[i].link);
	}
	vms[1].domain = domain;
	if (loop_new(&core.loop) < 0 || virt_link_new(&guests.virt, &guests) < 0 ||
	    virt_link_start(guests.virt) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/libvirt", folder);
	return stat(path, &st) < 0 || (st.st_mode & 07);
}

static int before(void **state)
{
	list_init(&devices.all);
	route = (struct route_status){.guest_text = guest_text};
	device = (struct device){.devices = &devices, .busid = busid, .tag = "keyboard"};
	device.info.busnum = 1;
	device.info.devnum = 5;
	list_append(&devices.all, &device.link);
	exported_to = NULL;
	return 0;
}

static int teardown(void **state)
{
	guests.virt = virt_link_free(guests.virt);
	loop_free(core.loop);
	return rmdir(folder); /* the socket has gone */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_domains, before),
		cmocka_unit_test_setup(test_attach, before),
		cmocka_unit_test_setup(test_failed, before),
		cmocka_unit_test_setup(test_by_hand, before),
		cmocka_unit_test_setup(test_hostile, before),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
