/* SPDX-License-Identifier: BSD-2-Clause */
/* The connection: messages in any shape, descriptors, memory, the life of rings. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/mem.h"
#include "vhost_user_net/net_rules.h"
#include "vu-frontend.h"

#define V	   VHOST_USER_VERSION
#define NEED_REPLY VHOST_USER_NEED_REPLY_MASK
#define BIT(n)	   (1ull << (n))

static struct fe_net net;
static struct fe fe;

static int set_up(void **state _unused_)
{
	struct net_port_config config = fe_config(0);

	fe_net_init(&net);
	fe_open(&fe, &net, &config);
	return 0;
}

static int tear_down(void **state _unused_)
{
	fe_close(&fe);
	fe_net_deinit(&net);
	return 0;
}

static void set_protocol(uint64_t features)
{
	fe_send(&fe, VHOST_USER_GET_FEATURES, V, NULL, 0, NULL, 0);
	assert_int_equal(fe_message(&fe), 0);
	assert_true(fe_reply(&fe, VHOST_USER_GET_FEATURES) & BIT(VHOST_USER_F_PROTOCOL_FEATURES));
	fe_send(&fe, VHOST_USER_GET_PROTOCOL_FEATURES, V, NULL, 0, NULL, 0);
	assert_int_equal(fe_message(&fe), 0);
	assert_int_equal(fe_reply(&fe, VHOST_USER_GET_PROTOCOL_FEATURES) & features, features);
	fe_send_u64(&fe, VHOST_USER_SET_PROTOCOL_FEATURES, features);
	assert_int_equal(fe_message(&fe), 0);
}

#define REPLY_ACK BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK)

static void questions_are_answered(void **state _unused_)
{
	set_protocol(REPLY_ACK | BIT(VHOST_USER_PROTOCOL_F_MQ) |
		     BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) |
		     BIT(VHOST_USER_PROTOCOL_F_STATUS));
	fe_send(&fe, VHOST_USER_GET_QUEUE_NUM, V, NULL, 0, NULL, 0);
	assert_int_equal(fe_message(&fe), 0);
	assert_int_equal(fe_reply(&fe, VHOST_USER_GET_QUEUE_NUM), 1);
	fe_send(&fe, VHOST_USER_GET_MAX_MEM_SLOTS, V, NULL, 0, NULL, 0);
	assert_int_equal(fe_message(&fe), 0);
	assert_int_equal(fe_reply(&fe, VHOST_USER_GET_MAX_MEM_SLOTS), 32);
	fe_send_u64(&fe, VHOST_USER_SET_STATUS, 7);
	fe_send(&fe, VHOST_USER_GET_STATUS, V | NEED_REPLY, NULL, 0, NULL, 0);
	assert_int_equal(fe_message(&fe), 0);
	assert_int_equal(fe_reply(&fe, VHOST_USER_GET_STATUS), 7);
}

/* Each of these ends the connection, whatever else is going on; with fds, none stays open. */
static void bad_messages_end_the_connection(void **state _unused_)
{
	static const struct {
		uint32_t request, flags, size;
		unsigned fds;
	} bad[] = {
		{VHOST_USER_GET_FEATURES, 0, 0, 0},
		{VHOST_USER_GET_FEATURES, 2, 0, 0},
		{VHOST_USER_GET_FEATURES, V | VHOST_USER_REPLY_MASK, 0, 0},
		{VHOST_USER_SET_FEATURES, V, 0xffffffffu, 0},
		{VHOST_USER_SET_FEATURES, V, 265, 0},
		{VHOST_USER_SET_FEATURES, V, 7, 0},
		{VHOST_USER_SET_FEATURES, V, 16, 0},
		{VHOST_USER_SET_FEATURES, V, 8, 1},
		{VHOST_USER_GET_FEATURES, V, 8, 0},
		{0, V, 0, 0},
		{0, V, 8, 2},
		{6, V, 16, 1},	/* SET_LOG_BASE */
		{28, V, 0, 0},	/* POSTCOPY_ADVISE */
		{31, V, 16, 0}, /* GET_INFLIGHT_FD */
		{41, V, 0, 0},
		{0xffffffffu, V, 0, 0},
		{VHOST_USER_GET_QUEUE_NUM, V, 0, 0}, /* MQ was not agreed on */
		{VHOST_USER_SET_MEM_TABLE, V, 8, 0},
		{VHOST_USER_SET_MEM_TABLE, V, 40, 2},
		{VHOST_USER_SET_VRING_KICK, V, 8, 2},
		{VHOST_USER_SET_VRING_CALL, V, 8, 8},
		{VHOST_USER_SET_VRING_CALL, V, 8, 9},
		{VHOST_USER_SET_VRING_CALL, V, 8, 16},
	};
	unsigned before = fe_open_fds();

	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
			uint8_t payload[512] = {1};
			uint32_t size = bad[i].size > 512 ? 0 : bad[i].size;
			struct vhost_user_header h = {bad[i].request, bad[i].flags, bad[i].size};
			uint8_t buf[12 + 512];
			union {
				char b[CMSG_SPACE(16 * sizeof(int))];
				struct cmsghdr align;
			} control = {0};
			struct iovec iov = {buf, 12 + size};
			struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

			memcpy(buf, &h, 12);
			memcpy(buf + 12, payload, size);
			if (bad[i].fds) {
				struct cmsghdr *c;

				m.msg_control = control.b;
				m.msg_controllen = CMSG_SPACE(bad[i].fds * sizeof(int));
				c = CMSG_FIRSTHDR(&m);
				c->cmsg_level = SOL_SOCKET;
				c->cmsg_type = SCM_RIGHTS;
				c->cmsg_len = CMSG_LEN(bad[i].fds * sizeof(int));
				for (unsigned k = 0; k < bad[i].fds; k++)
					memcpy(CMSG_DATA(c) + k * sizeof(int), &fe.memfd,
					       sizeof(int));
			}
			assert_true(sendmsg(fe.sock, &m, 0) > 0);
			assert_true(fe_message(&fe) < 0);
			fe_connect(&fe);
			assert_int_equal(fe_open_fds(), before);
		}
	}
}

static void messages_arrive_in_any_portions(void **state _unused_)
{
	struct vhost_user_header h = {VHOST_USER_SET_FEATURES, V, 8};
	uint64_t features = FE_FEATURES;
	uint8_t buf[20 + 12];

	memcpy(buf, &h, 12);
	memcpy(buf + 12, &features, 8);
	h = (struct vhost_user_header){VHOST_USER_GET_FEATURES, V, 0};
	memcpy(buf + 20, &h, 12);
	for (unsigned i = 0; i < sizeof(buf); i++) {
		assert_int_equal(send(fe.sock, buf + i, 1, 0), 1);
		assert_int_equal(fe_message(&fe), 0);
	}
	assert_int_equal(fe_reply(&fe, VHOST_USER_GET_FEATURES) & FE_FEATURES, FE_FEATURES);
	/* The end between messages is an end; inside one it is an error. */
	shutdown(fe.sock, SHUT_WR);
	assert_int_equal(fe_message(&fe), NET_PORT_CLOSED);
	fe_connect(&fe);
	assert_int_equal(send(fe.sock, buf, 15, 0), 15);
	assert_int_equal(fe_message(&fe), 0);
	shutdown(fe.sock, SHUT_WR);
	assert_int_equal(fe_message(&fe), -ECONNRESET);
}

static uint64_t ack(uint32_t request, const void *payload, uint32_t size, const int *fds,
		    unsigned n_fds)
{
	fe_send(&fe, request, V | NEED_REPLY, payload, size, fds, n_fds);
	assert_int_equal(fe_message(&fe), 0);
	return fe_reply(&fe, request);
}

static uint64_t ack_state(uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_vring_state s = {index, num};

	return ack(request, &s, sizeof(s), NULL, 0);
}

static void refusals_are_told(void **state _unused_)
{
	static const struct {
		uint32_t request, index, num;
		bool good;
	} states[] = {
		{VHOST_USER_SET_VRING_NUM, 0, 256, true},
		{VHOST_USER_SET_VRING_NUM, 0, 1, true},
		{VHOST_USER_SET_VRING_NUM, 0, 1024, true},
		{VHOST_USER_SET_VRING_NUM, 0, 0, false},
		{VHOST_USER_SET_VRING_NUM, 0, 255, false},
		{VHOST_USER_SET_VRING_NUM, 0, 2048, false},
		{VHOST_USER_SET_VRING_NUM, 0, 65535, false},
		{VHOST_USER_SET_VRING_NUM, 0, 0x80000000u, false},
		{VHOST_USER_SET_VRING_NUM, 2, 256, false},
		{VHOST_USER_SET_VRING_NUM, 0x10000, 256, false},
		{VHOST_USER_SET_VRING_NUM, 0xffffffffu, 256, false},
		{VHOST_USER_SET_VRING_BASE, 1, 65535, true},
		{VHOST_USER_SET_VRING_BASE, 1, 65536, false},
		{VHOST_USER_SET_VRING_BASE, 2, 0, false},
		{VHOST_USER_SET_VRING_ENABLE, 0, 1, true},
		{VHOST_USER_SET_VRING_ENABLE, 0, 2, false},
		{VHOST_USER_SET_VRING_ENABLE, 2, 1, false},
		{VHOST_USER_GET_VRING_BASE, 2, 0, false},
	};
	uint64_t x = 1ull << 63;
	int e = eventfd(0, 0);

	set_protocol(REPLY_ACK);
	for (unsigned i = 0; i < ARRAY_SIZE(states); i++)
		assert_int_equal(ack_state(states[i].request, states[i].index, states[i].num),
				 !states[i].good);
	assert_int_equal(ack(99, &x, 8, NULL, 0), 1);
	assert_int_equal(ack(VHOST_USER_SET_FEATURES, &x, 8, NULL, 0), 1);
	assert_int_equal(ack(VHOST_USER_SET_PROTOCOL_FEATURES, &x, 8, NULL, 0), 1);
	assert_int_equal(ack(VHOST_USER_SET_FEATURES, &x, 7, NULL, 0), 1);
	x = 0;
	assert_int_equal(ack(VHOST_USER_SET_VRING_KICK, &x, 8, &e, 1), 0);
	assert_int_equal(ack(VHOST_USER_SET_VRING_KICK, &x, 8, NULL, 0), 1);
	x = VHOST_USER_VRING_NOFD_MASK; /* no polling for kicks; but no interrupts is fine */
	assert_int_equal(ack(VHOST_USER_SET_VRING_KICK, &x, 8, NULL, 0), 1);
	assert_int_equal(ack(VHOST_USER_SET_VRING_CALL, &x, 8, NULL, 0), 0);
	assert_int_equal(ack(VHOST_USER_SET_VRING_CALL, &x, 8, &e, 1), 1);
	x = 2;
	assert_int_equal(ack(VHOST_USER_SET_VRING_CALL, &x, 8, &e, 1), 1);
	x = 0x200;
	assert_int_equal(ack(VHOST_USER_SET_VRING_CALL, &x, 8, &e, 1), 1);
	x = 1;
	assert_int_equal(ack(VHOST_USER_SET_VRING_ERR, &x, 8, &e, 1), 0);
	close(e);
}

/* A kick is polled and a call written to: only an eventfd answers both at once, whoever else has it. */
static void only_an_eventfd_is_a_kick_or_a_call(void **state _unused_)
{
	static const uint32_t requests[] = {VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
					    VHOST_USER_SET_VRING_ERR};
	unsigned before = fe_open_fds();
	int e = eventfd(0, EFD_CLOEXEC), pipes[2];
	uint64_t x = 1;

	assert_int_equal(pipe(pipes), 0);
	set_protocol(REPLY_ACK);
	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		assert_int_equal(ack(requests[i], &x, 8, &pipes[1], 1), 1);
		assert_int_equal(ack(requests[i], &x, 8, &fe.sock, 1), 1);
		assert_int_equal(ack(requests[i], &x, 8, &fe.memfd, 1), 1);
		assert_int_equal(fe.watched[1], -1);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++)
		assert_int_equal(ack(requests[i], &x, 8, &e, 1), 0);
	assert_true(fe.watched[1] >= 0);
	close(e);
	close(pipes[0]);
	close(pipes[1]);
	net_port_disconnect(fe.port, (unsigned)fe.which);
	assert_int_equal(fe_open_fds(), before);
}

static void memory_tables_are_checked(void **state _unused_)
{
	typedef struct vhost_user_memory_region region;
	const uint64_t K = 4096;
	const struct {
		uint32_t n;
		unsigned fds;
		region r[8];
		bool good;
	} tables[] = {
		{0, 0, {{0}}, false},
		{1, 1, {{0, K, K, 0}}, true},
		{1, 1, {{K, FE_SIZE, 0, 0}}, true},
		{1, 1, {{K, FE_SIZE + 1, 0, 0}}, false},
		{1, 1, {{K, FE_SIZE, 0, 1}}, false},
		{1, 1, {{K, K, 0, FE_SIZE - K}}, true},
		{1, 1, {{K, K, 0, FE_SIZE}}, false},
		{1, 1, {{K, K, 0, UINT64_MAX}}, false},
		{1, 1, {{K, K, 0, UINT64_MAX - K + 1}}, false},
		{1, 1, {{K, UINT64_MAX, 0, 0}}, false},
		{1, 1, {{K, 0, 0, 0}}, false},
		{1, 1, {{UINT64_MAX - K + 1, K, 0, 0}}, false}, /* its end would be 2^64 */
		{1, 1, {{UINT64_MAX - K, K, 0, 0}}, true},
		{1, 1, {{UINT64_MAX - 1, K, 0, 0}}, false},
		{1, 1, {{0, K, UINT64_MAX - 1, 0}}, false},
		{2, 2, {{0, K, 0, 0}, {K, K, K, 0}}, true},
		{2, 2, {{0, K + 1, 0, 0}, {K, K, K, 0}}, false},
		{2, 2, {{K, K, 0, 0}, {0, K + 1, K, 0}}, false},
		{2, 2, {{K, K, 0, 0}, {K, K, K, 0}}, false},
		{2, 1, {{0, K, 0, 0}, {K, K, K, 0}}, false},
		{1, 2, {{0, K, 0, 0}, {K, K, K, 0}}, false},
		{9, 8, {{0, K, 0, 0}}, false},
		{0x08000001u, 1, {{0, K, 0, 0}}, false}, /* times 32 is 32 */
		{8,
		 8,
		 {{0, K, 0, 0},
		  {K, K, 0, 0},
		  {2 * K, K, 0, 0},
		  {3 * K, K, 0, 0},
		  {4 * K, K, 0, 0},
		  {5 * K, K, 0, 0},
		  {6 * K, K, 0, 0},
		  {7 * K, K, 0, 0}},
		 true},
	};
	unsigned before = fe_open_fds();
	int fds[8], e, pipes[2];

	for (unsigned i = 0; i < 8; i++)
		fds[i] = fe.memfd;
	set_protocol(REPLY_ACK);
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		struct vhost_user_memory m = {.nregions = tables[i].n};
		uint32_t n = min_t(uint32_t, tables[i].n, 8);

		memcpy(m.regions, tables[i].r, sizeof(m.regions));
		if (tables[i].n == 0x08000001u)
			n = 1;
		if (tables[i].good !=
		    (ack(VHOST_USER_SET_MEM_TABLE, &m, 8 + 32 * n, fds, tables[i].fds) == 0))
			fail_msg("table %u", i);
		assert_int_equal(fe_open_fds(), before);
	}
	/* What can't be mapped, or might make us wait. */
	struct vhost_user_memory m = {.nregions = 1, .regions = {{0, K, 0, 0}}};

	e = eventfd(0, 0);
	assert_int_equal(ack(VHOST_USER_SET_MEM_TABLE, &m, 40, &e, 1), 1);
	close(e);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(ack(VHOST_USER_SET_MEM_TABLE, &m, 40, pipes, 1), 1);
	close(pipes[0]);
	close(pipes[1]);
	e = open("/proc/self/maps", O_RDONLY);
	assert_int_equal(ack(VHOST_USER_SET_MEM_TABLE, &m, 40, &e, 1), 1);
	close(e);
	e = open("/dev/zero", O_RDWR);
	assert_int_equal(ack(VHOST_USER_SET_MEM_TABLE, &m, 40, &e, 1), 1);
	close(e);
}

static void memory_comes_and_goes_by_slots(void **state _unused_)
{
	struct vhost_user_single_memory_region r = {.region = {0, 4096, 0, 0}};
	unsigned before = fe_open_fds();

	set_protocol(REPLY_ACK | BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS));
	for (unsigned i = 0; i < 33; i++) {
		r.region.guest_phys_addr = i * 4096;
		assert_int_equal(ack(VHOST_USER_ADD_MEM_REG, &r, sizeof(r), &fe.memfd, 1), i == 32);
	}
	r.region.guest_phys_addr = 7 * 4096;
	assert_int_equal(ack(VHOST_USER_ADD_MEM_REG, &r, sizeof(r), &fe.memfd, 1), 1);
	assert_int_equal(ack(VHOST_USER_ADD_MEM_REG, &r, sizeof(r), NULL, 0), 1);
	r.region.mmap_offset = 99;
	assert_int_equal(ack(VHOST_USER_REM_MEM_REG, &r, sizeof(r), &fe.memfd, 1), 0);
	assert_int_equal(ack(VHOST_USER_REM_MEM_REG, &r, sizeof(r), NULL, 0), 1);
	r.region.mmap_offset = 0;
	assert_int_equal(ack(VHOST_USER_ADD_MEM_REG, &r, sizeof(r), &fe.memfd, 1), 0);
	assert_int_equal(fe_open_fds(), before);
}

/* One sparse file costs its front-end nothing, and its mappings take everybody's address space. */
static void memory_is_bounded_by_the_machines(void **state _unused_)
{
	const uint64_t tib = 1ull << 40;
	struct vhost_user_single_memory_region r = {.region = {0, 4 * tib, 0, 0}};
	int huge = memfd_create("huge", MFD_CLOEXEC);
	struct sysinfo info;
	uint64_t all;

	assert_int_equal(sysinfo(&info), 0);
	all = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit & ~4095ull;
	set_protocol(REPLY_ACK | BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS));
	assert_return_code(ftruncate(huge, (off_t)(8 * tib)), errno);
	assert_int_equal(ack(VHOST_USER_ADD_MEM_REG, &r, sizeof(r), &huge, 1), 1);
	/* All that the machine has, twice; and not a page more. */
	for (unsigned i = 0; i < 3; i++) {
		r.region.guest_phys_addr = i * tib;
		r.region.memory_size = i < 2 ? all : 8192;
		assert_int_equal(ack(VHOST_USER_ADD_MEM_REG, &r, sizeof(r), &huge, 1), i == 2);
	}
	close(huge);
}

static void rings_start_in_any_order(void **state _unused_)
{
	static const char *orders[] = {"FMNABKE", "EKANMF", "KMFNAE",
				       "EMNBAKF", "FKEANM", "MFAENK"};

	for (unsigned i = 0; i < ARRAY_SIZE(orders); i++) {
		fe_connect(&fe);
		memset(fe.mem, 0, FE_SIZE);
		fe.features = FE_FEATURES;
		for (const char *p = orders[i]; *p; p++) {
			assert_false(net_port_up(fe.port));
			if (*p == 'F')
				fe_set_features(&fe, FE_FEATURES);
			if (*p == 'M')
				fe_set_memory(&fe);
			for (unsigned ring = 0; ring < 2; ring++) {
				struct vhost_vring_addr addr = {
					.index = ring,
					.desc_user_addr = FE_UVA + ring * 0x10000,
					.avail_user_addr = FE_UVA + ring * 0x10000 + 0x4000,
					.used_user_addr = FE_UVA + ring * 0x10000 + 0x6000,
				};
				int e = eventfd(0, EFD_CLOEXEC);

				if (*p == 'N')
					fe_send_state(&fe, VHOST_USER_SET_VRING_NUM, ring, 128);
				if (*p == 'B')
					fe_send_state(&fe, VHOST_USER_SET_VRING_BASE, ring, 0);
				if (*p == 'A')
					fe_send(&fe, VHOST_USER_SET_VRING_ADDR, V, &addr,
						sizeof(addr), NULL, 0);
				if (*p == 'K')
					fe_send_fd(&fe, VHOST_USER_SET_VRING_KICK, ring, e);
				if (*p == 'E')
					fe_send_state(&fe, VHOST_USER_SET_VRING_ENABLE, ring, 1);
				close(e);
			}
			assert_int_equal(fe_message(&fe), 0);
		}
		assert_true(net_port_up(fe.port));
		assert_int_equal(fe.ups, i + 1);
		assert_true(fe.watched[0] >= 0 && fe.watched[1] >= 0);
		net_port_disconnect(fe.port, (unsigned)fe.which);
		assert_int_equal(fe.downs, i + 1);
		assert_int_equal(fe.watched[0], -1);
		assert_int_equal(fe.watched[1], -1);
	}
}

static void without_protocol_features_rings_are_enabled(void **state _unused_)
{
	fe_start(&fe, FE_FEATURES & ~BIT(VHOST_USER_F_PROTOCOL_FEATURES), 256);
	assert_true(net_port_up(fe.port));
	fe_send_state(&fe, VHOST_USER_SET_VRING_ENABLE, 1, 0);
	assert_int_equal(fe_message(&fe), 0);
	assert_false(net_port_up(fe.port));
	fe_send_state(&fe, VHOST_USER_SET_VRING_ENABLE, 1, 1);
	assert_int_equal(fe_message(&fe), 0);
	assert_true(net_port_up(fe.port));
}

static void old_drivers_get_no_card(void **state _unused_)
{
	fe_start(&fe, FE_FEATURES & ~BIT(VIRTIO_F_VERSION_1), 256);
	assert_false(net_port_up(fe.port));
}

static void rings_must_lie_in_memory(void **state _unused_)
{
	static const struct {
		uint64_t desc, avail, used;
		bool accepted, up;
	} places[] = {
		{0, 0x4000, 0x6000, true, true},
		{8, 0x4000, 0x6000, false, false},
		{0, 0x4001, 0x6000, false, false},
		{0, 0x4000, 0x6002, false, false},
		{FE_HALF - 16, 0x4000, 0x6000, true, false},
		{0, FE_HALF - 4, 0x6000, true, false},
		{0, 0x4000, FE_HALF - 4, true, false},
		{0, 0x4000, FE_HALF - (6 + 8 * 256) / 4 * 4, true, false},
		{0, FE_HALF - 518, 0x6000, true, true},
		{0, 0x4000, (uint64_t)0 - FE_UVA, true, false},
		{(uint64_t)-16 - FE_UVA, 0x4000, 0x6000, true, false},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		struct vhost_vring_addr addr = {
			.index = 1,
			.desc_user_addr = FE_UVA + places[i].desc,
			.avail_user_addr = FE_UVA + places[i].avail,
			.used_user_addr = FE_UVA + places[i].used,
		};

		fe_connect(&fe);
		set_protocol(REPLY_ACK);
		fe_start(&fe, FE_FEATURES, 256);
		fe_send_state(&fe, VHOST_USER_GET_VRING_BASE, 1, 0);
		fe_message(&fe);
		recv(fe.sock, (char[64]){0}, 64, 0);
		assert_int_equal(ack(VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0),
				 !places[i].accepted);
		if (!places[i].accepted)
			continue;
		assert_int_equal(
			ack(VHOST_USER_SET_VRING_KICK, &(uint64_t){1}, 8, &fe.ring[1].kick, 1),
			!places[i].up);
		assert_int_equal(net_port_up(fe.port), places[i].up);
	}
}

static const uint8_t frame[60] = {
	0x02, 0x75, 0x73, 0x62, 0x72, 0x64, 2, 0, 0, 0, 0,  10, 0x08, 0x06,
	0,    1,    8,	  0,	6,    4,    0, 1, 2, 0, 0,  0,	0,    10,
	10,   77,   0,	  10,	0,    0,    0, 0, 0, 0, 10, 77, 0,    1,
};

static unsigned frames_out(void)
{
	struct virtio_net_hdr hdr;
	uint8_t buf[100];
	unsigned n = 0;

	while (net_port_transmit(fe.port))
		;
	net_port_flush(fe.port);
	while (fe_daemon_gets(&fe, &hdr, buf, sizeof(buf)))
		n++;
	return n;
}

static uint32_t get_base(unsigned ring)
{
	struct {
		struct vhost_user_header h;
		struct vhost_vring_state s;
	} m;

	fe_send_state(&fe, VHOST_USER_GET_VRING_BASE, ring, 0);
	assert_int_equal(fe_message(&fe), 0);
	assert_int_equal(recv(fe.sock, &m, sizeof(m), MSG_DONTWAIT), sizeof(m));
	assert_int_equal(m.h.size, 8);
	assert_int_equal(m.s.index, ring);
	return m.s.num;
}

static void an_mtu_and_an_announcement_are_judged(void **state _unused_)
{
	const struct {
		uint32_t request;
		uint64_t x;
		bool refused;
	} said[] = {
		{VHOST_USER_NET_SET_MTU, 1500, false},
		{VHOST_USER_NET_SET_MTU, 68, false},
		{VHOST_USER_NET_SET_MTU, 65535, false},
		{VHOST_USER_NET_SET_MTU, 67, true},
		{VHOST_USER_NET_SET_MTU, 65536, true},
		{VHOST_USER_NET_SET_MTU, UINT64_MAX, true},
		{VHOST_USER_SEND_RARP, 0x0a0000000002, false},
		{VHOST_USER_SEND_RARP, 0x0a0000000001, true}, /* a group's address */
		{VHOST_USER_SEND_RARP, UINT64_MAX, true},
	};

	set_protocol(REPLY_ACK | BIT(VHOST_USER_PROTOCOL_F_RARP) |
		     BIT(VHOST_USER_PROTOCOL_F_NET_MTU));
	for (unsigned up = 0; up < 2; up++) {
		for (unsigned i = 0; i < ARRAY_SIZE(said); i++)
			assert_int_equal(ack(said[i].request, &said[i].x, 8, NULL, 0),
					 said[i].refused);
		fe_start(&fe, FE_FEATURES, 256);
	}
	assert_true(net_port_up(fe.port));
	fe_connect(&fe);
	fe_send_u64(&fe, VHOST_USER_SEND_RARP, 2);
	assert_int_equal(fe_message(&fe), -EOPNOTSUPP);
}

static void stopping_tells_where_to_go_on(void **state _unused_)
{
	fe_start(&fe, FE_FEATURES, 256);
	for (unsigned i = 0; i < 5; i++)
		fe_tx(&fe, NULL, frame, sizeof(frame));
	assert_int_equal(frames_out(), 5);
	fe_tx(&fe, NULL, frame, sizeof(frame));
	assert_int_equal(get_base(1), 5);
	assert_false(net_port_up(fe.port));
	assert_int_equal(fe.watched[1], -1);
	assert_int_equal(frames_out(), 0);
	fe_set_ring(&fe, 1, 256, 5);
	assert_int_equal(fe_message(&fe), 0);
	assert_true(net_port_up(fe.port));
	/* What was posted meanwhile goes out without a kick, and both rings are told. */
	fe_calls(&fe, 0);
	fe_calls(&fe, 1);
	assert_int_equal(frames_out(), 1);
	assert_int_equal(fe_calls(&fe, 1), 1);
}

/* Whatever the front-end believes after our restart, the used index says what was finished. */
static void after_a_restart_nothing_is_lost_or_done_twice(void **state _unused_)
{
	static const uint16_t told[] = {7, 0, 9, 65535};

	for (unsigned i = 0; i < ARRAY_SIZE(told); i++) {
		fe_connect(&fe);
		fe_start(&fe, FE_FEATURES, 256);
		for (unsigned k = 0; k < 7; k++)
			fe_tx(&fe, NULL, frame, sizeof(frame));
		assert_int_equal(frames_out(), 7);
		fe_tx(&fe, NULL, frame, sizeof(frame));
		fe_tx(&fe, NULL, frame, sizeof(frame));

		fe_connect(&fe);
		assert_false(net_port_up(fe.port));
		fe_set_features(&fe, FE_FEATURES);
		fe_set_memory(&fe);
		fe_set_ring(&fe, 0, 256, 0);
		fe_set_ring(&fe, 1, 256, told[i]);
		assert_int_equal(fe_message(&fe), 0);
		assert_true(net_port_up(fe.port));
		fe_calls(&fe, 0);
		fe_calls(&fe, 1);
		assert_int_equal(frames_out(), 2);
		assert_int_equal(fe_used_idx(&fe, 1), 9);
		assert_int_equal(fe_calls(&fe, 0), 1);
		assert_int_equal(fe_calls(&fe, 1), 1);
	}
}

static void memory_changes_while_running(void **state _unused_)
{
	fe_start(&fe, FE_FEATURES, 256);
	for (unsigned i = 0; i < 50; i++) {
		fe_tx(&fe, NULL, frame, sizeof(frame));
		fe_set_memory(&fe);
		assert_int_equal(fe_message(&fe), 0);
		assert_int_equal(frames_out(), 1);
	}
	assert_int_equal(fe.ups, 1);
	assert_int_equal(fe.downs, 0);
}

static void resets_stop_the_rings(void **state _unused_)
{
	set_protocol(REPLY_ACK | BIT(VHOST_USER_PROTOCOL_F_STATUS) |
		     BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE));
	for (unsigned i = 0; i < 3; i++) {
		fe_start(&fe, FE_FEATURES, 256);
		assert_true(net_port_up(fe.port));
		if (i == 0)
			fe_send_u64(&fe, VHOST_USER_SET_STATUS, 0);
		else
			fe_send(&fe, i == 1 ? VHOST_USER_RESET_DEVICE : VHOST_USER_RESET_OWNER, V,
				NULL, 0, NULL, 0);
		assert_int_equal(fe_message(&fe), 0);
		assert_false(net_port_up(fe.port));
		assert_int_equal(fe.watched[0], -1);
	}
}

static void a_thousand_reconnects_leave_nothing(void **state _unused_)
{
	unsigned before;

	fe_start(&fe, FE_FEATURES, 256);
	before = fe_open_fds();
	for (unsigned i = 0; i < 1000; i++) {
		fe_connect(&fe);
		fe_start(&fe, FE_FEATURES, 256);
		if (i % 3 == 0)
			fe_start(&fe, FE_FEATURES, 256); /* all again, while it runs */
		assert_true(net_port_up(fe.port));
	}
	assert_int_equal(fe_open_fds(), before);
}

static void answers_that_nobody_reads_are_not_waited_for(void **state _unused_)
{
	int r = 0;

	for (unsigned i = 0; i < 100000 && r == 0; i++) {
		fe_send(&fe, VHOST_USER_GET_FEATURES, V, NULL, 0, NULL, 0);
		r = fe_message(&fe);
	}
	assert_int_equal(r, -EAGAIN);
}

/* By one call: messages that are sent one by one wait for room from about 270 on (Linux 6.1). */
static void send_states(unsigned n)
{
	static struct {
		struct vhost_user_header header;
		struct vhost_vring_state state;
	} all[1025];

	assert_true(n <= ARRAY_SIZE(all));
	for (unsigned i = 0; i < n; i++) {
		all[i].header = (struct vhost_user_header){VHOST_USER_SET_VRING_BASE, V,
							   sizeof(all[i].state)};
		all[i].state = (struct vhost_vring_state){.num = i};
	}
	assert_int_equal(send(fe.sock, all, n * sizeof(all[0]), 0), n * sizeof(all[0]));
}

static void all_that_waits_is_served_within_reason(void **state _unused_)
{
	int r;

	send_states(500);
	assert_int_equal(fe_message(&fe), 0);
	assert_int_equal(recv(fe.back_sock, &r, 1, MSG_DONTWAIT), -1);
	send_states(1025);
	assert_int_equal(fe_message(&fe), -EOVERFLOW);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(questions_are_answered),
		T(bad_messages_end_the_connection),
		T(messages_arrive_in_any_portions),
		T(refusals_are_told),
		T(only_an_eventfd_is_a_kick_or_a_call),
		T(memory_tables_are_checked),
		T(memory_comes_and_goes_by_slots),
		T(memory_is_bounded_by_the_machines),
		T(rings_start_in_any_order),
		T(without_protocol_features_rings_are_enabled),
		T(old_drivers_get_no_card),
		T(rings_must_lie_in_memory),
		T(an_mtu_and_an_announcement_are_judged),
		T(stopping_tells_where_to_go_on),
		T(after_a_restart_nothing_is_lost_or_done_twice),
		T(memory_changes_while_running),
		T(resets_stop_the_rings),
		T(a_thousand_reconnects_leave_nothing),
		T(answers_that_nobody_reads_are_not_waited_for),
		T(all_that_waits_is_served_within_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
