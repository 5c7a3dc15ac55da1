/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's vhci-hcd by its files: status texts of kernels from 4.4 on, in a folder that plays
 * sysfs; the files of `usbip port`; the answers to an import.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "agent/import.h"
#include "agent/vhci.h"

/* Linux 4.4: no hubs; a line in use has a pointer, and a word less than one that is free. */
static const char status_4_4[] = "prt sta spd bus dev socket           local_busid\n"
				 "000 004 000 000 000 0000000000000000 0-0\n"
				 "001 006 003 00010002 ffff88003a5f2c00 3-2\n"
				 "002 004 000 000 000 0000000000000000 0-0\n"
				 "003 007 000 000 000 0000000000000000 0-0\n";

/* Linux 4.9 */
static const char status_4_9[] = "port sta spd dev      socket           local_busid\n"
				 "0000 004 000 00000000 0000000000000000 0-0\n"
				 "0001 006 002 00010005 ffff9a4e31e0c780 2-2\n"
				 "0002 005 000 00000000 0000000000000000 0-0\n";

/* Linux 4.13 to 6.12 */
static const char status_6_1[] = "hub port sta spd dev      sockfd local_busid\n"
				 "hs  0000 006 002 00010003 000009 1-1\n"
				 "hs  0001 004 000 00000000 000000 0-0\n"
				 "ss  0008 004 000 00000000 000000 0-0\n"
				 "ss  0009 006 005 00020002 000011 2-2.4\n";

static void assert_port(const struct vhci_port *port, unsigned number, bool super, unsigned status,
			uint32_t devid, const char *local)
{
	assert_int_equal(port->number, number);
	assert_int_equal(port->super, super);
	assert_int_equal(port->status, status);
	assert_int_equal(port->devid, devid);
	assert_string_equal(port->local, local);
}

static void test_status(void **state)
{
	_cleanup_free_ struct vhci_status *s = calloc(1, sizeof(*s));

	assert_int_equal(vhci_status_parse(status_4_4, strlen(status_4_4), s), 4);
	assert_port(&s->ports[0], 0, false, VHCI_FREE, 0, "");
	assert_port(&s->ports[1], 1, false, VHCI_USED, 0x10002, "3-2");
	assert_port(&s->ports[3], 3, false, VHCI_BROKEN, 0, "");
	assert_int_equal(vhci_count_free(s, false), 2);
	assert_int_equal(vhci_count_free(s, true), 0);

	s->n = 0;
	assert_int_equal(vhci_status_parse(status_4_9, strlen(status_4_9), s), 3);
	assert_port(&s->ports[1], 1, false, VHCI_USED, 0x10005, "2-2");
	assert_port(&s->ports[2], 2, false, VHCI_STARTING, 0, "");

	s->n = 0;
	assert_int_equal(vhci_status_parse(status_6_1, strlen(status_6_1), s), 4);
	assert_port(&s->ports[0], 0, false, VHCI_USED, 0x10003, "1-1");
	assert_port(&s->ports[2], 8, true, VHCI_FREE, 0, "");
	assert_port(&s->ports[3], 9, true, VHCI_USED, 0x20002, "2-2.4");
	assert_int_equal(vhci_count_free(s, false), 1);
	assert_int_equal(vhci_count_free(s, true), 1);
	assert_ptr_equal(vhci_find(s, 9), &s->ports[3]);
	assert_null(vhci_find(s, 2));
}

static void test_status_nonsense(void **state)
{
	static const char *const bad[] = {
		"",
		"\n\n",
		"hs",
		"hs \n",
		"hs 0000\n",
		"xs 0000 004\n",
		"hs -1 004\n",
		"hs 0000 006 002 00010003 000009\n",
		/* A name of a device becomes a path. */
		"hs 0000 006 002 00010003 000009 ../../etc\n",
		"hs 0000 006 002 00010003 000009 1-1/x\n",
		"hs 0000 006 002 zz010003 000009 1-1\n",
		"hs 0000 006 002 00010003 000009 123456789012345678901234567890123\n",
	};
	_cleanup_free_ struct vhci_status *s = calloc(1, sizeof(*s));

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (vhci_status_parse(bad[i], strlen(bad[i]), s))
			fail_msg("taken: %s", bad[i]);
	/* Without a newline at the end, and no byte beyond. */
	assert_int_equal(vhci_status_parse("hs 0 004XX", 8, s), 1);
}

static void test_status_many(void **state)
{
	_cleanup_free_ struct vhci_status *s = calloc(1, sizeof(*s));
	static const char line[] = "hs  0001 004 000 00000000 000000 0-0\n";

	for (unsigned i = 0; i < VHCI_PORTS_MAX + 10; i++)
		vhci_status_parse(line, strlen(line), s);
	assert_int_equal(s->n, VHCI_PORTS_MAX);
}

/* ------------------------------------------------------------- a folder that plays sysfs */

struct fixture {
	char root[64];
	struct vhci vhci;
};

static void put(struct fixture *f, const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->root, name);
	for (char *p = path + strlen(f->root) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(path, 0755);
		*p = '/';
	}
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void assert_file(struct fixture *f, const char *name, const char *text)
{
	char path[PATH_MAX], have[256] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->root, name);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(have, 1, sizeof(have) - 1, file) < sizeof(have));
	fclose(file);
	assert_string_equal(have, text);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->root, sizeof(f->root), "/tmp/test-guest-vhci-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[100];

	snprintf(command, sizeof(command), "rm -r %s", f->root);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static int init(struct fixture *f)
{
	char run[PATH_MAX];

	snprintf(run, sizeof(run), "%s/run", f->root);
	return vhci_init(&f->vhci, f->root, run);
}

static void test_folder(void **state)
{
	_cleanup_free_ struct vhci_status *s = calloc(1, sizeof(*s));
	struct fixture *f = *state;
	unsigned number;

	assert_int_equal(init(f), -ENOENT);
	assert_int_equal(vhci_read(&f->vhci, s), -ENOENT);
	put(f, "devices/platform/vhci_hcd/status", status_4_4);
	assert_int_equal(init(f), 0);
	put(f, "devices/platform/vhci_hcd.0/status", status_6_1);
	assert_int_equal(init(f), 0);
	/* Without its root hubs the kernel has not set it up. */
	assert_int_equal(vhci_read(&f->vhci, s), -EAGAIN);
	put(f, "devices/platform/vhci_hcd.0/usb1/x", "");
	put(f, "devices/platform/vhci_hcd.0/usbip_debug", "");
	assert_int_equal(vhci_read(&f->vhci, s), -EAGAIN);
	put(f, "devices/platform/vhci_hcd.0/usb2/x", "");
	put(f, "devices/platform/vhci_hcd.0/status.1",
	    "hub port sta spd dev      sockfd local_busid\n"
	    "hs  0016 004 000 00000000 000000 0-0\n");
	put(f, "devices/platform/vhci_hcd.0/attach", "");
	put(f, "devices/platform/vhci_hcd.0/detach", "");
	assert_int_equal(init(f), 0);
	assert_int_equal(vhci_read(&f->vhci, s), 0);
	assert_int_equal(s->n, 4);
	put(f, "devices/platform/vhci_hcd.1/usb3/x", "");
	put(f, "devices/platform/vhci_hcd.1/usb4/x", "");
	assert_int_equal(vhci_read(&f->vhci, s), 0);
	assert_int_equal(s->n, 5);
	assert_int_equal(vhci_count_free(s, false), 2);

	assert_int_equal(vhci_attach(&f->vhci, 7, 0x10002, 3, &number), 0);
	assert_int_equal(number, 1);
	assert_file(f, "devices/platform/vhci_hcd.0/attach", "1 7 65538 3");
	put(f, "devices/platform/vhci_hcd.0/attach", "");
	assert_int_equal(vhci_attach(&f->vhci, 7, 0x20002, 5, &number), 0);
	assert_int_equal(number, 8);
	assert_file(f, "devices/platform/vhci_hcd.0/attach", "8 7 131074 5");
	assert_int_equal(vhci_detach(&f->vhci, 9), 0);
	assert_file(f, "devices/platform/vhci_hcd.0/detach", "9");

	put(f, "devices/platform/vhci_hcd.0/status", status_4_4);
	assert_int_equal(vhci_attach(&f->vhci, 7, 0x20002, 5, &number), -ENOSPC);
}

static void test_configured(void **state)
{
	_cleanup_free_ struct vhci_status *s = calloc(1, sizeof(*s));
	struct fixture *f = *state;

	put(f, "devices/platform/vhci_hcd.0/status", status_6_1);
	put(f, "devices/platform/vhci_hcd.0/usb1/x", "");
	put(f, "devices/platform/vhci_hcd.0/usb2/x", "");
	assert_int_equal(init(f), 0);
	assert_int_equal(vhci_read(&f->vhci, s), 0);
	assert_false(vhci_configured(&f->vhci, &s->ports[0]));
	put(f, "bus/usb/devices/1-1/bConfigurationValue", "");
	assert_false(vhci_configured(&f->vhci, &s->ports[0]));
	put(f, "bus/usb/devices/1-1/bConfigurationValue", "1\n");
	assert_true(vhci_configured(&f->vhci, &s->ports[0]));
	assert_false(vhci_configured(&f->vhci, &s->ports[1]));
}

static void test_peer(void **state)
{
	static const char *const bad[] = {"",
					  "\n",
					  "10.77.0.1\n",
					  "10.77.0.1 3240\n",
					  "10.77.0.1 x 1-1\n",
					  "10.77.0.1 3240 1\t1\n"};
	struct vhci_peer peer = {.host = "fe80::1%eth0", .port = 3240, .busid = "1-1.2"}, again;
	struct fixture *f = *state;

	init(f);
	assert_int_equal(vhci_peer_read(&f->vhci, 3, &again), -ENOENT);
	assert_int_equal(vhci_peer_write(&f->vhci, 3, &peer), 0);
	assert_file(f, "run/port3", "fe80::1%eth0 3240 1-1.2\n");
	assert_int_equal(vhci_peer_read(&f->vhci, 3, &again), 0);
	assert_string_equal(again.host, peer.host);
	assert_string_equal(again.busid, peer.busid);
	assert_int_equal(again.port, 3240);
	/* Over what somebody else has left there. */
	assert_int_equal(vhci_peer_write(&f->vhci, 3, &peer), 0);
	vhci_peer_remove(&f->vhci, 3);
	assert_int_equal(vhci_peer_read(&f->vhci, 3, &again), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(vhci_peer_parse(bad[i], strlen(bad[i]), &again), -EINVAL);
	assert_int_equal(vhci_peer_parse("server 3240 1-1", 15, &again), 0);
}

/* ------------------------------------------------------------- importing */

static void test_import(void **state)
{
	uint8_t request[IMPORT_REQUEST_SIZE], reply[IMPORT_REPLY_SIZE] = {1, 0x11, 0, 3};
	struct import_reply device;

	import_request(request, "1-1.2");
	assert_memory_equal(request, "\x01\x11\x80\x03\0\0\0\0001-1.2\0\0", 15);

	memcpy(reply + 8 + 256, "1-1.2", 5);
	reply[8 + 256 + 32 + 3] = 1;
	reply[8 + 256 + 32 + 7] = 9;
	reply[8 + 256 + 32 + 11] = 3;
	assert_int_equal(import_parse(reply, sizeof(reply), "1-1.2", &device), 0);
	assert_int_equal(device.devid, 0x10009);
	assert_int_equal(device.speed, 3);
	assert_int_equal(import_parse(reply, sizeof(reply), "1-1", &device), -EPROTO);
	for (size_t n = 0; n < sizeof(reply); n++)
		assert_int_equal(import_parse(reply, n, "1-1.2", &device), IMPORT_MORE);
	reply[7] = 4;
	assert_int_equal(import_parse(reply, 8, "1-1.2", &device), -ENODEV);
	reply[7] = 2;
	assert_int_equal(import_parse(reply, 8, "1-1.2", &device), -EBUSY);
	reply[7] = 77;
	assert_int_equal(import_parse(reply, 8, "1-1.2", &device), -EIO);
	reply[3] = 5;
	assert_int_equal(import_parse(reply, 8, "1-1.2", &device), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_nonsense),
		cmocka_unit_test(test_status_many),
		cmocka_unit_test_setup_teardown(test_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_configured, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_peer, set_up, tear_down),
		cmocka_unit_test(test_import),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
