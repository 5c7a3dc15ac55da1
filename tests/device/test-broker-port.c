/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Resets and ports' power as the broker does them, on hubs that umockdev pretends: sysfs' folders of
 * ports, and usbfs' control transfers to the hub.
 *
 * Bus 1, with the SuperSpeed bus 2 beside it: the device 1-2 in a connector whose other half is 2-2,
 * and the hub 1-1 with the devices 1-1.2 and 1-1.3.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <umockdev.h>
#include <unistd.h>

#include "base/fd.h"
#include "daemon/broker/broker_device.h"
#include "daemon/broker/broker_port.h"

#define NODES 5

int fstat(int fd, struct stat *st);

/* In place of the C library's: umockdev's nodes are files, and its own stat() alone hides that. */
int fstat(int fd, struct stat *st)
{
	char link[64], path[400] = "";
	const char *at;
	unsigned bus, dev;

	if (fstatat(fd, "", st, AT_EMPTY_PATH) < 0)
		return -1;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, path, sizeof(path) - 1) < 0)
		return 0;
	at = strstr(path, "/dev/bus/usb/");
	if (at && sscanf(at, "/dev/bus/usb/%u/%u", &bus, &dev) == 2) {
		st->st_mode = S_IFCHR | 0600;
		st->st_rdev = makedev(189, (bus - 1) * 128 + dev - 1);
	}
	return 0;
}

/* A usbfs node: the device, and what it answers. */
struct node {
	const char *path;
	UMockdevIoctlBase *handler;
	unsigned characteristics; /* of a hub */
	int error;		  /* of a hub's descriptor, of a reset */
	unsigned ports, resets;
	char said[64]; /* requests to ports: "off2 on2 " */
	bool super;
};

struct rig {
	UMockdevTestbed *bed;
	struct node nodes[NODES];
	char text[200];
};

enum { ROOT, ROOT_SUPER, HUB, IN_HUB, IN_ROOT };

static void control(struct node *node, UMockdevIoctlClient *client)
{
	UMockdevIoctlData *arg = umockdev_ioctl_client_get_arg(client), *c, *data;
	struct usbdevfs_ctrltransfer *t;
	size_t used = strlen(node->said);

	c = umockdev_ioctl_data_resolve(arg, 0, sizeof(*t), NULL);
	t = (void *)c->data;
	if (t->bRequestType == 0x23) {
		snprintf(node->said + used, sizeof(node->said) - used, "%s%u ",
			 t->bRequest == 3 ? "on" : "off", t->wIndex);
		assert_int_equal(t->wValue, 8);
		umockdev_ioctl_client_complete(client, 0, 0);
	} else if (node->error || t->bRequestType != 0xa0 || t->bRequest != 6 ||
		   t->wValue != (node->super ? 0x2a00 : 0x2900)) {
		umockdev_ioctl_client_complete(client, -1, node->error ? node->error : EPIPE);
	} else {
		data = umockdev_ioctl_data_resolve(c, offsetof(struct usbdevfs_ctrltransfer, data),
						   t->wLength, NULL);
		data->data[0] = 9;
		data->data[1] = node->super ? 0x2a : 0x29;
		data->data[2] = (uint8_t)node->ports;
		data->data[3] = (uint8_t)node->characteristics;
		umockdev_ioctl_client_complete(client, 9, 0);
		g_object_unref(data);
	}
	g_object_unref(c);
}

static gboolean on_ioctl(UMockdevIoctlBase *base _unused_, UMockdevIoctlClient *client,
			 gpointer ctx)
{
	struct node *node = ctx;

	switch (umockdev_ioctl_client_get_request(client)) {
	case USBDEVFS_CONTROL:
		control(node, client);
		break;
	case USBDEVFS_RESET:
		node->resets++;
		umockdev_ioctl_client_complete(client, node->error ? -1 : 0, node->error);
		break;
	default:
		umockdev_ioctl_client_complete(client, -1, ENOTTY);
	}
	return TRUE;
}

static void add(struct rig *g, const char *path, const char *node, const char *numbers,
		const char *attributes)
{
	char text[1000];
	GError *error = NULL;

	snprintf(text, sizeof(text), "P: %s\n%s%s%sE: SUBSYSTEM=usb\nE: DEVTYPE=usb_%s\n%s%s%s%s",
		 path, node ? "N: " : "", node ? node : "",
		 node ? "=12010002000000406D041CC3000000000001\n" : "",
		 node ? "device" : "interface", node ? "E: DEVNAME=/dev/" : "", node ? node : "",
		 node ? "\n" : "", numbers);
	strncat(text, attributes, sizeof(text) - strlen(text) - 1);
	if (!umockdev_testbed_add_from_string(g->bed, text, &error))
		fail_msg("%s: %s", path, error->message);
}

static char *in_sysfs(struct rig *g, const char *path)
{
	static char buf[400];
	gchar *root = umockdev_testbed_get_root_dir(g->bed);

	snprintf(buf, sizeof(buf), "%s/sys/devices/%s", root, path);
	g_free(root);
	return buf;
}

static void put(struct rig *g, const char *path, const char *text)
{
	_cleanup_close_ int fd =
		open(in_sysfs(g, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void assert_says(struct rig *g, const char *path, const char *text)
{
	_cleanup_close_ int fd = open(in_sysfs(g, path), O_RDONLY | O_CLOEXEC);
	char have[16] = {0};

	assert_true(fd >= 0);
	assert_true(read(fd, have, sizeof(have) - 1) >= 0);
	assert_string_equal(have, text);
}

static void port(struct rig *g, const char *path, const char *peer)
{
	char file[200];

	assert_int_equal(mkdir(in_sysfs(g, path), 0755), 0);
	snprintf(file, sizeof(file), "%s/disable", path);
	put(g, file, "0");
	snprintf(file, sizeof(file), "%s/peer", path);
	if (peer)
		assert_int_equal(symlink(peer, in_sysfs(g, file)), 0);
}

#define ROOT_PORT  "usb1/1-0:1.0/usb1-port2"
#define SUPER_PORT "usb2/2-0:1.0/usb2-port2"
#define HUB_PORT   "usb1/1-1/1-1:1.0/1-1-port2"
#define HUB_ATTRS  "A: bDeviceClass=09\nA: bDeviceProtocol=00\nA: bConfigurationValue=1\n"
#define DEV_ATTRS \
	"A: bDeviceClass=00\nA: bConfigurationValue=1\nA: idVendor=046d\nA: idProduct=c31c\n"

static int set_up(void **state)
{
	static const char *const paths[] = {"001/001", "002/001", "001/002", "001/003", "001/004"};
	struct rig *g = calloc(1, sizeof(*g));
	GError *error = NULL;
	char name[64];

	g->bed = umockdev_testbed_new();
	for (unsigned i = 0; i < NODES; i++) {
		struct node *n = &g->nodes[i];

		n->path = paths[i];
		n->characteristics = 1;
		n->ports = 4;
		n->super = i == ROOT_SUPER;
		n->handler = umockdev_ioctl_base_new();
		g_signal_connect_after(n->handler, "handle-ioctl", G_CALLBACK(on_ioctl), n);
		snprintf(name, sizeof(name), "/dev/bus/usb/%s", n->path);
		assert_true(umockdev_testbed_attach_ioctl(g->bed, name, n->handler, &error));
	}
	add(g, "/devices/usb1", "bus/usb/001/001", "A: busnum=1\nA: devnum=1\n", HUB_ATTRS);
	add(g, "/devices/usb2", "bus/usb/002/001", "A: busnum=2\nA: devnum=1\n",
	    "A: bDeviceClass=09\nA: bDeviceProtocol=03\nA: bConfigurationValue=1\n");
	add(g, "/devices/usb1/1-1", "bus/usb/001/002", "A: busnum=1\nA: devnum=2\n", HUB_ATTRS);
	add(g, "/devices/usb1/1-1/1-1.2", "bus/usb/001/003", "A: busnum=1\nA: devnum=3\n",
	    DEV_ATTRS);
	add(g, "/devices/usb1/1-1/1-1.3", "bus/usb/001/005", "A: busnum=1\nA: devnum=5\n",
	    DEV_ATTRS);
	add(g, "/devices/usb1/1-2", "bus/usb/001/004", "A: busnum=1\nA: devnum=4\n", DEV_ATTRS);
	add(g, "/devices/usb1/1-0:1.0", NULL, "", "");
	add(g, "/devices/usb2/2-0:1.0", NULL, "", "");
	add(g, "/devices/usb1/1-1/1-1:1.0", NULL, "", "");
	port(g, ROOT_PORT, "../../../usb2/2-0:1.0/usb2-port2");
	port(g, SUPER_PORT, "../../../usb1/1-0:1.0/usb1-port2");
	port(g, HUB_PORT, NULL);
	*state = g;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *g = *state;
	char name[64];

	for (unsigned i = 0; i < NODES; i++) {
		snprintf(name, sizeof(name), "/dev/bus/usb/%s", g->nodes[i].path);
		umockdev_testbed_detach_ioctl(g->bed, name, NULL);
		g_clear_object(&g->nodes[i].handler);
	}
	g_clear_object(&g->bed);
	free(g);
	return 0;
}

static struct broker_device device(const char *busid, uint16_t devnum)
{
	struct broker_device d = {
		.busnum = 1, .devnum = devnum, .id_vendor = 0x046d, .id_product = 0xc31c};

	snprintf(d.busid, sizeof(d.busid), "%s", busid);
	return d;
}

static int off(struct rig *g, const char *busid, uint16_t devnum)
{
	struct broker_device d = device(busid, devnum);

	return broker_port_off(&d, false, g->text, sizeof(g->text));
}

static int on(struct rig *g, const char *name)
{
	char busid[BROKER_BUSID_SIZE] = {0};

	snprintf(busid, sizeof(busid), "%s", name);
	return broker_port_on(busid, g->text, sizeof(g->text));
}

static void refused(struct rig *g, int r, int wanted, const char *words)
{
	if (!strstr(g->text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, g->text);
	assert_int_equal(r, wanted);
	assert_says(g, ROOT_PORT "/disable", "0");
	assert_says(g, SUPER_PORT "/disable", "0");
	assert_says(g, HUB_PORT "/disable", "0");
}

/* ------------------------------------------------------------- power */

static void a_hubs_port_is_switched(void **state)
{
	struct rig *g = *state;

	assert_int_equal(off(g, "1-1.2", 3), 0);
	assert_says(g, HUB_PORT "/disable", "1");
	assert_says(g, ROOT_PORT "/disable", "0");
	assert_int_equal(on(g, "1-1.2"), 0);
	assert_says(g, HUB_PORT "/disable", "0");
	assert_int_equal(on(g, "1-1.2"), 0); /* it is on */
}

static void both_halves_of_a_connector_are_switched(void **state)
{
	struct rig *g = *state;

	assert_int_equal(off(g, "1-2", 4), 0);
	assert_says(g, ROOT_PORT "/disable", "1");
	assert_says(g, SUPER_PORT "/disable", "1");
	assert_int_equal(on(g, "1-2"), 0);
	assert_says(g, ROOT_PORT "/disable", "0");
	assert_says(g, SUPER_PORT "/disable", "0");
}

static void an_older_kernel_has_the_hub_asked(void **state)
{
	struct rig *g = *state;

	unlink(in_sysfs(g, ROOT_PORT "/disable"));
	unlink(in_sysfs(g, SUPER_PORT "/disable"));
	assert_int_equal(off(g, "1-2", 4), 0);
	assert_int_equal(on(g, "1-2"), 0);
	assert_string_equal(g->nodes[ROOT].said, "off2 on2 ");
	assert_string_equal(g->nodes[ROOT_SUPER].said, "off2 on2 ");
	put(g, ROOT_PORT "/disable", "0");
	put(g, SUPER_PORT "/disable", "0");
}

static void a_hub_that_switches_all_together_names_who_would_be_hit(void **state)
{
	struct rig *g = *state;

	g->nodes[HUB].characteristics = 0;
	refused(g, off(g, "1-1.2", 3), -EOPNOTSUPP,
		"its hub (1-1) switches the power of all ports together, which would hit 1-1.3");
}

static void a_hub_that_switches_nothing_is_not_asked(void **state)
{
	struct rig *g = *state;

	for (unsigned how = 2; how <= 3; how++) {
		g->nodes[HUB].characteristics = how;
		refused(g, off(g, "1-1.2", 3), -EOPNOTSUPP,
			"its hub (1-1) can't switch the power of a port");
	}
	/* Nor where the other half can't be switched: the device would stay under power. */
	g->nodes[ROOT_SUPER].characteristics = 2;
	refused(g, off(g, "1-2", 4), -EOPNOTSUPP, "its hub (usb2) can't switch");
	g->nodes[HUB].error = EPIPE;
	refused(g, off(g, "1-1.2", 3), -EPIPE, "does not say how it switches power");
	g->nodes[HUB].error = 0;
	g->nodes[HUB].characteristics = 1;
	g->nodes[HUB].ports = 1;
	refused(g, off(g, "1-1.2", 3), -EPROTO, "does not say how it switches power");
}

static void hubs_and_what_is_not_there_have_no_port_here(void **state)
{
	struct rig *g = *state;
	struct broker_device hub = device("1-1", 2);

	umockdev_testbed_set_attribute(g->bed, "/sys/devices/usb1/1-1", "idVendor", "046d");
	umockdev_testbed_set_attribute(g->bed, "/sys/devices/usb1/1-1", "idProduct", "c31c");
	refused(g, broker_port_off(&hub, true, g->text, sizeof(g->text)), -EPERM, "it is a hub");
	refused(g, off(g, "1-2", 5), -ENODEV, "another is in its place");
	refused(g, off(g, "1-1.3", 5), -ENODEV, "its port can't be found");
	refused(g, on(g, "1-9"), -ENODEV, "no such port");
	refused(g, on(g, "7-1"), -ENODEV, "no such port");
	refused(g, on(g, "1-1.300"), -ENODEV, "no such port");
	refused(g, on(g, "1-2.1"), -ENODEV, "no such port"); /* 1-2 is no hub */
}

/* The kernel's hub driver takes it, whatever its interface's number. */
static void a_hub_is_one_at_any_of_its_interfaces(void **state)
{
	struct rig *g = *state;
	struct broker_device d = device("1-2", 4);
	const char *why = "";

	assert_int_equal(broker_device_may_touch(&d, &why), 0);
	add(g, "/devices/usb1/1-2/1-2:1.200", NULL, "A: bInterfaceClass=09\n", "");
	assert_int_equal(broker_device_may_touch(&d, &why), -EPERM);
	assert_non_null(strstr(why, "one of its interfaces is a hub"));
}

static void a_connector_with_two_devices_is_left_alone(void **state)
{
	struct rig *g = *state;

	add(g, "/devices/usb2/2-2", "bus/usb/002/002", "A: busnum=2\nA: devnum=2\n", DEV_ATTRS);
	refused(g, off(g, "1-2", 4), -EOPNOTSUPP, "2-2 is in the same connector");
}

/* ------------------------------------------------------------- reset */

static void a_device_is_reset(void **state)
{
	struct rig *g = *state;
	struct broker_device d = device("1-2", 4);

	assert_int_equal(broker_device_reset(&d, false, g->text, sizeof(g->text)), 0);
	assert_int_equal(g->nodes[IN_ROOT].resets, 1);
	g->nodes[IN_ROOT].error = EIO;
	assert_int_equal(broker_device_reset(&d, false, g->text, sizeof(g->text)), -EIO);
	/* It came back as another one. */
	g->nodes[IN_ROOT].error = ENODEV;
	assert_int_equal(broker_device_reset(&d, true, g->text, sizeof(g->text)), -ENODEV);
	assert_int_equal(g->nodes[IN_ROOT].resets, 3);
	d = device("1-2", 3);
	assert_int_equal(broker_device_reset(&d, false, g->text, sizeof(g->text)), -ENODEV);
	assert_int_equal(g->nodes[IN_ROOT].resets, 3);
	assert_int_equal(g->nodes[IN_HUB].resets, 0);
}

#define R(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		R(a_hubs_port_is_switched),
		R(both_halves_of_a_connector_are_switched),
		R(an_older_kernel_has_the_hub_asked),
		R(a_hub_that_switches_all_together_names_who_would_be_hit),
		R(a_hub_that_switches_nothing_is_not_asked),
		R(hubs_and_what_is_not_there_have_no_port_here),
		R(a_hub_is_one_at_any_of_its_interfaces),
		R(a_connector_with_two_devices_is_left_alone),
		R(a_device_is_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
