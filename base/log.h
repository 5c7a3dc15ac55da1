/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log lines to stderr, with a journal level in front where systemd reads them.
 *
 * A line names its object first ("vm2: …", "keyboard: …"). No payload byte is ever logged, at any
 * level: a trace of a keyboard is a key logger. A line that a peer can trigger at will goes through
 * log_limited().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

enum log_level {
	LOG_LEVEL_ERR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/*
 * A source of lines that a peer can trigger. It may log 5 at once, and one more for each ten
 * seconds that pass, so that after 50 quiet seconds it may log 5 again. All zeros at first.
 */
struct log_limit {
	uint64_t full_ns;    /* when all 5 are there again; CLOCK_MONOTONIC */
	unsigned suppressed; /* lines left out since the last one that went out */
};

void log_init(enum log_level max);
void log_line(enum log_level level, const char *format, ...) _printf_(2, 3);
bool log_limit_pass(struct log_limit *limit, unsigned *ret_suppressed);
bool log_limit_pass_at(struct log_limit *limit, uint64_t now_ns, unsigned *ret_suppressed);
const char *errno_text(int r);

#define log_err(...)	 log_line(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#define log_limited(limit, level, format, ...)                                                \
	do {                                                                                  \
		unsigned suppressed_;                                                         \
		if (log_limit_pass(limit, &suppressed_)) {                                    \
			if (suppressed_)                                                      \
				log_line(level, "(%u lines like the next one were left out)", \
					 suppressed_);                                        \
			log_line(level, format, ##__VA_ARGS__);                               \
		}                                                                             \
	} while (0)
