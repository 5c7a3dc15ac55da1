/* SPDX-License-Identifier: BSD-2-Clause */
/* Standard output, and whether it was written; see output.h. */
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

/**
 * output_init() - make a write that fails an error, and nothing else; call it first in main()
 *
 * A pipe that nobody reads any more does not end the program silently. If a standard descriptor is
 * closed, the next file or socket to be opened would get its number, and then what is printed. So
 * something that can't be read or written is opened in its place.
 */
void output_init(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		/* The lowest that is free is the one that is missing. */
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
			return;
}

/**
 * output_deinit() - as output_init() found it, for a program that is started in this one's place
 */
void output_deinit(void)
{
	signal(SIGPIPE, SIG_DFL);
}

/**
 * output_end() - write what is left, and say so if not all was written; the last thing in main()
 * @prefix:	what the program's errors begin with
 * @status:	the exit status so far
 *
 * Return: @status; 1 where it was 0 and not all was written.
 */
int output_end(const char *prefix, int status)
{
	bool failed = ferror(stdout);

	errno = 0;
	if (fflush(stdout) == 0 && !failed)
		return status;
	/* Why an earlier write failed is not known any more, unless the reason still holds. */
	fprintf(stderr, "%s: standard output can't be written: %s\n", prefix,
		errno ? errno_text(errno) : "an earlier write failed");
	return status ? status : 1;
}
