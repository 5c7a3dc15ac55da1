// SPDX-License-Identifier: BSD-2-Clause
/*
 * agent - runs commands in a machine of the lab for the test script outside.
 *
 *	agent serve PORT	serve commands on a virtio-serial port, for ever
 *	agent relay SOCKET	join stdin and stdout to a unix socket
 *
 * Owns the jobs it started. The same program serves the board and each guest;
 * a guest's port ends in a socket on the board, and "relay" there carries it
 * on, so it needs no network. Static, because a guest has next to no libraries.
 *
 * A frame is a line "TYPE ID LENGTH" and LENGTH bytes.
 *	to the agent:	run (a shell command), in (bytes for its stdin), eof,
 *			kill (a signal's number; the job's whole session gets it), ping
 *	from it:	hello, out, err, exit ("0".."255", or "-9" for a signal), pong
 * The side outside always reads, so writing to the port may block; writing to
 * a job's stdin may not, because a stuck job would then stop all others.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_JOBS  64
#define CHUNK	  32768
#define MAX_FRAME (4u << 20)

struct job {
	unsigned int id;
	pid_t pid;	  /* 0: the slot is free */
	int in, out, err; /* -1: closed */
	char *pending;	  /* bytes for stdin that the pipe did not take yet */
	size_t pending_len;
	bool in_eof; /* close stdin once pending is written */
};

static struct job jobs[MAX_JOBS];
static int port;
static sigset_t old_mask;

static int write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};

			poll(&p, 1, 1000);
			continue;
		}
		if (n <= 0)
			return -1;
		at += n;
		len -= n;
	}
	return 0;
}

static void send_frame(const char *type, unsigned int id, const void *data, size_t len)
{
	static char frame[64 + CHUNK];
	int head = snprintf(frame, 64, "%s %u %zu\n", type, id, len);

	/* One write a frame: a virtio-serial write is an exit of the machine. */
	memcpy(frame + head, data, len);
	write_all(port, frame, head + len);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static struct job *job_find(unsigned int id)
{
	for (int i = 0; i < MAX_JOBS; i++)
		if (jobs[i].pid && jobs[i].id == id)
			return &jobs[i];
	return NULL;
}

static void job_exit_frame(unsigned int id, int status)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d",
			   WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));

	send_frame("exit", id, text, len);
}

static void job_start(unsigned int id, const char *command)
{
	int in[2], out[2], err[2];
	struct job *job = NULL;

	for (int i = 0; i < MAX_JOBS && !job; i++)
		if (!jobs[i].pid)
			job = &jobs[i];
	if (!job || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
		send_frame("err", id, "agent: no more jobs\n", 20);
		send_frame("exit", id, "125", 3);
		return;
	}
	*job = (struct job){.id = id, .in = in[1], .out = out[0], .err = err[0]};
	job->pid = fork();
	if (job->pid == 0) {
		setsid();
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		sigprocmask(SIG_SETMASK, &old_mask, NULL);
		signal(SIGPIPE, SIG_DFL);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	fcntl(job->in, F_SETFL, O_NONBLOCK);
	fcntl(job->out, F_SETFL, O_NONBLOCK);
	fcntl(job->err, F_SETFL, O_NONBLOCK);
}

static void job_flush(struct job *job)
{
	while (job->pending_len && job->in >= 0) {
		ssize_t n = write(job->in, job->pending, job->pending_len);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) { /* it closed its stdin: the rest is nobody's */
			job->pending_len = 0;
			close_fd(&job->in);
			return;
		}
		job->pending_len -= n;
		memmove(job->pending, job->pending + n, job->pending_len);
	}
	if (job->in_eof)
		close_fd(&job->in);
}

/* Forward what is there; false: nothing more now. */
static bool job_forward(struct job *job, int *fd, const char *type)
{
	static char data[CHUNK];
	ssize_t n;

	if (*fd < 0)
		return false;
	n = read(*fd, data, sizeof(data));
	if (n > 0) {
		send_frame(type, job->id, data, n);
		return true;
	}
	if (n == 0 || errno != EAGAIN)
		close_fd(fd);
	return false;
}

/*
 * A job has ended when its own process has, even where a child that it left
 * behind still holds the pipes.
 */
static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int i = 0; i < MAX_JOBS; i++) {
			struct job *job = &jobs[i];

			if (job->pid != pid)
				continue;
			while (job_forward(job, &job->out, "out"))
				;
			while (job_forward(job, &job->err, "err"))
				;
			job_exit_frame(job->id, status);
			close_fd(&job->in);
			close_fd(&job->out);
			close_fd(&job->err);
			free(job->pending);
			*job = (struct job){0};
		}
	}
}

static void handle(const char *type, unsigned int id, char *data, size_t len)
{
	struct job *job = job_find(id);

	if (!strcmp(type, "ping")) {
		send_frame("pong", id, "", 0);
	} else if (!strcmp(type, "run")) {
		job_start(id, data);
	} else if (!job) {
		return; /* it has ended meanwhile */
	} else if (!strcmp(type, "in") && job->in >= 0) {
		char *more = realloc(job->pending, job->pending_len + len);

		if (!more)
			return;
		memcpy(more + job->pending_len, data, len);
		job->pending = more;
		job->pending_len += len;
		job_flush(job);
	} else if (!strcmp(type, "eof")) {
		job->in_eof = true;
		job_flush(job);
	} else if (!strcmp(type, "kill")) {
		kill(-job->pid, atoi(data));
	}
}

/* Take whole frames off the front of the buffer; returns what is left. */
static size_t parse(char *buf, size_t len)
{
	char *at = buf, *end = buf + len, *eol;

	while ((eol = memchr(at, '\n', end - at))) {
		unsigned int id;
		size_t size;
		char type[8], keep;

		*eol = 0;
		if (sscanf(at, "%7s %u %zu", type, &id, &size) != 3 || size > MAX_FRAME) {
			at = eol + 1; /* not a header: look for the next one */
			continue;
		}
		*eol = '\n';
		if ((size_t)(end - eol - 1) < size)
			break;
		keep = eol[1 + size];
		eol[1 + size] = 0;
		handle(type, id, eol + 1, size);
		eol[1 + size] = keep;
		at = eol + 1 + size;
	}
	memmove(buf, at, end - at);
	return end - at;
}

static int serve(const char *path)
{
	static char buf[MAX_FRAME + 256];
	size_t have = 0;
	sigset_t mask;
	int sig;

	port = open(path, O_RDWR | O_CLOEXEC);
	if (port < 0) {
		perror(path);
		return 1;
	}
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, &old_mask);
	signal(SIGPIPE, SIG_IGN);
	sig = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	send_frame("hello", 0, "", 0);

	for (;;) {
		struct pollfd p[2 + 3 * MAX_JOBS];
		int n = 2;

		p[0] = (struct pollfd){.fd = port, .events = POLLIN};
		p[1] = (struct pollfd){.fd = sig, .events = POLLIN};
		for (int i = 0; i < MAX_JOBS; i++) {
			struct job *job = &jobs[i];

			if (!job->pid)
				continue;
			p[n++] = (struct pollfd){.fd = job->out, .events = POLLIN};
			p[n++] = (struct pollfd){.fd = job->err, .events = POLLIN};
			if (job->pending_len)
				p[n++] = (struct pollfd){.fd = job->in, .events = POLLOUT};
		}
		if (poll(p, n, -1) < 0 && errno != EINTR)
			return 1;
		for (int i = 0; i < MAX_JOBS; i++) {
			struct job *job = &jobs[i];

			if (!job->pid)
				continue;
			job_forward(job, &job->out, "out");
			job_forward(job, &job->err, "err");
			if (job->pending_len)
				job_flush(job);
		}
		if (p[1].revents) {
			struct signalfd_siginfo info;

			while (read(sig, &info, sizeof(info)) > 0)
				;
			reap();
		}
		if (p[0].revents & POLLIN) {
			ssize_t got = read(port, buf + have, sizeof(buf) - 1 - have);

			if (got > 0)
				have = parse(buf, have + got);
			else
				usleep(100000);
		} else if (p[0].revents) {
			usleep(100000); /* nobody at the other end: wait for one */
		}
	}
}

/* A process a direction, so that neither can hold up the other. */
static int relay(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	static char data[CHUNK];
	pid_t child;
	ssize_t n;
	int fd;

	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	for (;;) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
			break;
		close(fd);
		usleep(50000); /* its QEMU is not up yet; the caller has the limit */
	}
	child = fork();
	if (child == 0) {
		while ((n = read(0, data, sizeof(data))) > 0)
			if (write_all(fd, data, n))
				break;
		shutdown(fd, SHUT_RDWR);
		_exit(0);
	}
	while ((n = read(fd, data, sizeof(data))) > 0)
		if (write_all(1, data, n))
			break;
	kill(child, SIGKILL);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "relay"))
		return relay(argv[2]);
	fprintf(stderr, "usage: agent serve PORT | relay SOCKET\n");
	return 2;
}
