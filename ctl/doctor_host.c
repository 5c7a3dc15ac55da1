/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks with the caller's own rights; see doctor_host.h. A check is a row of the table below. It
 * adds what it finds to a list, as the type Check of io.usbrouted. It leaves out what the caller
 * may not see.
 */
#include "ctl/doctor_host.h"

#include <build_info.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/output.h"
#include "ctl/ctl.h"

#define CHANGERS_GROUP	"usbrouted"
#define PROGRAM		"usbrouted"
#define HELPER_SECONDS	20
#define HELPER_VARIABLE "USBROUTED_LIBVIRT"
#define PIDS_MAX	16

struct looking {
	const struct ctl *ctl;
	const json_t *vms, *devices; /* NULL where there is no daemon */
	const char *name;	     /* of the check that runs */
	json_t *checks;
};

static void found(struct looking *l, const char *verdict, const char *about, const char *mend,
		  const char *format, ...) _printf_(5, 6);

static void found(struct looking *l, const char *verdict, const char *about, const char *mend,
		  const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	json_array_append_new(l->checks,
			      json_pack("{s:s, s:s?, s:s, s:s, s:s?}", "name", l->name, "about",
					about, "verdict", verdict, "found", text, "mend", mend));
}

/* ------------------------------------------------------------- processes */

/* A small file of /proc, as text; false where it can't be read. */
static bool read_proc(const char *pid, const char *name, char *text, size_t size)
{
	char path[300];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	if (n < 0)
		return false;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return true;
}

static bool program_of(const char *pid, char name[64])
{
	return read_proc(pid, "comm", name, 64);
}

/* Whether a process is a daemon, and not one that a daemon has started. */
static bool is_daemon(const char *pid)
{
	char name[64], stat[512], parent[16];
	const char *behind;

	if (!program_of(pid, name) || strcmp(name, PROGRAM) != 0 ||
	    !read_proc(pid, "stat", stat, sizeof(stat)))
		return false;
	behind = strrchr(stat, ')');
	if (!behind || sscanf(behind, ") %*c %15s", parent) != 1)
		return false;
	return !program_of(parent, name) || strcmp(name, PROGRAM) != 0;
}

static bool is_pid(const char *name)
{
	return isdigit((unsigned char)*name);
}

static void look_at_daemons(struct looking *l)
{
	DIR *dir = opendir("/proc");
	char pids[200] = "";
	struct dirent *e;
	unsigned n = 0;

	while (dir && (e = readdir(dir))) {
		if (!is_pid(e->d_name) || !is_daemon(e->d_name))
			continue;
		n++;
		snprintf(pids + strlen(pids), sizeof(pids) - strlen(pids), "%s%.10s",
			 *pids ? ", " : "", e->d_name);
	}
	if (dir)
		closedir(dir);
	if (n > 1)
		found(l, "wrong", NULL,
		      "systemctl stop usbrouted, kill those that are left, systemctl start usbrouted",
		      "%u daemons run (pids %s), and take devices from each other", n, pids);
	else if (n)
		found(l, "good", NULL, NULL, "one daemon runs (pid %s)", pids);
	else if (!l->vms)
		found(l, "wrong", NULL,
		      "systemctl start usbrouted; journalctl -u usbrouted says why not",
		      "no daemon runs, as far as you may see");
}

/* ------------------------------------------------------------- the caller */

static void look_at_rights(struct looking *l)
{
	const struct group *group = getgrnam(CHANGERS_GROUP);
	gid_t gids[256];
	int n = getgroups(256, gids);
	bool in = geteuid() == 0 || (group && getegid() == group->gr_gid);

	for (int i = 0; group && i < n; i++)
		in = in || gids[i] == group->gr_gid;
	if (in)
		found(l, "good", NULL, NULL, "you may change everything");
	else
		found(l, "good", NULL, NULL,
		      "you may look, and change what rules give you the right to; members of the group \"" CHANGERS_GROUP
		      "\" may change everything");
}

/* ------------------------------------------------------------- programs that have a device */

static bool read_number(const char *busid, const char *name, unsigned *ret)
{
	char path[200], text[32];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/usb/devices/%.32s/%s", busid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return sscanf(text, "%u", ret) == 1;
}

static bool has_open(const char *pid, const char *node)
{
	char path[300], target[300];
	struct dirent *e;
	bool has = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	while (dir && !has && (e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);

		target[n < 0 ? 0 : n] = '\0';
		has = n > 0 && !strcmp(target, node);
	}
	if (dir)
		closedir(dir);
	return has;
}

/*
 * Whether a process is one of usbrouted's. The file of its program tells: the name of a VM's process
 * is the VM's.
 */
static bool is_ours(const char *pid)
{
	char path[300], target[4096];
	const char *slash;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%.20s/exe", pid);
	n = readlink(path, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = '\0';
	slash = strrchr(target, '/');
	return slash && !strncmp(slash + 1, PROGRAM, strlen(PROGRAM));
}

/* Whether the run is about a VM: about all of them where it names none. */
static bool is_about(const struct looking *l, const char *vm)
{
	const char *only = l->ctl->args[0];

	return !only || !strcmp(only, vm);
}

/* Which programs have a device's node open, apart from ours. */
static void programs_of(const char *node, char *text, size_t size)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	char name[64];

	*text = '\0';
	while (dir && (e = readdir(dir))) {
		if (!is_pid(e->d_name) || !has_open(e->d_name, node) ||
		    !program_of(e->d_name, name) || is_ours(e->d_name))
			continue;
		snprintf(text + strlen(text), size - strlen(text), "%s%s (pid %.10s)",
			 *text ? ", " : "", name, e->d_name);
	}
	if (dir)
		closedir(dir);
}

static void look_at_programs(struct looking *l)
{
	char node[64], programs[400];
	unsigned bus, dev;
	const json_t *d;
	size_t i;

	json_array_foreach(l->devices, i, d) {
		const char *port = ctl_text(d, "port"), *alias = ctl_text(d, "alias");
		const char *word = *alias ? alias : port;

		if (!strcmp(ctl_text(d, "wanted"), "host") || !is_about(l, ctl_text(d, "wanted")) ||
		    !*port || !read_number(port, "busnum", &bus) ||
		    !read_number(port, "devnum", &dev))
			continue;
		snprintf(node, sizeof(node), "/dev/bus/usb/%03u/%03u", bus, dev);
		programs_of(node, programs, sizeof(programs));
		if (*programs)
			found(l, "wrong", word, "end that program, or detach the device",
			      "%s is wanted at %s, and another program has it open: %s", word,
			      ctl_text(d, "wanted"), programs);
	}
}

/* ------------------------------------------------------------- AppArmor */

/* Whether a line of the kernel's log says that AppArmor has denied a VM's socket. */
static bool denies(const char *line, const char *socket)
{
	char name[4096 + 16];

	snprintf(name, sizeof(name), "name=\"%.4095s\"", socket);
	return strstr(line, "apparmor=\"DENIED\"") && strstr(line, name);
}

/* Note in @denied, which has a place for each VM, whose sockets a record says were denied. */
static void read_record(const json_t *vms, char *record, bool *denied)
{
	const json_t *vm;
	char *save = NULL;
	size_t i;

	for (char *line = strtok_r(record, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		json_array_foreach(vms, i, vm)
			denied[i] = denied[i] || denies(line, ctl_text(vm, "socket"));
}

/*
 * Each read of the log gives one record; at the log's end it gives none. A caller that may not read
 * the log is told nothing.
 */
static void look_at_apparmor(struct looking *l)
{
	_cleanup_close_ int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	_cleanup_free_ bool *denied = calloc(json_array_size(l->vms) + 1, sizeof(*denied));
	char record[8192];
	const json_t *vm;
	size_t i;
	ssize_t n;

	if (fd < 0 || !denied)
		return;
	/* EPIPE: older records were overwritten meanwhile. */
	while ((n = read(fd, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		record[n < 0 ? 0 : n] = '\0';
		read_record(l->vms, record, denied);
	}
	json_array_foreach(l->vms, i, vm) {
		if (!denied[i] || !is_about(l, ctl_text(vm, "name")) ||
		    json_is_true(json_object_get(vm, "connected")))
			continue;
		found(l, "wrong", ctl_text(vm, "name"),
		      "add \"/run/usbrouted/*.sock rw,\" to "
		      "/etc/apparmor.d/local/abstractions/libvirt-qemu, and start the VM again",
		      "%s: AppArmor has kept its virtual machine from %s, as the kernel's log says",
		      ctl_text(vm, "name"), ctl_text(vm, "socket"));
	}
}

/* ------------------------------------------------------------- memory that is nearly taken */

/* A caller that may not ask for Stats is told nothing. */
static void look_at_urb_memory(struct looking *l)
{
	_cleanup_(client_answer_deinit) struct client_answer answer = {0};
	struct client_ask ask = {.socket = l->ctl->socket,
				 .method = "io.usbrouted.Stats",
				 .timeout_seconds = CALL_TIMEOUT_SECONDS};
	const json_t *m;
	size_t i;

	if (!l->vms || client_call(&ask, &answer) != 0)
		return;
	json_array_foreach(json_object_get(answer.parameters, "memory"), i, m) {
		json_int_t charged = json_integer_value(json_object_get(m, "charged")),
			   share = json_integer_value(json_object_get(m, "share"));

		if (is_about(l, ctl_text(m, "vm")) && charged / 3 >= share / 4)
			found(l, "warning", ctl_text(m, "vm"),
			      "echo 256 > /sys/module/usbcore/parameters/usbfs_memory_mb, then: usbroutectl reload",
			      "%s: its transfers take %lld of the %lld KiB that it may have of the kernel's memory for them",
			      ctl_text(m, "vm"), (long long)charged / 1024,
			      (long long)share / 1024);
	}
}

/* ------------------------------------------------------------- libvirt's domains */

static void run_helper(const struct ctl *ctl, const json_t *vm, const char *domain, int out)
{
	const char *helper = getenv(HELPER_VARIABLE);
	const char *argv[10] = {"usbrouted-libvirt", "--add", domain, "--socket",
				ctl_text(vm, "socket")};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	output_deinit();
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	if (ctl->connect) {
		argv[5] = "--connect";
		argv[6] = ctl->connect;
	}
	execv(helper && *helper ? helper : USBROUTED_LIBVIRT, (char **)argv);
	_exit(127);
}

/* What usbrouted-libvirt says that a domain lacks. Return: its exit status; -1: it did not end. */
static int ask_helper(const struct ctl *ctl, const json_t *vm, const char *domain, char *text,
		      size_t size)
{
	int pipe_fds[2], status;
	struct pollfd p;
	size_t len = 0;
	ssize_t n = 1;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (!pid)
		run_helper(ctl, vm, domain, pipe_fds[1]);
	close(pipe_fds[1]);
	p = (struct pollfd){.fd = pipe_fds[0], .events = POLLIN};
	while (pid > 0 && n > 0 && len < size - 1) {
		n = poll(&p, 1, HELPER_SECONDS * 1000);
		if (n > 0)
			n = read(pipe_fds[0], text + len, size - 1 - len);
		if (n > 0)
			len += (size_t)n;
	}
	text[len] = '\0';
	close(pipe_fds[0]);
	if (pid <= 0)
		return -1;
	if (n != 0)
		kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static void look_at_domain(struct looking *l, const json_t *vm)
{
	const char *name = ctl_text(vm, "name"), *domain = ctl_text(vm, "domain");
	char text[8192], mend[300];

	if (!*domain)
		domain = name;
	if (ask_helper(l->ctl, vm, domain, text, sizeof(text)) != 0) {
		text[strcspn(text, "\n")] = '\0';
		found(l, "warning", name, "usbroutectl vm add says it itself",
		      "%s: its domain \"%s\" could not be looked at: %s", name, domain,
		      *text ? text : "usbrouted-libvirt is not there");
		return;
	}
	snprintf(mend, sizeof(mend), "usbroutectl vm add %s --apply", domain);
	if (strstr(text, "memory that is not shared") || strstr(text, "<memoryBacking") ||
	    strstr(text, "<access"))
		found(l, "wrong", name, mend, "%s: the memory of its domain \"%s\" is not shared",
		      name, domain);
	if (strstr(text, "<interface"))
		found(l, "wrong", name, mend, "%s: its domain \"%s\" has no card of usbrouted's",
		      name, domain);
	if (strstr(text, "a card that is not as it should be"))
		found(l, "wrong", name, mend,
		      "%s: the card of its domain \"%s\" is not as it should be", name, domain);
}

static void look_at_domains(struct looking *l)
{
	const json_t *vm;
	size_t i;

	json_array_foreach(l->vms, i, vm) {
		bool known = *ctl_text(vm, "domain") || *ctl_text(vm, "domain_state");

		if (known && is_about(l, ctl_text(vm, "name")))
			look_at_domain(l, vm);
	}
}

/* ------------------------------------------------------------- all of them */

static const struct {
	const char *name;
	void (*look)(struct looking *l);
} checks[] = {
	{"daemons", look_at_daemons},	    {"rights", look_at_rights},
	{"program", look_at_programs},	    {"apparmor", look_at_apparmor},
	{"urb-memory", look_at_urb_memory}, {"domain", look_at_domains},
};

/**
 * doctor_host() - look at what the daemon can't see
 * @ctl:	the run; its first word is the VM that it is about, or NULL
 * @vms:	as Vms tells them; NULL: there is no daemon
 * @devices:	as List tells them; NULL: there is no daemon
 * @checks_list:	gets what was found
 */
void doctor_host(const struct ctl *ctl, const json_t *vms, const json_t *devices,
		 json_t *checks_list)
{
	struct looking l = {.ctl = ctl, .vms = vms, .devices = devices, .checks = checks_list};

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		l.name = checks[i].name;
		checks[i].look(&l);
	}
}
