/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that go on; see watch.h. */
#include "ctl/watch.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/**
 * watch_stop_signals() - get a descriptor that tells of the signals which end a command
 *
 * Return: the descriptor; -1, and an error was printed.
 */
int watch_stop_signals(void)
{
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (fd < 0)
		ctl_error("failed", "signals can't be waited for: %s", errno_text(errno));
	return fd;
}

/**
 * watch_end() - end the output of a command that goes on
 * @status:	how it ended
 *
 * A reader that has enough closes the pipe: that is no error, and the rest is thrown away.
 *
 * Return: @status.
 */
enum status watch_end(enum status status)
{
	errno = 0;
	if (fflush(stdout) && errno == EPIPE && !freopen("/dev/null", "w", stdout))
		return STATUS_FAILED;
	return status;
}

/**
 * watch_draw() - print what is so now
 * @ctl:	the run, which knows the terminal
 * @drawing:	what was drawn before. On a terminal it is drawn over, elsewhere it stays
 * @text:	lines; changed
 *
 * What does not fit on the terminal is cut: it would scroll, and could not be drawn over.
 */
void watch_draw(const struct ctl *ctl, struct watch_drawing *drawing, char *text)
{
	size_t room = ctl->height > 1 ? ctl->height - 1 : 1, n = 0;
	char *rest = NULL;

	if (!ctl->width) {
		printf("%s%s", drawing->drawn ? "\n" : "", text);
		drawing->drawn = true;
		return;
	}
	for (char *at = text; (at = strchr(at, '\n')); at++)
		if (++n == room)
			rest = at + 1;
	if (rest)
		*rest = '\0';
	if (drawing->lines)
		printf("\033[%zuA", drawing->lines);
	printf("\r\033[J%s", text);
	drawing->lines = min_t(size_t, n, room);
	drawing->drawn = true;
}

/**
 * watch_events() - pass each event to a function until the user has enough
 * @ctl:	the run
 * @each:	gets the parameters of each reply of Monitor; false: enough
 * @settled:	called when all that is there was shown; false: enough; or NULL
 * @ctx:	passed to them
 *
 * Return: the exit status; an error was printed.
 */
enum status watch_events(struct ctl *ctl, bool (*each)(void *ctx, const json_t *event),
			 bool (*settled)(void *ctx), void *ctx)
{
	_cleanup_(client_answer_deinit) struct client_answer answer = {0};
	_cleanup_close_ int stop = watch_stop_signals();

	if (stop < 0)
		return STATUS_FAILED;
	return watch_end(ctl_call(ctl,
				  &(struct client_ask){
					  .method = "io.usbrouted.Monitor",
					  .more = true,
					  .timeout_seconds = INFINITY,
					  .each = each,
					  .settled = settled,
					  .stop = stop,
					  .reader = STDOUT_FILENO,
					  .ctx = ctx,
				  },
				  &answer));
}
