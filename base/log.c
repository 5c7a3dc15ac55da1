/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log sink: stderr, one write a line, so that lines of several threads never mix.
 *
 * Owns the level and the form; both are set once in log_init(), before any thread.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

#define LOG_BURST    5
#define LOG_PAUSE_NS (10ull * 1000 * 1000 * 1000)

static enum log_level log_max = LOG_LEVEL_INFO;
static bool log_journal;

/**
 * log_init() - choose what is logged and how
 * @max:	the least important level that is still logged
 *
 * Call once, before any thread is started. Journal levels are put in front of each line where
 * $JOURNAL_STREAM says that systemd reads stderr (sd-daemon(3), "<N>").
 */
void log_init(enum log_level max)
{
	log_max = max;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
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
	if (write(STDERR_FILENO, line, len) < 0) {
		/* Nobody is left to tell. */
	}
	errno = saved;
}

/**
 * log_limit_pass() - ask whether a line that a peer triggered may be logged now
 * @limit:		where the count is kept; zero at first
 * @ret_suppressed:	how many lines were left out since the last one
 *
 * Return: true where the line may go out.
 */
bool log_limit_pass(struct log_limit *limit, unsigned *ret_suppressed)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	*ret_suppressed = 0;
	if (limit->burst < LOG_BURST) {
		limit->burst++;
		limit->next_ns = now + LOG_PAUSE_NS;
		return true;
	}
	if (now < limit->next_ns) {
		limit->suppressed++;
		return false;
	}
	*ret_suppressed = limit->suppressed;
	limit->suppressed = 0;
	limit->next_ns = now + LOG_PAUSE_NS;
	return true;
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
