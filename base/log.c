/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log sink: stderr, one write a line, so that lines of several threads never mix.
 *
 * A line is written without waiting. If nobody reads, it is lost and counted, and the next line
 * that goes out says how many were lost. Others may share stderr and want to wait, so its flags are
 * left alone: a socket is told with each line not to wait, and anything else is opened once more
 * with O_NONBLOCK. If that is refused, stderr is written as it is.
 *
 * Owns the level, the form and that descriptor; they are set once in log_init(), before any thread.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

#define LOG_BURST    5
#define LOG_PAUSE_NS (10ull * 1000 * 1000 * 1000)

static enum log_level log_max = LOG_LEVEL_INFO;
static bool log_journal;
static int log_fd = STDERR_FILENO;
static bool log_to_socket;
static atomic_uint log_lost;

/**
 * log_init() - choose what is logged and how
 * @max:	the least important level that is still logged
 *
 * Call once, before any thread is started. Journal levels are put in front of each line where
 * $JOURNAL_STREAM says that systemd reads stderr (sd-daemon(3), "<N>").
 */
void log_init(enum log_level max)
{
	struct stat st;
	int fd;

	log_max = max;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
	if (fstat(STDERR_FILENO, &st) < 0)
		return;
	log_to_socket = S_ISSOCK(st.st_mode);
	if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
		return; /* a file does not keep anyone waiting for a reader */
	fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		log_fd = fd;
}

/* Return: whether the line is out. */
static bool log_write(const char *line, size_t len)
{
	ssize_t n = log_to_socket ? send(log_fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL)
				  : write(log_fd, line, len);

	/* If only a part of a line went out, the rest is lost: there is no place to keep it. */
	return n >= 0;
}

/* Say how many lines were lost, once lines go out again. */
static void log_tell_lost(void)
{
	unsigned lost = atomic_exchange(&log_lost, 0);
	char line[100];
	int n;

	if (!lost)
		return;
	n = snprintf(line, sizeof(line), "%s%u lines before this one are lost: nobody read them\n",
		     log_journal ? "<4>" : "", lost);
	if (!log_write(line, (size_t)n))
		atomic_fetch_add(&log_lost, lost);
}

/**
 * log_line() - log one line
 * @level:	its importance
 * @format:	as of printf(3), without a newline
 *
 * May be called from any thread; keeps errno.
 */
void log_line(enum log_level level, const char *format, ...)
{
	char line[1024];
	int saved = errno, n = 0;
	size_t len;
	va_list ap;

	if (level > log_max)
		return;
	if (log_journal)
		n = snprintf(line, sizeof(line), "<%d>", (int)level);
	va_start(ap, format);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		line[utf8_cut(line, sizeof(line) - 2)] = '\0';
	/* A device's product name may hold anything: one line stays one line. */
	utf8_make_safe(line, false);
	len = strlen(line);
	line[len++] = '\n';
	log_tell_lost();
	if (!log_write(line, len))
		atomic_fetch_add(&log_lost, 1);
	errno = saved;
}

/**
 * log_limit_pass_at() - ask whether a line that a peer triggered may be logged at a time
 * @limit:		where it is kept; zero at first
 * @now_ns:		the time, in nanoseconds of CLOCK_MONOTONIC
 * @ret_suppressed:	how many lines were left out since the last one that went out
 *
 * Return: true where the line may go out.
 */
bool log_limit_pass_at(struct log_limit *limit, uint64_t now_ns, unsigned *ret_suppressed)
{
	uint64_t missing_ns = limit->full_ns > now_ns ? limit->full_ns - now_ns : 0;

	*ret_suppressed = 0;
	if (missing_ns > (LOG_BURST - 1) * LOG_PAUSE_NS) {
		if (limit->suppressed < UINT_MAX)
			limit->suppressed++;
		return false;
	}
	limit->full_ns = now_ns + missing_ns + LOG_PAUSE_NS;
	*ret_suppressed = limit->suppressed;
	limit->suppressed = 0;
	return true;
}

/**
 * log_limit_pass() - ask whether a line that a peer triggered may be logged now
 * @limit:		where it is kept; zero at first
 * @ret_suppressed:	how many lines were left out since the last one that went out
 *
 * Return: true where the line may go out.
 */
bool log_limit_pass(struct log_limit *limit, unsigned *ret_suppressed)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return log_limit_pass_at(limit, (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec,
				 ret_suppressed);
}

/**
 * errno_text() - a system error in words
 * @r:	an errno, positive or negative
 *
 * Return: static text.
 */
const char *errno_text(int r)
{
	const char *s = strerrordesc_np(r < 0 ? -r : r);

	return s ? s : "unknown error";
}
