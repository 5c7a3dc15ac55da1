/* SPDX-License-Identifier: BSD-2-Clause */
/* A close that blocks; see blocker.h. */
#include "tests/unit/blocker.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

int blocker_new(struct blocker *b)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct linger linger = {.l_onoff = 1, .l_linger = 1000};
	int listener = socket(AF_INET, SOCK_STREAM, 0), near = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(address);
	char zeros[65536] = {0};

	assert_return_code(bind(listener, (struct sockaddr *)&address, len), errno);
	assert_return_code(listen(listener, 1), errno);
	assert_return_code(getsockname(listener, (struct sockaddr *)&address, &len), errno);
	assert_return_code(connect(near, (struct sockaddr *)&address, len), errno);
	b->far = accept(listener, NULL, NULL);
	assert_return_code(b->far, errno);
	close(listener);
	setsockopt(near, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	fcntl(near, F_SETFL, O_NONBLOCK);
	while (write(near, zeros, sizeof(zeros)) > 0)
		;
	return near;
}

void blocker_end(struct blocker *b)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	setsockopt(b->far, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(b->far);
}
