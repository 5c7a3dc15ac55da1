/* SPDX-License-Identifier: BSD-2-Clause */
/* usbrouted-vm between control and a guest; see vm-rig.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
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

#include "tests/device/vm-rig.h"
#include "tests/unit/vu-frontend.h"
#include "vhost_user_net/net_rules.h"

const char *vm_program;

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

static void on_connection_lost(void *ctx, const struct guest_peer *peer)
{
	assert_int_equal(peer->port, 40000);
	((struct rig *)ctx)->n_connections_lost++;
}

static const struct guest_events events = {.link = on_link,
					   .import_asked = on_import_asked,
					   .agent_asked = on_agent_asked,
					   .connection_lost = on_connection_lost,
					   .ended = on_ended,
					   .mac_wanted = on_mac_wanted,
					   .link_wanted = on_link_wanted};

static void on_stats(void *ctx)
{
	((struct rig *)ctx)->n_stats++;
}

static const struct guest_process_events process = {
	.lost = on_lost, .stands = on_stands, .stats = on_stats};

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

const struct guest_device_events device_events = {
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

void until(struct rig *rig, const unsigned *count, unsigned n, const char *what)
{
	struct loop_watch watch = {0};

	loop_watch_time(rig->loop, &watch, SECONDS * 1000000000ull, late, (void *)what);
	while (*count < n)
		loop_turn(rig->loop, true);
	loop_cancel(rig->loop, &watch);
}

int unix_listen(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

int unix_connect(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* As the broker does it. */
void start_process(struct rig *rig)
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
		execl(vm_program, vm_program, "vm1", NULL);
		_exit(127);
	}
	close(pair[1]);
	guest_connect(rig->guest, pair[0], -1, &process);
}

int process_ends(struct rig *rig)
{
	int status;

	assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
	rig->pid = 0;
	return status;
}

struct rig *rig_at(const char *address)
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

struct rig *rig_new(void)
{
	return rig_at("10.77.0.11");
}

void rig_free(struct rig *rig)
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

void machine_boots(struct rig *rig, struct fe *fe)
{
	fe_open_far(fe, unix_connect(rig->path, SOCK_STREAM));
	fe_start(fe, FE_FEATURES, 256);
}

/* The guest asks who has the daemon's address, and is answered. */
void frame_passes(struct fe *fe)
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
