/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two VMs' processes, joined by a link, for tests/bench/net: usbrouted-vm is the real one, and so is
 * control's end of it and the roster; there is no daemon beside them.
 *
 * usage: net-cards USBROUTED-VM A.sock B.sock; ends with its standard input
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "daemon/vms/vm_process.h"
#include "vhost_user_net/net_roster.h"

static struct net_roster roster;
static struct vm {
	struct guest *guest;
	unsigned number;
} vms[NET_PORTS];

static void must(bool what, const char *name)
{
	if (what)
		return;
	perror(name);
	exit(1);
}
#define MUST(what) must(what, #what)

static void tell_peer(void *ctx _unused_, unsigned to, const struct net_peer *peer)
{
	guest_peer_set(vms[to].guest, peer);
}

static void tell_gone(void *ctx _unused_, unsigned to, unsigned number)
{
	guest_peer_gone(vms[to].guest, number);
}

static void tell_mac(void *ctx _unused_, unsigned to, const uint8_t mac[6], bool granted)
{
	guest_mac_granted(vms[to].guest, mac, granted);
}

static int make_link(void *ctx _unused_, unsigned low, unsigned high)
{
	int memory, wake[2];

	MUST(net_link_make(&memory, wake) == 0);
	guest_link(vms[low].guest, high, 0, dup(memory), dup(wake[0]), dup(wake[1]));
	guest_link(vms[high].guest, low, 1, memory, wake[1], wake[0]);
	return 0;
}

static const struct net_roster_ops roster_ops = {
	.peer = tell_peer, .gone = tell_gone, .mac = tell_mac, .link = make_link};

static void on_link(void *ctx, const struct guest_card *card)
{
	net_roster_up(&roster, ((struct vm *)ctx)->number, card->up);
}

static void on_mac_wanted(void *ctx, const uint8_t mac[6])
{
	net_roster_mac_wanted(&roster, ((struct vm *)ctx)->number, mac);
}

static void on_link_wanted(void *ctx, unsigned number)
{
	net_roster_link_wanted(&roster, ((struct vm *)ctx)->number, number);
}

static void on_ended(void *ctx _unused_)
{
	static unsigned n;

	if (++n == 2)
		exit(0);
}

static void on_lost(void *ctx _unused_, const char *why)
{
	fprintf(stderr, "net-cards: a process is lost: %s\n", why);
	exit(1);
}

static void on_stands(void *ctx)
{
	net_roster_started(&roster, ((struct vm *)ctx)->number);
	puts("stands");
	fflush(stdout);
}

static const struct guest_events events = {
	.link = on_link,
	.ended = on_ended,
	.mac_wanted = on_mac_wanted,
	.link_wanted = on_link_wanted,
};
static const struct guest_process_events process = {.lost = on_lost, .stands = on_stands};

static int listen_at(const char *path, int type)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	unlink(path);
	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 4) == 0);
	return fd;
}

static void start(struct loop *loop, const char *program, const char *path, unsigned n)
{
	struct guest_config config = {.prefix = 24, .memory = {1 << 20, 1 << 20}};
	struct net_roster_entry entry = {.fixed = true};
	char next[120];
	int pair[2];

	snprintf(config.name, sizeof(config.name), "vm%u", n + 1);
	config.address.s_addr = htonl(0x0a4d000bu + n);
	config.daemon.s_addr = htonl(0x0a4d0001u);
	config.mac[0] = 2;
	config.mac[5] = (uint8_t)(1 + n);
	config.listener = listen_at(path, SOCK_STREAM);
	entry.address = config.address;
	memcpy(entry.mac, config.mac, 6);
	MUST(net_roster_enter(&roster, &entry, &vms[n].number) == 0 && vms[n].number == n);
	MUST(guest_start(&vms[n].guest, &config, loop, &events, &vms[n]) == 0);
	snprintf(next, sizeof(next), "%s.line", path);
	guest_set_next(vms[n].guest, listen_at(next, SOCK_SEQPACKET));
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	if (fork() == 0) {
		if (pair[1] != 3)
			dup2(pair[1], 3);
		else
			fcntl(3, F_SETFD, 0);
		close_range(4, ~0u, 0);
		execl(program, program, config.name, NULL);
		_exit(127);
	}
	close(pair[1]);
	guest_connect(vms[n].guest, pair[0], -1, &process);
}

static void on_end(void *ctx _unused_, int res _unused_)
{
	for (unsigned i = 0; i < 2; i++)
		guest_stop(vms[i].guest);
}

int main(int argc, char **argv)
{
	struct loop_watch end = {0};
	struct loop *loop;

	if (argc != 4)
		return 2;
	log_init(LOG_LEVEL_WARNING);
	net_roster_init(&roster, &roster_ops, NULL);
	MUST(loop_new(&loop) == 0);
	for (unsigned i = 0; i < 2; i++)
		start(loop, argv[1], argv[2 + i], i);
	MUST(loop_watch_fd(loop, &end, STDIN_FILENO, POLLIN, 0, on_end, NULL) == 0);
	while (loop_turn(loop, true) >= 0)
		;
	return 1;
}
