/* SPDX-License-Identifier: BSD-2-Clause */
/* Wishes: what one hangs on, which decides, and that the file form loses nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/wish.h"

#define PORT_A "0000:00:14.0/usb2:1.1"
#define PORT_B "0000:00:14.0/usb2:1.2"

static struct device_facts device(uint16_t product, const char *serial, const char *port)
{
	return (struct device_facts){
		.id_vendor = 0x1d6b, .id_product = product, .serial = serial, .stable_port = port};
}

static void assert_target(const struct wishes *w, struct device_facts d, bool unique,
			  const char *target)
{
	const struct wish *found = wish_find(w, &d, unique);

	if (!target) {
		assert_null(found);
	} else {
		assert_non_null(found);
		assert_string_equal(found->target, target);
	}
}

static void test_serial_follows_the_device(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "S1", PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	assert_target(&w, device(1, "S1", PORT_B), true, "vm1");
	assert_target(&w, device(1, "S2", PORT_A), true, NULL);
	assert_target(&w, device(2, "S1", PORT_A), true, NULL);
	assert_target(&w, device(1, NULL, PORT_A), true, NULL);
}

static void test_twin_inherits_nothing(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "0001", PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	/* A twin with the same serial appears: the wish stays with the first one's port. */
	assert_target(&w, device(1, "0001", PORT_A), false, "vm1");
	assert_target(&w, device(1, "0001", PORT_B), false, NULL);
	/* The twin gets a wish of its own; neither takes the other's away. */
	d = device(1, "0001", PORT_B);
	assert_int_equal(wish_set(&w, &d, false, false, "vm2"), 0);
	assert_int_equal(w.n, 2);
	assert_target(&w, device(1, "0001", PORT_A), false, "vm1");
	assert_target(&w, device(1, "0001", PORT_B), false, "vm2");
	/* Alone again, each in its place still has its own. */
	assert_target(&w, device(1, "0001", PORT_B), true, "vm2");
	assert_target(&w, device(1, "0001", PORT_A), true, "vm1");
}

static void test_no_serial_hangs_on_id_and_port(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, NULL, PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	assert_target(&w, device(1, NULL, PORT_A), true, "vm1");
	assert_target(&w, device(1, NULL, PORT_B), true, NULL);
	assert_target(&w, device(2, NULL, PORT_A), true, NULL);
}

static void test_port_means_the_port(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "S1", PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, true, true, "vm1"), 0);
	assert_target(&w, device(2, "other", PORT_A), true, "vm1");
	assert_target(&w, device(1, "S1", PORT_B), true, NULL);
}

static void test_newest_decides(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "S1", PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	assert_int_equal(wish_set(&w, &d, false, true, "vm2"), 0);
	assert_int_equal(w.n, 1);
	assert_target(&w, d, true, "vm2");
	/* A port's wish about the same device takes the device's away, and the other way round. */
	assert_int_equal(wish_set(&w, &d, true, true, "vm3"), 0);
	assert_int_equal(w.n, 1);
	assert_target(&w, d, true, "vm3");
	assert_int_equal(wish_set(&w, &d, false, true, "host"), 0);
	assert_int_equal(w.n, 1);
	assert_target(&w, d, true, "host");
	/* A port's wish made for another device loses to nothing older than itself. */
	d = device(2, "S2", PORT_B);
	assert_int_equal(wish_set(&w, &d, true, true, "vm4"), 0);
	assert_target(&w, device(1, "S1", PORT_B), true, "vm4");
}

static void test_alias_waits_for_its_device(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, NULL, PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set_name(&w, "keyboard", NULL, false, "vm1"), 0);
	assert_int_equal(wish_set_name(&w, "keyboard", NULL, false, "vm2"), 0);
	assert_int_equal(w.n, 1);
	assert_target(&w, d, true, NULL);
	d.alias = "keyboard";
	assert_target(&w, d, true, "vm2");
	/* The command about the device itself takes its place. */
	assert_int_equal(wish_set(&w, &d, false, true, "vm3"), 0);
	assert_int_equal(w.n, 1);
	assert_target(&w, d, true, "vm3");
	assert_int_equal(wish_set_name(&w, "1-1", NULL, false, "vm1"), -EINVAL);
}

static void test_forget(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "S1", PORT_A), other = device(2, NULL, PORT_B);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	assert_int_equal(wish_set(&w, &other, false, true, "vm2"), 0);
	assert_int_equal(wish_set_name(&w, "mouse", NULL, false, "vm3"), 0);
	wish_forget(&w, &d, true);
	wish_forget(&w, &d, true);
	assert_int_equal(w.n, 2);
	assert_target(&w, d, true, NULL);
	assert_target(&w, other, true, "vm2");
}

static void test_absent(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "S1", PORT_A), other = device(2, "S2", PORT_B);
	struct selector s = SELECTOR_INIT;

	wishes_init(&w);
	assert_null(wish_find_absent(&w, &s, "keyboard"));
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	assert_int_equal(wish_set(&w, &other, false, true, "vm2"), 0);
	/* A class or a product alone says nothing of which wish it is. */
	s.class_ = USB_CLASS_HID;
	assert_null(wish_find_absent(&w, &s, "keyboard"));
	s.has_id = true;
	s.id_vendor = d.id_vendor;
	s.id_product = d.id_product;
	assert_string_equal(wish_find_absent(&w, &s, "keyboard")->target, "vm1");
	s.serial = (char *)"S2*";
	assert_null(wish_find_absent(&w, &s, "keyboard"));
	assert_int_equal(wish_set_name(&w, "keyboard", NULL, false, "vm3"), 0);
	assert_string_equal(wish_find_absent(&w, &s, "keyboard")->target, "vm3");
}

static void test_restored_as_it_was(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w, before;
	struct device_facts d = device(1, "S1", PORT_A), other = device(2, NULL, PORT_B);

	/* A wish on the port comes back as one on the port; what else changed meanwhile stays. */
	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, true, true, "vm1"), 0);
	assert_int_equal(wishes_copy(&before, &w), 0);
	assert_int_equal(wish_set(&w, &d, false, true, "vm2"), 0);
	assert_int_equal(wish_set(&w, &other, false, true, "vm3"), 0);
	assert_int_equal(wish_restore(&w, &before, &d, true), 0);
	assert_int_equal(w.n, 2);
	assert_target(&w, d, true, "vm1");
	assert_int_equal(wish_find(&w, &d, true)->kind, WISH_PORT);
	assert_target(&w, other, true, "vm3");
	/* Where nothing was wished, nothing is again. */
	wishes_deinit(&before);
	wishes_init(&before);
	assert_int_equal(wish_restore(&w, &before, &d, true), 0);
	assert_target(&w, d, true, NULL);
}

static void test_ends_by_itself(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w, again;
	_cleanup_free_ char *text = NULL;
	struct device_facts a = device(1, "S1", PORT_A), b = device(2, NULL, PORT_B);
	unsigned bad;
	size_t len;

	wishes_init(&w);
	wishes_init(&again);
	assert_int_equal(wishes_next_end(&w), 0);
	assert_int_equal(wish_set(&w, &a, false, true, "vm1"), 0);
	wishes_limit_last(&w, 100, false);
	assert_int_equal(wish_set(&w, &b, false, true, "vm2"), 0);
	wishes_limit_last(&w, 50, true);
	assert_int_equal(wish_set_name(&w, "mouse", NULL, false, "vm3"), 0);
	assert_int_equal(wishes_next_end(&w), 50);

	assert_int_equal(wishes_format(&w, &text, &len), 0);
	assert_int_equal(wishes_parse(&again, text, len, &bad), 0);
	assert_int_equal(bad, 0);
	assert_int_equal(again.n, 3);
	assert_int_equal(wishes_expire(&again, 49), 0);
	assert_int_equal(wishes_expire(&again, 50), 1);
	assert_target(&again, b, true, NULL);
	assert_target(&again, a, true, "vm1");
	assert_int_equal(wishes_expire(&again, 1000), 1);
	assert_int_equal(again.n, 1);

	assert_int_equal(wish_unplugged(&w, &a, true), 0);
	assert_int_equal(wish_unplugged(&w, &b, true), 1);
	assert_target(&w, b, true, NULL);
	assert_int_equal(w.n, 2);
}

static void test_alias_restored(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w, before;

	wishes_init(&w);
	assert_int_equal(wish_set_name(&w, "mouse", NULL, false, "vm1"), 0);
	assert_int_equal(wishes_copy(&before, &w), 0);
	assert_int_equal(wish_set_name(&w, "mouse", NULL, false, "vm2"), 0);
	assert_int_equal(wish_set_name(&w, "disk", NULL, false, "vm2"), 0);
	assert_int_equal(wish_restore_name(&w, &before, "mouse"), 0);
	assert_int_equal(wish_restore_name(&w, &before, "disk"), 0);
	assert_int_equal(w.n, 1);
	assert_non_null(wish_find_target(&w, "vm1"));
	assert_null(wish_find_target(&w, "vm2"));
	wish_forget_target(&w, "vm1");
	assert_int_equal(w.n, 0);
}

static void test_refused_changes_nothing(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w;
	struct device_facts d = device(1, "S1", PORT_A);

	wishes_init(&w);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	assert_int_equal(wish_set(&w, &d, false, true, "next"), -EINVAL);
	assert_int_equal(wish_set(&w, &d, false, true, "a b"), -EINVAL);
	assert_target(&w, d, true, "vm1");
	d.stable_port = NULL;
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), -EINVAL);

	for (unsigned i = 0; w.n < WISHES_MAX; i++) {
		char serial[16];

		snprintf(serial, sizeof(serial), "n%u", i);
		d = device(7, serial, PORT_A);
		assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	}
	d = device(8, "new", PORT_A);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), -ENOSPC);
	d = device(1, "S1", PORT_A);
	assert_int_equal(wish_set(&w, &d, false, true, "vm2"), 0);
	assert_target(&w, d, true, "vm2");
}

static void test_file_form(void **state)
{
	_cleanup_(wishes_deinit) struct wishes w, back, copy;
	_cleanup_free_ char *text = NULL, *again = NULL;
	struct device_facts d = device(0xabcd, "a\tb\n\\ \x7f\xc3\xa4", PORT_A);
	size_t len, again_len;
	unsigned bad;

	wishes_init(&w);
	wishes_init(&back);
	assert_int_equal(wish_set(&w, &d, false, true, "vm1"), 0);
	d = device(2, NULL, PORT_B);
	assert_int_equal(wish_set(&w, &d, false, true, "host"), 0);
	assert_int_equal(wish_set(&w, &d, true, true, "vm-2"), 0);
	assert_int_equal(wish_set_name(&w, "mouse", NULL, false, "vm3"), 0);

	assert_int_equal(wishes_format(&w, &text, &len), 0);
	assert_string_equal(text,
			    "V3\tvm1\tserial\t1d6b:abcd\ta\\x09b\\x0a\\x5c \\x7f\xc3\xa4\t" PORT_A
			    "\t\t\n"
			    "V3\tvm-2\tport\t\t\t" PORT_B "\t\t\n"
			    "V3\tvm3\tname\t\tmouse\t\t\t\n");
	assert_int_equal(len, strlen(text));
	assert_int_equal(wishes_parse(&back, text, len, &bad), 0);
	assert_int_equal(bad, 0);
	assert_int_equal(wishes_copy(&copy, &back), 0);
	assert_int_equal(wishes_format(&copy, &again, &again_len), 0);
	assert_string_equal(text, again);
	assert_int_equal(copy.n, 3);
}

static const char *const bad_lines[] = {
	"V2\tvm1\tport\t\t\tx/usb2:1",
	"V1\tvm1\tport\t\t\t",
	"V1\tvm1\tport\t1d6b:0001\t\tx/usb2:1",
	"V1\tvm1\tport\t\ts\tx/usb2:1",
	"V1\tvm1\tserial\t1d6b:0001\t\tx",
	"V1\tvm1\tserial\t1d6b\ts\tx",
	"V1\tnext\tport\t\t\tx/usb2:1",
	"V1\tvm1\tport\t\t\tx/usb2:1\t",
	"V1\tvm1\tport\t\t",
	"V1\tvm1\twhat\t\t\tx/usb2:1",
	"V1\tvm1\tport\t\t\tx\\x00",
	"V1\tvm1\tport\t\t\tx\\x1",
	"V1\tvm1\tport\t\t\tx\\n",
	"V1\tvm1\tport\t\t\tx\r",
	"V1\tvm1\talias\t\t1-1\t",
	"V1\tvm1\talias\t\tmouse\tx",
	"garbage",
	"V1",
	"V2\tvm1\tport\t\t\tx/usb2:1",
	"V2\tvm1\tport\t\t\tx/usb2:1\t\t",
	"V2\tvm1\tport\t\t\tx/usb2:1\t0\t",
	"V2\tvm1\tport\t\t\tx/usb2:1\t-1\t",
	"V2\tvm1\tport\t\t\tx/usb2:1\t99999999999999999999\t",
	"V2\tvm1\tport\t\t\tx/usb2:1\t5\tx",
	"V1\tvm1\tport\t\t\tx/usb2:1\t5\tunplug",
	"V3\tvm1\tport\t\t\tx/usb2:1",
	"V3\tvm1\tport\t\t\tx/usb2:1\t",
	"V3\tvm1\tport\t\t\tx/usb2:1\t\t\t",
	"V3\tvm1\tname\t\t1-1\t\t\t",
	"V3\tvm1\tname\t\tmouse\tx/usb2:1\t\t",
	"V3\tvm1\tname\t1d6b:0001\tmouse\t\t\t",
	"V4\tvm1\tport\t\t\tx/usb2:1\t\t",
};

static void test_bad_lines_cost_only_themselves(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_lines); i++) {
		_cleanup_(wishes_deinit) struct wishes w;
		char text[256];
		unsigned bad;

		wishes_init(&w);
		snprintf(text, sizeof(text), "%s\n\nV1\tvm1\tport\t\t\tx/usb2:1", bad_lines[i]);
		assert_int_equal(wishes_parse(&w, text, strlen(text), &bad), 0);
		if (bad != 1 || w.n != 1)
			fail_msg("%s: %u bad, %zu good", bad_lines[i], bad, w.n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serial_follows_the_device),
		cmocka_unit_test(test_twin_inherits_nothing),
		cmocka_unit_test(test_no_serial_hangs_on_id_and_port),
		cmocka_unit_test(test_port_means_the_port),
		cmocka_unit_test(test_newest_decides),
		cmocka_unit_test(test_alias_waits_for_its_device),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_restored_as_it_was),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_ends_by_itself),
		cmocka_unit_test(test_alias_restored),
		cmocka_unit_test(test_refused_changes_nothing),
		cmocka_unit_test(test_file_form),
		cmocka_unit_test(test_bad_lines_cost_only_themselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
