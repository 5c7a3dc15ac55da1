/* SPDX-License-Identifier: BSD-2-Clause */
/* What `vm agent` puts into a guest; see agent_files.h. */
#include "ctl/agent_files.h"

#include <build_info.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/fd.h"
#include "base/log.h"
#include "agent_parts.h"

#define PROGRAM_MAX (64 * 1024 * 1024)

/* The machines that there is an agent for. */
static const struct machine {
	const char *name; /* as uname(1) has it */
	uint16_t elf;
	const char *path;    /* where usbroute-agent-static of that architecture is installed */
	const char *package; /* what brings it */
} machines[] = {
	{"x86_64", EM_X86_64, AGENT_X86_64, "usbroute-agent-static:amd64"},
	{"aarch64", EM_AARCH64, AGENT_AARCH64, "usbroute-agent-static:arm64"},
};

static enum status read_program(const char *path, struct agent_files *files, const char *mend)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		ctl_error("failed", "usbroute-agent, to be put into the guest: %s: %s", path,
			  errno_text(errno));
		if (mend)
			ctl_try("%s", mend);
		return STATUS_FAILED;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > PROGRAM_MAX) {
		ctl_error("failed", "%s: expected a program; found something else", path);
		return STATUS_FAILED;
	}
	files->program = malloc((size_t)st.st_size + 1);
	while (files->program && files->len < (size_t)st.st_size) {
		ssize_t n = read(fd, files->program + files->len, (size_t)st.st_size - files->len);

		if (n <= 0)
			break;
		files->len += (size_t)n;
	}
	if (files->program && files->len == (size_t)st.st_size)
		return STATUS_DONE;
	ctl_error("failed", "%s: it can't be read whole", path);
	return STATUS_FAILED;
}

/* Whether a program runs on the machine, as its ELF header says. */
static bool runs_on(const struct agent_files *files, const struct machine *machine)
{
	Elf64_Ehdr head;

	if (files->len < sizeof(head))
		return false;
	memcpy(&head, files->program, sizeof(head));
	return !memcmp(head.e_ident, ELFMAG, SELFMAG) && head.e_ident[EI_CLASS] == ELFCLASS64 &&
	       head.e_machine == machine->elf;
}

/**
 * agent_files_load() - read the agent for a machine
 * @ctl:	the run; --file names another program than the installed one
 * @machine:	which, as uname(1) has it; NULL: this host's
 * @ret_files:	to be freed with agent_files_deinit(), whatever is returned
 *
 * Return: STATUS_DONE; else the exit status, and it has been said why.
 */
enum status agent_files_load(const struct ctl *ctl, const char *machine,
			     struct agent_files *ret_files)
{
	const struct machine *m = NULL;
	struct utsname here;
	enum status status;
	char mend[128];

	*ret_files = (struct agent_files){0};
	if (!machine)
		machine = uname(&here) == 0 ? here.machine : "";
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++)
		if (!strcmp(machines[i].name, machine))
			m = &machines[i];
	if (!m) {
		ctl_error(
			"failed",
			"no agent is built for \"%s\": expected x86_64 or aarch64; build it there from the sources",
			machine);
		return STATUS_FAILED;
	}
	strcpy(ret_files->machine, m->name);
	snprintf(mend, sizeof(mend), "apt install %s", m->package);
	status = read_program(ctl->file ? ctl->file : m->path, ret_files, ctl->file ? NULL : mend);
	if (status)
		return status;
	if (runs_on(ret_files, m))
		return STATUS_DONE;
	ctl_error("failed", "%s: it is no program for %s, which the guest is",
		  ctl->file ? ctl->file : m->path, m->name);
	if (!ctl->file)
		ctl_try("%s", mend);
	return STATUS_FAILED;
}

void agent_files_deinit(struct agent_files *files)
{
	free(take_ptr(files->program));
}

/**
 * agent_files_unit() - the agent's unit of systemd, for a program at AGENT_PROGRAM
 */
const char *agent_files_unit(void)
{
	return agent_unit;
}
