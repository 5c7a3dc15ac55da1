/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The agent's connection to the daemon, and its loop; see agent.h.
 *
 *   SEARCHING -> CONNECTING (fe80::1, then IPv4) -> GREETING -> TALKING
 *       ^            | no answer                       |            | closed, or no PONG
 *       '--- 0.2 s … 5 s later, or as soon as a link has news <-----'
 *
 * Silence of the daemon is not its death; but what has been asleep (a suspend), or has had no
 * carrier (the daemon's restart), may hang on to a connection that the other end has forgotten.
 * Then it says PING, and a daemon that knows nothing of it answers with a reset.
 *
 * While the guest sleeps, or is about to, nothing is attached (sleep.h).
 */
#include "agent/agent.h"

#include <build_info.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#include "base/fd.h"
#include "base/log.h"

#define ASK_NS	     (200 * NS_PER_MS) /* for a neighbour to answer */
#define CONNECT_NS   (3 * NS_PER_SECOND)
#define GREET_NS     (5 * NS_PER_SECOND)
#define BACK_OFF_NS  (200 * NS_PER_MS)
#define BACK_OFF_MAX (5 * NS_PER_SECOND)
#define FOREVER_S    (100ll * 365 * 86400)
#define MODPROBE     "/sbin/modprobe"

/* Silence is asked about soon, and is death after two hours, as by stock `usbip`. */
#define KEEP_IDLE_S	30
#define KEEP_INTERVAL_S 60
#define KEEP_COUNT	127 /* the kernel takes no more */

/**
 * agent_now() - the time, for measuring spans
 *
 * Return: nanoseconds; they go on while the machine sleeps.
 */
uint64_t agent_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SECOND + (uint64_t)ts.tv_nsec;
}

/**
 * agent_load_module() - load vhci-hcd
 * @options:	unless they say that this is not to be done
 *
 * Return: 0 where modprobe says so, or a negative errno.
 */
int agent_load_module(const struct agent_options *options)
{
	int status;
	pid_t pid;

	if (!options->load_module)
		return -ENOENT;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl(MODPROBE, MODPROBE, "-q", "vhci-hcd", (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ENOENT;
}

/* ------------------------------------------------------------- the connection */

/* Trouble that stays the same is logged once. */
static void agent_trouble(struct agent *agent, const char *text)
{
	if (!strcmp(agent->told, text))
		return;
	snprintf(agent->told, sizeof(agent->told), "%s", text);
	log_warning("%s", text);
}

static void agent_search_later(struct agent *agent)
{
	uint64_t wait = BACK_OFF_NS << min_t(unsigned, agent->failures, 8);

	agent->failures++;
	agent->state = AGENT_SEARCHING;
	agent->due_ns = agent_now() + min_t(uint64_t, wait, BACK_OFF_MAX);
}

static void agent_hang_up(struct agent *agent, const char *why)
{
	bool talked = agent->state == AGENT_TALKING;

	agent_line_deinit(&agent->line);
	agent->pong_ns = NEVER;
	if (talked) {
		log_notice("the connection to usbrouted is over: %s", why);
		agent->failures = 0;
		agent->told[0] = 0;
		attachments_connection(agent, false);
	}
	agent_search_later(agent);
}

/*
 * A firewall that is started here later knows nothing of connections that stand, and drops what comes by
 * them, until this guest sends something. It may have nothing to say for days, but this.
 */
static int keep_alive(int sock)
{
	const struct {
		int level, name, value;
	} options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S},
		{IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S},
		{IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT},
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (setsockopt(sock, options[i].level, options[i].name, &options[i].value,
			       sizeof(options[i].value)) < 0)
			return -errno;
	return 0;
}

/**
 * agent_connect() - begin to connect to the daemon, by way of the segment alone
 * @agent:	its segment is found
 * @v4:		over IPv4, else over IPv6
 * @port:	TCP port
 * @ret_sock:	the socket, non-blocking
 *
 * Return: 0 (it may be under way), or a negative errno.
 */
int agent_connect(const struct agent *agent, bool v4, uint16_t port, int *ret_sock)
{
	struct sockaddr_in6 to6;
	struct sockaddr_in to4;
	_cleanup_close_ int sock = -1;
	int one = 1, r;

	segment_addresses(&agent->segment, &to6, &to4);
	to6.sin6_port = to4.sin_port = htons(port);
	sock = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, agent->segment.name,
		       (socklen_t)strlen(agent->segment.name)) < 0 ||
	    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		return -errno;
	r = keep_alive(sock);
	if (r < 0)
		return r;
	r = v4 ? connect(sock, (struct sockaddr *)&to4, sizeof(to4))
	       : connect(sock, (struct sockaddr *)&to6, sizeof(to6));
	if (r < 0 && errno != EINPROGRESS)
		return -errno;
	*ret_sock = take_fd(&sock);
	return 0;
}

static void agent_try(struct agent *agent, bool v4)
{
	char text[AGENT_TEXT_SIZE];
	int sock, r = agent_connect(agent, v4, AGENT_PORT, &sock);

	if (r == 0) {
		agent->by_v4 = v4;
		agent_line_init(&agent->line, sock, false);
		agent->state = AGENT_CONNECTING;
		agent->due_ns = agent_now() + CONNECT_NS;
		return;
	}
	if (!v4) {
		agent_try(agent, true);
		return;
	}
	snprintf(text, sizeof(text), "%s: usbrouted can't be reached: %s", agent->segment.name,
		 errno_text(r));
	agent_trouble(agent, text);
	agent_search_later(agent);
}

static void agent_search(struct agent *agent)
{
	int r = segment_find(&agent->segment);

	if (r == 0) {
		agent_try(agent, false);
	} else if (r == SEGMENT_ASKED && agent->failures % 2 == 0) {
		/* Each second time reads what the neighbours have answered. */
		agent->failures++;
		agent->due_ns = agent_now() + ASK_NS;
	} else if (r == SEGMENT_NONE) {
		agent_trouble(agent, "no interface is there that could lead to usbrouted; waiting");
		agent->due_ns = NEVER;
	} else {
		agent_trouble(
			agent,
			r < 0 ? "looking for the interface has failed"
			      : "usbrouted is not to be seen on any interface; waiting for it");
		agent_search_later(agent);
	}
}

static void agent_failed_to_connect(struct agent *agent, int r)
{
	char text[AGENT_TEXT_SIZE];

	agent_line_deinit(&agent->line);
	if (!agent->by_v4) {
		agent_try(agent, true);
		return;
	}
	snprintf(text, sizeof(text), "%s: usbrouted does not answer: %s", agent->segment.name,
		 errno_text(r));
	agent_trouble(agent, text);
	agent_search_later(agent);
}

static void agent_connected(struct agent *agent)
{
	struct agent_message hello = {.verb = AGENT_HELLO, .protocol = AGENT_PROTOCOL};
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(agent->line.sock, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error) {
		agent_failed_to_connect(agent, error);
		return;
	}
	agent->state = AGENT_GREETING;
	agent->due_ns = agent_now() + GREET_NS;
	if (!agent->vhci.folder[0] &&
	    vhci_init(&agent->vhci, agent->options.sysfs, agent->options.run) < 0 &&
	    agent_load_module(&agent->options) == 0)
		vhci_init(&agent->vhci, agent->options.sysfs, agent->options.run);
	attachments_look(agent);
	hello.high = agent->high = vhci_count_free(&agent->status, false);
	hello.super = agent->super = vhci_count_free(&agent->status, true);
	snprintf(hello.version, sizeof(hello.version), "%s", USBROUTED_VERSION);
	memcpy(hello.boot, agent->boot, sizeof(hello.boot));
	agent_say(agent, &hello);
}

/**
 * agent_say() - say something to the daemon
 * @agent:	connected, or what is said is dropped
 * @message:	what
 *
 * If it fails, the loop finds that the connection is over.
 */
void agent_say(struct agent *agent, const struct agent_message *message)
{
	if (agent->line.sock >= 0 && agent_line_say(&agent->line, message) < 0)
		shutdown(agent->line.sock, SHUT_RDWR);
}

/**
 * agent_doubt() - ask whether the other end still knows of the connection; or look for it at once
 * @agent:	the agent
 */
void agent_doubt(struct agent *agent)
{
	struct agent_message ping = {.verb = AGENT_PING};

	if (agent->state == AGENT_TALKING) {
		if (agent->pong_ns == NEVER) {
			agent->pong_ns = agent_now() + AGENT_PONG_NS;
			agent_say(agent, &ping);
		}
	} else if (agent->state == AGENT_SEARCHING) {
		agent->failures = 0;
		agent->due_ns = agent_now();
	}
	attachments_look(agent);
}

/*
 * A new list begins. If it is not the connection's first, it may be another daemon's: everything
 * that was said or asked is said or asked again. HAS, FAILED and LETGO follow with the list
 * (attachments.c).
 */
static void agent_welcomed(struct agent *agent, bool first)
{
	struct agent_message ports = {
		.verb = AGENT_PORTS, .high = agent->high, .super = agent->super};
	struct agent_message ping = {.verb = AGENT_PING};

	attachments_connection(agent, true);
	agent->synced = false;
	agent->sleep.waking = false;
	if (!first)
		agent_say(agent, &ports);
	sleep_say_again(agent);
	if (agent->pong_ns == NEVER)
		return;
	agent->pong_ns = agent_now() + AGENT_PONG_NS;
	agent_say(agent, &ping);
}

static void agent_hears(struct agent *agent, const struct agent_message *m)
{
	bool first = agent->state == AGENT_GREETING;
	struct agent_message pong = {.verb = AGENT_PONG};

	if (first && m->verb != AGENT_WELCOME) {
		if (m->verb == AGENT_REFUSED)
			agent_trouble(agent, m->text);
		shutdown(agent->line.sock, SHUT_RDWR);
		return;
	}
	switch (m->verb) {
	case AGENT_WELCOME:
		agent->state = AGENT_TALKING;
		agent->daemon_lets_go = m->let_go;
		agent_welcomed(agent, first);
		if (!first)
			break;
		agent->due_ns = NEVER;
		agent->failures = 0;
		agent->told[0] = 0;
		log_notice("connected to usbrouted %s on %s over %s; this guest is %s", m->version,
			   agent->segment.name, agent->by_v4 ? "IPv4" : "IPv6", m->name);
		logind_look(agent);
		break;
	case AGENT_ROUTE:
	case AGENT_UNROUTE:
		attachments_told(agent, m);
		break;
	case AGENT_SYNCED:
		agent->synced = true;
		attachments_synced(agent);
		break;
	case AGENT_PING:
		agent_say(agent, &pong);
		break;
	case AGENT_PONG:
		agent->pong_ns = NEVER;
		attachments_heard(agent);
		sleep_answered(agent);
		break;
	default:
		break;
	}
}

static void agent_readable(struct agent *agent)
{
	struct agent_message m;
	int r;

	while ((r = agent_line_next(&agent->line, &m)) == 0)
		agent_hears(agent, &m);
	if (r < 0)
		agent_hang_up(agent, r == -EPIPE    ? "usbrouted has closed it"
				     : r == -EPROTO ? "what came is not the agent's protocol"
						    : errno_text(r));
}

/* ------------------------------------------------------------- the loop */

static int clock_arm(int fd)
{
	struct itimerspec never = {0};

	/*
	 * The timer never fires; it is cancelled when the clock jumps, as after a suspend, and that
	 * is what it is for.
	 */
	clock_gettime(CLOCK_REALTIME, &never.it_value);
	never.it_value.tv_sec += FOREVER_S;
	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

static int clock_open(int *ret_fd)
{
	_cleanup_close_ int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0 || clock_arm(fd) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static void clock_jumped(struct agent *agent)
{
	uint64_t n;

	if (read(agent->clock, &n, sizeof(n)) < 0 && errno == EAGAIN)
		return;
	clock_arm(agent->clock);
	sleep_clock(agent);
	agent_doubt(agent);
}

/**
 * agent_init() - begin
 * @agent:	to fill in
 * @options:	what the user says; texts must outlive @agent
 *
 * SIGTERM and SIGINT are blocked from here on, and come by a descriptor.
 *
 * Return: 0, or a negative errno and it was logged.
 */
int agent_init(struct agent *agent, const struct agent_options *options)
{
	sigset_t set;
	int r;

	memset(agent, 0, sizeof(*agent));
	agent->options = *options;
	agent->line.sock = agent->uevents = agent->clock = agent->signals = -1;
	agent->segment.links = -1;
	agent->due_ns = agent->pong_ns = agent->sleep.due_ns = NEVER;
	list_init(&agent->attachments);
	by_hand_init(&agent->hand);
	control_init(&agent->control);
	boot_read(options->folder, agent->boot);

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	agent->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r = agent->signals < 0 ? -errno : 0;
	if (r == 0)
		r = clock_open(&agent->clock);
	if (r == 0)
		r = uevent_open(&agent->uevents);
	if (r == 0)
		r = segment_init(&agent->segment, options->interface, options->address);
	if (r < 0) {
		log_err("starting: %s", errno_text(r));
		return r;
	}
	r = vhci_init(&agent->vhci, options->sysfs, options->run);
	if (r == -ENOENT && agent_load_module(options) == 0)
		r = vhci_init(&agent->vhci, options->sysfs, options->run);
	if (r < 0)
		log_warning(
			"vhci-hcd is not there: %s; no device can be attached until it is (try: modprobe vhci-hcd)",
			errno_text(r));
	r = control_listen(&agent->control, options->folder);
	if (r < 0)
		log_warning("%s/control: %s; --let-go and --take-back won't work", options->folder,
			    errno_text(r));
	logind_start(agent);
	agent->state = AGENT_SEARCHING;
	agent->due_ns = agent_now();
	return 0;
}

/**
 * agent_deinit() - end; what is attached stays attached
 * @agent:	initialised, as far as that went
 */
void agent_deinit(struct agent *agent)
{
	attachments_free(agent);
	agent_line_deinit(&agent->line);
	segment_deinit(&agent->segment);
	logind_stop(agent);
	control_deinit(&agent->control);
	by_hand_deinit(&agent->hand);
	agent->uevents = fd_close(agent->uevents);
	agent->clock = fd_close(agent->clock);
	agent->signals = fd_close(agent->signals);
}

static void agent_timers(struct agent *agent)
{
	uint64_t now = agent_now();

	if (agent->pong_ns <= now) {
		agent_hang_up(agent, "usbrouted does not answer");
		return;
	}
	if (agent->due_ns > now)
		return;
	switch (agent->state) {
	case AGENT_SEARCHING:
		agent_search(agent);
		break;
	case AGENT_CONNECTING:
		agent_failed_to_connect(agent, -ETIMEDOUT);
		break;
	case AGENT_GREETING:
		agent_trouble(agent, "usbrouted does not answer HELLO");
		agent_hang_up(agent, "");
		break;
	case AGENT_TALKING:
		agent->due_ns = NEVER;
		break;
	}
}

static void agent_line_ready(struct agent *agent, int events)
{
	if (agent->state == AGENT_CONNECTING) {
		agent_connected(agent);
		return;
	}
	if (events & POLLOUT)
		agent_line_flush(&agent->line);
	if (events & ~POLLOUT)
		agent_readable(agent);
}

static short agent_line_events(const struct agent *agent)
{
	if (agent->state == AGENT_CONNECTING)
		return POLLOUT;
	return agent_line_pending(&agent->line) ? POLLIN | POLLOUT : POLLIN;
}

static int timeout_of(uint64_t due_ns)
{
	uint64_t now = agent_now();

	if (due_ns == NEVER)
		return -1;
	return due_ns <= now ? 0 : (int)min_t(uint64_t, (due_ns - now) / NS_PER_MS + 1, 3600000);
}

/* What is always waited for, by its place. */
enum {
	WAIT_SIGNALS,
	WAIT_LINKS,
	WAIT_UEVENTS,
	WAIT_CLOCK,
	WAIT_LINE,
	WAIT_HANDS,
	WAIT_LOGIND,
	WAIT_CONTROL,
	WAITS = WAIT_CONTROL + 1 + CONTROL_CALLERS
};

static void agent_waits(struct agent *agent, struct pollfd *p)
{
	p[WAIT_SIGNALS] = (struct pollfd){.fd = agent->signals, .events = POLLIN};
	p[WAIT_LINKS] = (struct pollfd){.fd = agent->segment.links, .events = POLLIN};
	p[WAIT_UEVENTS] = (struct pollfd){.fd = agent->uevents, .events = POLLIN};
	p[WAIT_CLOCK] = (struct pollfd){.fd = agent->clock, .events = POLLIN};
	p[WAIT_LINE] = (struct pollfd){.fd = agent->line.sock, .events = agent_line_events(agent)};
	p[WAIT_HANDS] = (struct pollfd){.fd = agent->hand.fd, .events = POLLIN};
	logind_poll(agent, p + WAIT_LOGIND);
	control_polls(&agent->control, p + WAIT_CONTROL);
}

static uint64_t agent_due(struct agent *agent)
{
	uint64_t due = min_t(uint64_t, agent->due_ns, agent->pong_ns);

	due = min_t(uint64_t, due, attachments_due(agent));
	due = min_t(uint64_t, due, agent->sleep.due_ns);
	due = min_t(uint64_t, due, control_due(&agent->control));
	return min_t(uint64_t, due, logind_due(agent));
}

/**
 * agent_run() - work until asked to stop
 * @agent:	initialised
 *
 * Return: 0, or a negative errno and it was logged.
 */
int agent_run(struct agent *agent)
{
	struct pollfd p[WAITS + AGENT_ROUTES];

	for (;;) {
		unsigned n = WAITS;

		agent_waits(agent, p);
		n += attachments_polls(agent, p + n);
		if (poll(p, n, timeout_of(agent_due(agent))) < 0 && errno != EINTR) {
			log_err("waiting: %s", errno_text(errno));
			return -errno;
		}
		if (p[WAIT_SIGNALS].revents)
			return 0;
		if (p[WAIT_HANDS].revents)
			attachments_look(agent);
		logind_work(agent);
		control_work(agent, p + WAIT_CONTROL, 1 + CONTROL_CALLERS);
		if (p[WAIT_LINKS].revents && segment_news(&agent->segment))
			agent_doubt(agent);
		if (p[WAIT_UEVENTS].revents && uevent_news(agent->uevents))
			attachments_look(agent);
		if (p[WAIT_CLOCK].revents)
			clock_jumped(agent);
		if (p[WAIT_LINE].revents && agent->line.sock == p[WAIT_LINE].fd)
			agent_line_ready(agent, p[WAIT_LINE].revents);
		agent_timers(agent);
		sleep_work(agent);
		attachments_work(agent);
	}
}
