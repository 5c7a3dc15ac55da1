/* SPDX-License-Identifier: BSD-2-Clause */
/* The link of two guests: what crosses, what happens where it is full, and one side that writes anything. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "vhost_user_net/net_link.h"
#include "vhost_user_net/net_rules.h"

static int memory, wake[2];
static struct net_link a, b;
static uint8_t frame[NET_FRAME_MAX], got[NET_FRAME_MAX];
static struct virtio_net_hdr hdr;

static int set_up(void **state _unused_)
{
	assert_int_equal(net_link_make(&memory, wake), 0);
	assert_int_equal(net_link_open(&a, memory, 0), 0);
	assert_int_equal(net_link_open(&b, memory, 1), 0);
	return 0;
}

static int tear_down(void **state _unused_)
{
	net_link_close(&a);
	net_link_close(&b);
	close(memory);
	close(wake[0]);
	close(wake[1]);
	return 0;
}

static void fill(unsigned n, size_t len)
{
	for (size_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(n * 31 + i * 7);
}

/* In three pieces, of which one is empty. */
static int send_frame(struct net_link *link, unsigned n, size_t len)
{
	struct virtio_net_hdr h = {.csum_start = le16_of((uint16_t)n)};
	struct iovec parts[3] = {{frame, len / 3}, {frame, 0}, {frame + len / 3, len - len / 3}};

	fill(n, len);
	return net_link_send(link, &h, parts, 3, len);
}

static size_t receive(struct net_link *link)
{
	struct net_link_frame f;
	size_t n = 0;

	if (net_link_peek(link, &f) <= 0)
		return 0;
	for (unsigned i = 0; i < f.n_segs; i++) {
		size_t from = i ? 0 : sizeof(hdr), len = f.segs[i].iov_len - from;

		assert_true(f.segs[i].iov_len >= from);
		memcpy(got + n, (uint8_t *)f.segs[i].iov_base + from, len);
		n += len;
	}
	memcpy(&hdr, f.segs[0].iov_base, sizeof(hdr));
	assert_int_equal(n, f.len - sizeof(hdr));
	net_link_take(link);
	return n;
}

static void assert_receives(struct net_link *link, unsigned n, size_t len)
{
	assert_int_equal(receive(link), len);
	fill(n, len);
	assert_memory_equal(got, frame, len);
	assert_int_equal(le16_get(hdr.csum_start), (uint16_t)n);
}

static const size_t lengths[] = {14, 15, 16, 60, 64, 1514, 64000, NET_FRAME_MAX, 9000, 17, 4096};

/* Both ways, over the end of the rings and of 32 bits. */
static void frames_cross_whole(void **state _unused_)
{
	const uint32_t start = 0u - (3u << 20);

	atomic_store(&a.memory->way[0].tail, start);
	atomic_store(&a.memory->way[0].head, start);
	a.tail = a.shown = a.head_seen = b.head = b.tail_seen = start;
	for (unsigned i = 0; i < 2000; i++) {
		size_t len = lengths[i % ARRAY_SIZE(lengths)];

		assert_int_equal(send_frame(&a, i, len), 0);
		assert_int_equal(send_frame(&b, i + 5, len), 0);
		net_link_show(&a);
		net_link_show(&b);
		assert_receives(&b, i, len);
		assert_receives(&a, i + 5, len);
		assert_int_equal(receive(&a), 0);
		assert_int_equal(receive(&b), 0);
	}
	assert_null(a.fault);
	assert_null(b.fault);
}

static void what_is_not_shown_is_not_there(void **state _unused_)
{
	assert_int_equal(send_frame(&a, 1, 100), 0);
	assert_int_equal(receive(&b), 0);
	net_link_show(&a);
	assert_receives(&b, 1, 100);
	/* Much is shown on the way, so that reader and writer work at once. */
	assert_int_equal(send_frame(&a, 2, 64000), 0);
	assert_receives(&b, 2, 64000);
}

static void a_full_link_costs_the_frame_alone(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		unsigned n = 0, m = 0;
		int r;

		while ((r = send_frame(&a, n, lengths[i])) == 0)
			n++;
		assert_int_equal(r, NET_LINK_FULL);
		assert_int_equal(n, NET_LINK_RING / ((16 + lengths[i] + 15) / 16 * 16));
		net_link_show(&a);
		assert_receives(&b, m++, lengths[i]);
		assert_int_equal(send_frame(&a, n, lengths[i]), 0);
		net_link_show(&a);
		while (m <= n)
			assert_receives(&b, m++, lengths[i]);
		assert_int_equal(receive(&b), 0);
	}
}

static void a_sleeper_is_woken_once(void **state _unused_)
{
	/* Awake. */
	send_frame(&a, 1, 100);
	net_link_show(&a);
	assert_false(net_link_wakes(&a));
	/* Not asleep: there is something. */
	assert_true(net_link_sleep(&b));
	assert_receives(&b, 1, 100);
	assert_int_equal(receive(&b), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_false(net_link_sleep(&b));
		assert_false(net_link_wakes(&a));
		send_frame(&a, 2, 100);
		assert_false(net_link_wakes(&a)); /* nothing is shown yet */
		net_link_show(&a);
		assert_true(net_link_wakes(&a));
		assert_false(net_link_wakes(&a));
		send_frame(&a, 3, 100);
		net_link_show(&a);
		assert_false(net_link_wakes(&a)); /* it is under way */
		assert_receives(&b, 2, 100);
		assert_receives(&b, 3, 100);
		send_frame(&a, 4, 100);
		net_link_show(&a);
		assert_false(net_link_wakes(&a));
		assert_receives(&b, 4, 100);
	}
	send_frame(&a, 4, 100);
	net_link_show(&a);
	net_link_skip(&b);
	assert_int_equal(receive(&b), 0);
	assert_false(net_link_sleep(&b));
}

/* Every word that the other side can write, while the link is in use. */
static void impossible_words_break_the_link_alone(void **state)
{
	static const uint32_t words[] = {
		1, 8, 15, 17, NET_LINK_RING + 16, NET_LINK_RING * 2, 0x80000000u, 0u - 16};
	static const uint32_t bad_lengths[] = {
		0, 1, 13, NET_FRAME_MAX + 1, 0x7fffffff, 0xffffffff, 0xfffffff0, 1000};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		/* The writer's, towards the reader. */
		atomic_store(&a.memory->way[1].tail, words[i]);
		assert_int_equal(receive(&a), 0);
		assert_non_null(a.fault);
		/* The reader's, towards the writer: too far ahead, or too far behind. */
		while (send_frame(&b, 1, 64000) == 0)
			;
		atomic_store(&b.memory->way[1].head, 0u - words[i]);
		if (words[i] == 0u - 16 || words[i] < NET_LINK_RING / 32)
			atomic_store(&b.memory->way[1].head, b.tail + 16);
		assert_int_equal(send_frame(&b, 1, 64000), -EPROTO);
		assert_non_null(b.fault);
		/* And stays so. */
		atomic_store(&b.memory->way[1].head, 0);
		atomic_store(&a.memory->way[1].tail, 0);
		assert_int_equal(send_frame(&b, 1, 14), -EPROTO);
		assert_int_equal(send_frame(&a, 1, 14), -EPROTO);
		assert_int_equal(receive(&a), 0);
		assert_false(net_link_sleep(&a));
		net_link_skip(&a);
		tear_down(state);
		set_up(state);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad_lengths); i++) {
		send_frame(&a, 1, 100);
		net_link_show(&a);
		memcpy(b.memory->bytes[0], &bad_lengths[i], 4);
		assert_int_equal(receive(&b), 0);
		assert_non_null(b.fault);
		/* The other way, nothing has happened that a could see. */
		assert_int_equal(send_frame(&a, 1, 100), 0);
		tear_down(state);
		set_up(state);
	}
}

/* A writer that takes back what it has shown, and a length that grows after it was read. */
static void what_was_looked_at_may_change(void **state _unused_)
{
	struct net_link_frame f;

	send_frame(&a, 1, 100);
	send_frame(&a, 2, 100);
	net_link_show(&a);
	assert_int_equal(net_link_peek(&b, &f), 1);
	memset(b.memory->bytes[0], 0xff, 4);
	assert_int_equal(f.len, sizeof(hdr) + 100);
	net_link_take(&b);
	atomic_store(&a.memory->way[0].tail, 16);
	assert_receives(&b, 2, 100);
	assert_int_equal(receive(&b), 0);
	assert_non_null(b.fault);
}

static void a_memory_that_can_be_cut_off_is_none(void **state _unused_)
{
	int fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING), pipes[2];
	struct net_link link = {0};

	assert_int_equal(ftruncate(memory, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, sizeof(struct net_link_memory)), 0);
	assert_int_equal(net_link_open(&link, fd, 0), -EINVAL);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL), 0);
	assert_int_equal(net_link_open(&link, fd, 0), -EINVAL);
	close(fd);
	fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), 0);
	assert_int_equal(net_link_open(&link, fd, 0), -EINVAL); /* too small */
	close(fd);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(net_link_open(&link, pipes[0], 0), -EINVAL);
	assert_int_equal(net_link_open(&link, -1, 0), -EINVAL);
	close(pipes[0]);
	close(pipes[1]);
}

/* ------------------------------------------------------------- two threads; worth most under TSan */

#define FRAMES 60000u
#define ROUNDS 20000u

static pthread_barrier_t all_sent;

static struct side {
	struct net_link link;
	int wake_mine, wake_theirs;
	unsigned sent, full, received, bad, last, sleeps;
} sides[2];

static void read_all(struct side *s)
{
	struct net_link_frame f;

	while (net_link_peek(&s->link, &f) == 1) {
		uint8_t *p = f.segs[0].iov_base;
		uint8_t copy[1600];
		size_t first = f.segs[0].iov_len;
		uint32_t n;

		memcpy(copy, p, first);
		memcpy(copy + first, f.segs[1].iov_base, f.len - first);
		memcpy(&n, copy + sizeof(hdr), 4);
		s->received++;
		if (n <= s->last || f.len != sizeof(hdr) + 14 + n % 1400 ||
		    (n % 1400 && copy[f.len - 1] != (uint8_t)n))
			s->bad++;
		s->last = n;
		net_link_take(&s->link);
	}
}

static void show(struct side *s)
{
	net_link_show(&s->link);
	if (net_link_wakes(&s->link))
		eventfd_write(s->wake_theirs, 1);
}

/* Until something comes. A wake-up that is lost is not made up for by anything. */
static void wait_for_frame(struct side *s)
{
	struct pollfd pfd = {.fd = s->wake_mine, .events = POLLIN};
	unsigned before = s->received;
	eventfd_t x;

	for (;;) {
		read_all(s);
		if (s->received != before || s->link.fault)
			return;
		if (net_link_sleep(&s->link))
			continue;
		s->sleeps++;
		if (poll(&pfd, 1, 20000) != 1) {
			s->bad++;
			return;
		}
		eventfd_read(s->wake_mine, &x);
	}
}

static void send_number(struct side *s, uint32_t n)
{
	static const struct virtio_net_hdr none;
	uint8_t f[1600];
	struct iovec part = {f, 14 + n % 1400};
	int r;

	memset(f, (uint8_t)n, part.iov_len);
	memcpy(f, &n, 4);
	r = net_link_send(&s->link, &none, &part, 1, part.iov_len);
	s->sent += r == 0;
	s->full += r != 0;
	if (r)
		sched_yield();
}

static void *talk(void *ctx)
{
	struct side *s = ctx;
	uint32_t n;

	for (n = 1; n <= FRAMES; n++) {
		send_number(s, n);
		if (n % 9)
			continue;
		show(s);
		read_all(s);
	}
	show(s);
	/* Both have sent all; what comes from here on is one frame at a time. */
	pthread_barrier_wait(&all_sent);
	read_all(s);
	pthread_barrier_wait(&all_sent);
	for (; n <= FRAMES + ROUNDS && !s->bad; n++) {
		if (s == &sides[1])
			wait_for_frame(s);
		send_number(s, n);
		show(s);
		if (s == &sides[0])
			wait_for_frame(s);
	}
	return NULL;
}

static void two_threads_talk(void **state _unused_)
{
	pthread_t thread[2];

	/* One mapping, so that ThreadSanitizer sees one memory. */
	for (unsigned i = 0; i < 2; i++) {
		sides[i] = (struct side){.wake_mine = wake[i], .wake_theirs = wake[!i]};
		net_link_on(&sides[i].link, a.memory, i);
	}
	pthread_barrier_init(&all_sent, NULL, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, talk, &sides[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < 2; i++) {
		print_message("%u: sent %u, full %u, received %u, slept %u\n", i, sides[i].sent,
			      sides[i].full, sides[i].received, sides[i].sleeps);
		assert_int_equal(sides[i].bad, 0);
		assert_int_equal(sides[i].received, sides[!i].sent);
		assert_int_equal(sides[i].sent + sides[i].full, FRAMES + ROUNDS);
		assert_null(sides[i].link.fault);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(frames_cross_whole),
		T(what_is_not_shown_is_not_there),
		T(a_full_link_costs_the_frame_alone),
		T(a_sleeper_is_woken_once),
		T(impossible_words_break_the_link_alone),
		T(what_was_looked_at_may_change),
		T(a_memory_that_can_be_cut_off_is_none),
		T(two_threads_talk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
