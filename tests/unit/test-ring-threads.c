/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Four threads, as many as the board has cores, at words that two of them share: the patterns that a
 * ring's indices consist of, and then the rings themselves, from one guest's driver to the other's.
 *
 * Nothing here depends on how fast a thread is. What goes wrong without a barrier is another order,
 * seen in the bytes or by ThreadSanitizer, or a wake-up that never comes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "vhost_user_net/net_link.h"
#include "vhost_user_net/shared_word.h"
#include "vhost_user_net/vhost_user_spec.h"
#include "vhost_user_net/virtio_spec.h"
#include "vhost_user_net/vu_vring.h"

#define THREADS 4u

/*
 * So much is tried at most. Less, but something, where other work on the machine, an emulator or a
 * sanitizer makes each step dear: until the time is over.
 */
#define CROSSINGS 200000u
#define PASSED	  100000u
#define ROUNDS	  20000u
#define TRIED_S	  3
#define PATIENCE  20000 /* ms, for a wake-up that comes at once or never */

static time_t tried_until;

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static bool tried_enough(void)
{
	return seconds() > tried_until;
}

static void run(void *(*main)(void *), void *arg, size_t size)
{
	pthread_t thread[THREADS];

	tried_until = seconds() + TRIED_S;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, main, (uint8_t *)arg + i * size),
				 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

/* Somebody else's turn, if there are fewer cores than threads. */
static void spin(unsigned *n)
{
	if (++*n % 4096 == 0)
		sched_yield();
}

/* ------------------------------------------------------------- message passing */

#define SLOTS 8u

/* A ring in which nothing but the words says which slot is whose. */
struct circle {
	_Alignas(64) uint16_t tail;
	_Alignas(64) uint16_t head;
	_Alignas(64) _Atomic uint32_t tail32;
	_Alignas(64) _Atomic uint32_t head32;
	uint64_t slot[SLOTS][3];
};

struct passer {
	struct circle *in, *out;
	bool first, wide;
	unsigned bad, passed;
};

static uint16_t circle_word(struct passer *p, struct circle *c, bool tail)
{
	if (p->wide)
		return (uint16_t)shared_u32_acquire(tail ? &c->tail32 : &c->head32);
	return shared_le16_acquire((const uint8_t *)(tail ? &c->tail : &c->head));
}

static void circle_set(struct passer *p, struct circle *c, bool tail, uint16_t to)
{
	if (p->wide)
		shared_u32_release(tail ? &c->tail32 : &c->head32, to);
	else
		shared_le16_release((uint8_t *)(tail ? &c->tail : &c->head), to);
}

/* Return: whether it is the last. */
static bool circle_get(struct passer *p, uint32_t n)
{
	const uint64_t expected[2] = {n, ~(uint64_t)n};
	uint16_t at = (uint16_t)n;
	uint64_t what[3];
	unsigned spins = 0;

	while (circle_word(p, p->in, true) == at)
		spin(&spins);
	memcpy(what, p->in->slot[at % SLOTS], sizeof(what));
	circle_set(p, p->in, false, (uint16_t)(at + 1));
	p->bad += memcmp(what, expected, sizeof(expected)) != 0;
	return what[2];
}

static void circle_put(struct passer *p, uint32_t n, bool last)
{
	const uint64_t what[3] = {n, ~(uint64_t)n, last};
	uint16_t at = (uint16_t)n;
	unsigned spins = 0;

	while ((uint16_t)(at - circle_word(p, p->out, false)) >= SLOTS)
		spin(&spins);
	memcpy(p->out->slot[at % SLOTS], what, sizeof(what));
	circle_set(p, p->out, true, (uint16_t)(at + 1));
}

/* The first one puts numbers in, the others pass them on, and all come back to it. */
static void *pass_on(void *arg)
{
	struct passer *p = arg;
	bool last = false;

	for (uint32_t n = 0; !last; n++) {
		last = circle_get(p, n);
		circle_put(p, n, last);
	}
	return NULL;
}

static void *put_in(struct passer *p)
{
	uint32_t put = 0, back = 0;
	bool last = false;

	while (!last) {
		last = put == PASSED || (put % 256 == 0 && tried_enough());
		circle_put(p, put++, last);
		if (put - back == SLOTS)
			circle_get(p, back++);
	}
	while (back < put)
		circle_get(p, back++);
	p->passed = put;
	return NULL;
}

static void *pass(void *arg)
{
	struct passer *p = arg;

	return p->first ? put_in(p) : pass_on(p);
}

static void what_is_passed_on_is_whole(void **state _unused_)
{
	static struct circle circles[THREADS];
	struct passer passers[THREADS];

	for (unsigned wide = 0; wide < 2; wide++) {
		memset(circles, 0, sizeof(circles));
		for (unsigned i = 0; i < THREADS; i++)
			passers[i] = (struct passer){.in = &circles[i],
						     .out = &circles[(i + 1) % THREADS],
						     .first = i == 0,
						     .wide = wide};
		run(pass, passers, sizeof(passers[0]));
		for (unsigned i = 0; i < THREADS; i++)
			assert_int_equal(passers[i].bad, 0);
		print_message("%u passed on\n", passers[0].passed);
	}
}

/* ------------------------------------------------------------- store buffering */

#define CELLS 256u

/* Two threads' words, a pair in two cache lines for each time that they cross. */
static struct cross {
	struct {
		_Alignas(64) uint16_t word[2];
		_Alignas(64) uint16_t other;
	} cell[CELLS];
	_Alignas(64) atomic_uint arrived;
	uint16_t seen[2][CELLS];
	unsigned crossed, both_missed, both_seen;
	bool over;
} crosses[THREADS / 2];

struct crosser {
	struct cross *cross;
	unsigned side;
};

/* Until both are there: so close together that the stores can still be on their way. */
static void meet(struct cross *c, unsigned *count)
{
	unsigned n = 0;

	*count += 2;
	atomic_fetch_add(&c->arrived, 1);
	while ((int)(atomic_load(&c->arrived) - *count) < 0)
		spin(&n);
}

static uint8_t *crossing_word(struct cross *c, unsigned i, unsigned side)
{
	return (uint8_t *)(side ? &c->cell[i].other : &c->cell[i].word[0]);
}

static void count_crossings(struct cross *c)
{
	for (unsigned i = 0; i < CELLS; i++) {
		c->both_missed += !c->seen[0][i] && !c->seen[1][i];
		c->both_seen += c->seen[0][i] && c->seen[1][i];
	}
	c->crossed += CELLS;
	memset(c->cell, 0, sizeof(c->cell));
}

static void *cross_main(void *arg)
{
	struct crosser *me = arg;
	struct cross *c = me->cross;
	unsigned count = 0;

	while (!c->over) {
		for (unsigned i = 0; i < CELLS; i++) {
			uint8_t *mine = crossing_word(c, i, me->side);
			const uint8_t *other = crossing_word(c, i, !me->side);

			meet(c, &count);
			shared_le16_set(mine, 1);
			shared_fence();
			c->seen[me->side][i] = shared_le16(other);
		}
		meet(c, &count);
		if (me->side) {
			count_crossings(c);
			c->over = c->crossed >= CROSSINGS || tried_enough();
		}
		meet(c, &count);
	}
	return NULL;
}

static void of_two_that_cross_one_sees_the_other(void **state _unused_)
{
	struct crosser crossers[THREADS];

	memset(crosses, 0, sizeof(crosses));
	for (unsigned i = 0; i < THREADS; i++)
		crossers[i] = (struct crosser){&crosses[i / 2], i % 2};
	run(cross_main, crossers, sizeof(crossers[0]));
	for (unsigned i = 0; i < THREADS / 2; i++) {
		print_message("%u crossings: both saw the other %u times, neither %u times\n",
			      crosses[i].crossed, crosses[i].both_seen, crosses[i].both_missed);
		assert_int_equal(crosses[i].both_missed, 0);
	}
}

/* ------------------------------------------------------------- the rings themselves */

/* Small, so that each side often waits for the other. */
#define RING	4u
#define BUFFER	2048u
#define AREA	65536u /* of one ring: its three parts, and its buffers */
#define AVAIL	0x1000u
#define USED	0x2000u
#define BUFFERS 0x4000u

enum { RX, TX };

/* A driver's part of a ring, as virtio 1.2 describes it: 2.7.13 and 2.7.14, or 2.8.21. */
struct driver_ring {
	uint8_t *at; /* the area */
	uint16_t posted, seen;
	int kick, call;
};

/* One guest: its driver is one thread, what serves its card another. */
struct party {
	bool event_idx, packed;
	struct vu_memory memory;
	struct driver_ring ring[2];
	struct vu_vring vring[2];
	struct net_link link;
	int wake_mine, wake_theirs;
	unsigned sent, received, bad, driver_sleeps, device_sleeps;
};

static atomic_uint drivers;    /* that are not done yet */
static atomic_uint last_round; /* the first driver says so before it begins it */

static struct party parties[2];

struct role {
	struct party *party;
	bool driver;
};

static void signal_fd(int fd)
{
	eventfd_write(fd, 1);
}

/* False: nobody has woken it. */
static bool sleep_on(const int *fds, unsigned n)
{
	struct pollfd p[3];
	eventfd_t x;

	for (unsigned i = 0; i < n; i++)
		p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	if (poll(p, n, PATIENCE) < 1)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (p[i].revents)
			eventfd_read(p[i].fd, &x);
	return true;
}

static uint16_t *ring_word(const struct driver_ring *r, size_t at)
{
	return (uint16_t *)(void *)(r->at + at);
}

/* Of a packed ring: the position of the n-th descriptor, its wrap counter in bit 15. */
static uint16_t position(uint16_t n)
{
	return (uint16_t)(n % RING | (n / RING % 2 ? 0 : PVIRTQ_EVENT_WRAP));
}

static uint16_t *packed_flags(const struct driver_ring *r, uint16_t n)
{
	return ring_word(r, n % RING * sizeof(struct pvirtq_desc) +
				    offsetof(struct pvirtq_desc, flags));
}

static bool is_used(const struct driver_ring *r, uint16_t n)
{
	uint16_t flags = le16toh(__atomic_load_n(packed_flags(r, n), __ATOMIC_ACQUIRE));
	bool wrap = position(n) & PVIRTQ_EVENT_WRAP;

	return !(flags & PVIRTQ_DESC_F_AVAIL) == !wrap && !(flags & PVIRTQ_DESC_F_USED) == !wrap;
}

static uint16_t used_idx(const struct party *p, const struct driver_ring *r)
{
	uint16_t n = r->seen;

	if (!p->packed)
		return __atomic_load_n(ring_word(r, USED + VIRTQ_USED_IDX), __ATOMIC_ACQUIRE);
	while (n != r->posted && is_used(r, n))
		n++;
	return n;
}

static uint32_t *event_word(const struct driver_ring *r, size_t at)
{
	return (uint32_t *)(void *)(r->at + at);
}

static void kick_packed(struct driver_ring *r)
{
	uint32_t word = le32toh(__atomic_load_n(event_word(r, USED), __ATOMIC_RELAXED));

	if (word >> PVIRTQ_EVENT_FLAGS == PVIRTQ_EVENT_DISABLE)
		return;
	if (word >> PVIRTQ_EVENT_FLAGS == PVIRTQ_EVENT_DESC &&
	    (uint16_t)word != position((uint16_t)(r->posted - 1)))
		return;
	signal_fd(r->kick);
}

static void post_packed(struct driver_ring *r, uint64_t gpa, uint32_t len, unsigned flags)
{
	bool wrap = position(r->posted) & PVIRTQ_EVENT_WRAP;
	struct pvirtq_desc d = {le64_of(gpa), le32_of(len), le16_of(r->posted % RING)};

	memcpy(r->at + sizeof(d) * (r->posted % RING), &d, offsetof(struct pvirtq_desc, flags));
	flags |= wrap ? PVIRTQ_DESC_F_AVAIL : PVIRTQ_DESC_F_USED;
	__atomic_store_n(packed_flags(r, r->posted), htole16((uint16_t)flags), __ATOMIC_RELEASE);
	r->posted++;
	shared_fence();
	kick_packed(r);
}

/* Post the buffer of that place, and kick if the device wants it. */
static void driver_posts(struct party *p, unsigned which, uint32_t len)
{
	struct driver_ring *r = &p->ring[which];
	uint16_t at = r->posted % RING, event, flags;
	struct virtq_desc d = {le64_of(which * AREA + BUFFERS + at * BUFFER), le32_of(len),
			       le16_of(which == RX ? VIRTQ_DESC_F_WRITE : 0), le16_of(0)};

	if (p->packed) {
		post_packed(r, le64_get(d.addr), len, le16_get(d.flags));
		return;
	}
	memcpy(r->at + sizeof(d) * at, &d, sizeof(d));
	__atomic_store_n(ring_word(r, AVAIL + VIRTQ_AVAIL_RING + 2 * at), htole16(at),
			 __ATOMIC_RELAXED);
	r->posted++;
	__atomic_store_n(ring_word(r, AVAIL + VIRTQ_AVAIL_IDX), htole16(r->posted),
			 __ATOMIC_RELEASE);
	shared_fence();
	event = __atomic_load_n(
		ring_word(r, USED + VIRTQ_USED_RING + sizeof(struct virtq_used_elem) * RING),
		__ATOMIC_RELAXED);
	flags = __atomic_load_n(ring_word(r, USED + VIRTQ_USED_FLAGS), __ATOMIC_RELAXED);
	if (p->event_idx ? event == (uint16_t)(r->posted - 1) : !(flags & VIRTQ_USED_F_NO_NOTIFY))
		signal_fd(r->kick);
}

static void ask_for_interrupt(const struct party *p, struct driver_ring *r)
{
	if (p->packed)
		__atomic_store_n(event_word(r, AVAIL),
				 htole32(p->event_idx
						 ? position(r->seen) | PVIRTQ_EVENT_DESC
									       << PVIRTQ_EVENT_FLAGS
						 : PVIRTQ_EVENT_ENABLE << PVIRTQ_EVENT_FLAGS),
				 __ATOMIC_RELAXED);
	else
		__atomic_store_n(ring_word(r, p->event_idx ? AVAIL + VIRTQ_AVAIL_RING + 2 * RING
							   : AVAIL + VIRTQ_AVAIL_FLAGS),
				 htole16(p->event_idx ? r->seen : 0), __ATOMIC_RELAXED);
}

static void ask_for_none(const struct party *p, struct driver_ring *r)
{
	if (p->packed)
		__atomic_store_n(event_word(r, AVAIL),
				 htole32(PVIRTQ_EVENT_DISABLE << PVIRTQ_EVENT_FLAGS),
				 __ATOMIC_RELAXED);
	else if (!p->event_idx)
		__atomic_store_n(ring_word(r, AVAIL + VIRTQ_AVAIL_FLAGS),
				 htole16(VIRTQ_AVAIL_F_NO_INTERRUPT), __ATOMIC_RELAXED);
}

/* Until the device gives something back; what it is in the meantime asked to interrupt for. */
static bool driver_waits(struct party *p, unsigned which)
{
	struct driver_ring *r = &p->ring[which];

	while (used_idx(p, r) == r->seen) {
		ask_for_interrupt(p, r);
		shared_fence();
		if (used_idx(p, r) != r->seen)
			break;
		p->driver_sleeps++;
		if (!sleep_on(&r->call, 1))
			return false;
	}
	ask_for_none(p, r);
	return true;
}

static size_t frame_length(uint32_t n)
{
	return 64 + n % 1400;
}

static bool driver_sends(struct party *p, uint32_t n)
{
	struct driver_ring *r = &p->ring[TX];
	uint8_t *to = r->at + BUFFERS + r->posted % RING * BUFFER;
	size_t len = frame_length(n);

	if ((uint16_t)(r->posted - r->seen) == RING) {
		if (!driver_waits(p, TX))
			return false;
		r->seen = used_idx(p, r);
	}
	memset(to, (uint8_t)n, len);
	memset(to, 0, sizeof(struct virtio_net_hdr));
	memcpy(to + sizeof(struct virtio_net_hdr), &n, sizeof(n));
	driver_posts(p, TX, (uint32_t)len);
	p->sent++;
	return true;
}

static bool driver_gets(struct party *p, uint32_t n)
{
	struct driver_ring *r = &p->ring[RX];
	const uint8_t *from = r->at + BUFFERS + r->seen % RING * BUFFER;
	struct virtq_used_elem e;
	uint8_t copy[BUFFER];
	uint32_t number;

	if (!driver_waits(p, RX))
		return false;
	if (p->packed) {
		struct pvirtq_desc d;

		memcpy(&d, r->at + sizeof(d) * (r->seen % RING), sizeof(d));
		e = (struct virtq_used_elem){.id = le32_of(le16_get(d.id)), .len = d.len};
	} else {
		memcpy(&e, r->at + USED + VIRTQ_USED_RING + sizeof(e) * (r->seen % RING),
		       sizeof(e));
	}
	memcpy(copy, from, frame_length(n));
	memcpy(&number, copy + sizeof(struct virtio_net_hdr), sizeof(number));
	if (le32_get(e.id) != r->seen % RING || le32_get(e.len) != frame_length(n) || number != n ||
	    copy[frame_length(n) - 1] != (uint8_t)n || copy[40] != (uint8_t)n)
		p->bad++;
	r->seen++;
	p->received++;
	driver_posts(p, RX, BUFFER);
	return true;
}

/* A few frames to the other guest, and as many from it, by turns: both often have nothing to do. */
static void drive(struct party *p)
{
	uint32_t sent = 0, got = 0;

	for (unsigned i = 0; i < RING; i++)
		driver_posts(p, RX, BUFFER);
	for (unsigned round = 0; round <= atomic_load(&last_round); round++) {
		if (p == &parties[0] && round % 16 == 0 && tried_enough())
			atomic_store(&last_round, round);
		for (unsigned i = 0; i <= round % 3; i++)
			if (!driver_sends(p, sent++)) {
				p->bad++;
				return;
			}
		for (; got < sent; got++)
			if (!driver_gets(p, got)) {
				p->bad++;
				return;
			}
	}
}

/* The guest's frames to the link. Return: whether there were any. */
static bool device_takes(struct party *p)
{
	struct vu_vring *v = &p->vring[TX];
	struct iovec segs[VU_SEGMENTS];
	struct vu_chain chain;
	bool any = false;

	while (vu_vring_peek(v, 0, false, segs, VU_SEGMENTS, &chain) == 1) {
		struct virtio_net_hdr hdr;

		memcpy(&hdr, segs[0].iov_base, sizeof(hdr));
		segs[0].iov_base = (uint8_t *)segs[0].iov_base + sizeof(hdr);
		segs[0].iov_len -= sizeof(hdr);
		if (net_link_send(&p->link, &hdr, segs, 1, segs[0].iov_len))
			p->bad++;
		vu_vring_take(v, &chain, 1);
		vu_vring_push(v, &chain, 1, 0);
		any = true;
	}
	vu_vring_publish(v);
	if (vu_vring_wants_signal(v))
		signal_fd(p->ring[TX].call);
	net_link_show(&p->link);
	if (net_link_wakes(&p->link))
		signal_fd(p->wake_theirs);
	return any;
}

/* What came over the link to the guest. */
static bool device_gives(struct party *p)
{
	struct vu_vring *v = &p->vring[RX];
	struct iovec segs[VU_SEGMENTS];
	struct net_link_frame frame;
	struct vu_chain chain;
	bool any = false;

	while (net_link_peek(&p->link, &frame) == 1 &&
	       vu_vring_peek(v, 0, true, segs, VU_SEGMENTS, &chain) == 1) {
		uint8_t *to = segs[0].iov_base;

		memcpy(to, frame.segs[0].iov_base, frame.segs[0].iov_len);
		memcpy(to + frame.segs[0].iov_len, frame.segs[1].iov_base, frame.segs[1].iov_len);
		net_link_take(&p->link);
		vu_vring_take(v, &chain, 1);
		vu_vring_push(v, &chain, 1, frame.len);
		any = true;
	}
	vu_vring_publish(v);
	if (vu_vring_wants_signal(v))
		signal_fd(p->ring[RX].call);
	return any;
}

static void serve(struct party *p)
{
	const int fds[] = {p->ring[TX].kick, p->ring[RX].kick, p->wake_mine};

	while (atomic_load(&drivers)) {
		bool more = device_takes(p);

		more |= device_gives(p);
		/* All are asked each time: one that says yes must not hide another's question. */
		more |= vu_vring_kicks_on(&p->vring[TX], 1);
		if (net_link_sleep(&p->link))
			more |= vu_vring_kicks_on(&p->vring[RX], 1);
		if (!more) {
			p->device_sleeps++;
			if (!sleep_on(fds, ARRAY_SIZE(fds))) {
				p->bad++;
				return;
			}
		}
		vu_vring_kicks_off(&p->vring[TX]);
		vu_vring_kicks_off(&p->vring[RX]);
	}
}

static void *play(void *arg)
{
	struct role *r = arg;

	if (!r->driver) {
		serve(r->party);
		return NULL;
	}
	drive(r->party);
	if (atomic_fetch_sub(&drivers, 1) == 1) {
		signal_fd(r->party->wake_mine);
		signal_fd(r->party->wake_theirs);
	}
	return NULL;
}

static void open_party(struct party *p, struct net_link_memory *memory, unsigned side,
		       const int wake[2], bool event_idx, bool packed)
{
	const struct vhost_user_memory_region region = {.memory_size = 2 * AREA};
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	*p = (struct party){.event_idx = event_idx,
			    .packed = packed,
			    .wake_mine = wake[side],
			    .wake_theirs = wake[!side]};
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, region.memory_size), 0);
	vu_memory_init(&p->memory);
	assert_int_equal(vu_memory_add(&p->memory, &region, fd), 0);
	close(fd);
	for (unsigned i = 0; i < 2; i++) {
		const struct vu_vring_place place = {i * AREA, i * AREA + AVAIL, i * AREA + USED};

		p->ring[i] = (struct driver_ring){.at = p->memory.region[0].host + i * AREA,
						  .kick = eventfd(0, EFD_NONBLOCK),
						  .call = eventfd(0, EFD_NONBLOCK)};
		assert_int_equal(vu_vring_start(&p->vring[i], &p->memory, &place,
						&(struct vu_vring_how){.num = RING,
								       .event_idx = event_idx,
								       .packed = packed},
						&(struct vu_vring_log){0}),
				 0);
	}
	net_link_on(&p->link, memory, side);
}

static void close_party(struct party *p)
{
	for (unsigned i = 0; i < 2; i++) {
		assert_null(p->vring[i].fault.what);
		vu_vring_stop(&p->vring[i]);
		close(p->ring[i].kick);
		close(p->ring[i].call);
	}
	assert_null(p->link.fault);
	vu_memory_clear(&p->memory);
}

static void talk(bool event_idx, bool packed)
{
	struct role roles[THREADS];
	int memory, wake[2];
	struct net_link link;

	assert_int_equal(net_link_make(&memory, wake), 0);
	assert_int_equal(net_link_open(&link, memory, 0), 0);
	close(memory);
	for (unsigned i = 0; i < 2; i++)
		open_party(&parties[i], link.memory, i, wake, event_idx, packed);
	for (unsigned i = 0; i < THREADS; i++)
		roles[i] = (struct role){&parties[i / 2], i % 2};
	atomic_store(&drivers, 2);
	atomic_store(&last_round, ROUNDS - 1);
	run(play, roles, sizeof(roles[0]));
	for (unsigned i = 0; i < 2; i++) {
		struct party *p = &parties[i];

		print_message("guest %u: sent %u, received %u; its driver slept %u times, what "
			      "serves it %u\n",
			      i, p->sent, p->received, p->driver_sleeps, p->device_sleeps);
		assert_int_equal(p->bad, 0);
		assert_int_equal(p->received, parties[!i].sent);
		close_party(p);
		close(wake[i]);
	}
	net_link_close(&link);
}

static void nobody_sleeps_over_a_frame(void **state _unused_)
{
	talk(true, false);
}

static void nobody_sleeps_over_a_frame_without_the_event_index(void **state _unused_)
{
	talk(false, false);
}

static void nobody_sleeps_over_a_frame_in_packed_rings(void **state _unused_)
{
	talk(true, true);
}

static void nor_without_the_event_index(void **state _unused_)
{
	talk(false, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_passed_on_is_whole),
		cmocka_unit_test(of_two_that_cross_one_sees_the_other),
		cmocka_unit_test(nobody_sleeps_over_a_frame),
		cmocka_unit_test(nobody_sleeps_over_a_frame_without_the_event_index),
		cmocka_unit_test(nobody_sleeps_over_a_frame_in_packed_rings),
		cmocka_unit_test(nor_without_the_event_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
