/* SPDX-License-Identifier: BSD-2-Clause */
/* The log of written pages: against what traffic has changed in a guest's memory, and hostile ones. */
#include "tests/unit/net-port-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost_user_net/vu_log.h"

#define V	 VHOST_USER_VERSION
#define BIT(n)	 (1ull << (n))
#define LOG_SIZE ((FE_GPA + FE_SIZE) / VU_LOG_PAGE / 8)
#define PAGES	 (FE_SIZE / VU_LOG_PAGE)

static uint64_t seed = 1;

static unsigned draw(unsigned below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(seed >> 33) % below;
}

/* A front-end's log. */
struct log_file {
	int fd;
	uint64_t offset, size;
	uint8_t *file; /* of file_size */
	size_t file_size;
};

static void log_open(struct log_file *l, uint64_t offset, uint64_t size)
{
	l->offset = offset;
	l->size = size;
	l->file_size = (size_t)(offset + size + 64);
	l->fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(ftruncate(l->fd, (off_t)l->file_size), 0);
	l->file = mmap(NULL, l->file_size, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);
	assert_true(l->file != MAP_FAILED);
}

static void log_close(struct log_file *l)
{
	munmap(l->file, l->file_size);
	close(l->fd);
}

static bool logged(const struct log_file *l, uint64_t gpa)
{
	return l->file[l->offset + gpa / VU_LOG_PAGE / 8] >> gpa / VU_LOG_PAGE % 8 & 1;
}

static void log_forget(struct log_file *l)
{
	memset(l->file, 0, l->file_size);
}

static void agree_on_log(struct fe *fe)
{
	fe_send_u64(fe, VHOST_USER_SET_PROTOCOL_FEATURES, BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD));
	assert_int_equal(fe_message(fe), 0);
}

static int send_log(struct fe *fe, uint64_t size, uint64_t offset, const int *fds, unsigned n_fds)
{
	struct vhost_user_log log = {.mmap_size = size, .mmap_offset = offset};

	fe_send(fe, VHOST_USER_SET_LOG_BASE, V, &log, sizeof(log), fds, n_fds);
	return fe_message(fe);
}

static void set_log(struct fe *fe, const struct log_file *l)
{
	assert_int_equal(send_log(fe, l->size, l->offset, &l->fd, 1), 0);
	assert_int_equal(fe_reply(fe, VHOST_USER_SET_LOG_BASE), 0);
}

/* As QEMU begins a migration under running rings; @shift: how far from its place a used ring counts. */
static void log_on(struct fe *fe, const struct log_file *l, unsigned flags, uint64_t shift)
{
	set_log(fe, l);
	fe_send_u64(fe, VHOST_USER_SET_FEATURES, fe->features | BIT(VHOST_F_LOG_ALL));
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++) {
		struct vhost_vring_addr addr = fe_ring_at(i);

		addr.flags = flags;
		addr.log_guest_addr = FE_GPA + (addr.used_user_addr - FE_UVA) + shift;
		fe_send(fe, VHOST_USER_SET_VRING_ADDR, V, &addr, sizeof(addr), NULL, 0);
	}
	assert_int_equal(fe_message(fe), 0);
}

static uint64_t used_at(unsigned ring)
{
	return FE_GPA + (fe_ring_at(ring).used_user_addr - FE_UVA);
}

/* Of a packed ring, into which both sides write. */
static uint64_t descs_at(unsigned ring)
{
	return FE_GPA + (fe_ring_at(ring).desc_user_addr - FE_UVA);
}

/* What the driver itself writes: all but used rings, packed ones' descriptors, and receive buffers. */
static bool is_drivers(uint64_t gpa)
{
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		if (gpa - used_at(i) < 2 * VU_LOG_PAGE || (b.ring[i].packed && gpa == descs_at(i)))
			return false;
	return gpa < FE_GPA + FE_RX_BUF;
}

static uint8_t before[FE_SIZE], sent[70000];

static void remember(struct fe *fe)
{
	memcpy(before, fe->mem, FE_SIZE);
}

/* Each page that has changed is logged, and none that only the driver writes. Return: how many. */
static unsigned assert_logged(struct fe *fe, const struct log_file *l)
{
	unsigned changed = 0;

	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t gpa = FE_GPA + (uint64_t)i * VU_LOG_PAGE;
		const uint8_t *now = fe_at(fe, gpa), *then = before + (now - fe->mem);

		if (is_drivers(gpa)) {
			assert_false(logged(l, gpa));
		} else if (memcmp(now, then, VU_LOG_PAGE) != 0) {
			changed++;
			assert_true(logged(l, gpa));
		}
	}
	for (uint64_t gpa = 0; gpa < FE_GPA; gpa += VU_LOG_PAGE)
		assert_false(logged(l, gpa));
	for (size_t i = 0; i < l->file_size; i++)
		if (i < l->offset || i - l->offset >= l->size)
			assert_int_equal(l->file[i], 0);
	return changed;
}

static void random_payload(uint8_t *f, size_t len)
{
	for (size_t i = 42; i < len; i++)
		f[i] = (uint8_t)draw(256);
}

static void one_of_all(uint64_t features)
{
	size_t len, most = features & BIT(VIRTIO_NET_F_MRG_RXBUF) ? 60000 : 1400;

	switch (draw(4)) {
	case 0: /* another guest's, long or not */
		len = udp_frame(sent, 0, mac_of(1), 1 + draw(1400));
		random_payload(sent, len);
		send_frame(&a, NULL, sent, len);
		break;
	case 1:
		len = tcp_frame(sent, 0, mac_of(1), 1 + draw((unsigned)most));
		send_frame(&a, len > 1500 ? &tso4 : NULL, sent, len);
		break;
	case 2: /* the daemon's */
		len = udp_frame(sent, 1, mac_of(1), 1 + draw(1400));
		random_payload(sent, len);
		fe_daemon_sends(&b, sent, len);
		break;
	default: /* what it sends itself; the daemon answers ARP */
		len = udp_frame(sent, 1, mac_of(0), 1 + draw(1400));
		send_frame(&b, NULL, sent, len);
		break;
	}
	net_port_flush(b.port);
	net_port_signal(b.port);
	while (fe_rx(&b, &hdr, buf, sizeof(buf)))
		;
	while (fe_rx(&a, &hdr, buf, sizeof(buf)))
		;
}

static void traffic_is_logged(uint64_t features, unsigned buffer, uint64_t offset)
{
	struct log_file l;
	unsigned changed = 0;

	log_open(&l, offset, LOG_SIZE);
	start(&a, FE_FEATURES);
	agree_on_log(&b);
	fe_start(&b, features, 256);
	fe_rx_fill(&b, 256, buffer);
	one_of_all(features);
	log_on(&b, &l, VHOST_VRING_F_LOG, 0);
	assert_true(net_port_up(b.port));
	assert_int_equal(b.ups, 1);
	for (unsigned round = 0; round < 60; round++) {
		log_forget(&l);
		remember(&b);
		for (unsigned n = draw(20); n; n--)
			one_of_all(features);
		changed += assert_logged(&b, &l);
	}
	assert_in_range(changed, 200, 100000);

	/* Logged no more. */
	fe_send_u64(&b, VHOST_USER_SET_FEATURES, features);
	assert_int_equal(fe_message(&b), 0);
	log_forget(&l);
	for (unsigned n = 0; n < 20; n++)
		one_of_all(features);
	for (size_t i = 0; i < l.file_size; i++)
		assert_int_equal(l.file[i], 0);
	assert_int_equal(b.ups, 1);
	log_close(&l);
}

static void each_written_page_is_logged(void **state _unused_)
{
	traffic_is_logged(FE_FEATURES, 4000, 0);
}

static void so_it_is_without_the_event_index(void **state _unused_)
{
	traffic_is_logged(FE_FEATURES & ~BIT(VIRTIO_F_EVENT_IDX), 1548, 4096);
}

static void so_it_is_in_single_buffers(void **state _unused_)
{
	traffic_is_logged(FE_FEATURES &
				  ~(BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_GUEST_TSO4) |
				    BIT(VIRTIO_NET_F_GUEST_TSO6)),
			  1548, 24);
}

static void send_to_b(void)
{
	size_t len = udp_frame(sent, 0, mac_of(1), 100);

	send_frame(&a, NULL, sent, len);
	assert_received(&b, sent, len);
	net_port_flush(b.port);
}

/* The used ring counts as lying where the front-end says, and is logged only if it says so. */
static void the_used_ring_is_logged_where_it_is_said_to_be(void **state _unused_)
{
	struct log_file l;

	of_split_rings();
	log_open(&l, 0, LOG_SIZE);
	start(&a, FE_FEATURES);
	agree_on_log(&b);
	start(&b, FE_FEATURES);
	send_frame(&b, NULL, sent, udp_frame(sent, 1, mac_of(0), 10));
	log_on(&b, &l, 0, 0);
	send_to_b();
	assert_false(logged(&l, used_at(VIRTIO_NET_RX)));
	assert_true(logged(&l, FE_GPA + FE_RX_BUF));
	log_on(&b, &l, VHOST_VRING_F_LOG, 0x1000000000ull); /* behind the log's end */
	send_to_b();
	assert_false(logged(&l, used_at(VIRTIO_NET_RX)));
	log_on(&b, &l, VHOST_VRING_F_LOG, -0x20000ull);
	send_to_b();
	assert_false(logged(&l, used_at(VIRTIO_NET_RX)));
	assert_true(logged(&l, used_at(VIRTIO_NET_RX) - 0x20000));
	log_close(&l);
}

/* Descriptors lie where they lie; the device's word counts as lying where the front-end says. */
static void so_are_a_packed_rings_parts(void **state _unused_)
{
	const uint64_t packed = FE_FEATURES | BIT(VIRTIO_F_RING_PACKED);
	struct log_file l;

	log_open(&l, 0, LOG_SIZE);
	start(&a, FE_FEATURES);
	agree_on_log(&b);
	start(&b, packed);
	send_frame(&b, NULL, sent, udp_frame(sent, 1, mac_of(0), 10));
	log_on(&b, &l, 0, 0);
	send_to_b();
	send_frame(&b, NULL, sent, udp_frame(sent, 1, mac_of(0), 10));
	assert_true(logged(&l, FE_GPA + FE_RX_BUF));
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++) {
		assert_false(logged(&l, descs_at(i)));
		assert_false(logged(&l, used_at(i)));
	}
	log_on(&b, &l, VHOST_VRING_F_LOG, -0x20000ull);
	send_to_b();
	assert_true(logged(&l, descs_at(VIRTIO_NET_RX)));
	assert_false(logged(&l, descs_at(VIRTIO_NET_TX)));
	send_frame(&b, NULL, sent, udp_frame(sent, 1, mac_of(0), 10));
	assert_true(logged(&l, descs_at(VIRTIO_NET_TX)));
	assert_true(logged(&l, used_at(VIRTIO_NET_TX) - 0x20000));
	assert_false(logged(&l, used_at(VIRTIO_NET_TX)));
	log_close(&l);
}

/* As QEMU sets a card up that is started while its guest is migrated. */
static void a_card_waits_for_its_log(void **state _unused_)
{
	struct log_file l;

	log_open(&l, 0, LOG_SIZE);
	agree_on_log(&b);
	fe_start(&b, FE_FEATURES | BIT(VHOST_F_LOG_ALL), 256);
	assert_false(net_port_up(b.port));
	assert_int_equal(fe_used_idx(&b, VIRTIO_NET_RX), 0);
	set_log(&b, &l);
	assert_true(net_port_up(b.port));
	log_close(&l);
}

static void a_short_log_is_not_left(void **state _unused_)
{
	struct log_file l;

	of_split_rings();
	/* It ends before the guest's memory, but for one byte. */
	log_open(&l, 8, FE_GPA / VU_LOG_PAGE / 8 + 1);
	start(&a, FE_FEATURES);
	agree_on_log(&b);
	start(&b, FE_FEATURES);
	log_on(&b, &l, VHOST_VRING_F_LOG, 0);
	send_to_b();
	for (size_t i = 0; i < l.file_size; i++)
		if (i != l.offset + l.size - 1)
			assert_int_equal(l.file[i], 0);
	assert_true(logged(&l, used_at(VIRTIO_NET_RX)));
	log_close(&l);
}

/* cmocka has its own idea of SIGBUS; ours is taken before it starts. */
static struct sigaction guard;

static void a_log_that_is_cut_off_costs_its_owner_alone(void **state _unused_)
{
	struct sigaction cmockas;
	struct log_file l;
	size_t len;

	sigaction(SIGBUS, &guard, &cmockas);
	log_open(&l, 0, LOG_SIZE);
	start(&a, FE_FEATURES);
	start(&c, FE_FEATURES);
	agree_on_log(&b);
	start(&b, FE_FEATURES);
	log_on(&b, &l, VHOST_VRING_F_LOG, 0);
	send_to_b();
	assert_int_equal(ftruncate(l.fd, 0), 0);
	len = udp_frame(sent, 0, mac_of(1), 100);
	send_frame(&a, NULL, sent, len);
	fe_arrive(&b);
	net_port_flush(b.port);
	net_port_check(b.port);
	assert_false(net_port_up(b.port));
	/* What came for cards whose address wasn't known yet. */
	while (fe_rx(&c, &hdr, buf, sizeof(buf)))
		;
	send_frame(&a, NULL, sent, udp_frame(sent, 0, mac_of(2), 50));
	assert_int_equal(fe_rx(&c, &hdr, buf, sizeof(buf)), 92);

	fe_connect(&b);
	start(&b, FE_FEATURES);
	send_to_b();
	log_close(&l);
	sigaction(SIGBUS, &cmockas, NULL);
}

static void what_is_no_log_is_refused(void **state _unused_)
{
	int file = memfd_create("log", MFD_CLOEXEC), event = eventfd(0, EFD_CLOEXEC), null;
	unsigned fds = fe_open_fds();
	const struct {
		uint64_t size, offset;
		int fd[2];
		unsigned n;
	} bad[] = {
		{0, 0, {file}, 1},
		{8192, 0, {file}, 1},
		{4096, 1, {file}, 1},
		{1, 4096, {file}, 1},
		{UINT64_MAX, 0, {file}, 1},
		{4096, UINT64_MAX - 4095, {file}, 1},
		{VU_LOG_MAX + 1, 0, {file}, 1},
		{4096, 0, {event}, 1},
		{4096, 0, {0}, 0},
		{4096, 0, {file, file}, 2},
	};

	assert_int_equal(ftruncate(file, 4096), 0);
	null = send_log(&b, 4096, 0, &file, 1); /* the feature was not agreed on */
	assert_int_equal(null, -EOPNOTSUPP);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		fe_connect(&b);
		agree_on_log(&b);
		assert_true(send_log(&b, bad[i].size, bad[i].offset, bad[i].fd, bad[i].n) < 0);
	}
	/* One log after the other: each takes the last one's place. */
	fe_connect(&b);
	agree_on_log(&b);
	for (unsigned i = 0; i < 5000; i++) {
		assert_int_equal(send_log(&b, 4096, 0, &file, 1), 0);
		assert_int_equal(fe_reply(&b, VHOST_USER_SET_LOG_BASE), 0);
	}
	assert_int_equal(fe_open_fds(), fds);
	close(file);
	close(event);
}

#define MANY 20000u

static struct vu_log raced;
static uint64_t collected[MANY / 64 + 1];
static atomic_bool done;

static void *collect(void *arg _unused_)
{
	uint64_t *words = (uint64_t *)(void *)raced.map.at;

	for (bool last = false; !last;) {
		last = atomic_load(&done);
		for (unsigned i = 0; i < ARRAY_SIZE(collected); i++)
			collected[i] |= __atomic_exchange_n(&words[i], 0, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* The front-end takes bits out of the log meanwhile: none is lost, and no byte beside them. */
static void bits_are_set_while_they_are_collected(void **state _unused_)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	pthread_t thread;

	vu_log_init(&raced);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(vu_log_set(&raced, fd, 0, 4096), 0);
	assert_int_equal(pthread_create(&thread, NULL, collect, NULL), 0);
	for (unsigned i = 0; i < MANY; i++)
		vu_log_write(&raced, (uint64_t)i * VU_LOG_PAGE + draw(VU_LOG_PAGE), 1);
	atomic_store(&done, true);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < MANY; i++)
		assert_true(collected[i / 64] >> i % 64 & 1);
	vu_log_clear(&raced);
	close(fd);
}

static void any_address_is_bounded(void **state _unused_)
{
	struct log_file l;
	struct vu_log log;

	log_open(&l, 0, 2); /* sixteen pages */
	vu_log_init(&log);
	vu_log_write(&log, 0, 1); /* there is none */
	assert_int_equal(vu_log_set(&log, l.fd, 0, 2), 0);
	vu_log_write(&log, 16 * VU_LOG_PAGE, 1);
	vu_log_write(&log, UINT64_MAX, 1);
	vu_log_write(&log, UINT64_MAX, UINT64_MAX);
	vu_log_write(&log, 4096, 0);
	assert_int_equal(l.file[0], 0);
	vu_log_write(&log, 4095, 2);
	assert_int_equal(l.file[0], 3);
	vu_log_write(&log, 15 * VU_LOG_PAGE, UINT64_MAX);
	assert_int_equal(l.file[0], 3);
	assert_int_equal(l.file[1], 0x80);
	vu_log_write(&log, 0, UINT64_MAX);
	assert_int_equal(l.file[0], 0xff);
	assert_int_equal(l.file[1], 0xff);
	assert_int_equal(l.file[2], 0);
	vu_log_clear(&log);
	log_close(&l);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(each_written_page_is_logged),
		T(so_it_is_without_the_event_index),
		T(so_it_is_in_single_buffers),
		T(the_used_ring_is_logged_where_it_is_said_to_be),
		T(so_are_a_packed_rings_parts),
		T(a_card_waits_for_its_log),
		T(a_short_log_is_not_left),
		T(a_log_that_is_cut_off_costs_its_owner_alone),
		T(what_is_no_log_is_refused),
		cmocka_unit_test(bits_are_set_while_they_are_collected),
		cmocka_unit_test(any_address_is_bounded),
	};

	if (vu_map_guard() < 0 || sigaction(SIGBUS, NULL, &guard) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
