/* SPDX-License-Identifier: BSD-2-Clause */
/* A device's user; see usb-user.h. */
#include "tests/device/usb-user.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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

const struct usb_device_ops ops = {
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
void turn(struct user *u)
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

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Is the device's node still open? The mock has a thread that takes connections: a number that is
 * free may be another file by now. */
bool node_open(const struct user *u)
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

struct user *user_new(uint16_t vendor, uint16_t product)
{
	struct user *u = calloc(1, sizeof(*u));

	mock_new(&u->mock, vendor, product);
	return user_begin(u);
}

/* A device whose usbfs node tells these bytes. */
struct user *user_new_of(const void *node, size_t len, uint8_t configuration)
{
	struct user *u = calloc(1, sizeof(*u));

	mock_new_of(&u->mock, node, len, configuration);
	return user_begin(u);
}

void user_open(struct user *u)
{
	usb_device_open(u->dev);
	turn_until(u, u->was_opened);
	assert_string_equal(u->reason, "");
	assert_int_equal(u->opened, 0);
	assert_true(usb_device_ready(u->dev));
}

void user_attach(struct user *u)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	u->server = sv[0];
	u->client = sv[1];
	u->n_got = 0;
	assert_int_equal(usbip_session_new(&u->session, "vm1", u->dev, SCRIPT_DEVID, NULL, 0), 0);
}

void user_detach(struct user *u)
{
	usbip_session_close(u->session);
	u->server = fd_close(u->server);
	u->client = fd_close(u->client);
	u->session = usbip_session_free(u->session);
}

void user_free(struct user *u)
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

void ask(struct user *u, struct pdu_submit pdu, const void *payload)
{
	uint8_t header[48];

	pdu_submit(header, &pdu);
	assert_int_equal(write(u->client, header, 48), 48);
	if (payload)
		assert_int_equal(write(u->client, payload, (size_t)pdu.length), pdu.length);
}

void unlink_urb(struct user *u, uint32_t seqnum, uint32_t victim)
{
	uint8_t header[48];

	pdu_unlink(header, seqnum, victim);
	assert_int_equal(write(u->client, header, 48), 48);
}

/* Wait for one answer and check it; its data, if any, are copied to @data. */
void expect(struct user *u, uint32_t command, uint32_t seqnum, int status, uint32_t data_len,
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

const struct pdu_submit interrupt_in = {.in = true, .ep = 1, .length = 8};

const struct pdu_submit get_descriptor = {
	.in = true, .length = 64, .setup = {0x80, 6, 0, 1, 0, 0, 64, 0}};

struct pdu_submit with_seqnum(struct pdu_submit pdu, uint32_t seqnum)
{
	pdu.seqnum = seqnum;
	return pdu;
}

/* A report comes, and the client has it as told. */
void report(struct user *u, uint32_t seqnum, const char *in, const char *out)
{
	uint8_t data[8];

	ask(u, with_seqnum(interrupt_in, seqnum), NULL);
	turn_until(u, mock_report(&u->mock, (const uint8_t *)in));
	expect(u, 3, seqnum, 0, 8, data);
	assert_memory_equal(data, out, 8);
}
