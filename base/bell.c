/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ringing somebody else's eventfd; see bell.h.
 *
 * Kernel facts relied on (6.1 to 6.18): REGISTER_EVENTFD compares the file's operations with an eventfd's
 * and else fails with EINVAL (fs/eventfd.c, eventfd_ctx_fileget()); a completion rings by eventfd_signal(),
 * which never sleeps, and stops at the largest counter (io_uring/io_uring.c, io_eventfd_signal()).
 */
#include "base/bell.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

/* liburing 2.3's shared library doesn't export its functions for all of these. */
static int bell_register(struct bell *bell, unsigned what, void *arg, unsigned n)
{
	int r = (int)syscall(__NR_io_uring_register, bell->ring.ring_fd, what, arg, n);

	return r < 0 ? -errno : 0;
}

/**
 * bell_init() - make a bell that is attached to nothing
 * @bell:	stays where it is until bell_deinit(), which may be called even if this failed
 *
 * Return: 0 or a negative errno.
 */
int bell_init(struct bell *bell)
{
	struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED};
	struct io_uring_restriction res[3];
	int r;

	memset(bell, 0, sizeof(*bell));
	r = io_uring_queue_init_params(1, &bell->ring, &p);
	if (r < 0)
		return r;
	bell->up = true;
	memset(res, 0, sizeof(res));
	res[0].opcode = IORING_RESTRICTION_SQE_OP;
	res[0].sqe_op = IORING_OP_NOP;
	res[1].opcode = res[2].opcode = IORING_RESTRICTION_REGISTER_OP;
	res[1].register_op = IORING_REGISTER_EVENTFD;
	res[2].register_op = IORING_UNREGISTER_EVENTFD;
	r = bell_register(bell, IORING_REGISTER_RESTRICTIONS, res, ARRAY_SIZE(res));
	if (r == 0)
		r = bell_register(bell, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	return r;
}

/**
 * bell_deinit() - let go of what a bell is attached to, and of the bell
 * @bell:	made by bell_init(), or zeroed
 */
void bell_deinit(struct bell *bell)
{
	bell_detach(bell);
	if (bell->up)
		io_uring_queue_exit(&bell->ring);
	bell->up = bell->attached = false;
}

/**
 * bell_attach() - choose what is rung
 * @bell:	the bell; what it was attached to is let go of
 * @fd:		a stranger's descriptor; stays the caller's, and may be closed at once
 *
 * Return: 0; -EINVAL where that is no eventfd; or another negative errno.
 */
int bell_attach(struct bell *bell, int fd)
{
	int r;

	bell_detach(bell);
	if (!bell->up)
		return -EBADF;
	r = bell_register(bell, IORING_REGISTER_EVENTFD, &fd, 1);
	bell->attached = r == 0;
	return r;
}

/**
 * bell_detach() - ring nothing any more
 * @bell:	the bell, attached or not
 *
 * If a loop was asked to ring it and has not done so yet, it is rung now.
 */
void bell_detach(struct bell *bell)
{
	if (bell->asked)
		bell_ring(bell);
	bell->asked = false;
	if (bell->attached)
		bell_register(bell, IORING_UNREGISTER_EVENTFD, NULL, 0);
	bell->attached = false;
}

/**
 * bell_fits() - ask whether a descriptor is an eventfd
 * @bell:	a bell; detached afterwards
 * @fd:		a stranger's descriptor; nothing of it is called
 *
 * Return: 0; -EINVAL where it is something else; or another negative errno.
 */
int bell_fits(struct bell *bell, int fd)
{
	int r = bell_attach(bell, fd);

	bell_detach(bell);
	return r;
}

/**
 * bell_clear() - make room for the next completion
 * @bell:	a bell
 */
void bell_clear(struct bell *bell)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&bell->ring, &cqe) == 0)
		io_uring_cqe_seen(&bell->ring, cqe);
}

/**
 * bell_ring() - add one to the eventfd's counter
 * @bell:	the bell; detached: nothing happens
 *
 * Done when this returns. Never waits.
 */
void bell_ring(struct bell *bell)
{
	struct io_uring_sqe *sqe = bell->attached ? io_uring_get_sqe(&bell->ring) : NULL;

	if (!sqe)
		return;
	io_uring_prep_nop(sqe);
	io_uring_submit(&bell->ring);
	bell_clear(bell);
}
