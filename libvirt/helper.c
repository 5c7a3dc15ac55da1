/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process beside the daemon; see helper.h.
 *
 * libvirt:	away -(open)-> here -(close, keepalive)-> away, tried again after 1, 2, 4 … 30 s
 * daemon:	away -(connect)-> here -(end of file, nonsense)-> away, tried again every second
 *
 * While libvirt is away, the daemon is told LIBVIRT no, and its requests fail at once. While the
 * daemon is away, its jobs run to their ends, and nobody is told.
 */
#include "libvirt/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/service.h"
#include "libvirt/domain_xml.h"
#include "libvirt/domains.h"
#include "libvirt/job.h"
#include "libvirt/virt_error.h"
#include "libvirt/virt_event.h"

#define KEEPALIVE_SECONDS 5
#define KEEPALIVE_COUNT	  3
#define LIBVIRT_RETRY_MS  1000
#define LIBVIRT_RETRY_MAX 30000
#define DAEMON_RETRY_MS	  1000
#define SEND_SECONDS	  5
#define JOBS_MAX	  32

struct helper {
	const char *uri, *path;
	virConnectPtr conn;
	struct domains domains;
	int libvirt_timer;
	int libvirt_wait_ms; /* before the next try */
	bool libvirt_lost, libvirt_told;

	int sock;
	unsigned link; /* counts connections to the daemon */
	int daemon_watch, daemon_timer;
	struct virt_reader reader;

	int pipe[2]; /* ended jobs */
	unsigned n_jobs;
};

/* ------------------------------------------------------------- to the daemon */

static void daemon_lost(struct helper *h, const char *why)
{
	if (h->sock < 0)
		return;
	log_warning("the daemon: %s; trying again", why);
	virEventRemoveHandle(h->daemon_watch);
	h->daemon_watch = -1;
	h->sock = fd_close(h->sock);
	virEventUpdateTimeout(h->daemon_timer, DAEMON_RETRY_MS);
}

static void daemon_tell(void *ctx, const struct virt_line *line)
{
	struct helper *h = ctx;
	char buf[VIRT_LINE_MAX];
	int len;

	if (h->sock < 0)
		return;
	len = virt_line_format(buf, line);
	if (len < 0) {
		log_err("a line can't be made: %s", errno_text(len));
		return;
	}
	/* A daemon that does not read for SEND_SECONDS is stuck. It is told all again later. */
	if (send(h->sock, buf, (size_t)len, MSG_NOSIGNAL) != len)
		daemon_lost(h, "it does not read");
}

static void tell_libvirt(struct helper *h, bool yes)
{
	daemon_tell(h, &(struct virt_line){.verb = VIRT_LIBVIRT, .yes = yes});
}

static void tell_failed(struct helper *h, unsigned id, const char *text)
{
	struct virt_line line = {.verb = VIRT_FAILED, .id = id};

	snprintf(line.text, sizeof(line.text), "%.*s", VIRT_TEXT_MAX, text);
	daemon_tell(h, &line);
}

/* ------------------------------------------------------------- libvirt */

static void libvirt_try_later(struct helper *h)
{
	virEventUpdateTimeout(h->libvirt_timer, h->libvirt_wait_ms);
	h->libvirt_wait_ms = min_t(int, h->libvirt_wait_ms * 2, LIBVIRT_RETRY_MAX);
}

/* libvirt must not be called from here, so the timer does the rest. */
static void libvirt_closed(virConnectPtr conn, int reason, void *ctx)
{
	struct helper *h = ctx;

	h->libvirt_lost = true;
	virEventUpdateTimeout(h->libvirt_timer, 0);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *ctx)
{
	struct helper *h = ctx;

	domains_lifecycle(&h->domains, virDomainGetName(domain), event, detail);
	return 0;
}

static void on_agent(virConnectPtr conn, virDomainPtr domain, int state, int reason, void *ctx)
{
	struct helper *h = ctx;

	domains_set_agent(&h->domains, virDomainGetName(domain),
			  state == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED);
}

static void libvirt_drop(struct helper *h)
{
	if (!h->conn)
		return;
	virConnectUnregisterCloseCallback(h->conn, libvirt_closed);
	virConnectClose(h->conn);
	h->conn = NULL;
	domains_clear(&h->domains);
	tell_libvirt(h, false);
}

static int add_one(struct helper *h, virDomainPtr domain)
{
	int state = 0, reason = 0;
	char *xml;

	if (virDomainGetState(domain, &state, &reason, 0) < 0)
		return -1;
	domains_set_state(&h->domains, virDomainGetName(domain), domains_state_of(state, reason));
	if (virDomainIsActive(domain) != 1)
		return 0;
	xml = virDomainGetXMLDesc(domain, 0);
	if (xml && domain_xml_agent(xml))
		domains_set_agent(&h->domains, virDomainGetName(domain), true);
	free(xml);
	return 0;
}

/* Events are asked for first, so that no change between the list and them is missed. */
static int libvirt_list(struct helper *h)
{
	virDomainPtr *all = NULL;
	int n;

	if (virConnectDomainEventRegisterAny(h->conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
					     VIRT_EVENT_CALLBACK(on_lifecycle), h, NULL) < 0)
		return -1;
	/* Not every driver has guests with agents. */
	virConnectDomainEventRegisterAny(h->conn, NULL, VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
					 VIRT_EVENT_CALLBACK(on_agent), h, NULL);
	n = virConnectListAllDomains(h->conn, &all, 0);
	if (n < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		/* A domain that has gone meanwhile is left out. */
		add_one(h, all[i]);
		virDomainFree(all[i]);
	}
	free(all);
	return n;
}

static void libvirt_try(int timer, void *ctx)
{
	struct helper *h = ctx;
	int n;

	virEventUpdateTimeout(timer, -1);
	if (h->libvirt_lost) {
		h->libvirt_lost = false;
		log_warning("libvirt has gone; trying again");
		libvirt_drop(h);
		libvirt_try_later(h);
		return;
	}
	if (h->conn)
		return;
	h->conn = virConnectOpen(h->uri);
	if (!h->conn) {
		if (!h->libvirt_told)
			log_warning("libvirt at %s can't be reached: %s; trying again", h->uri,
				    virt_error_text());
		h->libvirt_told = true;
		libvirt_try_later(h);
		return;
	}
	virConnectSetKeepAlive(h->conn, KEEPALIVE_SECONDS, KEEPALIVE_COUNT);
	virConnectRegisterCloseCallback(h->conn, libvirt_closed, h, NULL);
	tell_libvirt(h, true);
	n = libvirt_list(h);
	if (n < 0) {
		log_warning("libvirt at %s: %s; trying again", h->uri, virt_error_text());
		libvirt_drop(h);
		libvirt_try_later(h);
		return;
	}
	h->libvirt_told = false;
	h->libvirt_wait_ms = LIBVIRT_RETRY_MS;
	log_info("libvirt at %s has %d domains", h->uri, n);
}

/* ------------------------------------------------------------- from the daemon */

static void job_ended(int watch, int fd, int events, void *ctx)
{
	struct helper *h = ctx;
	struct job *job;

	if (read(fd, &job, sizeof(job)) != sizeof(job))
		return;
	h->n_jobs--;
	if (job->link == h->link)
		daemon_tell(h, &job->answer);
	job_free(job);
}

static void begin_job(struct helper *h, const struct virt_line *ask)
{
	struct job *job;

	if (!h->conn) {
		tell_failed(h, ask->id, "libvirt can't be reached");
		return;
	}
	if (h->n_jobs == JOBS_MAX) {
		tell_failed(h, ask->id, "too many commands in guests at once");
		return;
	}
	job = calloc(1, sizeof(*job));
	if (!job) {
		tell_failed(h, ask->id, "no memory");
		return;
	}
	job->ask = *ask;
	job->link = h->link;
	job->pipe = h->pipe[1];
	job->domain = virDomainLookupByName(h->conn, ask->domain);
	if (!job->domain) {
		tell_failed(h, ask->id, virt_error_text());
		job_free(job);
	} else if (job_start(job) < 0) {
		tell_failed(h, ask->id, "no thread");
		job_free(job);
	} else {
		h->n_jobs++;
	}
}

/* Return: whether the daemon may say that. */
static bool daemon_said(struct helper *h, const struct virt_line *line)
{
	switch (line->verb) {
	case VIRT_STATE:
		tell_libvirt(h, h->conn != NULL);
		domains_tell_all(&h->domains);
		return true;
	case VIRT_ATTACH:
	case VIRT_DETACH:
		begin_job(h, line);
		return true;
	default:
		return false;
	}
}

static void daemon_readable(int watch, int fd, int events, void *ctx)
{
	struct helper *h = ctx;
	struct virt_line line;
	unsigned link = h->link;
	size_t room;
	char *space = virt_reader_space(&h->reader, &room);
	ssize_t n = recv(h->sock, space, room, MSG_DONTWAIT);
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		daemon_lost(h, n == 0 ? "it has gone" : errno_text(errno));
		return;
	}
	virt_reader_filled(&h->reader, (size_t)n);
	while (h->sock >= 0 && h->link == link) {
		r = virt_reader_next(&h->reader, &line);
		if (r == VIRT_READER_MORE)
			return;
		if (r < 0 || !daemon_said(h, &line)) {
			daemon_lost(h, "what answers is not usbrouted of this version");
			return;
		}
	}
}

static int daemon_connect(struct helper *h)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = SEND_SECONDS};
	_cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return -errno;
	if (strlen(h->path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, h->path);
	/* A bound on connect(), too, where the daemon's queue is full. */
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	h->daemon_watch =
		virEventAddHandle(sock, VIR_EVENT_HANDLE_READABLE, daemon_readable, h, NULL);
	if (h->daemon_watch < 0)
		return -ENOMEM;
	h->sock = take_fd(&sock);
	h->link++;
	h->reader = (struct virt_reader){0};
	log_info("the daemon is there");
	return 0;
}

static void daemon_try(int timer, void *ctx)
{
	struct helper *h = ctx;

	if (h->sock >= 0 || daemon_connect(h) == 0)
		virEventUpdateTimeout(timer, -1);
	else
		virEventUpdateTimeout(timer, DAEMON_RETRY_MS);
}

/* ------------------------------------------------------------- the whole */

/* libvirt prints each error to stderr unless it is told not to; here each is said once. */
static void no_print(void *ctx, virErrorPtr error)
{
}

static int helper_begin(struct helper *h)
{
	if (pipe2(h->pipe, O_CLOEXEC) < 0)
		return -errno;
	if (virEventRegisterDefaultImpl() < 0)
		return -ENOMEM;
	h->libvirt_timer = virEventAddTimeout(0, libvirt_try, h, NULL);
	h->daemon_timer = virEventAddTimeout(0, daemon_try, h, NULL);
	if (h->libvirt_timer < 0 || h->daemon_timer < 0 ||
	    virEventAddHandle(h->pipe[0], VIR_EVENT_HANDLE_READABLE, job_ended, h, NULL) < 0)
		return -ENOMEM;
	return 0;
}

/*
 * It meets what guests' agents say, by libvirt, and needs no more than sockets for that. What the library is
 * to read for the whole process it has read by now; its own file it reads at each connection.
 */
static int helper_shut_in(void)
{
	static const struct sandbox_path paths[] = {{"/etc/libvirt", SANDBOX_READ}};
	int r = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;

	/* From /dev/urandom: what agents say must not choose its hashes. */
	json_object_seed(0);
	if (r == 0)
		r = sandbox_files(paths, ARRAY_SIZE(paths));
	return r < 0 ? r : sandbox_calls(SANDBOX_LIBVIRT);
}

/**
 * helper_run() - be the helper until a signal ends it
 * @uri:		libvirt's connection
 * @daemon_socket:	the daemon's socket for it
 *
 * It has nothing to put in order at its end, so signals end it as they end any program.
 *
 * Return: the process's exit status.
 */
int helper_run(const char *uri, const char *daemon_socket)
{
	struct helper h = {
		.uri = uri,
		.path = daemon_socket,
		.sock = -1,
		.daemon_watch = -1,
		.libvirt_wait_ms = LIBVIRT_RETRY_MS,
	};
	int r;

	signal(SIGPIPE, SIG_IGN);
	virSetErrorFunc(NULL, no_print);
	domains_init(&h.domains, daemon_tell, &h);
	r = virInitialize() < 0 ? -ENOMEM : helper_begin(&h);
	if (r == 0)
		r = helper_shut_in();
	if (r < 0) {
		log_err("starting: %s", errno_text(r));
		return 1;
	}
	service_notify("READY=1");
	while (virEventRunDefaultImpl() == 0)
		continue;
	log_err("libvirt's event loop failed: %s", virt_error_text());
	return 1;
}
