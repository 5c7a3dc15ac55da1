/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usbrouted-vm: a machine, its devices, frames to another one. usage: test-vm PROGRAM SCRIPTED, the same program
 * with devices that are scripts
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "tests/device/vm-rig.h"
#include "tests/unit/script-node.h"
#include "tests/unit/tcp-end.h"
#include "tests/unit/vu-frontend.h"
#include "vhost_user_net/net_rules.h"

/* What it is: the program, or the same with devices that are scripts. */
static const char *real, *scripted;

static void test_a_machine_comes_and_goes(void **state)
{
	struct rig *rig = rig_new();
	struct fe fe;

	machine_boots(rig, &fe);
	until(rig, &rig->ups, 1, "the card is up");
	frame_passes(&fe);
	fe_close(&fe);
	until(rig, &rig->downs, 1, "the card is down");
	guest_stop(rig->guest);
	until(rig, &rig->n_ended, 1, "the end");
	assert_int_equal(process_ends(rig), 0);
	assert_int_equal(rig->n_lost, 0);
	rig_free(rig);
}

/* What is no USB device can't be claimed, and is given back; also while the process ends. */
static void test_a_device_that_is_none(void **state)
{
	struct rig *rig = rig_new();
	struct usb_device_info info = {.busid = "1-1", .busnum = 1, .devnum = 2};
	struct dev d = {0}, late_one = {0};

	d.gd = guest_device_new("nothing", &info, open("/dev/null", O_RDWR | O_CLOEXEC), rig->loop,
				&device_events, &d);
	guest_give(rig->guest, d.gd);
	until(rig, &d.opened, 1, "it is opened");
	assert_true(d.r < 0);
	guest_take(rig->guest, d.gd, true);
	until(rig, &d.taken, 1, "it is taken");
	late_one.gd = guest_device_new("nothing", &info, open("/dev/null", O_RDWR | O_CLOEXEC),
				       rig->loop, &device_events, &late_one);
	guest_give(rig->guest, late_one.gd);
	guest_stop(rig->guest);
	until(rig, &late_one.taken, 1, "it is taken at the end");
	until(rig, &rig->n_ended, 1, "the end");
	assert_int_equal(process_ends(rig), 0);
	rig_free(rig);
}

/* The next bytes that the guest's end of a connection has. */
static void hears(struct rig *rig, struct fe *fe, struct end *e, uint8_t *to, size_t len)
{
	struct seen s;

	for (unsigned i = 0; i < SECONDS * 1000 && len; i++) {
		loop_turn(rig->loop, false);
		if (!end_sees(fe, &s)) {
			poll(NULL, 0, 1);
			continue;
		}
		if (s.flags & TCP_SYN)
			e->rcv = s.seq + 1;
		else if (!s.len || s.seq != e->rcv)
			continue;
		assert_true(s.len <= len);
		memcpy(to, s.data, s.len);
		to += s.len;
		len -= s.len + (s.flags & TCP_SYN ? 1 : 0);
		e->rcv += (uint32_t)s.len;
		end_says(fe, e, TCP_ACK, NULL, 0);
	}
	assert_int_equal(len, 0);
}

static void says(struct fe *fe, struct end *e, const void *data, size_t len)
{
	end_says(fe, e, TCP_ACK | TCP_PSH, data, len);
	e->snd += (uint32_t)len;
}

/* The guest's SUBMIT to endpoint 2; what goes out follows it. */
static void submits(struct fe *fe, struct end *e, uint8_t seqnum, bool in, const char *data)
{
	uint8_t pdu[64] = {[3] = 1, [7] = seqnum, [9] = 1, [11] = 2, [15] = in, [19] = 2};
	size_t len = in ? 0 : strlen(data);

	pdu[27] = in ? 64 : (uint8_t)len;
	memcpy(pdu + 48, data, len);
	says(fe, e, pdu, 48 + len);
}

/* What the process has counted of a device so far; from now on it counts times, or does not. */
static struct urb_stats counted(struct rig *rig, const struct dev *d, bool timed)
{
	unsigned n = rig->n_stats;
	struct urb_stats stats;

	assert_true(guest_ask_stats(rig->guest, timed));
	/* One answer at a time. */
	assert_false(guest_ask_stats(rig->guest, timed));
	until(rig, &rig->n_stats, n + 1, "the process has told what it has counted");
	assert_true(guest_device_stats(d->gd, &stats));
	return stats;
}

/* A client of the guest's has asked for a device. */
static void asks_for(struct rig *rig, struct fe *fe, struct end *e, struct dev *d)
{
	static const uint8_t import[40] = {1, 0x11, 0x80, 3, [8] = '1', '-', '1'};
	struct usb_device_info info = {.busid = "1-1", .busnum = 1, .devnum = 2, .speed = 3};
	uint8_t none[1];

	machine_boots(rig, fe);
	until(rig, &rig->ups, 1, "the card is up");
	fe_rx_fill(fe, 128, 2048);
	d->gd = guest_device_new("script", &info, script_node_open(), rig->loop, &device_events, d);
	guest_give(rig->guest, d->gd);
	until(rig, &d->opened, 1, "it is opened");
	assert_int_equal(d->r, 0);
	end_says(fe, e, TCP_SYN, NULL, 0);
	e->snd++;
	hears(rig, fe, e, none, 1);
	says(fe, e, import, sizeof(import));
	until(rig, &rig->n_asked, 1, "the guest asks for it");
}

/* From the guest's TCP to the device and back, all in a process that has shut itself in. */
static void test_a_device_that_is_a_script(void **state)
{
	struct end e = {.from = 40000, .to = 3240, .snd = 1000};
	struct rig *rig;
	struct dev d = {0};
	struct urb_stats stats;
	uint8_t got[320];
	struct fe fe;

	vm_program = scripted;
	rig = rig_new();
	asks_for(rig, &fe, &e, &d);
	guest_import(rig->guest, d.gd, rig->client);
	until(rig, &d.imported, 1, "the guest has it");
	hears(rig, &fe, &e, got, 320);
	assert_memory_equal(got, "\x01\x11\x00\x03\x00\x00\x00\x00", 8);
	stats = counted(rig, &d, true);
	assert_int_equal(stats.urbs, 0);
	submits(&fe, &e, 1, true, "");
	submits(&fe, &e, 2, false, "hello");
	hears(rig, &fe, &e, got, 48 + 48 + 5);
	assert_true(got[3] == 3 && got[7] == 2 && got[27] == 5);
	assert_true(got[48 + 3] == 3 && got[48 + 7] == 1 && got[48 + 27] == 5);
	assert_memory_equal(got + 48 + 48, "hello", 5);
	stats = counted(rig, &d, false);
	assert_int_equal(stats.urbs, 2);
	assert_int_equal(stats.in_bytes, 5);
	assert_int_equal(stats.out_bytes, 5);
	assert_int_equal(latency_count(&stats.answer), 2);
	assert_int_equal(latency_count(&stats.device), 2);
	assert_int_equal(guest_memory(rig->guest).charged, 0);
	/* Nobody looks any more. */
	submits(&fe, &e, 4, false, "there");
	hears(rig, &fe, &e, got, 48);
	stats = counted(rig, &d, false);
	assert_int_equal(stats.urbs, 3);
	assert_int_equal(latency_count(&stats.answer), 2);
	/* One waits for ever, and ends with its session. */
	submits(&fe, &e, 3, true, "");
	guest_take(rig->guest, d.gd, true);
	until(rig, &d.taken, 1, "it is taken");
	assert_int_equal(d.ended, 1);
	fe_close(&fe);
	guest_stop(rig->guest);
	until(rig, &rig->n_ended, 1, "the end");
	assert_int_equal(process_ends(rig), 0);
	rig_free(rig);
	vm_program = real;
}

/*
 * A guest has a device: by then control knows by which connection, or nobody could tell the guest that it is
 * dead. So the process is killed at the moment when the guest has its answer.
 */
static void test_killed_at_an_import(void **state)
{
	vm_program = scripted;
	for (unsigned i = 0; i < 20; i++) {
		struct end e = {.from = 40000, .to = 3240, .snd = 1000};
		struct rig *rig = rig_new();
		struct dev d = {0};
		struct seen s = {0};
		struct fe fe;

		asks_for(rig, &fe, &e, &d);
		guest_import(rig->guest, d.gd, rig->client);
		while (!end_sees(&fe, &s) || s.len < 8)
			;
		kill(rig->pid, SIGKILL);
		assert_memory_equal(s.data, "\x01\x11\x00\x03\x00\x00\x00\x00", 8);
		until(rig, &rig->n_lost, 1, "control notices");
		assert_int_equal(d.imported, 1);
		assert_int_equal(rig->n_connections_lost, 1);
		assert_int_equal(process_ends(rig), SIGKILL);
		fe_close(&fe);
		rig_free(rig);
	}
	vm_program = real;
}

/* A process that is killed takes nothing along but itself: the next one has the same listener. */
static void test_a_process_is_killed(void **state)
{
	struct rig *rig = rig_new();
	struct fe fe;
	char byte;

	machine_boots(rig, &fe);
	until(rig, &rig->ups, 1, "the card is up");
	kill(rig->pid, SIGKILL);
	until(rig, &rig->n_lost, 1, "control notices");
	assert_int_equal(rig->downs, 1);
	assert_int_equal(process_ends(rig), SIGKILL);
	/* QEMU sees that its connection has ended, and connects again. */
	assert_int_equal(recv(fe.sock, &byte, 1, 0), 0);
	fe_close(&fe);
	start_process(rig);
	machine_boots(rig, &fe);
	until(rig, &rig->n_stands, 2, "another process stands");
	until(rig, &rig->ups, 2, "the card is up again");
	frame_passes(&fe);
	fe_close(&fe);
	rig_free(rig);
}

/* ------------------------------------------------------------- two of them */

/* To each, the other is port 7, from its own point of view; so side and number are apart. */
static void introduce(struct rig *to, const uint8_t mac[6], const char *address)
{
	struct net_peer peer = {.number = 7, .up = true};

	memcpy(peer.mac, mac, 6);
	inet_pton(AF_INET, address, &peer.address);
	guest_peer_set(to->guest, &peer);
	until(to, &to->links_wanted, 1, "a link is wanted");
}

/* An IPv4 packet of the guest at 10.77.0.LAST, to a MAC. */
static size_t packet(uint8_t f[34], const uint8_t to[6], const uint8_t from[6], uint8_t last)
{
	static const uint8_t ip[] = {8, 0, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0};

	memcpy(f, to, 6);
	memcpy(f + 6, from, 6);
	memcpy(f + 12, ip, sizeof(ip));
	memcpy(f + 26, (uint8_t[8]){10, 77, 0, last, 10, 77, 0, 99}, 8);
	return 34;
}

/* What is said in order is heard in order: an answer to the last word is one to all. */
static void all_heard(struct rig *rig)
{
	struct usb_device_info info = {.busid = "1-1", .busnum = 1, .devnum = 2};
	struct dev d = {0};

	d.gd = guest_device_new("nothing", &info, open("/dev/null", O_RDWR | O_CLOEXEC), rig->loop,
				&device_events, &d);
	guest_give(rig->guest, d.gd);
	until(rig, &d.opened, 1, "it is opened");
	guest_take(rig->guest, d.gd, true);
	until(rig, &d.taken, 1, "it is taken");
}

static void crosses(struct fe *from, struct fe *to, const uint8_t *f, size_t len)
{
	struct pollfd wait = {.fd = to->ring[VIRTIO_NET_RX].call, .events = POLLIN};
	struct virtio_net_hdr hdr;
	uint8_t got[2000];
	eventfd_t x;
	size_t n;

	fe_tx(from, NULL, f, len);
	eventfd_write(from->ring[VIRTIO_NET_TX].kick, 1);
	do {
		got[7] = 0;
		n = fe_rx(to, &hdr, got, sizeof(got));
		if (!n) {
			assert_int_equal(poll(&wait, 1, SECONDS * 1000), 1);
			eventfd_read(wait.fd, &x);
		}
		/* With a device comes the question who has the daemon's address. */
	} while (!n || got[6 + 1] == 0x75);
	assert_int_equal(n, len);
	assert_memory_equal(got, f, len);
}

static void test_frames_cross_between_processes(void **state)
{
	static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 1}, mac_b[6] = {2, 0, 0, 0, 0, 2};
	struct rig *a = rig_at("10.77.0.11"), *b = rig_at("10.77.0.12");
	int memory, wake[2];
	struct fe fe_a, fe_b;
	uint8_t f[34];
	size_t len;

	/* Without the event index: each frame is told. */
	fe_open_far(&fe_a, unix_connect(a->path, SOCK_STREAM));
	fe_start(&fe_a, FE_FEATURES & ~(1ull << VIRTIO_F_EVENT_IDX), 256);
	fe_open_far(&fe_b, unix_connect(b->path, SOCK_STREAM));
	fe_start(&fe_b, FE_FEATURES & ~(1ull << VIRTIO_F_EVENT_IDX), 256);
	fe_rx_fill(&fe_a, 256, 2048);
	fe_rx_fill(&fe_b, 256, 2048);
	until(a, &a->ups, 1, "the card is up");
	until(b, &b->ups, 1, "the card is up");
	guest_mac_granted(a->guest, mac_a, true);
	guest_mac_granted(b->guest, mac_b, true);
	introduce(a, mac_b, "10.77.0.12");
	introduce(b, mac_a, "10.77.0.11");
	assert_int_equal(net_link_make(&memory, wake), 0);
	guest_link(a->guest, 7, 0, dup(memory), dup(wake[0]), dup(wake[1]));
	guest_link(b->guest, 7, 1, memory, wake[1], wake[0]);
	all_heard(a);
	all_heard(b);
	for (unsigned i = 0; i < 200; i++) {
		len = packet(f, mac_b, mac_a, 11);
		crosses(&fe_a, &fe_b, f, len);
		len = packet(f, mac_a, mac_b, 12);
		crosses(&fe_b, &fe_a, f, len);
	}
	/* One dies; the other's guest has its card all the same. */
	kill(a->pid, SIGKILL);
	until(a, &a->n_lost, 1, "control notices");
	process_ends(a);
	guest_peer_gone(b->guest, 7);
	all_heard(b);
	assert_int_equal(b->n_lost + b->downs, 0);
	fe_close(&fe_a);
	fe_close(&fe_b);
	rig_free(a);
	rig_free(b);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_machine_comes_and_goes),
		cmocka_unit_test(test_a_device_that_is_none),
		cmocka_unit_test(test_a_device_that_is_a_script),
		cmocka_unit_test(test_killed_at_an_import),
		cmocka_unit_test(test_a_process_is_killed),
		cmocka_unit_test(test_frames_cross_between_processes),
	};

	if (argc < 3)
		return 2;
	vm_program = real = argv[1];
	scripted = argv[2];
	log_init(LOG_LEVEL_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
