/* SPDX-License-Identifier: BSD-2-Clause */
/* A daemon for usbroutectl; see ctl-fixture.h. */
#include "tests/unit/ctl-fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/test-ctl-XXXXXX";

char socket_path[64], helper_path[64];

static int listener = -1;

char snippet[4096]; /* configs/libvirt/vm1.xml */

/* In a child: be the program. */
_Noreturn void run_program(const char *const *args)
{
	const char *argv[12] = {"usbroutectl", "--socket", socket_path};

	for (unsigned i = 0; args[i]; i++)
		argv[i + 3] = args[i];
	execv(getenv("USBROUTECTL"), (char **)argv);
	_exit(99);
}

/* Start the program with its output in pipes. */
pid_t start(const char *const *args, int *ret_out, int *ret_err)
{
	int out[2], err[2];
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		run_program(args);
	}
	close(out[1]);
	close(err[1]);
	*ret_out = out[0];
	*ret_err = err[0];
	return pid;
}

static int caller = -1;

/* Be the daemon for one call: up to the call, and from there on. */
void serve_begin(const char *call)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	char text[4096];
	size_t len = 0;

	assert_int_equal(poll(&p, 1, 10000), 1);
	caller = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(caller >= 0);
	do {
		ssize_t n = recv(caller, text + len, sizeof(text) - len, 0);

		assert_true(n > 0);
		len += (size_t)n;
	} while (text[len - 1]);
	assert_string_equal(text, call);
}

void serve_end(const char *reply)
{
	while (reply) {
		const char *end = strstr(reply, "{END}");
		size_t n = end ? (size_t)(end - reply) : strlen(reply);

		assert_int_equal(send(caller, reply, n, MSG_NOSIGNAL), n);
		assert_int_equal(send(caller, "", 1, MSG_NOSIGNAL), 1);
		reply = end ? end + strlen("{END}") : NULL;
	}
	caller = fd_close(caller);
}

void serve(const char *call, const char *reply)
{
	serve_begin(call);
	serve_end(reply);
}

void read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fd);
}

static bool read_snippet(void)
{
	int fd = open(getenv("SHIPPED_SNIPPET"), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, snippet, sizeof(snippet) - 1);

	fd_close(fd);
	return n > 0;
}

/* In usbrouted-libvirt's place: says how it was called. */
static bool make_helper(void)
{
	static const char script[] = "#!/bin/sh\necho \"$*\"\n";
	int fd;

	snprintf(helper_path, sizeof(helper_path), "%s/helper", directory);
	fd = open(helper_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	if (fd < 0 || write(fd, script, strlen(script)) != (ssize_t)strlen(script))
		return false;
	close(fd);
	return setenv("USBROUTED_LIBVIRT", helper_path, 1) == 0;
}

/* The daemon's socket, in a folder of the test's. Return: 0, or it can't be. */
int daemon_begin(const char *folder)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	signal(SIGPIPE, SIG_IGN);
	snprintf(socket_path, sizeof(socket_path), "%s/control", folder);
	strcpy(sa.sun_path, socket_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return bind(listener, (struct sockaddr *)&sa, sizeof(sa)) || listen(listener, 4);
}

void daemon_end(void)
{
	listener = fd_close(listener);
	unlink(socket_path);
}

int setup(void **state)
{
	if (!getenv("USBROUTECTL") || !mkdtemp(directory) || !read_snippet() || !make_helper())
		return -1;
	return daemon_begin(directory);
}

int teardown(void **state)
{
	daemon_end();
	unlink(helper_path);
	return rmdir(directory);
}

/* The version stands for itself. */
static void hide_version(char *text)
{
	char *v = strstr(text, "usbroutectl ");
	size_t n;

	if (!v || v != text)
		return;
	v += strlen("usbroutectl ");
	n = strcspn(v, "\n");
	if (n >= strlen("VERSION"))
		return;
	memmove(v + strlen("VERSION"), v + n, strlen(v + n) + 1);
	memcpy(v, "VERSION", strlen("VERSION"));
}

/* Run it in each of these ways. */
void run_each(const struct ctl_run *runs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char out[8192], err[8192];
		int out_fd, err_fd, status;
		pid_t pid = start(runs[i].args, &out_fd, &err_fd);

		if (runs[i].call)
			serve(runs[i].call, runs[i].reply);
		read_all(out_fd, out, sizeof(out));
		read_all(err_fd, err, sizeof(err));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		hide_version(out);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != runs[i].status ||
		    strcmp(out, runs[i].out) || strncmp(err, runs[i].err, strlen(runs[i].err)) ||
		    (!*runs[i].err && *err))
			fail_msg("run %zu, %s %s: status %#x\n%s---\n%s", i,
				 runs[i].args[0] ? runs[i].args[0] : "",
				 runs[i].args[0] && runs[i].args[1] ? runs[i].args[1] : "", status,
				 out, err);
	}
}
