/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Receiving a message, never blocking, and answering one.
 *
 * The header is read by itself, so that bytes of the next message, and its descriptors, stay in the
 * socket until their turn.
 */
#include "vhost_user_net/vu_message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

/**
 * vu_message_init() - begin with nothing received
 * @msg:	the message
 */
void vu_message_init(struct vu_message *msg)
{
	memset(msg, 0, sizeof(*msg));
	for (unsigned i = 0; i < VU_MESSAGE_FDS; i++)
		msg->fds[i] = -1;
}

/**
 * vu_message_clear() - drop a message, whole or not
 * @msg:	the message; descriptors that nobody took are closed
 */
void vu_message_clear(struct vu_message *msg)
{
	for (unsigned i = 0; i < msg->n_fds; i++)
		fd_close(msg->fds[i]);
	vu_message_init(msg);
}

static int check_header(const struct vhost_user_header *h)
{
	if ((h->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION)
		return -EPROTONOSUPPORT;
	if (h->flags & VHOST_USER_REPLY_MASK)
		return -EPROTO;
	return h->size > sizeof(union vu_payload) ? -EMSGSIZE : 0;
}

/**
 * vu_message_receive() - go on receiving
 * @msg:	the message
 * @sock:	the connection
 *
 * Return: 0 where the message is whole, VU_MESSAGE_PART where more must arrive first,
 * VU_MESSAGE_END where the peer closed the connection between two messages; -EPROTONOSUPPORT,
 * -EPROTO or -EMSGSIZE for a header that can't be, or for too many descriptors; -ECONNRESET where
 * the connection ended inside a message; or the socket's error.
 */
int vu_message_receive(struct vu_message *msg, int sock)
{
	for (;;) {
		size_t want = sizeof(msg->header), at = msg->got;
		uint8_t *to = (uint8_t *)&msg->header + at;
		unsigned n_fds;
		ssize_t n;

		if (at >= sizeof(msg->header)) {
			want += msg->header.size;
			to = (uint8_t *)&msg->payload + (at - sizeof(msg->header));
			if (at == want)
				return 0;
		}
		n = fd_receive(sock, to, want - at, msg->fds + msg->n_fds,
			       VU_MESSAGE_FDS - msg->n_fds, &n_fds, MSG_DONTWAIT);
		if (n == -EAGAIN)
			return VU_MESSAGE_PART;
		if (n < 0)
			return (int)n;
		msg->n_fds += n_fds;
		if (n == 0)
			return msg->got ? -ECONNRESET : VU_MESSAGE_END;
		msg->got += (size_t)n;
		if (msg->got == sizeof(msg->header)) {
			int r = check_header(&msg->header);

			if (r < 0)
				return r;
		}
	}
}

/**
 * vu_message_reply() - answer a request
 * @sock:	the connection
 * @request:	which
 * @payload:	the answer
 * @size:	its length, bytes
 *
 * A front-end that leaves its answers unread until the socket is full is not waited for.
 *
 * Return: 0, or a negative errno: the connection is of no use any more.
 */
int vu_message_reply(int sock, uint32_t request, const void *payload, uint32_t size)
{
	struct vhost_user_header h = {.request = request,
				      .flags = VHOST_USER_VERSION | VHOST_USER_REPLY_MASK,
				      .size = size};
	uint8_t buf[sizeof(h) + sizeof(union vu_payload)];
	ssize_t n;

	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), payload, size);
	do {
		n = send(sock, buf, sizeof(h) + size, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(h) + size ? 0 : -EIO;
}
