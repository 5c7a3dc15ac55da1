/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device on libusb, on a mocked usbfs node, with a user as the daemon's threads are: jobs in a
 * worker, their end by mailbox, one turn after the other.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "../unit/script-backend.h"
#include "base/fd.h"
#include "base/mailbox.h"
#include "mock-device.h"
#include "usb/hid_chord.h"
#include "usb/hid_found.h"
#include "usb/usb_device.h"
#include "usb/usb_memory.h"
#include "usbip/usbip_session.h"

struct user {
	struct mock mock;
	struct mailbox box;
	struct usb_device *dev;
	struct usbip_session *session;
	int fd, server, client;
	struct stat node; /* which file @fd is */
	pthread_t worker;
	struct usb_job *job;
	struct pollfd watched[8];
	unsigned n_watched;
	/* what was told */
	int opened, ended;
	bool was_opened, was_ended, was_closed, run_at_once, hand_over;
	unsigned n_gone, n_resumed, n_struck;
	char reason[160];
	/* who has the device next */
	const struct usb_device_ops *next_ops;
	struct user *next;
	/* what the client has */
	uint8_t got[65536];
	size_t n_got;
};

static void deliver_job(struct letter *letter)
{
	struct usb_job *job = container_of(letter, struct usb_job, letter);

	job->done(job);
}

static void *work(void *arg)
{
	struct user *u = arg;

	u->job->run(u->job);
	mailbox_post(&u->box, &u->job->letter, deliver_job);
	return NULL;
}

static void on_job(void *ctx, struct usb_job *job)
{
	struct user *u = ctx;

	assert_int_equal(u->n_watched, 0);
	assert_true(job->deadline_ms > 0);
	assert_non_null(job->what);
	if (u->run_at_once) {
		job->run(job);
		job->done(job);
		return;
	}
	if (u->worker)
		pthread_join(u->worker, NULL);
	u->job = job;
	assert_int_equal(pthread_create(&u->worker, NULL, work, u), 0);
}

static void on_watch(void *ctx, int fd, short events)
{
	struct user *u = ctx;

	assert_true(u->n_watched < 8);
	u->watched[u->n_watched++] = (struct pollfd){.fd = fd, .events = events};
}

static void on_unwatch(void *ctx, int fd)
{
	struct user *u = ctx;

	for (unsigned i = 0; i < u->n_watched; i++) {
		if (u->watched[i].fd == fd) {
			u->watched[i] = u->watched[--u->n_watched];
			/* Still open when it is told. */
			assert_int_not_equal(fcntl(fd, F_GETFD), -1);
			return;
		}
	}
	fail_msg("not watched: %d", fd);
}

static void on_opened(void *ctx, int r, const char *reason)
{
	struct user *u = ctx;

	assert_false(u->was_opened);
	u->was_opened = true;
	u->opened = r;
	snprintf(u->reason, sizeof(u->reason), "%s", reason ? reason : "");
}

static void on_ended(void *ctx, int r, const char *reason)
{
	struct user *u = ctx;

	u->was_ended = true;
	u->ended = r;
	snprintf(u->reason, sizeof(u->reason), "%s", reason ? reason : "");
	if (u->hand_over) {
		usb_device_unbind(u->dev);
		usb_device_bind(u->dev, u->next_ops, u->next);
		u->dev = NULL;
	}
}

static void on_closed(void *ctx)
{
	struct user *u = ctx;

	assert_false(u->was_closed);
	u->was_closed = true;
	/* From within, as the daemon does. */
	u->dev = usb_device_free(u->dev);
}

static void on_gone(void *ctx)
{
	((struct user *)ctx)->n_gone++;
}

static void on_resumed(void *ctx)
{
	((struct user *)ctx)->n_resumed++;
}

static void on_struck(void *ctx, unsigned chord)
{
	((struct user *)ctx)->n_struck += 1 + 100 * chord;
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
	.struck = on_struck,
};

/* One turn of the user's thread. */
static void turn(struct user *u)
{
	struct pollfd box = {.fd = u->box.wake, .events = POLLIN};

	poll(&box, 1, 1);
	mailbox_deliver(&u->box);
	if (u->dev && u->n_watched && poll(u->watched, u->n_watched, 0) > 0)
		usb_device_events(u->dev);
	if (u->session) {
		ssize_t n;
		int r;

		do
			r = usbip_session_receive(u->session, u->server);
		while (r == USBIP_SESSION_MORE);
		usbip_session_send(u->session, u->server);
		n = recv(u->client, u->got + u->n_got, sizeof(u->got) - u->n_got, MSG_DONTWAIT);
		if (n > 0)
			u->n_got += (size_t)n;
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define turn_until(u, condition)                                   \
	do {                                                       \
		double start_ = now();                             \
		while (!(condition)) {                             \
			turn(u);                                   \
			if (now() - start_ > 20)                   \
				fail_msg("never: %s", #condition); \
		}                                                  \
	} while (0)

/* Is the device's node still open? The mock has a thread that takes connections: a number that is
 * free may be another file by now. */
static bool node_open(const struct user *u)
{
	struct stat st;

	return fstat(u->fd, &st) == 0 && st.st_dev == u->node.st_dev && st.st_ino == u->node.st_ino;
}

static struct user *user_begin(struct user *u)
{
	assert_int_equal(mailbox_init(&u->box), 0);
	u->server = u->client = -1;
	u->fd = mock_open();
	assert_true(u->fd >= 0);
	assert_int_equal(fstat(u->fd, &u->node), 0);
	assert_int_equal(usb_device_new(&u->dev, "keyboard", u->fd), 0);
	usb_device_bind(u->dev, &ops, u);
	return u;
}

static struct user *user_new(uint16_t vendor, uint16_t product)
{
	struct user *u = calloc(1, sizeof(*u));

	mock_new(&u->mock, vendor, product);
	return user_begin(u);
}

/* A device whose usbfs node tells these bytes. */
static struct user *user_new_of(const void *node, size_t len, uint8_t configuration)
{
	struct user *u = calloc(1, sizeof(*u));

	mock_new_of(&u->mock, node, len, configuration);
	return user_begin(u);
}

static void user_open(struct user *u)
{
	usb_device_open(u->dev);
	turn_until(u, u->was_opened);
	assert_string_equal(u->reason, "");
	assert_int_equal(u->opened, 0);
	assert_true(usb_device_ready(u->dev));
}

static void user_attach(struct user *u)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	u->server = sv[0];
	u->client = sv[1];
	u->n_got = 0;
	assert_int_equal(usbip_session_new(&u->session, "vm1", u->dev, SCRIPT_DEVID, NULL, 0), 0);
}

static void user_detach(struct user *u)
{
	usbip_session_close(u->session);
	u->server = fd_close(u->server);
	u->client = fd_close(u->client);
	u->session = usbip_session_free(u->session);
}

static void user_free(struct user *u)
{
	if (u->session)
		user_detach(u);
	if (u->dev) {
		u->was_closed = false;
		usb_device_close(u->dev);
		turn_until(u, u->was_closed);
	}
	/* libusb doesn't close it, so we do. */
	assert_false(node_open(u));
	assert_int_equal(u->n_watched, 0);
	assert_false(mock_logged(&u->mock, "KILLED"));
	if (u->worker)
		pthread_join(u->worker, NULL);
	mailbox_deinit(&u->box);
	mock_free(&u->mock);
	free(u);
}

static void ask(struct user *u, struct pdu_submit pdu, const void *payload)
{
	uint8_t header[48];

	pdu_submit(header, &pdu);
	assert_int_equal(write(u->client, header, 48), 48);
	if (payload)
		assert_int_equal(write(u->client, payload, (size_t)pdu.length), pdu.length);
}

static void unlink_urb(struct user *u, uint32_t seqnum, uint32_t victim)
{
	uint8_t header[48];

	pdu_unlink(header, seqnum, victim);
	assert_int_equal(write(u->client, header, 48), 48);
}

/* Wait for one answer and check it; its data, if any, are copied to @data. */
static void expect(struct user *u, uint32_t command, uint32_t seqnum, int status, uint32_t data_len,
		   uint8_t *data)
{
	size_t whole = 48 + data_len;

	turn_until(u, u->n_got >= whole);
	assert_int_equal(pdu_u32(u->got), command);
	assert_int_equal(pdu_u32(u->got + 4), seqnum);
	assert_int_equal((int)pdu_u32(u->got + 20), status);
	if (data_len) {
		assert_int_equal(pdu_u32(u->got + 24), data_len);
		memcpy(data, u->got + 48, data_len);
	}
	u->n_got -= whole;
	memmove(u->got, u->got + whole, u->n_got);
}

static const struct pdu_submit interrupt_in = {.in = true, .ep = 1, .length = 8};
static const struct pdu_submit get_descriptor = {
	.in = true, .length = 64, .setup = {0x80, 6, 0, 1, 0, 0, 64, 0}};

static struct pdu_submit with_seqnum(struct pdu_submit pdu, uint32_t seqnum)
{
	pdu.seqnum = seqnum;
	return pdu;
}

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

static void control_transfers(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);
	uint8_t data[64], leds = 5;

	user_open(u);
	user_attach(u);
	/* 64 asked, 18 come. */
	ask(u, with_seqnum(get_descriptor, 1), NULL);
	expect(u, 3, 1, 0, 18, data);
	assert_int_equal(data[0], 18);
	assert_int_equal(data[8] | data[9] << 8, 0x046d);
	/* SET_IDLE stalls. */
	ask(u, (struct pdu_submit){.seqnum = 2, .setup = {0x21, 10}}, NULL);
	expect(u, 3, 2, -EPIPE, 0, NULL);
	/* LEDs, with a buffer that is longer than wLength. */
	ask(u, (struct pdu_submit){.seqnum = 3, .length = 1, .setup = {0x21, 9, 0, 2, 0, 0, 1, 0}},
	    &leds);
	expect(u, 3, 3, 0, 0, NULL);
	assert_int_equal(u->mock.leds, 5);
	ask(u, (struct pdu_submit){.seqnum = 4, .ep = 2, .length = 3}, "abc");
	expect(u, 3, 4, 0, 0, NULL);
	user_free(u);
}

/* As much as libusb takes, and more. */
static void long_control(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);
	static const uint8_t payload[65535];

	user_open(u);
	user_attach(u);
	ask(u,
	    (struct pdu_submit){.seqnum = 1, .length = 4096, .setup = {0x40, 1, 0, 0, 0, 0, 0, 16}},
	    payload);
	expect(u, 3, 1, 0, 0, NULL);
	assert_int_equal(u->mock.control_length, 4096);
	ask(u,
	    (struct pdu_submit){
		    .seqnum = 2, .length = 65535, .setup = {0x40, 1, 0, 0, 0, 0, 255, 255}},
	    payload);
	expect(u, 3, 2, -EPIPE, 0, NULL);
	assert_int_equal(u->mock.control_length, 4096);
	ask(u,
	    (struct pdu_submit){.seqnum = 3,
				.in = true,
				.length = 5000,
				.setup = {0x80, 6, 0, 1, 0, 0, 5000 & 255, 5000 >> 8}},
	    NULL);
	expect(u, 3, 3, 0, 18, (uint8_t[18]){});
	assert_int_equal(u->mock.control_length, 4096);
	user_free(u);
}

static void keys(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);
	uint8_t report[8];

	user_open(u);
	user_attach(u);
	for (uint32_t i = 0; i < 200; i++) {
		ask(u, with_seqnum(interrupt_in, i), NULL);
		turn_until(u, mock_key(&u->mock, (uint8_t)i));
		expect(u, 3, i, 0, 8, report);
		assert_int_equal(report[2], (uint8_t)i);
	}
	user_free(u);
}

/* Ask for @n packets of @length bytes with @gap between them. */
static void ask_packets(struct user *u, uint32_t seqnum, bool in, uint32_t n, uint32_t length,
			uint32_t gap)
{
	static uint8_t payload[131072], descriptors[16 * 1024];
	struct pdu_submit pdu = {.seqnum = seqnum,
				 .in = in,
				 .ep = in ? 4 : 5,
				 .length = (int32_t)(n * (length + gap)),
				 .n_packets = (int32_t)n};

	for (uint32_t i = 0; i < n; i++) {
		pdu_packet(descriptors + 16 * (size_t)i, i * (length + gap), length);
		memset(payload + i * (length + gap), 0xee, length + gap);
		for (uint32_t b = 0; b < length; b++)
			payload[i * (length + gap) + b] = (uint8_t)(i * length + b);
	}
	ask(u, pdu, in ? NULL : payload);
	assert_int_equal(write(u->client, descriptors, 16 * (size_t)n), 16 * n);
}

/* Wait for the answer to ask_packets() of mock_packets(). */
static void expect_packets(struct user *u, uint32_t seqnum, bool in, uint32_t n, uint32_t length,
			   uint32_t gap, uint32_t *n_seen, uint8_t *next)
{
	uint32_t actual, errors = 0, sum = 0;
	size_t data, whole;

	turn_until(u, u->n_got >= 48);
	actual = pdu_u32(u->got + 24);
	data = in ? actual : 0;
	whole = 48 + data + 16 * (size_t)n;
	turn_until(u, u->n_got >= whole);
	assert_int_equal(pdu_u32(u->got), 3);
	assert_int_equal(pdu_u32(u->got + 4), seqnum);
	assert_int_equal(pdu_u32(u->got + 20), 0);
	assert_int_equal(pdu_u32(u->got + 32), n);
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *d = u->got + 48 + data + 16 * (size_t)i;
		bool lost = in && (*n_seen)++ % 5 == 4;
		uint32_t wanted = lost ? 0 : in ? length - *n_seen % 3 : length;

		assert_int_equal(pdu_u32(d), i * (length + gap));
		assert_int_equal(pdu_u32(d + 4), length);
		assert_int_equal(pdu_u32(d + 8), wanted);
		assert_int_equal((int)pdu_u32(d + 12), lost ? -EXDEV : 0);
		sum += wanted;
		errors += lost;
	}
	assert_int_equal(actual, sum);
	assert_int_equal(pdu_u32(u->got + 36), errors);
	for (uint32_t i = 0; i < data; i++)
		assert_int_equal(u->got[48 + i], (*next)++);
	u->n_got -= whole;
	memmove(u->got, u->got + whole, u->n_got);
}

/* Three URBs in flight, of one usbfs URB each and of several; out with gaps, in with losses. */
static void isochronous(void **state)
{
	static const uint32_t counts[] = {1, 8, 128, 129, 300};
	struct user *u = user_new(0x046d, 0xc31c);
	uint32_t n_seen = 0, seqnum = 1;
	uint8_t next = 0;

	user_open(u);
	user_attach(u);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		uint32_t n = counts[i], first = seqnum;

		while (seqnum < first + 3)
			ask_packets(u, seqnum++, true, n, 10, 6);
		turn_until(u, usb_device_in_flight(u->dev) == 3);
		while (mock_packets(&u->mock))
			;
		for (uint32_t s = first; s < seqnum; s++)
			expect_packets(u, s, true, n, 10, 6, &n_seen, &next);
		u->mock.n_out = 0;
		ask_packets(u, seqnum, false, n, 10, 3);
		turn_until(u, usb_device_in_flight(u->dev) == 1);
		while (mock_packets(&u->mock))
			;
		expect_packets(u, seqnum++, false, n, 10, 3, NULL, NULL);
		assert_int_equal(u->mock.n_out, n * 10);
		for (uint32_t b = 0; b < n * 10; b++)
			assert_int_equal(u->mock.out[b], (uint8_t)b);
	}
	user_free(u);
}

static void isochronous_errors(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	user_attach(u);
	/* Unlinked; nothing has moved. */
	ask_packets(u, 1, true, 8, 10, 0);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	unlink_urb(u, 2, 1);
	expect(u, 4, 2, -ECONNRESET, 0, NULL);
	/* Of three parts one is done: whose bytes are whose isn't known. */
	ask_packets(u, 3, true, 300, 10, 0);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	pthread_mutex_lock(&u->mock.lock);
	assert_int_equal(u->mock.n_urbs, 3);
	pthread_mutex_unlock(&u->mock.lock);
	unlink_urb(u, 4, 3);
	expect(u, 4, 4, -ECONNRESET, 0, NULL);
	/* More than usbfs takes for one packet, and what it refuses itself. */
	ask_packets(u, 5, true, 1, 98305, 0);
	turn_until(u, u->n_got >= 64);
	assert_int_equal(pdu_u32(u->got + 4), 5);
	assert_int_equal((int)pdu_u32(u->got + 20), -EMSGSIZE);
	assert_int_equal(pdu_u32(u->got + 36), 1);
	assert_int_equal((int)pdu_u32(u->got + 48 + 12), -EXDEV);
	u->n_got = 0;
	/* An unplugged device's. */
	ask_packets(u, 6, true, 2, 10, 0);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	mock_unplug(&u->mock);
	turn_until(u, u->n_got >= 80);
	assert_int_equal((int)pdu_u32(u->got + 20), -ESHUTDOWN);
	assert_int_equal(pdu_u32(u->got + 36), 2);
	user_free(u);
}

static void unlinked(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	user_attach(u);
	ask(u, with_seqnum(interrupt_in, 1), NULL);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	unlink_urb(u, 2, 1);
	expect(u, 4, 2, -ECONNRESET, 0, NULL);
	assert_int_equal(usb_device_in_flight(u->dev), 0);
	assert_int_equal(u->mock.n_discarded, 1);
	user_free(u);
}

static void blocking_requests(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	user_attach(u);
	mock_forget(&u->mock);
	/* The other setting has endpoint 3 instead of 1. */
	ask(u, with_seqnum(interrupt_in, 1), NULL);
	ask(u, (struct pdu_submit){.seqnum = 2, .setup = {1, 11, 1, 0, 0, 0}}, NULL);
	ask(u, (struct pdu_submit){.seqnum = 3, .in = true, .ep = 3, .length = 8}, NULL);
	expect(u, 3, 1, -ESHUTDOWN, 0, NULL);
	expect(u, 3, 2, 0, 0, NULL);
	assert_true(mock_logged(&u->mock, "setting1"));
	assert_int_equal(u->n_resumed, 1);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	ask(u, with_seqnum(interrupt_in, 4), NULL);
	expect(u, 3, 4, -ENOENT, 0, NULL);
	assert_true(mock_key(&u->mock, 9));
	expect(u, 3, 3, 0, 8, (uint8_t[8]){});
	/* Clear a halt; endpoint 0's goes to the device, which stalls. */
	ask(u, (struct pdu_submit){.seqnum = 5, .setup = {2, 1, 0, 0, 0x82}}, NULL);
	expect(u, 3, 5, 0, 0, NULL);
	assert_true(mock_logged(&u->mock, "unhalt130"));
	ask(u, (struct pdu_submit){.seqnum = 6, .setup = {2, 1}}, NULL);
	expect(u, 3, 6, -EPIPE, 0, NULL);
	/* Another configuration: the bulk interface isn't there. */
	mock_forget(&u->mock);
	ask(u, (struct pdu_submit){.seqnum = 7, .setup = {0, 9, 2}}, NULL);
	expect(u, 3, 7, 0, 0, NULL);
	assert_string_equal(u->mock.log, "release0 release1 configuration2 claim0 reports0 ");
	ask(u, (struct pdu_submit){.seqnum = 8, .in = true, .ep = 2, .length = 8}, NULL);
	expect(u, 3, 8, -ENOENT, 0, NULL);
	/* A reset, as usbip-win2 asks for it. */
	ask(u, (struct pdu_submit){.seqnum = 9, .setup = {0x23, 3, 4, 0, 1}}, NULL);
	expect(u, 3, 9, 0, 0, NULL);
	assert_true(mock_logged(&u->mock, "reset"));
	/* Refused by the device. */
	mock_set(&u->mock, &u->mock.set_interface_errno, EPIPE);
	ask(u, (struct pdu_submit){.seqnum = 10, .setup = {1, 11, 1, 0, 0, 0}}, NULL);
	expect(u, 3, 10, -EPIPE, 0, NULL);
	mock_set(&u->mock, &u->mock.set_configuration_errno, EINVAL);
	ask(u, (struct pdu_submit){.seqnum = 11, .setup = {0, 9, 7}}, NULL);
	expect(u, 3, 11, -EPIPE, 0, NULL);
	ask(u, with_seqnum(interrupt_in, 12), NULL);
	turn_until(u, mock_key(&u->mock, 9));
	expect(u, 3, 12, 0, 8, (uint8_t[8]){});
	user_free(u);
}

#define DEVICE(configurations) \
	18, 1, 0x00, 0x02, 0, 0, 0, 64, 0x6b, 0x1d, 5, 1, 0, 1, 0, 0, 0, configurations
#define CONFIG(total, value)			9, 2, total, 0, 1, value, 0, 0x80, 50
#define INTERFACE(number, alternate, endpoints) 9, 4, number, alternate, endpoints, 255, 0, 0, 0
#define INTERRUPT(address)			7, 5, address, 3, 8, 0, 10

/* Descriptors that Linux works with: what is claimed, and what is there to submit to. usbfs leaves
 * holes, here zeros, where a configuration is shorter than it says. */
static void odd_descriptors(void **state)
{
	static const uint8_t padded[] = {DEVICE(1), CONFIG(26, 1), INTERFACE(0, 0, 1),
					 INTERRUPT(0x81), 0};
	static const uint8_t hole[18 + 200] = {DEVICE(1), CONFIG(200, 1), INTERFACE(0, 0, 1),
					       INTERRUPT(0x81)};
	static const uint8_t zero[] = {
		DEVICE(1), CONFIG(43, 1),      INTERFACE(0, 0, 1), INTERRUPT(0x81), 0,
		4,	   INTERFACE(1, 0, 1), INTERRUPT(0x82),
	};
	static const uint8_t second[18 + 60 + 25] = {
		DEVICE(2),
		CONFIG(60, 1),
		INTERFACE(0, 0, 1),
		INTERRUPT(0x82),
		[18 + 60] = CONFIG(25, 2),
		INTERFACE(0, 0, 1),
		INTERRUPT(0x81),
	};
	static const uint8_t numbered_0[] = {DEVICE(1), CONFIG(25, 0), INTERFACE(0, 0, 1),
					     INTERRUPT(0x81)};
	/* libusb claims none above 31, usbfs none above 63. */
	static const uint8_t high[] = {DEVICE(1),	CONFIG(41, 1),	      INTERFACE(40, 0, 1),
				       INTERRUPT(0x81), INTERFACE(200, 0, 1), INTERRUPT(0x82)};
	static const uint8_t long_endpoint[] = {
		DEVICE(1), CONFIG(27, 1), INTERFACE(0, 0, 1), 9, 5, 0x81, 3, 8, 0, 10, 0, 0,
	};
	static const uint8_t twice[] = {DEVICE(1),	 CONFIG(48, 1),	  INTERFACE(0, 0, 1),
					INTERRUPT(0x81), INTERRUPT(0x82), INTERFACE(0, 0, 1),
					INTERRUPT(0x83)};
	static const uint8_t none[] = {DEVICE(1), CONFIG(9, 1)};
	/* The first one says 4 bytes, so usbfs shows 4. */
	static const uint8_t first_short[] = {
		DEVICE(2), 9, 2, 4, 0, CONFIG(25, 2), INTERFACE(0, 0, 1), INTERRUPT(0x81)};
	static const struct {
		const char *name;
		const uint8_t *node;
		size_t len;
		uint8_t configuration;
		const char *claims;
		bool has_1, has_2; /* IN endpoints */
	} rows[] = {
		{"padded", padded, sizeof(padded), 1, "claim0 ", true, false},
		{"hole", hole, sizeof(hole), 1, "claim0 ", true, false},
		{"zero", zero, sizeof(zero), 1, "claim0 ", true, false},
		{"second", second, sizeof(second), 2, "claim0 ", true, false},
		{"numbered 0", numbered_0, sizeof(numbered_0), 0, "claim0 ", true, false},
		{"high", high, sizeof(high), 1, "claim40 claim200 ", true, false},
		{"long endpoint", long_endpoint, sizeof(long_endpoint), 1, "claim0 ", true, false},
		{"twice", twice, sizeof(twice), 1, "claim0 ", true, false},
		{"none", none, sizeof(none), 1, "", false, false},
		{"first short", first_short, sizeof(first_short), 2, "claim0 ", true, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct user *u = user_new_of(rows[i].node, rows[i].len, rows[i].configuration);

		print_message("%s\n", rows[i].name);
		user_open(u);
		if (strncmp(u->mock.log, rows[i].claims, strlen(rows[i].claims)))
			fail_msg("%s: claimed: %s", rows[i].name, u->mock.log);
		user_attach(u);
		ask(u, (struct pdu_submit){.seqnum = 1, .in = true, .ep = 2, .length = 8}, NULL);
		expect(u, 3, 1, -ENOENT, 0, NULL);
		ask(u, (struct pdu_submit){.seqnum = 2, .in = true, .ep = 1, .length = 8}, NULL);
		if (rows[i].has_1) {
			turn_until(u, mock_key(&u->mock, 9));
			expect(u, 3, 2, 0, 8, (uint8_t[8]){[2] = 9});
		} else {
			expect(u, 3, 2, -ENOENT, 0, NULL);
		}
		/* Its own configuration anew, as each guest sets it. */
		ask(u, (struct pdu_submit){.seqnum = 3, .setup = {0, 9, rows[i].configuration}},
		    NULL);
		expect(u, 3, 3, 0, 0, NULL);
		assert_false(mock_logged(&u->mock, "unconfigured"));
		user_free(u);
	}
}

/* Asked which configuration it has, it stalls: what sysfs said counts. */
static void configuration_not_told(void **state)
{
	static const uint8_t node[] = {DEVICE(2),	CONFIG(25, 1), INTERFACE(0, 0, 1),
				       INTERRUPT(0x82), CONFIG(25, 2), INTERFACE(3, 0, 1),
				       INTERRUPT(0x81)};
	static const struct {
		int expected; /* < 0: nobody says */
		const char *claims;
	} rows[] = {{2, "claim3 "}, {1, "claim0 "}, {7, "claim0 "}, {-1, "claim0 "}, {0, ""}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct user *u = user_new_of(node, sizeof(node), 2);

		mock_set(&u->mock, &u->mock.get_configuration_errno, EPIPE);
		if (rows[i].expected >= 0)
			usb_device_expect(u->dev, (uint8_t)rows[i].expected);
		user_open(u);
		if (strncmp(u->mock.log, rows[i].claims, strlen(rows[i].claims)) ||
		    (!*rows[i].claims && mock_logged(&u->mock, "claim")))
			fail_msg("%d expected: %s", rows[i].expected, u->mock.log);
		user_free(u);
		/* It answers: that counts. */
		u = user_new_of(node, sizeof(node), 2);
		usb_device_expect(u->dev, 1);
		user_open(u);
		assert_true(mock_logged(&u->mock, "claim3 "));
		user_free(u);
	}
}

/* More than a page, and in none of its 30 interfaces is anything lost. */
static void long_descriptors(void **state)
{
	uint8_t node[18 + 9 + 30 * (9 + 200 + 7)] = {DEVICE(1), CONFIG(0, 1)}, *p = node + 18 + 9;
	struct user *u;

	node[18 + 2] = (uint8_t)(sizeof(node) - 18);
	node[18 + 3] = (uint8_t)((sizeof(node) - 18) >> 8);
	for (uint8_t n = 0; n < 30; n++) {
		const uint8_t interface[] = {INTERFACE(n, 0, 1), 200, 0xff};
		const uint8_t end[] = {INTERRUPT(n < 15 ? 0x81 + n : n - 14)};

		memcpy(p, interface, sizeof(interface));
		memset(p + sizeof(interface), 0, 200 - 2);
		memcpy(p + 9 + 200, end, sizeof(end));
		p += 9 + 200 + sizeof(end);
	}
	u = user_new_of(node, sizeof(node), 1);
	user_open(u);
	assert_true(mock_logged(&u->mock, "claim28 claim29 release0"));
	user_attach(u);
	ask(u, (struct pdu_submit){.seqnum = 1, .in = true, .ep = 15, .length = 8}, NULL);
	turn_until(u, mock_key(&u->mock, 9));
	expect(u, 3, 1, 0, 8, (uint8_t[8]){[2] = 9});
	user_free(u);
}

/* An interface that has no setting 0 begins with its first, and any of its settings can be set. */
static void settings_without_0(void **state)
{
	static const uint8_t node[] = {
		DEVICE(1),	 CONFIG(41, 1),	     INTERFACE(0, 3, 1),
		INTERRUPT(0x81), INTERFACE(0, 7, 1), INTERRUPT(0x82),
	};
	struct user *u = user_new_of(node, sizeof(node), 1);

	user_open(u);
	user_attach(u);
	ask(u, (struct pdu_submit){.seqnum = 1, .in = true, .ep = 1, .length = 8}, NULL);
	turn_until(u, mock_key(&u->mock, 9));
	expect(u, 3, 1, 0, 8, (uint8_t[8]){[2] = 9});
	ask(u, (struct pdu_submit){.seqnum = 2, .setup = {1, 11, 7, 0, 0, 0}}, NULL);
	expect(u, 3, 2, 0, 0, NULL);
	assert_true(mock_logged(&u->mock, "setting7"));
	ask(u, (struct pdu_submit){.seqnum = 3, .in = true, .ep = 1, .length = 8}, NULL);
	expect(u, 3, 3, -ENOENT, 0, NULL);
	ask(u, (struct pdu_submit){.seqnum = 4, .in = true, .ep = 2, .length = 8}, NULL);
	turn_until(u, mock_key(&u->mock, 9));
	expect(u, 3, 4, 0, 8, (uint8_t[8]){[2] = 9});
	user_free(u);
}

/* libusb refuses a device of which one configuration is shorter than its own descriptor; usbfs shows
 * nothing of that one. Linux works with the others, and so do we. */
static void without_libusb(void **state)
{
	static const uint8_t node[] = {DEVICE(2), CONFIG(25, 1), INTERFACE(0, 0, 1),
				       INTERRUPT(0x81)};
	struct user *u = user_new_of(node, sizeof(node), 1);
	uint8_t data[64];

	user_open(u);
	assert_true(mock_logged(&u->mock, "claim0 release0 reset claim0"));
	user_attach(u);
	/* Control, in and out, and one that stalls. */
	ask(u, with_seqnum(get_descriptor, 1), NULL);
	expect(u, 3, 1, 0, 18, data);
	assert_int_equal(data[0], 18);
	ask(u, (struct pdu_submit){.seqnum = 2, .setup = {0, 9, 1}}, NULL);
	expect(u, 3, 2, 0, 0, NULL);
	ask(u,
	    (struct pdu_submit){
		    .seqnum = 3, .in = true, .length = 4, .setup = {0xc0, 1, 0, 0, 0, 0, 4}},
	    NULL);
	expect(u, 3, 3, -EPIPE, 0, NULL);
	/* A key, one that is taken back, and the next. */
	ask(u, with_seqnum(interrupt_in, 4), NULL);
	turn_until(u, mock_key(&u->mock, 9));
	expect(u, 3, 4, 0, 8, (uint8_t[8]){[2] = 9});
	ask(u, with_seqnum(interrupt_in, 5), NULL);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	unlink_urb(u, 6, 5);
	expect(u, 4, 6, -ECONNRESET, 0, NULL);
	ask(u, with_seqnum(interrupt_in, 7), NULL);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	mock_unplug(&u->mock);
	expect(u, 3, 7, -ESHUTDOWN, 0, NULL);
	user_free(u);
}

/* A device whose only configuration is like that has no interface at all, and answers all the same. */
static void without_interfaces(void **state)
{
	static const uint8_t node[] = {DEVICE(1)};
	struct user *u = user_new_of(node, sizeof(node), 1);

	user_open(u);
	user_attach(u);
	ask(u, (struct pdu_submit){.seqnum = 1, .setup = {0, 9, 1}}, NULL);
	expect(u, 3, 1, 0, 0, NULL);
	ask(u, (struct pdu_submit){.seqnum = 2, .setup = {0x40, 1}}, NULL);
	expect(u, 3, 2, 0, 0, NULL);
	assert_false(mock_logged(&u->mock, "unconfigured"));
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

/* What its guest's share has no room for waits until another of that guest comes back. */
static void share_of_memory(void **state)
{
	struct usb_memory memory = {0};
	struct usb_memory_share share = {.large = 2 * (8192 + 512), .small = 4096};
	struct user *u = user_new(0x046d, 0xc31c);
	uint8_t data[8];

	usb_memory_set_share(&memory, &share);
	user_open(u);
	usb_device_charge_to(u->dev, &memory);
	user_attach(u);
	for (uint32_t seqnum = 1; seqnum <= 3; seqnum++)
		ask(u, (struct pdu_submit){.seqnum = seqnum, .in = true, .ep = 2, .length = 8192},
		    NULL);
	/* They hold up no other endpoint's: there is the reserve. */
	ask(u, (struct pdu_submit){.seqnum = 4, .setup = {0x40, 1}}, NULL);
	expect(u, 3, 4, 0, 0, NULL);
	assert_int_equal(usb_device_in_flight(u->dev), 2);
	assert_int_equal(memory.large, share.large);
	assert_int_equal(memory.small, 0);
	/* It isn't the kernel that they wait for. */
	assert_false(usbip_session_starved(u->session));
	unlink_urb(u, 101, 1);
	expect(u, 4, 101, -ECONNRESET, 0, NULL);
	turn_until(u, usb_device_in_flight(u->dev) == 2);
	unlink_urb(u, 102, 2);
	expect(u, 4, 102, -ECONNRESET, 0, NULL);
	unlink_urb(u, 103, 3);
	expect(u, 4, 103, -ECONNRESET, 0, NULL);
	assert_int_equal(memory.large, 0);
	/* The kernel refuses one: it isn't charged. */
	mock_set(&u->mock, &u->mock.submit_errno, ENOMEM);
	ask(u, with_seqnum(interrupt_in, 6), NULL);
	expect(u, 3, 6, -ENOMEM, 0, NULL);
	assert_int_equal(memory.small, 0);
	mock_set(&u->mock, &u->mock.submit_errno, 0);
	ask(u, with_seqnum(interrupt_in, 7), NULL);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	assert_int_equal(memory.small, 8 + 512);
	assert_true(mock_key(&u->mock, 4));
	expect(u, 3, 7, 0, 8, data);
	assert_int_equal(memory.small, 0);
	user_free(u);
}

/* usbfs' memory is used up: told as such, for each type, and waited for. */
static void no_memory(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	user_attach(u);
	mock_set(&u->mock, &u->mock.submit_errno, ENOMEM);
	ask(u, with_seqnum(interrupt_in, 1), NULL);
	expect(u, 3, 1, -ENOMEM, 0, NULL);
	ask(u, with_seqnum(get_descriptor, 2), NULL);
	expect(u, 3, 2, -ENOMEM, 0, NULL);
	ask(u, (struct pdu_submit){.seqnum = 3, .ep = 2, .length = 3}, "abc");
	expect(u, 3, 3, -ENOMEM, 0, NULL);
	ask_packets(u, 4, true, 1, 10, 0);
	turn_until(u, u->n_got >= 64);
	assert_int_equal((int)pdu_u32(u->got + 20), -ENOMEM);
	u->n_got = 0;
	usbip_session_set_retries(u->session, 1000);
	ask(u, (struct pdu_submit){.seqnum = 5, .ep = 2, .length = 3}, "abc");
	turn_until(u, usbip_session_starved(u->session));
	usbip_session_retry(u->session);
	assert_true(usbip_session_starved(u->session));
	mock_set(&u->mock, &u->mock.submit_errno, 0);
	usbip_session_retry(u->session);
	assert_false(usbip_session_starved(u->session));
	expect(u, 3, 5, 0, 0, NULL);
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

/* A report comes, and the client has it as told. */
static void report(struct user *u, uint32_t seqnum, const char *in, const char *out)
{
	uint8_t data[8];

	ask(u, with_seqnum(interrupt_in, seqnum), NULL);
	turn_until(u, mock_report(&u->mock, (const uint8_t *)in));
	expect(u, 3, seqnum, 0, 8, data);
	assert_memory_equal(data, out, 8);
}

#define UP "\0\0\0\0\0\0\0\0"

/* Struck in a session, still down in the next; its descriptor is asked for once, or isn't had. */
static void chords(void **state)
{
	static const struct hid_chords wanted = {{{{0xe0, 0xe4, 0x29}}, {{0xe0, 0xe4, 0x2c}}}};

	for (int r = 0; r <= EPIPE; r += EPIPE) {
		struct user *u = user_new(0x046d, 0xc31c);

		mock_set(&u->mock, &u->mock.report_descriptor_errno, r);
		usb_device_watch_for(u->dev, &wanted);
		user_open(u);
		assert_true(mock_logged(&u->mock, r ? "reset claim0 claim1 noreports0"
						    : "reset claim0 claim1 reports0"));
		mock_forget(&u->mock);
		user_attach(u);
		ask(u, (struct pdu_submit){.seqnum = 1, .setup = {0, 9, 1}}, NULL);
		expect(u, 3, 1, 0, 0, NULL);
		report(u, 2, "\x11\0\x04\0\0\0\0\0", "\x11\0\x04\0\0\0\0\0");
		assert_int_equal(u->n_struck, 0);
		report(u, 3, "\x11\0\x2c\0\0\0\0\0", UP);
		assert_int_equal(u->n_struck, 101);
		user_detach(u);
		usb_device_end_session(u->dev);
		turn_until(u, u->was_ended);

		user_attach(u);
		report(u, 4, "\x11\0\x2c\0\0\0\0\0", UP);
		report(u, 5, "\x10\0\0\0\0\0\0\0", UP);
		report(u, 6, UP, UP);
		report(u, 7, "\0\0\x2c\0\0\0\0\0", "\0\0\x2c\0\0\0\0\0");
		assert_int_equal(u->n_struck, 101);
		/* Other chords from now on. */
		usb_device_watch_for(u->dev, &(struct hid_chords){{{{0x2c}}}});
		report(u, 8, "\x11\0\x29\0\0\0\0\0", "\x11\0\x29\0\0\0\0\0");
		report(u, 9, "\0\0\x2c\0\0\0\0\0", UP);
		assert_int_equal(u->n_struck, 102);
		assert_false(mock_logged(&u->mock, "reports"));

		/* The second configuration has the keyboard, too, and is asked anew. */
		ask(u, (struct pdu_submit){.seqnum = 10, .setup = {0, 9, 2}}, NULL);
		expect(u, 3, 10, 0, 0, NULL);
		assert_true(mock_logged(&u->mock, r ? "noreports0" : "reports0"));
		report(u, 11, "\0\0\x2c\0\0\0\0\0", UP);
		assert_int_equal(u->n_struck, 103);
		user_free(u);
	}
}

/* One that comes short is asked for four times, as by Linux, and goes on in zeros. */
static void short_report_descriptor(void **state)
{
	for (int cut = 0; cut < 4; cut++) {
		struct user *u = user_new(0x046d, 0xc31c);
		const struct hid_found *found;

		mock_set(&u->mock, &u->mock.report_descriptor_cut, cut);
		user_open(u);
		assert_true(mock_logged(&u->mock, cut ? "reports0 reports0 reports0 reports0"
						      : "claim1 reports0"));
		assert_false(
			mock_logged(&u->mock, cut ? "reports0 reports0 reports0 reports0 reports0"
						  : "reports0 reports0"));
		found = usb_device_found(u->dev);
		assert_int_equal(found->kinds[HID_BY_PROTOCOL][0], HID_KEYBOARD);
		/* Without the end of its collection it is refused. */
		assert_int_equal(found->kinds[HID_BY_REPORTS][0], cut < 3 ? HID_KEYBOARD : 0);
		assert_int_equal(found->kinds[HID_BY_PROTOCOL][1], 0);
		user_free(u);
	}
}

#define HID_INTERFACE(number, endpoints) 9, 4, number, 0, endpoints, 3, 0, 0, 0
#define HID_DESCRIPTOR			 9, 0x21, 0x10, 1, 0, 1, 0x22, 67, 0

/* The chord is seen on the keyboard that an interface is by its reports, and swallowed. */
static void expect_keyboard(const char *name, const uint8_t *node, size_t len, uint8_t interface,
			    int cut)
{
	static const struct hid_chords panic = {{{{0xe0, 0xe4, 0x29}}}};
	struct user *u = user_new_of(node, len, 1);
	const struct hid_found *found;

	print_message("%s\n", name);
	mock_set(&u->mock, &u->mock.keyboard, interface);
	mock_set(&u->mock, &u->mock.report_descriptor_cut, cut);
	usb_device_watch_for(u->dev, &panic);
	user_open(u);
	found = usb_device_found(u->dev);
	for (unsigned i = 0; i < ARRAY_SIZE(found->kinds[0]); i++) {
		assert_int_equal(found->kinds[HID_BY_PROTOCOL][i], 0);
		assert_int_equal(found->kinds[HID_BY_REPORTS][i],
				 i == interface ? HID_KEYBOARD : 0);
	}
	user_attach(u);
	report(u, 1, "\x11\0\x04\0\0\0\0\0", "\x11\0\x04\0\0\0\0\0");
	assert_int_equal(u->n_struck, 0);
	report(u, 2, "\x11\0\x29\0\0\0\0\0", UP);
	assert_int_equal(u->n_struck, 1);
	user_free(u);
}

/* 03/00/00, with the HID descriptor where devices have it, and of three configurations' lengths. */
static void keyboards_by_their_reports(void **state)
{
	static const uint8_t front[] = {DEVICE(1),	CONFIG(41, 1),	 HID_INTERFACE(0, 2),
					HID_DESCRIPTOR, INTERRUPT(0x81), INTERRUPT(0x01)};
	static const uint8_t behind_first[] = {DEVICE(1),	CONFIG(41, 1),	HID_INTERFACE(0, 2),
					       INTERRUPT(0x81), HID_DESCRIPTOR, INTERRUPT(0x01)};
	static const uint8_t behind_second[] = {DEVICE(1),	     CONFIG(41, 1),
						HID_INTERFACE(0, 2), INTERRUPT(0x01),
						INTERRUPT(0x81),     HID_DESCRIPTOR};
	static const uint8_t behind_others[] = {
		DEVICE(1), CONFIG(43, 1),   HID_INTERFACE(0, 1), 4, 0x24, 1, 2, 5, 0x21, 1, 2,
		3,	   INTERRUPT(0x81), HID_DESCRIPTOR};
	/* What HID descriptor there is, is cut off with its configuration. */
	static const uint8_t hole[18 + 200] = {DEVICE(1), CONFIG(200, 1), HID_INTERFACE(0, 1),
					       INTERRUPT(0x81), HID_DESCRIPTOR};

	expect_keyboard("in front", front, sizeof(front), 0, 0);
	expect_keyboard("behind the first endpoint", behind_first, sizeof(behind_first), 0, 0);
	expect_keyboard("behind the second", behind_second, sizeof(behind_second), 0, 0);
	expect_keyboard("behind others of its type", behind_others, sizeof(behind_others), 0, 0);
	expect_keyboard("before a hole", hole, sizeof(hole), 0, 0);
	expect_keyboard("a byte short", front, sizeof(front), 0, 1);
	expect_keyboard("two bytes short", behind_first, sizeof(behind_first), 0, 2);
}

/* So many HID interfaces, of which one alone answers: it counts wherever it stands. */
static void keyboards_among_many(void **state)
{
	static const struct {
		const char *name;
		uint8_t n, keyboard;
	} rows[] = {{"the first of two", 2, 0},
		    {"the ninth of nine", 9, 8},
		    {"the ninth of 32", 32, 8},
		    {"the 32nd of 32", 32, 31}};

	for (size_t r = 0; r < ARRAY_SIZE(rows); r++) {
		uint8_t node[18 + 9 + 32 * 25] = {DEVICE(1), CONFIG(0, 1)}, *p = node + 18 + 9;
		size_t total = 9u + rows[r].n * 25u;

		node[18 + 2] = (uint8_t)total;
		node[18 + 3] = (uint8_t)(total >> 8);
		/* Endpoint 1 is the keyboard's, the others share what there are. */
		for (uint8_t n = 0, address = 0x82; n < rows[r].n; n++) {
			const uint8_t interface[] = {HID_INTERFACE(n, 1), HID_DESCRIPTOR,
						     INTERRUPT(n == rows[r].keyboard ? 0x81
							       : address < 0x90	     ? address++
										     : 0x80)};

			memcpy(p, interface, sizeof(interface));
			p += sizeof(interface);
		}
		expect_keyboard(rows[r].name, node, 18 + total, rows[r].keyboard, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_and_close),
		cmocka_unit_test(claimed_by_another),
		cmocka_unit_test(reset_fails),
		cmocka_unit_test(never_reset),
		cmocka_unit_test(unconfigured),
		cmocka_unit_test(close_while_opening),
		cmocka_unit_test(without_threads),
		cmocka_unit_test(control_transfers),
		cmocka_unit_test(long_control),
		cmocka_unit_test(keys),
		cmocka_unit_test(isochronous),
		cmocka_unit_test(isochronous_errors),
		cmocka_unit_test(unlinked),
		cmocka_unit_test(blocking_requests),
		cmocka_unit_test(odd_descriptors),
		cmocka_unit_test(configuration_not_told),
		cmocka_unit_test(long_descriptors),
		cmocka_unit_test(settings_without_0),
		cmocka_unit_test(without_libusb),
		cmocka_unit_test(without_interfaces),
		cmocka_unit_test(sessions),
		cmocka_unit_test(handed_over),
		cmocka_unit_test(end_while_parked),
		cmocka_unit_test(close_with_session),
		cmocka_unit_test(share_of_memory),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(unplugged),
		cmocka_unit_test(unplugged_at_submit),
		cmocka_unit_test(gone_at_reset),
		cmocka_unit_test(chords),
		cmocka_unit_test(short_report_descriptor),
		cmocka_unit_test(keyboards_by_their_reports),
		cmocka_unit_test(keyboards_among_many),
	};

	if (usb_device_library_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("usb-device", tests, NULL, NULL);
}
