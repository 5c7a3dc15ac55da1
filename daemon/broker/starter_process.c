/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The starter's own side: a process with one thread that starts others until its line closes; see
 * starter.h. It does not trust control beyond the form of a name, but kills VMs' processes for it:
 * control can tell them to end anyway.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/code_pages.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "daemon/broker/starter_line.h"

#define PROGRAM	   "usbrouted-vm"
#define VM_USER	   "usbrouted-vm"
#define LINE_FD	   3
#define PROGRAM_FD 4

/* Set before the first request, and never again. */
struct starter_process {
	int line;
	int program; /* opened with O_PATH, so that it is the one that belongs to this version */
	struct sandbox_user user; /* who it becomes, where it is root */
	char journal[64];	  /* JOURNAL_STREAM, as our log has it; "" */
};

/* Open the program in this one's folder. Return: a descriptor, or a negative errno, logged. */
static int open_program(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(PROGRAM) - 1);
	_cleanup_close_ int fd = -1;
	struct stat st = {0};
	char *slash;
	int r = 0;

	if (n < 0) {
		r = -errno;
		log_err("the folder of usbrouted can't be found by /proc/self/exe: %s; is /proc mounted?",
			errno_text(r));
		return r;
	}
	path[n] = 0;
	slash = strrchr(path, '/');
	memcpy(slash ? slash + 1 : path, PROGRAM, sizeof(PROGRAM));
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)
		r = -EACCES;
	if (r < 0) {
		log_err("%s, the program of each VM's process, can't be run: %s; install usbrouted whole, with this program beside it",
			path, errno_text(r));
		return r;
	}
	return take_fd(&fd);
}

static bool name_sound(const char name[STARTER_NAME_SIZE])
{
	size_t n = strnlen(name, STARTER_NAME_SIZE);

	/* Of a network's uplink there is a dot in it. */
	return n > 0 && n < STARTER_NAME_SIZE && name[0] != '.' &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") ==
		       n;
}

/* Between fork and exec: prepare what the new program finds. */
static _Noreturn void become_program(const struct starter_process *s, int line, const char *name)
{
	/* A name may begin like an option. */
	char *const argv[] = {(char *)PROGRAM, (char *)"--", (char *)name, NULL};
	char *const lan_argv[] = {(char *)PROGRAM, (char *)"--lan", (char *)"--", (char *)name,
				  NULL};
	char *const env[] = {(char *)(s->journal[0] ? s->journal : NULL), NULL};
	int line_copy = fcntl(line, F_DUPFD_CLOEXEC, 10);
	int program_copy = fcntl(s->program, F_DUPFD_CLOEXEC, 10);
	int nothing = open("/dev/null", O_RDWR);
	sigset_t none;

	/* A terminal's signals are for control; the process's own words go to the log. */
	setsid();
	if (nothing >= 0) {
		dup2(nothing, STDIN_FILENO);
		dup2(nothing, STDOUT_FILENO);
	}
	if (line_copy < 0 || program_copy < 0 || dup2(line_copy, LINE_FD) < 0 ||
	    dup3(program_copy, PROGRAM_FD, O_CLOEXEC) < 0 ||
	    close_range(PROGRAM_FD + 1, ~0u, 0) < 0)
		_exit(127);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	syscall(SYS_execveat, PROGRAM_FD, "", strcmp(name, STARTER_LAN) ? argv : lan_argv, env,
		AT_EMPTY_PATH);
	_exit(127);
}

/* Return: 0, or a negative errno with @ret_why. @ret_fds: its line, its pidfd. */
static int start_one(const struct starter_process *s, const char *name, int ret_fds[2],
		     const char **ret_why)
{
	_cleanup_close_ int mine = -1, theirs = -1, process = -1;
	int pair[2], r = 0;
	pid_t pid;

	*ret_why = "making a socket pair";
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	mine = pair[0];
	theirs = pair[1];
	*ret_why = "starting the program " PROGRAM;
	/* Until it is known by its pidfd, nobody else may get its number. */
	signal(SIGCHLD, SIG_DFL);
	pid = fork();
	if (pid == 0)
		become_program(s, theirs, name);
	if (pid > 0)
		process = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process < 0)
		r = -errno;
	/* Its line tells what becomes of it; without one it ends. */
	signal(SIGCHLD, SIG_IGN);
	if (pid > 0)
		waitpid(pid, NULL, WNOHANG);
	if (r < 0)
		return r;
	ret_fds[0] = take_fd(&mine);
	ret_fds[1] = take_fd(&process);
	return 0;
}

/* The kernel refuses that for other users' processes, whatever control says. */
static void kill_one(const char *name, int process)
{
	if (syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		log_err("%s: its process can't be killed: %s", name, errno_text(errno));
}

static void serve(const struct starter_process *s)
{
	for (;;) {
		struct starter_ask ask;
		struct helper_answer answer = {0};
		int fds[2] = {-1, -1};
		unsigned n_fds;
		const char *why = "no such name of a VM";
		ssize_t n = fd_receive(s->line, &ask, sizeof(ask), fds, 1, &n_fds, 0);

		/* A request without its descriptor is not done. */
		if (n == -EMSGSIZE)
			continue;
		if (n != sizeof(ask))
			return;
		answer.id = ask.id;
		answer.r = name_sound(ask.name) ? 0 : -EINVAL;
		if (ask.kind == STARTER_KILL) {
			if (answer.r == 0 && n_fds == 1)
				kill_one(ask.name, fds[0]);
			fd_close(fds[0]);
			continue;
		}
		if (answer.r == 0)
			answer.r = start_one(s, ask.name, fds, &why);
		if (answer.r < 0)
			snprintf(answer.text, sizeof(answer.text), "%s", why);
		fd_send(s->line, &answer, sizeof(answer), fds, answer.r < 0 ? 0 : 2);
		fd_close(fds[0]);
		fd_close(fds[1]);
	}
}

/**
 * starter_vm_user() - whose the VMs' processes are, where root starts them
 * @ret_user:	gets the user
 *
 * Return: whether there is a user made for that; else it is 65534.
 */
bool starter_vm_user(struct sandbox_user *ret_user)
{
	if (sandbox_user_find(ret_user, VM_USER) == 0)
		return true;
	*ret_user = (struct sandbox_user){65534, 65534};
	return false;
}

static void choose_user(struct starter_process *s)
{
	if (geteuid() != 0)
		return;
	if (!starter_vm_user(&s->user))
		log_warning(
			"there is no user \"" VM_USER
			"\": the VMs' processes are user 65534; try: systemd-sysusers, or useradd --system " VM_USER);
}

/*
 * All its processes are one user's: so it becomes that user itself, and has nothing to give up
 * later.
 */
static int starter_give_up(const struct starter_process *s)
{
	int r = geteuid() == 0 ? sandbox_become(&s->user, NULL, 0) : 0;

	if (r == 0)
		r = sandbox_keep_caps(0);
	return r == 0 ? sandbox_calls(SANDBOX_STARTER) : r;
}

static _Noreturn void starter_main(const struct starter_process *s)
{
	sigset_t all;
	int r;

	prctl(PR_SET_NAME, "usbrouted-start");
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	signal(SIGCHLD, SIG_IGN);
	r = starter_give_up(s);
	if (r < 0) {
		log_err("the starter of the VMs' processes: dropping rights: %s", errno_text(r));
		_exit(1);
	}
	code_pages_give_back();
	serve(s);
	_exit(0);
}

/**
 * starter_start() - fork the starter
 * @ret_line:	control's end of the line
 *
 * To be called before any thread is started.
 *
 * Return: 0 or a negative errno, logged: also where there is no program that it could run.
 */
int starter_start(int *ret_line)
{
	_cleanup_close_ int program = open_program();
	struct starter_process s = {.program = program};
	const char *journal = getenv("JOURNAL_STREAM");
	int pair[2], r = 0;
	pid_t pid = -1;

	if (program < 0)
		return program;
	/*
	 * Done here, where name services are loaded: in the starter they were a third of its
	 * memory.
	 */
	choose_user(&s);
	if (journal)
		snprintf(s.journal, sizeof(s.journal), "JOURNAL_STREAM=%s", journal);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		r = -errno;
		log_err("no process that starts the VMs' processes: %s", errno_text(r));
		return r;
	}
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		s.line = pair[1];
		starter_main(&s);
	}
	if (pid < 0)
		r = -errno;
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		log_err("no process that starts the VMs' processes: %s", errno_text(r));
		return r;
	}
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	*ret_line = pair[0];
	return 0;
}
