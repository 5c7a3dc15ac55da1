/* SPDX-License-Identifier: BSD-2-Clause */
/* A device's life on the real libusb: claimed, handed over, reset, unplugged, let go of. */
#include "tests/device/usb-user.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Is there a thread of that name in this process? */
static bool has_thread(const char *name)
{
	DIR *tasks = opendir("/proc/self/task");
	bool found = false;
	struct dirent *e;

	assert_non_null(tasks);
	while ((e = readdir(tasks))) {
		char path[300], comm[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(comm, sizeof(comm), f) && !strncmp(comm, name, strlen(name)))
			found = true;
		fclose(f);
	}
	closedir(tasks);
	return found;
}

static void open_and_close(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	assert_false(has_thread("libusb"));
	assert_true(mock_logged(&u->mock, "claim0 claim1 release0 release1 reset claim0 claim1"));
	assert_false(usb_device_parked(u->dev));
	mock_forget(&u->mock);
	usb_device_close(u->dev);
	turn_until(u, u->was_closed);
	/* Nobody has used it: no second reset. */
	assert_string_equal(u->mock.log, "release0 release1 ");
	user_free(u);
}

static void claimed_by_another(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	mock_set(&u->mock, &u->mock.claim_errno, EBUSY);
	usb_device_open(u->dev);
	turn_until(u, u->was_opened);
	assert_int_equal(u->opened, -EBUSY);
	assert_string_equal(u->reason, "its interface 0 is claimed by another program");
	assert_false(node_open(u));
	assert_false(usb_device_ready(u->dev));
	/* Its user gives it up as any other, and hears of that. */
	usb_device_close(u->dev);
	assert_true(u->was_closed);
	user_free(u);
}

static void reset_fails(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	mock_set(&u->mock, &u->mock.reset_errno, EIO);
	user_open(u);
	/* Claimed again, though libusb believes that it still is. */
	assert_true(mock_logged(&u->mock, "reset claim0 claim1"));
	user_free(u);

	u = user_new(0x046d, 0xc31c);
	mock_set(&u->mock, &u->mock.reset_errno, ENODEV);
	usb_device_open(u->dev);
	turn_until(u, u->was_opened);
	assert_int_equal(u->opened, -ENODEV);
	assert_string_equal(u->reason, "it didn't come back from a reset");
	u->dev = usb_device_free(u->dev);
	user_free(u);
}

static void never_reset(void **state)
{
	struct user *u = user_new(0x1210, 0x001c);

	user_open(u);
	assert_false(mock_logged(&u->mock, "reset"));
	user_attach(u);
	ask(u, (struct pdu_submit){.seqnum = 1, .setup = {0x23, 3, 4, 0, 1}}, NULL);
	expect(u, 3, 1, 0, 0, NULL);
	user_detach(u);
	usb_device_end_session(u->dev);
	turn_until(u, u->was_ended);
	assert_int_equal(u->ended, 0);
	assert_true(mock_logged(&u->mock, "configuration1 claim0 claim1"));
	assert_false(mock_logged(&u->mock, "reset"));
	user_free(u);
}

static void unconfigured(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	u->mock.configuration = 0;
	user_open(u);
	assert_false(mock_logged(&u->mock, "claim"));
	user_attach(u);
	ask(u, with_seqnum(interrupt_in, 1), NULL);
	expect(u, 3, 1, -ENOENT, 0, NULL);
	ask(u, (struct pdu_submit){.seqnum = 2, .setup = {0, 9, 1}}, NULL);
	expect(u, 3, 2, 0, 0, NULL);
	assert_true(mock_logged(&u->mock, "configuration1 claim0 claim1"));
	ask(u, with_seqnum(interrupt_in, 3), NULL);
	turn_until(u, mock_key(&u->mock, 4));
	expect(u, 3, 3, 0, 8, (uint8_t[8]){});
	/* And back to none at the end. */
	mock_forget(&u->mock);
	user_detach(u);
	usb_device_end_session(u->dev);
	turn_until(u, u->was_ended);
	assert_int_equal(u->ended, 0);
	assert_true(mock_logged(&u->mock, "unconfigured reset"));
	user_free(u);
}

static void close_while_opening(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	usb_device_open(u->dev);
	usb_device_close(u->dev);
	turn_until(u, u->was_closed);
	assert_false(u->was_opened);
	user_free(u);

	u = user_new(0x046d, 0xc31c);
	usb_device_close(u->dev);
	assert_true(u->was_closed);
	user_free(u);
}

static void without_threads(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	u->run_at_once = true;
	usb_device_open(u->dev);
	assert_true(u->was_opened);
	user_attach(u);
	ask(u, (struct pdu_submit){.seqnum = 2, .setup = {1, 11}}, NULL);
	expect(u, 3, 2, 0, 0, NULL);
	user_free(u);
}

/* One session after the other: in between the device is as it was found. */
static void sessions(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	for (unsigned i = 0; i < 3; i++) {
		user_attach(u);
		ask(u, (struct pdu_submit){.seqnum = 1, .setup = {0, 9, 2}}, NULL);
		expect(u, 3, 1, 0, 0, NULL);
		ask(u, with_seqnum(interrupt_in, 2), NULL);
		turn_until(u, usb_device_in_flight(u->dev) == 1);
		mock_forget(&u->mock);
		u->was_ended = false;
		user_detach(u);
		usb_device_end_session(u->dev);
		assert_false(usb_device_ready(u->dev));
		turn_until(u, u->was_ended);
		assert_int_equal(u->ended, 0);
		assert_int_equal(usb_device_in_flight(u->dev), 0);
		assert_true(mock_logged(&u->mock, "configuration1 claim0 claim1"));
		assert_true(mock_logged(&u->mock, "reset"));
		assert_true(usb_device_ready(u->dev));
		/* Another thread may have it now. */
		usb_device_unbind(u->dev);
		assert_int_equal(u->n_watched, 0);
		usb_device_bind(u->dev, &ops, u);
		assert_true(u->n_watched > 0);
	}
	user_free(u);
}

/* From the callback that tells of the end, with and without threads. */
static void handed_over(void **state)
{
	for (unsigned at_once = 0; at_once < 2; at_once++) {
		struct user *u = user_new(0x046d, 0xc31c), *next = calloc(1, sizeof(*next));
		struct usb_device *dev = u->dev;

		assert_int_equal(mailbox_init(&next->box), 0);
		u->hand_over = true;
		u->next = next;
		u->next_ops = &ops;
		user_open(u);
		user_attach(u);
		ask(u, with_seqnum(interrupt_in, 1), NULL);
		turn_until(u, usb_device_in_flight(u->dev) == 1);
		user_detach(u);
		u->run_at_once = at_once;
		usb_device_end_session(u->dev);
		turn_until(u, u->was_ended);
		assert_int_equal(u->n_watched, 0);
		assert_true(next->n_watched > 0);
		assert_true(usb_device_ready(dev));
		next->dev = dev;
		usb_device_close(dev);
		turn_until(next, next->was_closed);
		pthread_join(next->worker, NULL);
		mailbox_deinit(&next->box);
		free(next);
		user_free(u);
	}
}

static void end_while_parked(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	user_attach(u);
	ask(u, (struct pdu_submit){.seqnum = 1, .in = true, .ep = 2, .length = 8}, NULL);
	ask(u, (struct pdu_submit){.seqnum = 2, .setup = {1, 11, 1, 0, 0, 0}}, NULL);
	turn_until(u, usb_device_parked(u->dev));
	user_detach(u);
	usb_device_end_session(u->dev);
	turn_until(u, u->was_ended);
	assert_int_equal(u->ended, 0);
	user_free(u);
}

static void close_with_session(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	user_attach(u);
	ask(u, with_seqnum(interrupt_in, 1), NULL);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	mock_forget(&u->mock);
	usb_device_close(u->dev);
	turn_until(u, u->was_closed);
	assert_true(mock_logged(&u->mock, "reset"));
	assert_int_equal(usbip_session_receive(u->session, u->server), USBIP_SESSION_CLOSED);
	user_free(u);
}

static void unplugged(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	user_attach(u);
	ask(u, with_seqnum(interrupt_in, 1), NULL);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	mock_unplug(&u->mock);
	expect(u, 3, 1, -ESHUTDOWN, 0, NULL);
	turn_until(u, u->n_gone);
	/* The client goes on until it is cut off. */
	ask(u, with_seqnum(interrupt_in, 2), NULL);
	expect(u, 3, 2, -ENODEV, 0, NULL);
	unlink_urb(u, 3, 2);
	expect(u, 4, 3, 0, 0, NULL);
	ask(u, (struct pdu_submit){.seqnum = 4, .setup = {0, 9, 2}}, NULL);
	expect(u, 3, 4, -ENODEV, 0, NULL);
	assert_int_equal(u->n_gone, 1);
	assert_false(usb_device_ready(u->dev));
	user_detach(u);
	usb_device_end_session(u->dev);
	turn_until(u, u->was_ended);
	assert_int_equal(u->ended, -ENODEV);
	assert_string_equal(u->reason, "it was unplugged");
	user_free(u);
}

/* Seen first by a submit. */
static void unplugged_at_submit(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	user_attach(u);
	mock_set(&u->mock, &u->mock.submit_errno, ENODEV);
	ask(u, with_seqnum(interrupt_in, 1), NULL);
	expect(u, 3, 1, -ENODEV, 0, NULL);
	turn_until(u, u->n_gone);
	user_free(u);
}

static void gone_at_reset(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	user_attach(u);
	mock_set(&u->mock, &u->mock.reset_errno, ENODEV);
	user_detach(u);
	usb_device_end_session(u->dev);
	turn_until(u, u->was_ended);
	assert_int_equal(u->ended, -ENODEV);
	assert_string_equal(u->reason, "it didn't come back from a reset");
	turn_until(u, u->n_gone);
	user_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_and_close),      cmocka_unit_test(claimed_by_another),
		cmocka_unit_test(reset_fails),	       cmocka_unit_test(never_reset),
		cmocka_unit_test(unconfigured),	       cmocka_unit_test(close_while_opening),
		cmocka_unit_test(without_threads),     cmocka_unit_test(sessions),
		cmocka_unit_test(handed_over),	       cmocka_unit_test(end_while_parked),
		cmocka_unit_test(close_with_session),  cmocka_unit_test(unplugged),
		cmocka_unit_test(unplugged_at_submit), cmocka_unit_test(gone_at_reset),
	};

	if (usb_device_library_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("usb-device", tests, NULL, NULL);
}
