/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/guest-net-rig.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost_user_net/net_port.h"

/* ------------------------------------------------------------- control */

static void on_link(void *ctx, const struct guest_card *card)
{
	((struct rig *)ctx)->ups += card->up;
}

static void on_import_asked(void *ctx, uint32_t client, const char *busid)
{
	struct rig *rig = ctx;

	rig->n_asked++;
	rig->client = client;
	snprintf(rig->name, sizeof(rig->name), "%s", busid);
}

static void on_agent_asked(void *ctx)
{
	((struct rig *)ctx)->agents++;
}

static void on_ended(void *ctx)
{
	((struct rig *)ctx)->ended++;
}

static void on_mac_wanted(void *ctx, const uint8_t mac[6])
{
	struct rig *rig = ctx;

	guest_mac_granted(rig->guest, mac, true);
}

static const struct guest_events events = {.link = on_link,
					   .import_asked = on_import_asked,
					   .agent_asked = on_agent_asked,
					   .ended = on_ended,
					   .mac_wanted = on_mac_wanted};

void until(struct rig *rig, const unsigned *count, unsigned n)
{
	for (unsigned ms = 0; *count < n; ms++) {
		assert_true(ms < PATIENCE_MS);
		loop_turn(rig->loop, false);
		poll(NULL, 0, 1);
	}
	assert_int_equal(*count, n);
}

/* ------------------------------------------------------------- the guest */

int connects_to(struct rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->path);
	assert_int_equal(connect(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	return sock;
}

void starts(struct rig *rig)
{
	unsigned ups = rig->ups;

	fe_start(&rig->fe, FE_FEATURES, 256);
	fe_rx_fill(&rig->fe, 256, 2048);
	eventfd_write(rig->fe.ring[VIRTIO_NET_RX].kick, 1);
	until(rig, &rig->ups, ups + 1);
}

void boots(struct rig *rig)
{
	fe_open_far(&rig->fe, connects_to(rig));
	starts(rig);
}

void says(struct rig *rig, const struct end *e, uint8_t flags, const void *data, size_t len)
{
	end_says(&rig->fe, e, flags, data, len);
}

/* The next segment for the guest. Return: false where none comes within so many ms. */
bool comes(struct rig *rig, struct seen *s, unsigned ms)
{
	for (; !end_sees(&rig->fe, s); ms--) {
		if (!ms)
			return false;
		loop_turn(rig->loop, false);
		poll(NULL, 0, 1);
	}
	return true;
}

/*
 * The next one that says more than an acknowledgement does; it is acknowledged by what is said next. Of another
 * connection it may be told that it is dead: by a SYN, and by resets (vhost_user_net/tcp_dead.c).
 */
struct seen hears(struct rig *rig, struct end *e)
{
	struct seen s;

	do
		assert_true(comes(rig, &s, PATIENCE_MS));
	while ((!s.len && !(s.flags & ~TCP_ACK)) ||
	       (s.to != e->from && s.flags & (TCP_SYN | TCP_RST)));
	assert_int_equal(s.to, e->from);
	if (!(s.flags & (TCP_SYN | TCP_RST)))
		assert_int_equal(s.seq, e->rcv);
	e->rcv = s.seq + (uint32_t)s.len + !!(s.flags & (TCP_SYN | TCP_FIN));
	return s;
}

/* What was said has been taken: of a frame and whatever is done next the loop may tell in either order (loop.h). */
void is_heard(struct rig *rig, const struct end *e)
{
	struct seen s;

	do
		assert_true(comes(rig, &s, PATIENCE_MS));
	while (s.ack != e->snd);
}

struct end connects(struct rig *rig, uint16_t from, uint16_t to)
{
	struct end e = {.from = from, .to = to, .snd = FIRST_SEQ};

	says(rig, &e, TCP_SYN, NULL, 0);
	e.snd++;
	assert_int_equal(hears(rig, &e).flags, TCP_SYN | TCP_ACK);
	says(rig, &e, TCP_ACK, NULL, 0);
	return e;
}

void sends(struct rig *rig, struct end *e, const void *data, size_t len)
{
	says(rig, e, TCP_ACK | TCP_PSH, data, len);
	e->snd += (uint32_t)len;
}

/* ------------------------------------------------------------- both */

int set_up(void **state)
{
	struct guest_config config = {.name = "vm1", .prefix = 24, .memory = {1 << 20, 1 << 20}};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct rig *rig = calloc(1, sizeof(*rig));

	inet_pton(AF_INET, "10.77.0.11", &config.address);
	inet_pton(AF_INET, "10.77.0.1", &config.daemon);
	snprintf(rig->path, sizeof(rig->path), "/tmp/test-guest-net-%d.sock", (int)getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->path);
	unlink(rig->path);
	config.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(config.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(config.listener, 4), 0);
	assert_int_equal(loop_new(&rig->loop), 0);
	assert_int_equal(guest_start(&rig->guest, &config, rig->loop, &events, rig), 0);
	boots(rig);
	*state = rig;
	return 0;
}

int tear_down(void **state)
{
	struct rig *rig = *state;

	guest_stop(rig->guest);
	until(rig, &rig->ended, 1);
	guest_free(rig->guest);
	fe_close(&rig->fe);
	loop_free(rig->loop);
	unlink(rig->path);
	free(rig);
	return 0;
}

void stops(struct rig *rig, uint32_t base[VIRTIO_NET_RINGS])
{
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		base[i] = fe_stop_ring(&rig->fe, i);
}

void goes_on(struct rig *rig, const uint32_t base[VIRTIO_NET_RINGS])
{
	unsigned ups = rig->ups;

	fe_go_on(&rig->fe, base);
	until(rig, &rig->ups, ups + 1);
}

void connects_anew(struct rig *rig)
{
	close(rig->fe.sock);
	rig->fe.sock = connects_to(rig);
}
