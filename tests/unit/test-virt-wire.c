/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines between the daemon and usbrouted-libvirt: each verb there and back, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/virt_wire.h"

static const struct {
	struct virt_line line;
	const char *text;
} lines[] = {
	{{.verb = VIRT_STATE}, "STATE"},
	{{.verb = VIRT_ATTACH, .id = 1, .domain = "vm1", .address = "10.77.0.1", .busid = "1-1.2"},
	 "ATTACH 1 vm1 10.77.0.1 1-1.2"},
	{{.verb = VIRT_ATTACH,
	  .id = 2,
	  .domain = "vm1",
	  .address = "fe80::1@52:54:00:77:00:0b",
	  .busid = "a"},
	 "ATTACH 2 vm1 fe80::1@52:54:00:77:00:0b a"},
	{{.verb = VIRT_DETACH, .id = VIRT_ID_MAX, .domain = "win 10%", .busid = "keyboard"},
	 "DETACH 999999999 win%2010%25 keyboard"},
	{{.verb = VIRT_LIBVIRT, .yes = true}, "LIBVIRT yes"},
	{{.verb = VIRT_DOMAIN, .domain = "\xc3\xa4", .state = VIRT_CRASHED},
	 "DOMAIN %C3%A4 crashed"},
	{{.verb = VIRT_DOMAIN, .domain = "a", .state = VIRT_GONE}, "DOMAIN a gone"},
	{{.verb = VIRT_AGENT, .domain = "a", .yes = false}, "AGENT a no"},
	{{.verb = VIRT_DONE, .id = 17}, "DONE 17"},
	{{.verb = VIRT_FAILED, .id = 17, .text = "usbip: no such device"},
	 "FAILED 17 usbip:%20no%20such%20device"},
};

static void test_there_and_back(void **state)
{
	char buf[VIRT_LINE_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		size_t want = strlen(lines[i].text);
		struct virt_line line;
		int len = virt_line_format(buf, &lines[i].line);

		assert_int_equal(len, want + 1);
		assert_memory_equal(buf, lines[i].text, want);
		assert_int_equal(buf[want], '\n');
		assert_int_equal(virt_line_parse(&line, buf, want), 0);
		assert_memory_equal(&line, &lines[i].line, sizeof(line));
	}
}

static void test_refused(void **state)
{
	static const char *const refused[] = {
		"",
		" ",
		"state",
		"STATE ",
		"STATE 1",
		"STATEX",
		"RUN 1 rm",
		"DONE",
		"DONE ",
		"DONE 0",
		"DONE 01",
		"DONE -1",
		"DONE 1000000000",
		"DONE 1A",
		"DONE 1 2",
		"DONE  1",
		"ATTACH 1 vm1 10.77.0.1",
		"ATTACH 1 vm1 10.77.0.1 -b",
		"ATTACH 1 vm1 10.77.0.1 .x",
		"ATTACH 1 vm1 10.77.0.1 a%20b",
		"ATTACH 1 vm1 10.77.0.1 a;b",
		"ATTACH 1 vm1 10.77.0 a",
		"ATTACH 1 vm1 ::1 a",
		"ATTACH 1 vm1 fe80::1 a",
		"ATTACH 1 vm1 fe80::1@ a",
		"ATTACH 1 vm1 fe80::2@52:54:00:77:00:0b a",
		"ATTACH 1 vm1 fe80::1@52:54:00:77:00:0B a",
		"ATTACH 1 vm1 fe80::1@52:54:00:77:00:0 a",
		"ATTACH 1 vm1 fe80::1@52:54:00:77:00:0bb a",
		"ATTACH 1 vm1 fe80::1@52-54-00-77-00-0b a",
		"ATTACH 1 vm1 fe80::1@5254:00:77:00:0b: a",
		"ATTACH 1 vm1 fe80::1%25eth0 a",
		"ATTACH 1 vm1 -r a",
		"ATTACH 1 vm1 10.77.0.1 a b",
		"ATTACH 1 vm1 10.77.0.1 12345678901234567890123456789012",
		/* One spelling each: what may stand plainly does, and digits are capitals. */
		"AGENT %61 yes",
		"AGENT a%2 yes",
		"AGENT a% yes",
		"AGENT a%c3 yes",
		"AGENT %00 yes",
		"AGENT a%2Fb yes",
		"AGENT a%0Ab yes",
		"AGENT a maybe",
		"DOMAIN a sleeping",
		"DOMAIN a running now",
		"FAILED 1",
		"FAILED 1 ",
		"FAILED 1 a%1Bb",
		"LIBVIRT",
		"LIBVIRT 1",
	};
	struct virt_line line;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (virt_line_parse(&line, refused[i], strlen(refused[i])) != -EPROTO)
			fail_msg("taken: %s", refused[i]);
	assert_int_equal(virt_line_parse(&line, "DONE 1\0 2", 9), -EPROTO);
}

static void test_bounds(void **state)
{
	struct virt_line line = {
		.verb = VIRT_ATTACH, .id = VIRT_ID_MAX, .address = "fe80::1@52:54:00:77:00:0b"};
	char buf[VIRT_LINE_MAX];

	/* The longest of all fits. */
	memset(line.domain, ' ', VIRT_DOMAIN_MAX);
	memset(line.busid, 'b', VIRT_BUSID_MAX);
	assert_true(virt_line_format(buf, &line) > 0);

	/* A text for people is cut, and has no control characters. */
	line = (struct virt_line){.verb = VIRT_FAILED, .id = VIRT_ID_MAX};
	memset(line.text, '\n', VIRT_TEXT_MAX);
	assert_true(virt_line_format(buf, &line) > 0);
	assert_memory_equal(buf, "FAILED 999999999 %20%20", 23);

	/* What could not be read back is not made. */
	line = (struct virt_line){.verb = VIRT_DETACH, .id = 1, .domain = "a", .busid = "-p"};
	assert_int_equal(virt_line_format(buf, &line), -EPROTO);
	line = (struct virt_line){.verb = VIRT_DONE};
	assert_int_equal(virt_line_format(buf, &line), -EPROTO);
	line = (struct virt_line){.verb = VIRT_AGENT};
	assert_int_equal(virt_line_format(buf, &line), -EPROTO);
}

static void test_reader(void **state)
{
	static const char bytes[] = "STATE\nDONE 5\nAGENT vm1 yes\nDO";
	struct virt_reader reader = {0};
	struct virt_line line;
	unsigned n = 0;
	size_t room;

	/* A byte at a time, each line comes once. */
	for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
		*virt_reader_space(&reader, &room) = bytes[i];
		assert_true(room > 0);
		virt_reader_filled(&reader, 1);
		while (virt_reader_next(&reader, &line) == 0)
			n++;
	}
	assert_int_equal(n, 3);
	assert_int_equal(line.verb, VIRT_AGENT);

	/* All at once. */
	reader = (struct virt_reader){0};
	memcpy(virt_reader_space(&reader, &room), bytes, sizeof(bytes) - 1);
	virt_reader_filled(&reader, sizeof(bytes) - 1);
	for (n = 0; virt_reader_next(&reader, &line) == 0; n++)
		continue;
	assert_int_equal(n, 3);

	/* A line without an end. */
	reader = (struct virt_reader){0};
	memset(virt_reader_space(&reader, &room), 'A', VIRT_LINE_MAX - 1);
	virt_reader_filled(&reader, VIRT_LINE_MAX - 1);
	assert_int_equal(virt_reader_next(&reader, &line), VIRT_READER_MORE);
	*virt_reader_space(&reader, &room) = 'A';
	assert_int_equal(room, 1);
	virt_reader_filled(&reader, 1);
	assert_int_equal(virt_reader_next(&reader, &line), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
