/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stages of the sandbox, each in a child of its own that really enters it: what it can do, and what it
 * can't. test-sandbox.py (device level) does the same to the programs while they run.
 */
#include <errno.h>
#include <fcntl.h>
#include <libusb.h>
#include <linux/io_uring.h>
#include <linux/usbdevice_fs.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/sandbox.h"
#include "base/sanitizer.h"
#include "usb/usb_device.h"

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
_Static_assert(_FORTIFY_SOURCE >= 3, "an optimised build checks lengths");
#endif

/* What every try may use, made before the stage. */
static int null_fd, listener, memory;
static pid_t parent;

static int outcome(long r)
{
	return r < 0 ? errno : 0;
}

static int try_open(void)
{
	return outcome(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int try_stat(void)
{
	struct stat st;

	return outcome(stat("/etc/passwd", &st));
}

static int try_remove(void)
{
	return unlink("/proc/none/none") < 0 && errno == ENOENT ? 0 : errno;
}

static int try_unix_socket(void)
{
	return outcome(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int try_network(void)
{
	return outcome(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int try_tcp_socket(void)
{
	return outcome(socket(AF_INET6, SOCK_STREAM, 0));
}

static int try_exec(void)
{
	char *const words[] = {NULL};

	return outcome(execve("/no/such/program", words, words));
}

static int try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return outcome(pid);
}

static void *nothing(void *arg)
{
	/* An arena of its own for malloc(). */
	free(malloc(100000));
	return arg;
}

static int try_thread(void)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, nothing, NULL);

	return r ? r : pthread_join(thread, NULL);
}

static int try_new_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int try_make_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? EFAULT : outcome(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int try_guest_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int try_ring(void)
{
	struct io_uring_params p = {0};

	return outcome(syscall(SYS_io_uring_setup, 8, &p));
}

static int try_usbfs(void)
{
	struct usbdevfs_urb urb = {0};

	return ioctl(null_fd, USBDEVFS_SUBMITURB, &urb) < 0 && errno == ENOTTY ? 0 : errno;
}

static int try_usbfs_signal(void)
{
	struct usbdevfs_disconnectsignal when_gone = {.signr = SIGKILL};

	return ioctl(null_fd, USBDEVFS_DISCSIGNAL, &when_gone) < 0 && errno == ENOTTY ? 0 : errno;
}

static int try_terminal(void)
{
	return ioctl(null_fd, TIOCSTI, "x") < 0 && errno == ENOTTY ? 0 : errno;
}

static int try_accept(void)
{
	return accept4(listener, NULL, NULL, SOCK_NONBLOCK) < 0 && errno == EAGAIN ? 0 : errno;
}

static int try_timer(void)
{
	return outcome(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
}

static int try_receive(void)
{
	unsigned n;
	int fd;
	char byte;

	return fd_receive(listener, &byte, 1, &fd, 1, &n, MSG_DONTWAIT) == -EPERM ? EPERM : 0;
}

static int try_wait(void)
{
	struct pollfd p = {.fd = -1};

	return outcome(poll(&p, 1, 0));
}

static int try_setuid(void)
{
	return outcome(setuid(getuid()));
}

static int try_signal(void)
{
	return outcome(kill(parent, 0));
}

static int try_signal_thread(void)
{
	return outcome(syscall(SYS_tgkill, parent, parent, 0));
}

static int try_trace(void)
{
	return outcome(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int try_namespace(void)
{
	return outcome(syscall(SYS_unshare, 0));
}

static int try_be_dumped(void)
{
	return outcome(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int try_name(void)
{
	return outcome(prctl(PR_SET_NAME, "sandboxed"));
}

static int try_bpf(void)
{
	return outcome(syscall(SYS_bpf, -1, NULL, 0));
}

static int try_newer(void)
{
	return outcome(syscall(453, 0, 0, 0, 0));
}

static int try_clone3(void)
{
	return outcome(syscall(SYS_clone3, NULL, 0));
}

/* +: done; -: refused, and said so; e: refused; q: with EACCES; X: ends the process; 0: no such call. */
static const struct {
	const char *name;
	int (*does)(void);
	/* broker, closer, control, starter, vm-start, vm, lan, libvirt */
	char expected[SANDBOX_STAGES + 1];
} tries[] = {
	{"waits", try_wait, "++++++++"},
	{"receives a descriptor", try_receive, "++++++++"},
	{"starts a thread", try_thread, "++++++++"},
	{"names itself", try_name, "++++++++"},
	{"maps a guest's memory", try_guest_memory, "++++++++"},
	{"submits to usbfs", try_usbfs, "+X-++++-"},
	{"makes a timer", try_timer, "-X-++++-"},
	{"accepts a connection", try_accept, "-X+++++-"},
	{"opens a file", try_open, "+X+++qq+"},
	{"looks at a path", try_stat, "+X+++--+"},
	{"removes a file", try_remove, "-X+e----"},
	{"makes a Unix socket", try_unix_socket, "-X+e---+"},
	{"makes a TCP socket", try_tcp_socket, "+X-e----"},
	{"makes another socket", try_network, "-X-e----"},
	{"makes a ring", try_ring, "-+-+++--"},
	{"forks", try_fork, "X+X+XXXe"},
	{"maps code", try_new_code, "-X-+----"},
	{"makes memory code", try_make_code, "-X-+----"},
	{"has usbfs send signals", try_usbfs_signal, "+X-e----"},
	{"types at a terminal", try_terminal, "+X-e----"},
	{"lets itself be read", try_be_dumped, "-X-++---"},
	{"signals another's thread", try_signal_thread, "-X-+----"},
	{"signals another", try_signal, "X+X+XXXX"},
	{"runs a program", try_exec, "XXXXXXXX"},
	{"changes its user", try_setuid, "XXXXXXXX"},
	{"makes a namespace", try_namespace, "XXXeXXXX"},
	{"traces", try_trace, "XXXXXXXX"},
	{"loads a program into the kernel", try_bpf, "XXXXXXXX"},
	{"makes a call newer than the list", try_newer, "00000000"},
	{"clones by the newer call", try_clone3, "00000000"},
};

/* A child in a stage; what it wrote to stderr, and how it ended. */
static int in_stage(enum sandbox_stage stage, int (*does)(void), char *said, size_t size)
{
	int out[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_return_code(pipe2(out, O_CLOEXEC), errno);
	pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		dup2(out[1], STDERR_FILENO);
		log_init(LOG_LEVEL_INFO);
		if (sandbox_calls(stage) < 0)
			_exit(255);
		_exit(does());
	}
	close(out[1]);
	while (len < size - 1 && (n = read(out[0], said + len, size - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = 0;
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static char how_it_went(int status, const char *said)
{
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? 'X' : '?';
	if (WEXITSTATUS(status) == EPERM)
		return strstr(said, "was refused") ? '-' : 'e';
	if (said[0])
		return '?';
	if (WEXITSTATUS(status) == ENOSYS)
		return '0';
	if (WEXITSTATUS(status) == EACCES)
		return 'q';
	return WEXITSTATUS(status) ? '?' : '+';
}

static void test_calls(void **state _unused_)
{
	if (WITH_SANITIZER)
		skip();
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		for (unsigned stage = 0; stage < SANDBOX_STAGES; stage++) {
			char said[2000];
			int status = in_stage(stage, tries[i].does, said, sizeof(said));
			char went = how_it_went(status, said);

			if (went != tries[i].expected[stage])
				fail_msg("stage %u, %s: expected %c, found %c (status %x): %s",
					 stage, tries[i].name, tries[i].expected[stage], went,
					 (unsigned)status, said);
		}
}

/* ------------------------------------------------------------- a VM's process, from start to work */

struct life {
	struct loop *loop;
	struct letter letter;
	bool told, timed;
};

static void on_letter(struct letter *letter)
{
	container_of(letter, struct life, letter)->told = true;
}

static void on_time(void *ctx, int res _unused_)
{
	((struct life *)ctx)->timed = true;
}

static void *post(void *arg)
{
	struct life *life = arg;

	free(malloc(100000));
	loop_post(life->loop, &life->letter, on_letter);
	return NULL;
}

static int live(void)
{
	struct life life = {.loop = NULL};
	struct loop_watch timer = {0};
	libusb_device_handle *handle;
	libusb_context *usb;
	pthread_t thread;
	char *p, byte;

	if (loop_new(&life.loop) < 0 || usb_device_library_init() < 0 ||
	    sandbox_calls(SANDBOX_VM) < 0)
		return 1;
	if (loop_watch_time(life.loop, &timer, 1000, on_time, &life) < 0 ||
	    pthread_create(&thread, NULL, post, &life) != 0)
		return 2;
	while (!life.told || !life.timed)
		if (loop_turn(life.loop, true) < 0)
			return 3;
	pthread_join(thread, NULL);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (p == MAP_FAILED)
		return 4;
	p[0] = 1;
	/* As a device's descriptors are read. */
	if (lseek(memory, 0, SEEK_SET) != 0 || pread(memory, &byte, 1, 0) != 1 || byte != 1)
		return 6;
	munmap(p, 4096);
	/* No device, which libusb finds out by asking it. */
	if (libusb_init(&usb) < 0 || libusb_wrap_sys_device(usb, null_fd, &handle) == 0)
		return 5;
	libusb_exit(usb);
	loop_free(life.loop);
	return 0;
}

static void test_a_vms_life(void **state _unused_)
{
	char said[2000];
	int status;

	if (WITH_SANITIZER)
		skip();
	status = in_stage(SANDBOX_VM_START, live, said, sizeof(said));
	assert_string_equal(said, "");
	assert_int_equal(status, 0);
}

/* ------------------------------------------------------------- files */

static int open_in_own(void)
{
	return outcome(open("/dev/shm/sandbox-own", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

static void in_files(const struct sandbox_path *paths, size_t n, int (*does)(void), int expected)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (sandbox_files(paths, n) < 0)
			_exit(255);
		_exit(does());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), expected);
}

static void test_files(void **state _unused_)
{
	const struct sandbox_path read_etc[] = {{"/etc", SANDBOX_READ}, {"/no/such", SANDBOX_READ}};
	const struct sandbox_path own[] = {{"/dev/shm", SANDBOX_OWN}};
	const struct sandbox_path only_opens[] = {{"/dev/shm", SANDBOX_OPEN}};

	/* Linux 5.13 and later may have it, where it is not switched off at boot. */
	if (syscall(444, NULL, 0, 1) < 1)
		skip();
	in_files(NULL, 0, try_open, EACCES);
	in_files(read_etc, 2, try_open, 0);
	in_files(read_etc, 2, open_in_own, EACCES);
	in_files(only_opens, 1, open_in_own, EACCES);
	in_files(own, 1, open_in_own, 0);
	unlink("/dev/shm/sandbox-own");
}

/* ------------------------------------------------------------- whose it is */

static void test_becomes_a_user(void **state _unused_)
{
	struct sandbox_user user;
	int status;
	pid_t pid;

	assert_int_equal(sandbox_user_find(&user, "no such user"), -ENOENT);
	assert_int_equal(sandbox_user_find(&user, "61000x"), -ENOENT);
	assert_int_equal(sandbox_user_find(&user, "root"), 0);
	assert_int_equal(user.uid, 0);
	assert_int_equal(sandbox_user_find(&user, "61000"), 0);
	assert_int_equal(user.uid, 61000);
	assert_int_equal(user.gid, 61000);
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0) {
		if (sandbox_become(&user, NULL, 0) < 0 || sandbox_keep_caps(0) < 0)
			_exit(1);
		if (getuid() != 61000 || getegid() != 61000 || getgroups(0, NULL) != 0)
			_exit(2);
		_exit(setuid(0) == 0 || setgid(0) == 0 || prctl(PR_GET_DUMPABLE) != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	/* One of the kernel's choice. */
	struct sockaddr nameless = {.sa_family = AF_UNIX};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_a_vms_life),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_becomes_a_user),
	};

	log_init(LOG_LEVEL_INFO);
	parent = getpid();
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	memory = memfd_create("guest", MFD_CLOEXEC);
	if (null_fd < 0 || bind(listener, &nameless, sizeof(nameless.sa_family)) < 0 ||
	    listen(listener, 1) < 0 || ftruncate(memory, 4096) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
