/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a front-end's connection was closed; see usher_say.h. */
#include "dataplane/usher_say.h"

/**
 * usher_tell_end() - log why a front-end's connection has ended, where the front-end is to blame
 * @usher:	the connection's, whose line has ended
 * @limit:	of such lines
 * @name:	whose connection, for the log
 */
void usher_tell_end(const struct usher *usher, struct log_limit *limit, const char *name)
{
	switch (usher_end(usher)) {
	case USHER_LEFT:
		break;
	case USHER_UNFIT:
		log_limited(
			limit, LOG_LEVEL_WARNING,
			"%s: connection closed: its virtual machine handed over a descriptor that is neither an eventfd nor memory (a memfd, or a file on tmpfs or hugetlbfs); memory of type memfd is what it takes",
			name);
		break;
	case USHER_TOO_MANY:
		log_limited(
			limit, LOG_LEVEL_WARNING,
			"%s: connection closed: its virtual machine handed over more than 8 descriptors at once",
			name);
		break;
	case USHER_BUSY:
		log_limited(
			limit, LOG_LEVEL_WARNING,
			"%s: connection closed: descriptors that were handed over earlier can't be closed; they stay until whoever serves them lets go",
			name);
		break;
	case USHER_FAILED:
		log_limited(
			limit, LOG_LEVEL_WARNING,
			"%s: connection closed: what it hands over can't be checked (io_uring failed)",
			name);
		break;
	}
}
