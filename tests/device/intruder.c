/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded into the real daemon by test-sandbox.py: once a process of it serves, what an intruder there
 * would try is tried, and told on stderr: "intruder: PROCESS: WHAT: done", or the error's name.
 *
 * $INTRUDER_TRIES names what to try, in which process: "control open-shadow network". A process serves
 * when it waits for its first request: control says READY by then, the broker reads its line, the closer
 * polls it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int fails(long r)
{
	return r < 0 ? errno : 0;
}

static int open_(const char *path, int flags)
{
	return fails(open(path, flags | O_CLOEXEC | O_NONBLOCK, 0600));
}

static int read_shadow(void)
{
	return open_("/etc/shadow", O_RDONLY);
}

static int read_passwd(void)
{
	return open_("/etc/passwd", O_RDONLY);
}

/* Named by the test; any user may write there. */
static int write_elsewhere(void)
{
	return open_(getenv("INTRUDER_FILE"), O_WRONLY | O_CREAT);
}

static int write_own(void)
{
	return open_(getenv("INTRUDER_OWN"), O_WRONLY | O_CREAT);
}

static int open_device(void)
{
	return open_("/dev/null", O_RDWR);
}

static int make_device(void)
{
	return open_("/dev/intruder", O_WRONLY | O_CREAT);
}

static int write_sysfs(void)
{
	return open_("/sys/kernel/uevent_seqnum", O_WRONLY);
}

static int network(void)
{
	return fails(socket(AF_INET6, SOCK_STREAM, 0));
}

static int packets(void)
{
	return fails(socket(AF_PACKET, SOCK_RAW, 0));
}

static int netlink(void)
{
	return fails(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int ring(void)
{
	char params[120] = {0};

	return fails(syscall(SYS_io_uring_setup, 8, params));
}

static int new_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == MAP_FAILED
		       ? errno
		       : 0;
}

static int fork_(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return fails(pid);
}

static int be_dumped(void)
{
	return fails(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int type_at_terminal(void)
{
	return fails(syscall(SYS_ioctl, 2, 0x5412 /* TIOCSTI */, "x"));
}

static int signal_others(void)
{
	return fails(syscall(SYS_tgkill, 1, 1, 0));
}

static int kill_others(void)
{
	return fails(kill(1, 0));
}

static int run_program(void)
{
	char *const none[] = {NULL};

	return fails(execve("/bin/true", none, none));
}

static int become_root(void)
{
	return fails(syscall(SYS_setresuid, 0, 0, 0));
}

static int trace(void)
{
	return fails(ptrace(PTRACE_ATTACH, getpid(), NULL, NULL));
}

static int namespace_(void)
{
	return fails(syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */));
}

static int mount_(void)
{
	return fails(syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL));
}

static int load_module(void)
{
	return fails(syscall(SYS_init_module, NULL, 0, ""));
}

static const struct {
	const char *name;
	int (*does)(void);
} tries[] = {
	{"read-shadow", read_shadow},
	{"read-passwd", read_passwd},
	{"write-elsewhere", write_elsewhere},
	{"write-own", write_own},
	{"open-device", open_device},
	{"make-device", make_device},
	{"write-sysfs", write_sysfs},
	{"network", network},
	{"packets", packets},
	{"netlink", netlink},
	{"ring", ring},
	{"new-code", new_code},
	{"fork", fork_},
	{"be-dumped", be_dumped},
	{"type-at-terminal", type_at_terminal},
	{"signal-others", signal_others},
	{"kill-others", kill_others},
	{"run-program", run_program},
	{"become-root", become_root},
	{"trace", trace},
	{"namespace", namespace_},
	{"mount", mount_},
	{"load-module", load_module},
};

static void try_one(const char *process, const char *name)
{
	char line[200];
	int error = ENOENT, n;

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		if (!strcmp(tries[i].name, name))
			error = tries[i].does();
	n = snprintf(line, sizeof(line), "intruder: %s: %s: %s\n", process, name,
		     error ? strerrorname_np(error) : "done");
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		_exit(99);
}

static void serves(const char *process)
{
	static bool tried;
	char words[500], *save = NULL;
	const char *said = getenv("INTRUDER_TRIES");

	if (tried || !said)
		return;
	tried = true;
	snprintf(words, sizeof(words), "%s", said);
	if (strcmp(strtok_r(words, " ", &save), process) != 0)
		return;
	for (char *name; (name = strtok_r(NULL, " ", &save));)
		try_one(process, name);
}

static bool is_named(const char *name)
{
	char own[16] = "";

	prctl(PR_GET_NAME, own, 0, 0, 0);
	return !strcmp(own, name);
}

/* ------------------------------------------------------------- what the daemon calls */

ssize_t sendto(int fd, const void *buf, size_t size, int flags, const struct sockaddr *to,
	       socklen_t len)
{
	if (size > 7 && !memcmp(buf, "READY=1", 7))
		serves("control");
	return syscall(SYS_sendto, fd, buf, size, flags, to, len);
}

ssize_t recv(int fd, void *buf, size_t size, int flags)
{
	if (is_named("usbrouted-brk"))
		serves("broker");
	return recvfrom(fd, buf, size, flags, NULL, NULL);
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	struct timespec ts = {timeout / 1000, timeout % 1000 * 1000000L};

	if (is_named("usbrouted-close"))
		serves("closer");
	return ppoll(fds, n, timeout < 0 ? NULL : &ts, NULL);
}
