/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The broker's own side: a process that answers requests until the line closes; see broker.h.
 *
 * It reads only its line, sysfs and what it opens. It does not trust control beyond a request's
 * form: names are checked before they become paths.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/code_pages.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/broker/broker_device.h"
#include "daemon/broker/broker_line.h"
#include "daemon/broker/broker_listen.h"
#include "daemon/broker/broker_port.h"
#include "daemon/broker/broker_tap.h"
#include "base/sandbox.h"

/* With pages of 64 KiB one of them guards it, and arm64's least is 128 KiB. */
#define SLOW_STACK (256 * 1024)

static int broker_fd; /* the line; one thread reads it, packets are sent whole by any */

static void broker_reply(const struct broker_ask *ask, int r, const int *fds, unsigned n_fds,
			 const char *text)
{
	struct helper_answer answer = {.id = ask->id, .r = r};

	snprintf(answer.text, sizeof(answer.text), "%s", r < 0 ? text : "");
	fd_send(broker_fd, &answer, sizeof(answer), fds, n_fds);
}

static void broker_open_device(const struct broker_ask *ask)
{
	_cleanup_close_ int node = -1, guard = -1;
	struct broker_disks disks = {.n = 0};
	char text[160] = "";
	const char *why;
	int fds[2], r;

	r = broker_device_open(&ask->device, &node, &why);
	if (r < 0)
		snprintf(text, sizeof(text), "%s", why);
	else
		r = broker_device_claim_disks(&ask->device, &disks, text, sizeof(text));
	if (r == 0 && disks.n && pipe2(fds, O_CLOEXEC) < 0) {
		r = -errno;
		snprintf(text, sizeof(text), "making a pipe to guard its disks by");
	}
	if (r < 0 || !disks.n) {
		broker_disks_release(&disks);
		broker_reply(ask, r, &node, r < 0 ? 0 : 1, text);
		return;
	}
	guard = fds[0];
	broker_reply(ask, 0, (int[]){node, fds[1]}, 2, "");
	fd_close(fds[1]);
	/* Now only control has it: we must not keep a device that is unplugged. */
	node = fd_close(node);
	broker_disks_keep(&disks, guard);
}

static void broker_rebind_device(const struct broker_ask *ask)
{
	const char *text = "";
	int r = broker_device_probe(&ask->device, &text);

	broker_reply(ask, r, NULL, 0, text);
}

static void broker_reset_device(const struct broker_ask *ask)
{
	char text[160] = "";
	int r = broker_device_reset(&ask->device, ask->force == 1, text, sizeof(text));

	broker_reply(ask, r, NULL, 0, text);
}

static void broker_switch_off(const struct broker_ask *ask)
{
	char text[160] = "";
	int r = broker_port_off(&ask->device, ask->force == 1, text, sizeof(text));

	broker_reply(ask, r, NULL, 0, text);
}

static void broker_switch_on(const struct broker_ask *ask)
{
	char text[160] = "";
	int r = broker_port_on(ask->device.busid, text, sizeof(text));

	broker_reply(ask, r, NULL, 0, text);
}

static void broker_open_tap(const struct broker_ask *ask)
{
	_cleanup_close_ int tap = -1;
	char text[160] = "";
	int r = broker_tap_open(ask->device.busid, &tap, text, sizeof(text));

	broker_reply(ask, r, &tap, r < 0 ? 0 : 1, text);
}

static void broker_make_listener(const struct broker_ask *ask)
{
	struct ip_endpoint at = {.v6 = ask->at.v6 == 1, .port = ask->at.port};
	_cleanup_close_ int sock = -1;
	char text[160] = "";
	int r;

	memcpy(at.address, ask->at.address, sizeof(at.address));
	r = broker_listen_at(&at, &sock, text, sizeof(text));
	broker_reply(ask, r, &sock, r < 0 ? 0 : 1, text);
}

/* What may take seconds in the kernel. */
static void (*const slow_verbs[])(const struct broker_ask *ask) = {
	[BROKER_OPEN] = broker_open_device,	[BROKER_REBIND] = broker_rebind_device,
	[BROKER_RESET] = broker_reset_device,	[BROKER_POWER_OFF] = broker_switch_off,
	[BROKER_POWER_ON] = broker_switch_on,	[BROKER_TAP] = broker_open_tap,
	[BROKER_LISTEN] = broker_make_listener,
};

static void *broker_slow(void *arg)
{
	_cleanup_free_ struct broker_ask *ask = arg;

	slow_verbs[ask->verb](ask);
	/* What a request runs, seldom runs again soon. */
	code_pages_give_back();
	return NULL;
}

/* A port is named by the device that would be in it; nothing else is known of that device. */
static bool names_device(const struct broker_ask *ask)
{
	if (ask->force > 1)
		return false;
	if (ask->verb == BROKER_LISTEN)
		return ask->at.v6 <= 1 && ask->at.port != 0;
	if (ask->verb == BROKER_TAP)
		return broker_tap_sound(ask->device.busid);
	return ask->verb == BROKER_POWER_ON ? broker_busid_sound(ask->device.busid)
					    : broker_device_sound(&ask->device);
}

static void broker_in_thread(const struct broker_ask *ask)
{
	struct broker_ask *copy;
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	if (!names_device(ask)) {
		broker_reply(ask, -EINVAL, NULL, 0, "no such name");
		return;
	}
	copy = malloc(sizeof(*copy));
	if (!copy) {
		broker_reply(ask, -ENOMEM, NULL, 0, "out of memory");
		return;
	}
	*copy = *ask;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, SLOW_STACK);
	r = pthread_create(&thread, &attr, broker_slow, copy);
	pthread_attr_destroy(&attr);
	if (r) {
		broker_reply(ask, -r, NULL, 0, "no thread to be had");
		free(copy);
	}
}

static void broker_serve(void)
{
	for (;;) {
		struct broker_ask ask;
		ssize_t n = recv(broker_fd, &ask, sizeof(ask), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(ask))
			return;
		switch (ask.verb) {
		case BROKER_OPEN:
		case BROKER_REBIND:
		case BROKER_RESET:
		case BROKER_POWER_OFF:
		case BROKER_POWER_ON:
		case BROKER_TAP:
		case BROKER_LISTEN:
			broker_in_thread(&ask);
			break;
		default:
			broker_reply(&ask, -EINVAL, NULL, 0, "no such request");
		}
	}
}

/* Tell broker_start() how it went, by a first packet that has an answer's form. */
static void broker_ready(int r, const char *text)
{
	struct broker_ask none = {0};

	broker_reply(&none, r, NULL, 0, text);
}

/*
 * It needs sysfs, nodes of USB devices, of disks and of taps, and the files that tell mounts; and sockets
 * that listen, but none that connect. It stays root, but may do nothing else. A program that it started afterwards would keep these bounds, and could
 * not even be loaded: so the starter has to be forked before.
 */
static int broker_give_up(void)
{
	static const struct sandbox_path paths[] = {
		{"/dev", SANDBOX_OPEN},
		{"/sys", SANDBOX_OPEN},
		{"/proc", SANDBOX_READ},
	};
	int r = sandbox_keep_caps(BROKER_CAPS);

	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = sandbox_files_and_listen(paths, ARRAY_SIZE(paths));
	return r == 0 ? sandbox_calls(SANDBOX_BROKER) : r;
}

static _Noreturn void broker_main(int line)
{
	sigset_t all;
	int r;

	broker_fd = line;
	prctl(PR_SET_NAME, "usbrouted-brk");
	/* A terminal's Ctrl-C is for control, which closes the line when it is done. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);

	r = broker_give_up();
	broker_ready(r, "dropping rights");
	if (r < 0)
		_exit(1);
	code_pages_give_back();
	broker_serve();
	_exit(0);
}

/**
 * broker_start() - fork the broker
 * @ret_line:	the daemon's end of the line
 * @error:	what went wrong and how to mend it, for a person
 * @error_size:	room there
 *
 * To be called before any thread is started and any descriptor opened. Waits until the broker
 * stands.
 *
 * Return: 0 or a negative errno.
 */
int broker_start(int *ret_line, char *error, size_t error_size)
{
	struct helper_answer answer = {0};
	_cleanup_close_ int mine = -1, theirs = -1;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		snprintf(error, error_size, "making a socket pair: %s", errno_text(errno));
		return -errno;
	}
	mine = pair[0];
	theirs = pair[1];
	pid = fork();
	if (pid < 0) {
		snprintf(error, error_size, "starting the broker: %s", errno_text(errno));
		return -errno;
	}
	if (pid == 0) {
		close(take_fd(&mine));
		broker_main(take_fd(&theirs));
	}
	theirs = fd_close(theirs);
	if (recv(mine, &answer, sizeof(answer), 0) != sizeof(answer)) {
		snprintf(error, error_size, "the broker ended before it stood");
		return -EPIPE;
	}
	answer.text[sizeof(answer.text) - 1] = 0;
	if (answer.r < 0) {
		snprintf(error, error_size, "%s: %s", answer.text, errno_text(answer.r));
		return answer.r;
	}
	*ret_line = take_fd(&mine);
	return 0;
}
