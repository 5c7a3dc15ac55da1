/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program usbrouted-vm, driven as usbrouted drives it: control's end is the real one
 * (daemon/vms/vm_process.c), the guest is a vhost-user front-end of the tests. usage: test-vm PROGRAM
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/agent_wire.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/vms/vm_process.h"
#include "vhost_user_net/net_rules.h"
#include "protocol/vm_wire.h"
#include "tests/unit/script-node.h"
#include "tests/unit/tcp-end.h"
#include "tests/unit/vu-frontend.h"
#include "usbip/usbip_spec.h"

#define SECONDS 60

/* What is run; and what it is: the program, or the same with devices that are scripts. */
static const char *program, *real, *scripted;

struct rig {
	struct loop *loop;
	struct guest *guest;
	char folder[64], path[96], next_path[96];
	pid_t pid;
	struct fe fe;
	unsigned n_stands, n_lost, n_ended, ups, downs, links_wanted, n_agents, n_asked;
	uint32_t client; /* that asked */
};

struct dev {
	struct guest_device *gd;
	unsigned opened, imported, ended, taken;
	int r;
};

/* ------------------------------------------------------------- control */

static void on_link(void *ctx, const struct guest_card *card)
{
	struct rig *rig = ctx;

	if (card->up)
		rig->ups++;
	else
		rig->downs++;
}

static void on_ended(void *ctx)
{
	((struct rig *)ctx)->n_ended++;
}

static void on_lost(void *ctx, const char *why)
{
	((struct rig *)ctx)->n_lost++;
}

static void on_stands(void *ctx)
{
	((struct rig *)ctx)->n_stands++;
}

static void on_mac_wanted(void *ctx, const uint8_t mac[6])
{
	guest_mac_granted(((struct rig *)ctx)->guest, mac, true);
}

static void on_link_wanted(void *ctx, unsigned number)
{
	struct rig *rig = ctx;

	rig->links_wanted++;
	assert_int_equal(number, 7);
}

static void on_agent_asked(void *ctx)
{
	((struct rig *)ctx)->n_agents++;
}

static void on_import_asked(void *ctx, uint32_t client, const char *busid)
{
	struct rig *rig = ctx;

	assert_string_equal(busid, "1-1");
	rig->client = client;
	rig->n_asked++;
}

static const struct guest_events events = {.link = on_link,
					   .import_asked = on_import_asked,
					   .agent_asked = on_agent_asked,
					   .ended = on_ended,
					   .mac_wanted = on_mac_wanted,
					   .link_wanted = on_link_wanted};
static const struct guest_process_events process = {.lost = on_lost, .stands = on_stands};

static void on_opened(void *ctx, int r, const char *reason)
{
	struct dev *d = ctx;

	d->opened++;
	d->r = r;
}

static void on_imported(void *ctx, int r, const struct guest_peer *peer)
{
	struct dev *d = ctx;

	assert_int_equal(r, 0);
	d->imported++;
}

static void on_taken(void *ctx, bool closed, int r, const char *reason)
{
	struct dev *d = ctx;

	assert_true(closed);
	d->taken++;
	d->gd = guest_device_free(d->gd);
}

static void on_session_ended(void *ctx, int r, const char *reason)
{
	((struct dev *)ctx)->ended++;
}

static const struct guest_device_events device_events = {
	.opened = on_opened,
	.imported = on_imported,
	.session_ended = on_session_ended,
	.taken = on_taken,
};

/* ------------------------------------------------------------- the machine */

static void late(void *ctx, int res)
{
	fail_msg("it did not happen: %s", (const char *)ctx);
}

static void until(struct rig *rig, const unsigned *count, unsigned n, const char *what)
{
	struct loop_watch watch = {0};

	loop_watch_time(rig->loop, &watch, SECONDS * 1000000000ull, late, (void *)what);
	while (*count < n)
		loop_turn(rig->loop, true);
	loop_cancel(rig->loop, &watch);
}

static int unix_listen(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static int unix_connect(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* As the broker does it. */
static void start_process(struct rig *rig)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	rig->pid = fork();
	if (rig->pid == 0) {
		if (pair[1] != 3)
			dup2(pair[1], 3);
		else
			fcntl(3, F_SETFD, 0);
		close_range(4, ~0u, 0);
		execl(program, program, "vm1", NULL);
		_exit(127);
	}
	close(pair[1]);
	guest_connect(rig->guest, pair[0], -1, &process);
}

static int process_ends(struct rig *rig)
{
	int status;

	assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
	rig->pid = 0;
	return status;
}

static struct rig *rig_at(const char *address)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct guest_config config = {.name = "vm1", .prefix = 24, .memory = {1 << 20, 1 << 20}};

	inet_pton(AF_INET, address, &config.address);
	inet_pton(AF_INET, "10.77.0.1", &config.daemon);
	snprintf(rig->folder, sizeof(rig->folder), "/tmp/test-vm-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	snprintf(rig->path, sizeof(rig->path), "%s/vm1.sock", rig->folder);
	snprintf(rig->next_path, sizeof(rig->next_path), "%s/vm1.line", rig->folder);
	config.listener = unix_listen(rig->path, SOCK_STREAM);
	assert_int_equal(loop_new(&rig->loop), 0);
	assert_int_equal(guest_start(&rig->guest, &config, rig->loop, &events, rig), 0);
	guest_set_next(rig->guest, unix_listen(rig->next_path, SOCK_SEQPACKET));
	start_process(rig);
	until(rig, &rig->n_stands, 1, "the process stands");
	return rig;
}

static struct rig *rig_new(void)
{
	return rig_at("10.77.0.11");
}

static void rig_free(struct rig *rig)
{
	if (rig->pid) {
		kill(rig->pid, SIGKILL);
		process_ends(rig);
	}
	guest_free(rig->guest);
	loop_free(rig->loop);
	unlink(rig->path);
	unlink(rig->next_path);
	rmdir(rig->folder);
	free(rig);
}

static void machine_boots(struct rig *rig, struct fe *fe)
{
	fe_open_far(fe, unix_connect(rig->path, SOCK_STREAM));
	fe_start(fe, FE_FEATURES, 256);
}

/* The guest asks who has the daemon's address, and is answered. */
static void frame_passes(struct fe *fe)
{
	struct virtio_net_hdr hdr = {0};
	uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0, 0,
			     9,	   0x08, 0x06, 0,    1,	   8,	 0,    6,    4, 0, 1,
			     0x52, 0x54, 0,    0,    0,	   9,	 10,   77,   0, 11};
	uint8_t got[200];
	size_t n = 0;

	memcpy(frame + 38, (uint8_t[]){10, 77, 0, 1}, 4);
	fe_rx_fill(fe, 64, 2048);
	fe_tx(fe, &hdr, frame, sizeof(frame));
	eventfd_write(fe->ring[VIRTIO_NET_TX].kick, 1);
	for (unsigned i = 0; i < SECONDS * 1000 && n != 42; i++) {
		n = fe_rx(fe, &hdr, got, sizeof(got));
		if (!n)
			poll(NULL, 0, 1);
	}
	assert_int_equal(n, 42);
	assert_memory_equal(got + 22, net_daemon_mac, 6);
}

/* ------------------------------------------------------------- tests */

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

/* From the guest's TCP to the device and back, all in a process that has shut itself in. */
static void test_a_device_that_is_a_script(void **state)
{
	static const uint8_t import[40] = {1, 0x11, 0x80, 3, [8] = '1', '-', '1'};
	struct end e = {.from = 40000, .to = 3240, .snd = 1000};
	struct usb_device_info info = {.busid = "1-1", .busnum = 1, .devnum = 2, .speed = 3};
	struct rig *rig;
	struct dev d = {0};
	uint8_t got[320];
	struct fe fe;

	program = scripted;
	rig = rig_new();
	machine_boots(rig, &fe);
	until(rig, &rig->ups, 1, "the card is up");
	fe_rx_fill(&fe, 128, 2048);
	d.gd = guest_device_new("script", &info, script_node_open(), rig->loop, &device_events, &d);
	guest_give(rig->guest, d.gd);
	until(rig, &d.opened, 1, "it is opened");
	assert_int_equal(d.r, 0);
	end_says(&fe, &e, TCP_SYN, NULL, 0);
	e.snd++;
	hears(rig, &fe, &e, got, 1);
	says(&fe, &e, import, sizeof(import));
	until(rig, &rig->n_asked, 1, "the guest asks for it");
	guest_import(rig->guest, d.gd, rig->client);
	until(rig, &d.imported, 1, "the guest has it");
	hears(rig, &fe, &e, got, 320);
	assert_memory_equal(got, "\x01\x11\x00\x03\x00\x00\x00\x00", 8);
	submits(&fe, &e, 1, true, "");
	submits(&fe, &e, 2, false, "hello");
	hears(rig, &fe, &e, got, 48 + 48 + 5);
	assert_true(got[3] == 3 && got[7] == 2 && got[27] == 5);
	assert_true(got[48 + 3] == 3 && got[48 + 7] == 1 && got[48 + 27] == 5);
	assert_memory_equal(got + 48 + 48, "hello", 5);
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
	program = real;
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

static union vm_wire_message next_hears(int line)
{
	union vm_wire_message m;
	struct pollfd wait = {.fd = line, .events = POLLIN};
	const char *fault;
	ssize_t n;

	memset(&m, 0, sizeof(m));
	assert_int_equal(poll(&wait, 1, SECONDS * 1000), 1);
	n = recv(line, &m, sizeof(m), 0);
	assert_true(n > 0);
	assert_int_equal(vm_wire_check(&m, (size_t)n, 0, VM_WIRE_VM, &fault), 0);
	return m;
}

/* Control goes, and the guest notices nothing; the next one hears how things stand. */
static void test_it_outlives_control(void **state)
{
	struct rig *rig = rig_new();
	struct vm_wire_hello hello = {.kind = VM_ASK_HELLO, .version = 1, .least = 1};
	union vm_wire_message m;
	struct fe fe;
	int line;

	machine_boots(rig, &fe);
	until(rig, &rig->ups, 1, "the card is up");
	rig->guest = guest_free(rig->guest);
	frame_passes(&fe);
	for (unsigned i = 0; i < 3; i++) {
		line = unix_connect(rig->next_path, SOCK_SEQPACKET);
		assert_int_equal(fd_send(line, &hello, sizeof(hello), NULL, 0), 0);
		m = next_hears(line);
		assert_int_equal(m.kind, VM_SAY_HELLO);
		assert_int_equal(m.hello.serves, 1);
		assert_int_equal(fd_send(line, &(struct vm_wire_plain){.kind = VM_ASK_HELD},
					 sizeof(struct vm_wire_plain), NULL, 0),
				 0);
		m = next_hears(line);
		assert_int_equal(m.kind, VM_SAY_CARD);
		assert_int_equal(m.card.up, 1);
		assert_int_equal(next_hears(line).kind, VM_SAY_HELD_ALL);
		frame_passes(&fe);
		if (i < 2)
			close(line);
	}
	/* The real end. */
	assert_int_equal(fd_send(line, &(struct vm_wire_plain){.kind = VM_ASK_END},
				 sizeof(struct vm_wire_plain), NULL, 0),
			 0);
	do
		m = next_hears(line);
	while (m.kind == VM_SAY_CARD || m.kind == VM_SAY_MAC_WANTED);
	assert_int_equal(m.kind, VM_SAY_ENDED);
	assert_int_equal(process_ends(rig), 0);
	close(line);
	fe_close(&fe);
	rig_free(rig);
}

/* A control that has connected and said HELLO. */
static int greets(const char *path)
{
	struct vm_wire_hello hello = {.kind = VM_ASK_HELLO, .version = 1, .least = 1};
	int line = unix_connect(path, SOCK_SEQPACKET);

	assert_int_equal(fd_send(line, &hello, sizeof(hello), NULL, 0), 0);
	assert_int_equal(next_hears(line).hello.serves, 1);
	return line;
}

/* A control that dies before its own door has the name leaves the one that it came by. */
static void test_the_door_that_control_came_by_stays(void **state)
{
	struct rig *rig = rig_new();
	struct vm_wire_start start = {.kind = VM_ASK_START, .name = "vm1", .prefix = 24};
	char doors[4][120];
	int line;

	inet_pton(AF_INET, "10.77.0.11", start.address);
	inet_pton(AF_INET, "10.77.0.1", start.daemon);
	rig->guest = guest_free(rig->guest);
	snprintf(doors[0], sizeof(doors[0]), "%s", rig->next_path);
	for (unsigned i = 1; i < 4; i++) {
		int fds[2];

		snprintf(doors[i], sizeof(doors[i]), "%s.%u", rig->next_path, i);
		/* The first two die early; the third one's door counts from then on. */
		line = greets(doors[i < 3 ? 0 : 2]);
		fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		fds[1] = unix_listen(doors[i], SOCK_SEQPACKET);
		assert_int_equal(fd_send(line, &start, sizeof(start), fds, 2), 0);
		assert_int_equal(next_hears(line).started.r, 0);
		close(fds[0]);
		close(fds[1]);
		close(line);
	}
	close(greets(doors[2]));
	close(greets(doors[3]));
	for (unsigned i = 1; i < 4; i++)
		unlink(doors[i]);
	rig_free(rig);
}

/* The next segment that says more than an acknowledgement does. */
static struct seen end_hears(struct fe *fe, struct end *e)
{
	struct seen s = {0};

	for (unsigned i = 0; i < SECONDS * 1000; i++) {
		if (end_sees(fe, &s) && (s.len || s.flags & ~TCP_ACK)) {
			e->rcv = s.seq + (uint32_t)s.len + !!(s.flags & (TCP_SYN | TCP_FIN));
			return s;
		}
		poll(NULL, 0, 1);
	}
	fail_msg("no segment came");
	return s;
}

static void reads(int sock, const char *text)
{
	struct timeval patience = {.tv_sec = SECONDS};
	char got[100];

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(recv(sock, got, strlen(text), MSG_WAITALL), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

/* A control that has just connected, asks what there is, and is asked for the agent's socket. */
static int asks_for_the_agent(const struct rig *rig, unsigned number, int *ret_sock)
{
	struct vm_wire_hello hello = {.kind = VM_ASK_HELLO, .version = 1, .least = 1};
	struct vm_wire_number give = {.kind = VM_ASK_AGENT, .number = number};
	int line = unix_connect(rig->next_path, SOCK_SEQPACKET), pair[2];

	assert_int_equal(fd_send(line, &hello, sizeof(hello), NULL, 0), 0);
	assert_int_equal(next_hears(line).kind, VM_SAY_HELLO);
	assert_int_equal(fd_send(line, &(struct vm_wire_plain){.kind = VM_ASK_HELD},
				 sizeof(struct vm_wire_plain), NULL, 0),
			 0);
	/* Not before it knows what there is. */
	assert_int_equal(next_hears(line).kind, VM_SAY_CARD);
	assert_int_equal(next_hears(line).kind, VM_SAY_HELD_ALL);
	assert_int_equal(next_hears(line).kind, VM_SAY_AGENT_ASKED);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fd_send(line, &give, sizeof(give), &pair[1], 1), 0);
	close(pair[1]);
	*ret_sock = pair[0];
	return line;
}

/* A guest's client asks for a device where there is no control, and the next one is asked. */
static void test_a_client_waits_for_control(void **state)
{
	struct {
		struct op_common op;
		struct op_import_request request;
	} ask = {.op = {.version = be16_of(USBIP_VERSION), .code = be16_of(OP_REQ_IMPORT)}};
	struct end e = {.from = 40000, .to = USBIP_PORT, .snd = 1000};
	struct vm_wire_refuse refuse = {.kind = VM_ASK_REFUSE, .status = USBIP_ST_ERROR};
	struct rig *rig = rig_new();
	union vm_wire_message m;
	struct seen s;
	struct fe fe;
	int line;

	snprintf(ask.request.busid, sizeof(ask.request.busid), "1-1");
	machine_boots(rig, &fe);
	fe_rx_fill(&fe, 64, 2048);
	until(rig, &rig->ups, 1, "the card is up");
	rig->guest = guest_free(rig->guest);
	end_says(&fe, &e, TCP_SYN, NULL, 0);
	e.snd++;
	assert_int_equal(end_hears(&fe, &e).flags, TCP_SYN | TCP_ACK);
	end_says(&fe, &e, TCP_ACK | TCP_PSH, &ask, sizeof(ask));
	e.snd += sizeof(ask);
	/* One that dies before it has answered is followed by another. */
	for (unsigned i = 0; i < 3; i++) {
		line = greets(rig->next_path);
		assert_int_equal(fd_send(line, &(struct vm_wire_plain){.kind = VM_ASK_HELD},
					 sizeof(struct vm_wire_plain), NULL, 0),
				 0);
		assert_int_equal(next_hears(line).kind, VM_SAY_CARD);
		assert_int_equal(next_hears(line).kind, VM_SAY_HELD_ALL);
		/* Whose MAC it is was asked of the one that went, too. */
		do
			m = next_hears(line);
		while (m.kind == VM_SAY_MAC_WANTED);
		assert_int_equal(m.kind, VM_SAY_IMPORT_ASKED);
		assert_string_equal(m.import_asked.busid, "1-1");
		if (i < 2)
			close(line);
	}
	refuse.client = m.import_asked.client;
	assert_int_equal(fd_send(line, &refuse, sizeof(refuse), NULL, 0), 0);
	s = end_hears(&fe, &e);
	assert_int_equal(s.len, sizeof(struct op_common));
	assert_int_equal(s.data[7], USBIP_ST_ERROR);
	close(line);
	/* None comes: in the end it is refused. */
	e = (struct end){.from = 40001, .to = USBIP_PORT, .snd = 1000};
	end_says(&fe, &e, TCP_SYN, NULL, 0);
	e.snd++;
	while (end_hears(&fe, &e).to != e.from)
		;
	end_says(&fe, &e, TCP_ACK | TCP_PSH, &ask, sizeof(ask));
	e.snd += sizeof(ask);
	do
		s = end_hears(&fe, &e);
	while (s.to != e.from);
	assert_int_equal(s.len, sizeof(struct op_common));
	assert_int_equal(s.data[7], USBIP_ST_NODEV);
	fe_close(&fe);
	rig_free(rig);
}

/* Controls come and go, and the guest's agent has the same connection to all of them. */
static void test_an_agent_outlives_control(void **state)
{
	struct end e = {.from = 40000, .to = AGENT_PORT, .snd = 1000};
	struct vm_wire_number end = {.kind = VM_ASK_AGENT_END, .number = 3};
	struct rig *rig = rig_new();
	int line = -1, pair[2];
	struct seen s;
	struct fe fe;

	machine_boots(rig, &fe);
	fe_rx_fill(&fe, 64, 2048);
	until(rig, &rig->ups, 1, "the card is up");
	end_says(&fe, &e, TCP_SYN, NULL, 0);
	e.snd++;
	assert_int_equal(end_hears(&fe, &e).flags, TCP_SYN | TCP_ACK);
	end_says(&fe, &e, TCP_ACK | TCP_PSH, "HELLO 1 x\n", 10);
	e.snd += 10;
	until(rig, &rig->n_agents, 1, "an agent asks");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	guest_agent(rig->guest, 1, pair[1]);
	reads(pair[0], "HELLO 1 x\n");
	rig->guest = guest_free(rig->guest);
	close(pair[0]);
	for (unsigned i = 0; i < 4; i++) {
		if (line >= 0) {
			close(line);
			close(pair[0]);
		}
		line = asks_for_the_agent(rig, i, &pair[0]);
		reads(pair[0], "HELLO 1 x\n");
		assert_int_equal(send(pair[0], "WELCOME\nhalf", 12, MSG_NOSIGNAL), 12);
		s = end_hears(&fe, &e);
		assert_int_equal(s.len, 8);
		assert_memory_equal(s.data, "WELCOME\n", 8);
		end_says(&fe, &e, TCP_ACK, NULL, 0);
	}
	close(pair[0]);
	assert_int_equal(fd_send(line, &end, sizeof(end), NULL, 0), 0);
	assert_true(end_hears(&fe, &e).flags & TCP_FIN);
	close(line);
	fe_close(&fe);
	rig_free(rig);
}

/* A control that was taken over costs its line, and no guest. */
static void test_nonsense_from_control(void **state)
{
	struct rig *rig = rig_new();
	static const union vm_wire_message said[] = {
		{.device = {.kind = VM_ASK_TAKE, .device = 77}},
		{.device = {.kind = VM_ASK_RESET, .device = 77}},
		{.hello = {.kind = VM_ASK_HELLO, .version = 9, .least = 8}},
		{.device = {.kind = VM_ASK_GIVE}}, /* too short, and without its node */
	};
	struct fe fe;

	machine_boots(rig, &fe);
	until(rig, &rig->ups, 1, "the card is up");
	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		struct vm_wire_hello hello = {.kind = VM_ASK_HELLO, .version = 1, .least = 1};
		int line = unix_connect(rig->next_path, SOCK_SEQPACKET);
		size_t len = said[i].kind == VM_ASK_HELLO ? sizeof(hello) : sizeof(said[i].device);
		char byte;

		fd_send(line, &hello, sizeof(hello), NULL, 0);
		next_hears(line);
		assert_int_equal(fd_send(line, &said[i], len, NULL, 0), 0);
		if (said[i].kind == VM_ASK_HELLO) {
			/* Of a version that it does not speak it takes END, and nothing else. */
			next_hears(line);
			assert_int_equal(fd_send(line, &(struct vm_wire_plain){.kind = VM_ASK_HELD},
						 sizeof(struct vm_wire_plain), NULL, 0),
					 0);
		}
		assert_int_equal(recv(line, &byte, 1, 0), 0);
		close(line);
		frame_passes(&fe);
	}
	fe_close(&fe);
	rig_free(rig);
}

/* Without anything to do, it ends with its control. */
static void test_control_goes_at_once(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	rig->pid = fork();
	if (rig->pid == 0) {
		dup2(pair[1], 3);
		close_range(4, ~0u, 0);
		execl(program, program, "vm1", NULL);
		_exit(127);
	}
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(process_ends(rig), 0);
	free(rig);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_machine_comes_and_goes),
		cmocka_unit_test(test_a_device_that_is_none),
		cmocka_unit_test(test_a_device_that_is_a_script),
		cmocka_unit_test(test_a_process_is_killed),
		cmocka_unit_test(test_frames_cross_between_processes),
		cmocka_unit_test(test_it_outlives_control),
		cmocka_unit_test(test_the_door_that_control_came_by_stays),
		cmocka_unit_test(test_a_client_waits_for_control),
		cmocka_unit_test(test_an_agent_outlives_control),
		cmocka_unit_test(test_nonsense_from_control),
		cmocka_unit_test(test_control_goes_at_once),
	};

	if (argc < 3)
		return 2;
	program = real = argv[1];
	scripted = argv[2];
	log_init(LOG_LEVEL_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
