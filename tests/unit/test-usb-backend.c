/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device and what it is driven by: which back-end it takes, what it asks of it and in which order. The
 * back-end is a script (script-node.h); test-usb-device.c has libusb's. A USB/IP session asks.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "script-backend.h"
#include "script-node.h"
#include "usb/usb_device.h"
#include "usbip/usbip_session.h"

struct user {
	struct usb_device *dev;
	struct usbip_session *session;
	struct usb_job *job; /* waits for jobs_end() */
	int sv[2];	     /* the session's end, its client's */
	int watched, opened, ended;
	bool was_opened, was_ended, was_closed, was_gone;
	char reason[160];
};

static const struct usb_backend_ops *const script_only[] = {&usb_backend_script, NULL};

/* ------------------------------------------------------------- its user */

static void on_job(void *ctx, struct usb_job *job)
{
	struct user *u = ctx;

	assert_null(u->job);
	assert_int_equal(u->watched, -1);
	u->job = job;
}

static void jobs_end(struct user *u)
{
	while (u->job) {
		struct usb_job *job = take_ptr(u->job);

		job->run(job);
		job->done(job);
	}
}

static void on_watch(void *ctx, int fd, short events _unused_)
{
	((struct user *)ctx)->watched = fd;
}

static void on_unwatch(void *ctx, int fd)
{
	struct user *u = ctx;

	assert_int_equal(u->watched, fd);
	u->watched = -1;
}

static void on_opened(void *ctx, int r, const char *reason)
{
	struct user *u = ctx;

	u->was_opened = true;
	u->opened = r;
	snprintf(u->reason, sizeof(u->reason), "%s", reason ? reason : "");
}

static void on_ended(void *ctx, int r, const char *reason _unused_)
{
	struct user *u = ctx;

	u->was_ended = true;
	u->ended = r;
}

static void on_closed(void *ctx)
{
	((struct user *)ctx)->was_closed = true;
}

static void on_gone(void *ctx)
{
	((struct user *)ctx)->was_gone = true;
}

static void on_resumed(void *ctx _unused_)
{
}

static const struct usb_device_ops ops = {
	.job = on_job,
	.watch = on_watch,
	.unwatch = on_unwatch,
	.opened = on_opened,
	.session_ended = on_ended,
	.closed = on_closed,
	.gone = on_gone,
	.resumed = on_resumed,
};

static void begin(struct user *u)
{
	*u = (struct user){.watched = -1};
	script_node = (struct script_node){0};
	assert_int_equal(usb_device_new(&u->dev, "script", script_node_open()), 0);
	usb_device_bind(u->dev, &ops, u);
	usb_device_open(u->dev);
	jobs_end(u);
	assert_true(u->was_opened);
}

static void attach(struct user *u)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, u->sv), 0);
	assert_int_equal(usbip_session_new(&u->session, "vm1", u->dev, SCRIPT_DEVID, NULL, 0), 0);
}

/* All that there is to do is done. */
static void settle(struct user *u)
{
	struct pollfd wait = {.events = POLLIN};

	assert_true(usbip_session_receive(u->session, u->sv[0]) >= 0);
	do {
		jobs_end(u);
		wait.fd = u->watched;
		if (u->watched >= 0 && poll(&wait, 1, 0) == 1)
			usb_device_events(u->dev);
	} while (u->job || (u->watched >= 0 && poll(&wait, 1, 0) == 1));
	assert_int_equal(usbip_session_send(u->session, u->sv[0]), 0);
}

static void ask(struct user *u, const struct pdu_submit *s, const void *data)
{
	uint8_t buf[48];

	assert_int_equal(send(u->sv[1], buf, pdu_submit(buf, s), 0), 48);
	if (!s->in && s->length)
		assert_int_equal(send(u->sv[1], data, (size_t)s->length, 0), s->length);
	settle(u);
}

/* The next answer is a RET_SUBMIT of this, with these IN data. */
static void expect(struct user *u, uint32_t seqnum, int status, const void *data, uint32_t len)
{
	uint8_t buf[512];

	assert_int_equal(recv(u->sv[1], buf, 48, MSG_DONTWAIT), 48);
	assert_int_equal(pdu_u32(buf), 3);
	assert_int_equal(pdu_u32(buf + 4), seqnum);
	assert_int_equal((int32_t)pdu_u32(buf + 20), status);
	if (!data)
		return;
	assert_int_equal(pdu_u32(buf + 24), len);
	assert_int_equal(recv(u->sv[1], buf, len, MSG_DONTWAIT), len);
	assert_memory_equal(buf, data, len);
}

static void end(struct user *u)
{
	if (u->session) {
		u->session = usbip_session_free(u->session);
		fd_close(u->sv[0]);
		fd_close(u->sv[1]);
	}
	usb_device_close(u->dev);
	jobs_end(u);
	if (!u->was_closed)
		usb_device_events(u->dev);
	jobs_end(u);
	assert_true(u->was_closed);
	assert_int_equal(script_node.n_started, script_node.n_stopped);
	usb_device_free(u->dev);
}

/* ------------------------------------------------------------- which back-end */

static bool takes_none(int fd _unused_)
{
	return false;
}

static int cannot_start(struct usb_backend *backend _unused_, const char **ret_reason _unused_)
{
	strcat(script_node.log, "next");
	return USB_BACKEND_NEXT;
}

static void the_first_that_can(void **state)
{
	struct usb_backend_ops none = usb_backend_script, cannot = usb_backend_script;
	const struct usb_backend_ops *const ways[] = {&none, &cannot, &usb_backend_script, NULL};
	const struct usb_backend_ops *const no_way[] = {&none, NULL};
	const struct usb_backend_ops *const no_start[] = {&cannot, NULL};
	struct user u;

	none.takes = takes_none;
	cannot.start = cannot_start;
	usb_device_use(ways);
	begin(&u);
	assert_int_equal(u.opened, 0);
	assert_string_equal(script_node.log, "next claim0 release0 reset claim0");
	end(&u);
	usb_device_use(no_way);
	begin(&u);
	assert_int_equal(u.opened, -ENOTTY);
	assert_string_equal(u.reason, "nothing can use its descriptor");
	end(&u);
	usb_device_use(no_start);
	begin(&u);
	assert_int_equal(u.opened, -ENOTTY);
	assert_string_equal(u.reason, "nothing can use its descriptor");
	end(&u);
	usb_device_use(script_only);
}

static void what_cannot_be_claimed_is_stopped(void **state)
{
	struct user u = {.watched = -1};

	script_node = (struct script_node){.claim_result = -EBUSY};
	assert_int_equal(usb_device_new(&u.dev, "script", script_node_open()), 0);
	usb_device_bind(u.dev, &ops, &u);
	usb_device_open(u.dev);
	jobs_end(&u);
	assert_int_equal(u.opened, -EBUSY);
	assert_string_equal(u.reason, "its interface 0 is claimed by another program");
	assert_int_equal(script_node.n_started, 1);
	end(&u);
}

/* ------------------------------------------------------------- what is asked of it */

static void what_goes_out_comes_in(void **state)
{
	struct user u;

	begin(&u);
	attach(&u);
	ask(&u, &(struct pdu_submit){.seqnum = 1, .in = true, .ep = 2, .length = 64}, NULL);
	assert_int_equal(usb_device_in_flight(u.dev), 1);
	ask(&u, &(struct pdu_submit){.seqnum = 2, .ep = 2, .length = 5}, "hello");
	assert_int_equal(usb_device_in_flight(u.dev), 0);
	expect(&u, 2, 0, NULL, 0);
	expect(&u, 1, 0, "hello", 5);
	ask(&u,
	    &(struct pdu_submit){
		    .seqnum = 3, .in = true, .length = 4, .setup = {0x80, 6, 0, 1, 0, 0, 4, 0}},
	    NULL);
	expect(&u, 3, 0, "\x12\x01\x00\x02", 4);
	end(&u);
}

static void what_blocks_is_a_job(void **state)
{
	struct user u;

	begin(&u);
	attach(&u);
	script_node.log[0] = 0;
	ask(&u, &(struct pdu_submit){.seqnum = 1, .setup = {0x01, 11, 1, 0, 0, 0, 0, 0}}, NULL);
	expect(&u, 1, 0, NULL, 0);
	ask(&u, &(struct pdu_submit){.seqnum = 2, .setup = {0x02, 1, 0, 0, 0x82, 0, 0, 0}}, NULL);
	expect(&u, 2, 0, NULL, 0);
	ask(&u, &(struct pdu_submit){.seqnum = 3, .setup = {0x00, 9, 1, 0, 0, 0, 0, 0}}, NULL);
	expect(&u, 3, 0, NULL, 0);
	assert_string_equal(script_node.log, "set_interface0.1 clear_halt82 "
					     "release0 set_configuration1 claim0");
	end(&u);
}

/* What its session has left is cancelled, and the device is reset for the next one. */
static void at_its_end_it_is_as_before(void **state)
{
	struct user u;

	begin(&u);
	attach(&u);
	ask(&u, &(struct pdu_submit){.seqnum = 1, .in = true, .ep = 2, .length = 64}, NULL);
	script_node.log[0] = 0;
	usbip_session_close(u.session);
	usb_device_end_session(u.dev);
	assert_false(u.was_ended);
	usb_device_events(u.dev);
	jobs_end(&u);
	assert_true(u.was_ended && u.ended == 0);
	assert_string_equal(script_node.log, "release0 reset claim0");
	end(&u);
}

static void one_that_does_not_come_back(void **state)
{
	struct user u;

	begin(&u);
	attach(&u);
	usbip_session_close(u.session);
	script_node.reset_result = -ENODEV;
	usb_device_end_session(u.dev);
	jobs_end(&u);
	assert_true(u.was_ended && u.ended == -ENODEV && u.was_gone);
	end(&u);
}

static void unplugged(void **state)
{
	struct user u;

	begin(&u);
	attach(&u);
	ask(&u, &(struct pdu_submit){.seqnum = 1, .in = true, .ep = 2, .length = 64}, NULL);
	script_node.unplugged = true;
	ask(&u, &(struct pdu_submit){.seqnum = 2, .ep = 2, .length = 1}, "x");
	expect(&u, 2, -ENODEV, NULL, 0);
	usb_device_events(u.dev);
	assert_true(u.was_gone);
	settle(&u);
	expect(&u, 1, -ESHUTDOWN, NULL, 0);
	end(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_that_can),
		cmocka_unit_test(what_cannot_be_claimed_is_stopped),
		cmocka_unit_test(what_goes_out_comes_in),
		cmocka_unit_test(what_blocks_is_a_job),
		cmocka_unit_test(at_its_end_it_is_as_before),
		cmocka_unit_test(one_that_does_not_come_back),
		cmocka_unit_test(unplugged),
	};

	usb_device_use(script_only);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
