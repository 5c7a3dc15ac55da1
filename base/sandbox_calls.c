/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Seccomp: which system calls a process may make, by stage; see sandbox.h.
 *
 * The filter is made of two tables: who may make a call, and which values of an argument are allowed.
 * It is made here and not by libseccomp, which costs 110 KiB of files and 120 KiB of memory a process,
 * and whose version in Debian 12 knows nothing of calls that are newer than it.
 *
 * Runs of all tests under strace on Debian 12 (glibc 2.36) and 13 (2.41) showed what libc, libusb
 * and jansson call; what they call in rare cases was looked up in their sources. The kernel keeps a
 * bitmap of calls that are allowed whatever their arguments are (Linux 5.11), so that these cost
 * nothing; ioctl(2), which a transfer needs, is asked for first.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/usbdevice_fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "base/sanitizer.h"

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

/* Stages, a letter each. */
#define B   (1u << SANDBOX_BROKER)
#define X   (1u << SANDBOX_CLOSER)
#define C   (1u << SANDBOX_CONTROL)
#define T   (1u << SANDBOX_STARTER)
#define S   (1u << SANDBOX_VM_START)
#define V   (1u << SANDBOX_VM)
#define N   (1u << SANDBOX_LAN)
#define L   (1u << SANDBOX_LIBVIRT)
#define ALL (B | X | C | T | S | V | N | L)

/* ------------------------------------------------------------- arguments */

enum judge {
	ANY,
	ONE_OF,	 /* one of these values */
	WITH,	 /* with this bit */
	WITHOUT, /* without any of these bits */
	OWN_PID, /* this process's number */
	NEVER,	 /* refused with EACCES, and nothing is said of it */
};

/* What an argument must be. The kernel takes 32 bits of each of these. */
struct argument {
	enum judge judge;
	unsigned index;
	const uint32_t *values;
	size_t n;
	bool fatal; /* else the process ends */
	bool quiet; /* else it is refused with EPERM, and nothing is said of it */
};

#define VALUES(...) \
	.values = (const uint32_t[]){__VA_ARGS__}, .n = ARRAY_SIZE(((uint32_t[]){__VA_ARGS__}))

static const struct argument unix_only = {ONE_OF, 0, VALUES(AF_UNIX)};
/* What listens for the LAN export. */
static const struct argument tcp_only = {ONE_OF, 0, VALUES(AF_INET, AF_INET6)};
static const struct argument no_code = {WITHOUT, 2, VALUES(PROT_EXEC)};
/* Newer libc blocks signals while it forks, so that a refusal would end the process there and not here. */
static const struct argument thread_only = {WITH, 0, VALUES(CLONE_THREAD), .fatal = true};
/* libvirt's library would start a daemon of a user's own, and goes on without. */
static const struct argument no_child = {WITH, 0, VALUES(CLONE_THREAD), .quiet = true};
static const struct argument no_namespace = {WITHOUT, 0,
					     VALUES(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
						    CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
						    CLONE_NEWNET)};
static const struct argument own_namespaces = {ONE_OF, 0, VALUES(SANDBOX_NAMESPACES)};
/* libusb looks for usbfs and for its descriptor's name, and goes on without them. */
static const struct argument in_vain = {NEVER, 0, NULL, 0};
static const struct argument itself = {OWN_PID, 0, NULL, 0};
static const struct argument own_limits = {ONE_OF, 0, VALUES(0)};
static const struct argument name_only = {ONE_OF, 0, VALUES(PR_SET_NAME, PR_GET_NAME)};
static const struct argument plain_fcntl = {
	ONE_OF, 1,
	VALUES(F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS)};
/* Not those that send signals, or keep a port or a device's sleep to oneself. */
static const struct argument usbfs_only = {
	ONE_OF, 1,
	VALUES(USBDEVFS_SUBMITURB, USBDEVFS_REAPURBNDELAY, USBDEVFS_REAPURB, USBDEVFS_DISCARDURB,
	       USBDEVFS_CONTROL, USBDEVFS_BULK, USBDEVFS_RESETEP, USBDEVFS_CLEAR_HALT,
	       USBDEVFS_SETINTERFACE, USBDEVFS_SETCONFIGURATION, USBDEVFS_CLAIMINTERFACE,
	       USBDEVFS_RELEASEINTERFACE, USBDEVFS_DISCONNECT_CLAIM, USBDEVFS_IOCTL,
	       USBDEVFS_GETDRIVER, USBDEVFS_RESET, USBDEVFS_GET_CAPABILITIES,
	       USBDEVFS_ALLOC_STREAMS, USBDEVFS_FREE_STREAMS, USBDEVFS_CONNECTINFO,
	       USBDEVFS_GET_SPEED)};

/* ------------------------------------------------------------- calls */

struct call {
	int number;
	unsigned stages;
	const struct argument *argument; /* NULL: any */
};

/*
 * If two rows are about one call, the first one that has the stage counts. The starter is in all
 * rows of the processes that it starts (may_make()): if these differ, the widest stands first.
 */
static const struct call calls[] = {
	{__NR_ioctl, S | V | N, &usbfs_only},
	{__NR_ioctl, B},

	/* The starter runs a program, which loads its libraries and shuts itself in. */
	{__NR_execveat, T},
	{__NR_mmap, T},
	{__NR_mprotect, T},
	{__NR_clone, T | X, &no_namespace},
	{__NR_unshare, T, &own_namespaces},
	{__NR_mount, T},
	{__NR_pivot_root, T},
	{__NR_umount2, T},
	{__NR_chdir, T},
	{__NR_setsid, T},
	/* It kills a VM's process. */
	{__NR_pidfd_send_signal, T},
	{__NR_capget, T},
	{__NR_capset, T},
	{__NR_landlock_create_ruleset, T},
	{__NR_landlock_add_rule, T},
	{__NR_landlock_restrict_self, T},
	{__NR_set_tid_address, T},
	/* It has another process number by then. */
	{__NR_tgkill, T},
#ifdef __x86_64__
	{__NR_arch_prctl, T},
#endif

	/* A thread at work. */
	{__NR_io_uring_enter, C | S | V | N},
	{__NR_read, ALL},
	{__NR_write, ALL},
	{__NR_readv, C | S | V | N | L},
	{__NR_writev, C | S | V | N | L},
	{__NR_close, ALL},
	{__NR_fcntl, ALL, &plain_fcntl},
	{__NR_lseek, B | C | S | V | N | L},
	{__NR_futex, ALL},
	{__NR_ppoll, ALL},
	{__NR_clock_gettime, ALL},
	{__NR_clock_nanosleep, ALL},
	{__NR_nanosleep, ALL},
	{__NR_gettimeofday, ALL},
	{__NR_getpid, ALL},
	{__NR_gettid, ALL},
	{__NR_getuid, ALL},
	{__NR_geteuid, ALL},
	{__NR_getgid, ALL},
	{__NR_getegid, ALL},
	{__NR_getrandom, ALL},
	{__NR_rt_sigaction, ALL},
	{__NR_rt_sigprocmask, ALL},
	{__NR_rt_sigreturn, ALL},
	{__NR_restart_syscall, ALL},
	{__NR_tgkill, ALL, &itself},
	{__NR_exit, ALL},
	{__NR_exit_group, ALL},

	/* Memory, and no new code in it. */
	{__NR_brk, ALL},
	{__NR_mmap, ALL, &no_code},
	{__NR_mprotect, ALL, &no_code},
	{__NR_munmap, ALL},
	{__NR_mremap, B | C | S | V | N | L},
	{__NR_madvise, ALL},

	/* Threads: for calls that block, and a guest's. Arenas of malloc() ask how many CPUs there are. */
	{__NR_clone, B | C | S | V | N, &thread_only},
	{__NR_clone, L, &no_child},
	{__NR_set_robust_list, ALL},
	{__NR_rseq, ALL},
	{__NR_sched_yield, ALL},
	{__NR_sched_getaffinity, B | C | S | V | N | L},
	{__NR_sched_setscheduler, S | V | N},
	{__NR_sched_get_priority_min, S | V | N},
	{__NR_prlimit64, S | V | N, &own_limits},
	{__NR_sysinfo, B | C | S | V | N | L},
	{__NR_prctl, T | S},
	{__NR_prctl, B | X | C | V | N | L, &name_only},

	/* What descriptors tell, and pass on. */
	{__NR_fstat, ALL},
	{__NR_fstatfs, B | C | S | V | L},
	{__NR_recvmsg, ALL},
	{__NR_sendmsg, ALL},
	{__NR_recvfrom, ALL},
	{__NR_sendto, ALL},
	{__NR_accept4, C | S | V | N},
	{__NR_shutdown, X | C | S | V | N | L},
	{__NR_getsockopt, C | S | V | N | L},
	{__NR_setsockopt, B | C | S | V | N | L},
	{__NR_getpeername, C | S | V | N | L},
	{__NR_getsockname, C | S | V | N | L},
	{__NR_pipe2, B | X | C | S | V | N | L},
	{__NR_eventfd2, C | S | V | N | L},
	{__NR_timerfd_create, S | V | N},
	{__NR_timerfd_settime, S | V | N},
	{__NR_memfd_create, C | S},
	{__NR_ftruncate, C | S},

	/* Which process is a VM's, so that its end is seen. */
	{__NR_pidfd_open, C | T},

	/* Sockets of its own. */
	{__NR_socket, C | L, &unix_only},
	{__NR_socket, B, &tcp_only},
	{__NR_socketpair, C | S | V, &unix_only},
	{__NR_bind, B | C},
	{__NR_listen, B | C | S | V | N},
	{__NR_connect, C | L},

	/* Rings: a guest's, and its bells' (bell.h), one for each link, too. Control's stands by then. */
	{__NR_io_uring_setup, X | S | V},
	{__NR_io_uring_register, X | S | V},

	/* Files. Landlock and their modes say which ones. */
	{__NR_openat, B | C | S | L},
	{__NR_openat, V | N, &in_vain},
	{__NR_newfstatat, B | C | S | L},
	{__NR_statx, B | C | S | L},
	{__NR_readlinkat, B | C | S | L},
	{__NR_readlinkat, V | N, &in_vain},
	{__NR_faccessat, B | C | S | L},
	{__NR_faccessat2, B | C | S | L},
	{__NR_getdents64, B | C | S | L},
	{__NR_getcwd, B | C | S | L},
	{__NR_pread64, B | C | S | V | N | L},
	{__NR_statfs, B | C | S | L},
	{__NR_statfs, V | N, &in_vain},
	{__NR_unlinkat, C},
	{__NR_mkdirat, C},
	{__NR_renameat, C},
	{__NR_renameat2, C},
	{__NR_fsync, C},
	{__NR_flock, C},
	{__NR_fchmod, C},
	{__NR_fchmodat, C},
	{__NR_fchown, C},
	{__NR_fchownat, C},

	/* The closer's: a child for each descriptor, and for each connection that may bring some (usher.h). */
	{__NR_wait4, X},
	{__NR_kill, X},
	{__NR_signalfd4, X},
	{__NR_dup3, X},
	{__NR_close_range, X},

	{__NR_uname, C | S | V | N | L},
	/* A VM's process is then in the next stage. */
	{__NR_seccomp, S},

#ifdef __x86_64__
	/* Names that arm64 has not; libc uses the ones above there. */
	{__NR_dup2, X},
	{__NR_poll, ALL},
	{__NR_time, ALL},
	{__NR_open, B | C | S | L},
	{__NR_stat, B | C | S | L},
	{__NR_lstat, B | C | S | L},
	{__NR_access, B | C | S | L},
	{__NR_readlink, B | C | S | L},
	{__NR_readlink, V | N, &in_vain},
	{__NR_unlink, C},
	{__NR_mkdir, C},
	{__NR_rename, C},
	{__NR_chmod, C},
	{__NR_chown, C},
#endif
};

/*
 * Neither our code nor a library that it uses has a reason for these calls, unless a stage has them
 * above.
 */
static const int intruders[] = {
	__NR_execve,
	__NR_execveat,
	__NR_ptrace,
	__NR_process_vm_readv,
	__NR_process_vm_writev,
	__NR_pidfd_getfd,
	__NR_kill,
	__NR_tkill,
	__NR_setuid,
	__NR_setresuid,
	__NR_setreuid,
	__NR_setgid,
	__NR_setresgid,
	__NR_setregid,
	__NR_setgroups,
	__NR_capset,
	__NR_unshare,
	__NR_setns,
	__NR_chroot,
	__NR_pivot_root,
	__NR_mount,
	__NR_umount2,
	__NR_move_mount,
	__NR_open_tree,
	__NR_fsopen,
	__NR_fsmount,
	__NR_mknodat,
	__NR_init_module,
	__NR_finit_module,
	__NR_delete_module,
	__NR_kexec_load,
	__NR_reboot,
	__NR_swapon,
	__NR_swapoff,
	__NR_bpf,
	__NR_perf_event_open,
	__NR_userfaultfd,
	__NR_add_key,
	__NR_request_key,
	__NR_keyctl,
	__NR_open_by_handle_at,
#ifdef __x86_64__
	__NR_fork,
	__NR_vfork,
#endif
};

/* Its arguments lie in memory, where a filter can't see them. Without it libc takes clone(2). */
#define NEVER_THERE __NR_clone3
/* The last one of Linux 6.1. What is newer does not exist. */
#define LAST_KNOWN 450

/* ------------------------------------------------------------- the filter */

#ifdef OUR_ARCH
#define FILTER_MAX 600

struct filter {
	struct sock_filter at[FILTER_MAX];
	unsigned short n;
};

static void add(struct filter *f, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	/* Too long a filter is one that the kernel refuses. */
	if (f->n < FILTER_MAX)
		f->at[f->n++] = (struct sock_filter){code, yes, no, k};
}

static void add_load(struct filter *f, size_t offset)
{
	add(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void add_end(struct filter *f, uint32_t what)
{
	add(f, BPF_RET | BPF_K, what, 0, 0);
}

/* Where the word that was loaded is this one. */
static void add_end_if(struct filter *f, uint32_t value, uint32_t what)
{
	add(f, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	add_end(f, what);
}

static void add_end_if_bits(struct filter *f, uint32_t bits, uint32_t what)
{
	add(f, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
	add_end(f, what);
}

static void add_argument(struct filter *f, const struct argument *a, uint32_t refuse)
{
	size_t args = offsetof(struct seccomp_data, args);

	/* Both kinds of machine are little-endian: the low word comes first. */
	if (a->fatal)
		refuse = SECCOMP_RET_KILL_PROCESS;
	if (a->quiet)
		refuse = SECCOMP_RET_ERRNO | EPERM;
	add_load(f, args + a->index * sizeof(uint64_t));
	switch (a->judge) {
	case ONE_OF:
		for (size_t i = 0; i < a->n; i++)
			add_end_if(f, a->values[i], SECCOMP_RET_ALLOW);
		break;
	case WITH:
		add_end_if_bits(f, a->values[0], SECCOMP_RET_ALLOW);
		break;
	case WITHOUT:
		add_end_if_bits(f, a->values[0], refuse);
		add_end(f, SECCOMP_RET_ALLOW);
		break;
	case OWN_PID:
		add_end_if(f, (uint32_t)getpid(), SECCOMP_RET_ALLOW);
		break;
	case NEVER:
		refuse = SECCOMP_RET_ERRNO | EACCES;
		break;
	case ANY:
	default:
		break;
	}
	add_end(f, refuse);
}

static void add_call(struct filter *f, const struct call *c, uint32_t refuse)
{
	unsigned short jump = f->n;

	if (!c->argument) {
		add_end_if(f, (uint32_t)c->number, SECCOMP_RET_ALLOW);
		return;
	}
	add(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)c->number, 0, 0);
	add_argument(f, c->argument, refuse);
	f->at[jump].jf = (uint8_t)(f->n - jump - 1);
}

/* What the starter starts keeps its filter; so that filter has their calls, too. */
static bool may_make(enum sandbox_stage stage, const struct call *c)
{
	unsigned stages = c->stages & (X | S | V) ? c->stages | T : c->stages;

	return stages >> stage & 1;
}

/*
 * What happens at a call that a stage must not make. A program that has just started handles no
 * SIGSYS yet; what its own stages refuse goes before this.
 */
static uint32_t refusal(enum sandbox_stage stage)
{
	if (stage == SANDBOX_STARTER)
		return SECCOMP_RET_ERRNO | EPERM;
	return stage == SANDBOX_CLOSER ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_TRAP;
}

static void make_filter(struct filter *f, enum sandbox_stage stage)
{
	uint32_t refuse = refusal(stage);

	add_load(f, offsetof(struct seccomp_data, arch));
	add(f, BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
	add_end(f, SECCOMP_RET_KILL_PROCESS);
	add_load(f, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (may_make(stage, &calls[i]))
			add_call(f, &calls[i], refuse);
	for (size_t i = 0; i < ARRAY_SIZE(intruders); i++)
		add_end_if(f, (uint32_t)intruders[i], SECCOMP_RET_KILL_PROCESS);
	add_end_if(f, NEVER_THERE, SECCOMP_RET_ERRNO | ENOSYS);
	add(f, BPF_JMP | BPF_JGT | BPF_K, LAST_KNOWN, 0, 1);
	add_end(f, SECCOMP_RET_ERRNO | ENOSYS);
	add_end(f, refuse);
}

/* ------------------------------------------------------------- what is said of a refusal */

static struct log_limit refused_limit;

/* In the thread that made the call, at that call: it returns from there as a call that failed. */
static void on_refused(int number _unused_, siginfo_t *info, void *context)
{
	ucontext_t *at = context;

	log_limited(
		&refused_limit, LOG_LEVEL_ERR,
		"system call %d was refused: it is not one that this process may make. Report it with the lines before it; `ausyscall %d` names it",
		info->si_syscall, info->si_syscall);
#if defined(__x86_64__)
	at->uc_mcontext.gregs[REG_RAX] = -EPERM;
#else
	at->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#endif
}

static int hear_refusals(void)
{
	struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigset_t set;

	if (sigaction(SIGSYS, &action, NULL) < 0)
		return -errno;
	/* Where it is blocked, the kernel ends the process instead. */
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	return sigprocmask(SIG_UNBLOCK, &set, NULL) < 0 ? -errno : 0;
}

static int load_filter(struct filter *f)
{
	struct sock_fprog prog = {.len = f->n, .filter = f->at};
	long r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
	if (r == 0)
		return 0;
	if (r < 0 && errno != ENOSYS && errno != EINVAL)
		return -errno;
	log_warning(
		"this kernel can't filter system calls (seccomp): a process that is taken over may make any");
	return 0;
}
#endif

/**
 * sandbox_calls() - allow only the system calls of a stage from now on
 * @stage:	the stage; it can't be left, and another one only narrowed further
 *
 * Of all threads, and of all that is started later. A build with ASan or TSan does without.
 *
 * Return: 0 or a negative errno.
 */
int sandbox_calls(enum sandbox_stage stage)
{
#ifndef OUR_ARCH
	log_warning("system calls are not filtered on this kind of machine");
	return 0;
#else
	static struct filter f;
	int r;

	if (WITH_SANITIZER) {
		log_debug(
			"system calls are not filtered: built with a sanitizer, which makes its own");
		return 0;
	}
	r = refusal(stage) == SECCOMP_RET_TRAP ? hear_refusals() : 0;
	if (r < 0)
		return r;
	f.n = 0;
	make_filter(&f, stage);
	return load_filter(&f);
#endif
}
