/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes system calls inside a process that runs, as an intruder there would: it stops the process (ptrace),
 * has it make one call, and lets it go on with what it was about. x86-64 only.
 *
 * usage: inside PID. It says "stopped" once the process is. Each line of its input is then a call: its
 * number, then up to six arguments: a number, `@TEXT` (the address of TEXT in the process), `#N` (of N zero
 * bytes). Each line of its output is what came of it: what it returned, or "ends": the process does not live
 * any more. A child that it makes is killed.
 *
 * A call that the filter refuses by SIGSYS is followed until the process's own handler has returned.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE)
#define AT_CALL (SIGTRAP | 0x80)

/* Below what the process has on its stack; the frame of a signal comes below this. */
#define ROOM 4096

static pid_t pid;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "inside %d: %s: %s\n", pid, what, strerror(errno));
	exit(2);
}

/* A child that the process makes begins as it is, and goes no further. */
static void end_child(void)
{
	unsigned long child;
	int status;

	if (ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child) < 0)
		fail("PTRACE_GETEVENTMSG");
	kill((pid_t)child, SIGKILL);
	do {
		if (waitpid((pid_t)child, &status, __WALL) < 0)
			fail("waitpid");
	} while (WIFSTOPPED(status));
}

/* Return: false: the process has ended; else it has stopped, for @ret_why. */
static bool wait_stop(int *ret_why)
{
	int status;

	if (waitpid(pid, &status, __WALL) != pid)
		fail("waitpid");
	if (!WIFSTOPPED(status))
		return false;
	*ret_why = WSTOPSIG(status);
	if (status >> 16 == PTRACE_EVENT_FORK || status >> 16 == PTRACE_EVENT_VFORK ||
	    status >> 16 == PTRACE_EVENT_CLONE)
		end_child();
	return true;
}

static void get(struct user_regs_struct *regs)
{
	if (ptrace(PTRACE_GETREGS, pid, NULL, regs) < 0)
		fail("PTRACE_GETREGS");
}

static void set(const struct user_regs_struct *regs)
{
	if (ptrace(PTRACE_SETREGS, pid, NULL, regs) < 0)
		fail("PTRACE_SETREGS");
}

/* A filter's refusal is a signal that comes when the call has returned, as if it had not been made. */
static bool is_refused(void)
{
	struct __ptrace_peeksiginfo_args first = {.nr = 1};
	siginfo_t info;

	return ptrace(PTRACE_PEEKSIGINFO, pid, &first, &info) == 1 && info.si_signo == SIGSYS;
}

/* Goes on until the call has returned. Return: false: the process has ended by it. */
static bool make_call(const struct user_regs_struct *regs, long *ret)
{
	bool entered = false, in_handler = false;
	struct user_regs_struct now;
	int why, pass_on = 0;

	set(regs);
	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, pass_on) < 0)
			fail("PTRACE_SYSCALL");
		pass_on = 0;
		if (!wait_stop(&why))
			return false;
		if (why == SIGSYS) {
			pass_on = SIGSYS;
			in_handler = true;
			entered = false;
			continue;
		}
		if (why != AT_CALL)
			continue;
		get(&now);
		entered = !entered;
		if (entered)
			continue;
		if (is_refused())
			continue;
		if (in_handler && now.orig_rax != (unsigned long)-1 &&
		    now.orig_rax != SYS_rt_sigreturn)
			continue;
		*ret = (long)now.rax;
		return true;
	}
}

static unsigned long put(unsigned long *at, const void *data, size_t size)
{
	struct iovec mine = {(void *)data, size}, theirs;

	*at -= (size + 15) & ~15ul;
	theirs = (struct iovec){(void *)*at, size};
	if (process_vm_writev(pid, &mine, 1, &theirs, 1, 0) != (ssize_t)size)
		fail("process_vm_writev");
	return *at;
}

static unsigned long argument(unsigned long *at, const char *word)
{
	static const char zero[1024];

	if (word[0] == '@')
		return put(at, word + 1, strlen(word));
	if (word[0] == '#')
		return put(at, zero, strtoul(word + 1, NULL, 0));
	return (unsigned long)strtol(word, NULL, 0);
}

/* Return: false: the process has ended. */
static bool one(const struct user_regs_struct *old, char *line)
{
	struct user_regs_struct regs = *old;
	unsigned long at = (old->rsp - 256) & ~15ul, words[7] = {0};
	char *save = NULL, *word = strtok_r(line, " \n", &save);
	long r;

	for (unsigned i = 0; i < 7 && word; i++, word = strtok_r(NULL, " \n", &save))
		words[i] = argument(&at, word);
	regs.rax = words[0];
	regs.orig_rax = (unsigned long)-1; /* nothing is begun again */
	regs.rdi = words[1];
	regs.rsi = words[2];
	regs.rdx = words[3];
	regs.r10 = words[4];
	regs.r8 = words[5];
	regs.r9 = words[6];
	regs.rsp = (old->rsp - ROOM) & ~15ul;
	regs.rip = old->rip - 2; /* it waits in a call, which is two bytes long */
	if (!make_call(&regs, &r)) {
		puts("ends");
		return false;
	}
	printf("%ld\n", r);
	fflush(stdout);
	return true;
}

/* Stops it where it waits for its next work. */
static void stop_in_call(struct user_regs_struct *old)
{
	int why;

	if (ptrace(PTRACE_SEIZE, pid, NULL, OPTIONS) < 0)
		fail("PTRACE_SEIZE");
	for (;; usleep(1000)) {
		if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
			fail("PTRACE_INTERRUPT");
		if (!wait_stop(&why))
			fail("it has ended");
		get(old);
		if ((ptrace(PTRACE_PEEKTEXT, pid, old->rip - 2, NULL) & 0xffff) == 0x050f &&
		    (long)old->orig_rax >= 0)
			return;
		if (ptrace(PTRACE_CONT, pid, NULL, NULL) < 0)
			fail("PTRACE_CONT");
	}
}

/* The call that it waited in is begun again, as the kernel would. */
static void let_go(struct user_regs_struct *old)
{
	if ((long)old->rax <= -512) {
		old->rax = old->orig_rax;
		old->rip -= 2;
	}
	old->orig_rax = (unsigned long)-1;
	set(old);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

int main(int argc, char **argv)
{
	struct user_regs_struct old;
	char line[1000];
	bool lives = true;

	pid = argc == 2 ? atoi(argv[1]) : 0;
	if (pid <= 0) {
		fputs("usage: inside PID\n", stderr);
		return 2;
	}
	stop_in_call(&old);
	puts("stopped");
	fflush(stdout);
	while (lives && fgets(line, sizeof(line), stdin))
		lives = one(&old, line);
	if (lives)
		let_go(&old);
	return 0;
}
