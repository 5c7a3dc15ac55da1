/* SPDX-License-Identifier: BSD-2-Clause */
/* `usbroute-agent --let-go` and `--take-back`, both ends; see control.h. */
#include "agent/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/unix_socket.h"
#include "agent/agent.h"

#define SOCKET_NAME	 "control"
#define WORD_MAX	 16
#define ANSWER		 "done"
#define PATIENCE_SECONDS 10		     /* of who asks */
#define NO_ROOM_NS	 (1 * NS_PER_SECOND) /* without a free descriptor */

/**
 * control_init() - begin, with nobody to hear
 * @control:	to fill in
 */
void control_init(struct control *control)
{
	*control = (struct control){.listener = -1};
	for (unsigned i = 0; i < CONTROL_CALLERS; i++)
		control->callers[i] = -1;
}

/**
 * control_listen() - hear callers
 * @control:	initialised
 * @folder:	where the socket is; made, where it is missing
 *
 * Return: 0 or a negative errno.
 */
int control_listen(struct control *control, const char *folder)
{
	const struct unix_place place = {
		.folder = folder,
		.name = SOCKET_NAME,
		.type = SOCK_SEQPACKET,
		.backlog = CONTROL_CALLERS,
		.mode = 0600,
		.group = UNIX_NO_GROUP,
	};
	int r;

	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return -errno;
	r = unix_listen(&place);
	if (r < 0)
		return r;
	control->listener = r;
	return 0;
}

/**
 * control_deinit() - hear nobody any more
 * @control:	initialised
 */
void control_deinit(struct control *control)
{
	control->listener = fd_close(control->listener);
	for (unsigned i = 0; i < CONTROL_CALLERS; i++)
		control->callers[i] = fd_close(control->callers[i]);
}

/**
 * control_due() - when control_polls() has more to wait for
 * @control:	initialised
 *
 * Return: as agent_now(), or NEVER.
 */
uint64_t control_due(const struct control *control)
{
	return control->due_ns ? control->due_ns : NEVER;
}

/**
 * control_polls() - what to wait for
 * @control:	initialised
 * @polls:	room for 1 + CONTROL_CALLERS
 *
 * Return: how many.
 */
unsigned control_polls(struct control *control, struct pollfd *polls)
{
	unsigned n = 0;

	if (control->due_ns <= agent_now())
		control->due_ns = 0;
	polls[n++] =
		(struct pollfd){.fd = control->due_ns ? -1 : control->listener, .events = POLLIN};
	for (unsigned i = 0; i < CONTROL_CALLERS; i++)
		polls[n++] = (struct pollfd){.fd = control->callers[i], .events = POLLIN};
	return n;
}

static void control_accept(struct control *control)
{
	_cleanup_close_ int sock =
		accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t len = sizeof(peer);

	/*
	 * A caller that can't be accepted stays in the queue, and would wake this program for ever.
	 */
	control->due_ns = sock < 0 && errno != EAGAIN ? agent_now() + NO_ROOM_NS : 0;
	if (sock < 0 || getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
	    (peer.uid != 0 && peer.uid != geteuid()))
		return;
	for (unsigned i = 0; i < CONTROL_CALLERS; i++)
		if (control->callers[i] < 0) {
			control->asked[i] = false;
			control->callers[i] = take_fd(&sock);
			return;
		}
}

typedef void (*control_fn)(struct agent *agent);

/* Return: what a caller wants done; NULL: it has gone, or wants nothing that is known. */
static control_fn control_hear(int *caller)
{
	char word[WORD_MAX + 1];
	ssize_t n = recv(*caller, word, WORD_MAX, MSG_DONTWAIT);

	word[n > 0 ? n : 0] = 0;
	if (!strcmp(word, "let-go"))
		return sleep_begin;
	if (!strcmp(word, "take-back"))
		return sleep_end;
	*caller = fd_close(*caller);
	return NULL;
}

/**
 * control_work() - what has come
 * @agent:	the agent
 * @polls:	as control_polls() filled it in
 * @n:		how many
 */
void control_work(struct agent *agent, const struct pollfd *polls, unsigned n)
{
	struct control *control = &agent->control;

	for (unsigned i = 1; i < n; i++) {
		int *caller = &control->callers[i - 1];
		control_fn run;

		if (!polls[i].revents || polls[i].fd != *caller)
			continue;
		run = control_hear(caller);
		control->asked[i - 1] = run;
		if (run)
			run(agent);
		if (run && agent->sleep.state != SLEEP_LETTING_GO)
			control_done(agent);
	}
	if (polls[0].revents)
		control_accept(control);
}

/**
 * control_done() - all that callers wait for is done
 * @agent:	the agent
 */
void control_done(struct agent *agent)
{
	for (unsigned i = 0; i < CONTROL_CALLERS; i++) {
		int *caller = &agent->control.callers[i];

		if (*caller < 0 || !agent->control.asked[i])
			continue;
		send(*caller, ANSWER, strlen(ANSWER), MSG_NOSIGNAL | MSG_DONTWAIT);
		*caller = fd_close(*caller);
	}
}

/**
 * control_ask() - have the agent that runs here do something, and wait until it is done
 * @folder:	where its socket is
 * @word:	"let-go" or "take-back"
 *
 * Return: the process's exit status; where it is not 0 the reason was logged.
 */
int control_ask(const char *folder, const char *word)
{
	_cleanup_close_ int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
	struct sockaddr_un address;
	char answer[WORD_MAX];
	int r = unix_address(&address, folder, SOCKET_NAME);

	if (r == 0 && (sock < 0 ||
		       setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0))
		r = -errno;
	if (r < 0) {
		log_err("%s: %s", folder, errno_text(r));
		return 1;
	}
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0) {
		log_err("%s: %s; no usbroute-agent runs here that could let go of anything",
			address.sun_path, errno_text(errno));
		return 1;
	}
	if (send(sock, word, strlen(word), MSG_NOSIGNAL) < 0 ||
	    recv(sock, answer, sizeof(answer), 0) != (ssize_t)strlen(ANSWER)) {
		log_err("%s: usbroute-agent has not answered", word);
		return 1;
	}
	return 0;
}
