/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usbroute-agent into a guest that runs; see agent_install.h. Steps:
 *
 *   what the guest is	guest-get-osinfo; else `uname -m`
 *   look.sh		systemd? an agent of a package? a folder that only root may enter
 *   written		program and unit into that folder
 *   place.sh		from there to where they stay; the program runs there
 *   read back		what stays is compared byte by byte with what was sent
 *   start.sh		enabled and started, or start-plain.sh where there is no systemd
 *   --check		what the guest lacks, for people
 *
 * Each can be done again: an older agent is replaced. What the guest answers is text for people, or
 * decides what is done in that same guest.
 */
#include "ctl/agent_install.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/agent_files.h"
#include "ctl/text.h"
#include "agent_parts.h"
#include "qemu_agent/guest_exec.h"
#include "qemu_agent/guest_file.h"

#define STAGED	  "/run/usbroute-agent.new"
#define SCRIPT_MS 90000

struct installing {
	const struct ctl *ctl;
	const char *vm;
	struct guest_agent *agent;
	char os[128], machine[32];
	bool systemd, package;
	char *version; /* of AGENT_VERSION_SIZE */
	struct agent_files files;
	struct guest_exec *end; /* of the last program */
	const char *doing;	/* shown while it goes on */
};

static enum status failed(const struct installing *i, const char *what)
{
	const char *why = i->agent->error;

	ctl_error("failed", "%s: %s: %s", i->vm, what, why);
	/* qapi/qmp-dispatch.c of QEMU 7.2, and of later ones. */
	if (!strstr(why, "has been disabled") && !strstr(why, "not found") &&
	    !strstr(why, "not been found"))
		return STATUS_FAILED;
	ctl_note(
		"what the guest's agent may do is in the guest: block-rpcs in /etc/qemu/qemu-ga.conf, or /etc/sysconfig/qemu-ga");
	ctl_note(
		"without it, where ssh leads to the guest: usbroutectl vm agent %s --script | ssh root@GUEST sh",
		i->vm);
	return STATUS_FAILED;
}

static void show(void *ctx, size_t done, size_t all)
{
	const struct installing *i = ctx;

	if (i->ctl->progress)
		fprintf(stderr, "\r\033[K%s: %s … %zu of %zu KiB", i->vm, i->doing, done / 1024,
			all / 1024);
}

static void show_no_more(const struct installing *i)
{
	if (i->ctl->progress)
		fputs("\r\033[K", stderr);
}

/* A program in the guest, which must succeed. @what: to do what, for the error. */
static enum status run(const struct installing *i, const char *const *argv, const char *what)
{
	const char *said;
	int r = guest_exec(i->agent, argv, SCRIPT_MS, i->end);

	if (r < 0)
		return failed(i, what);
	if (!i->end->status)
		return STATUS_DONE;
	said = guest_exec_last_line(i->end->err);
	ctl_error("failed", "%s: %s: it ended with %d in the guest: %s", i->vm, what,
		  i->end->status, *said ? said : guest_exec_last_line(i->end->out));
	return STATUS_FAILED;
}

static enum status run_script(const struct installing *i, const char *script, const char *what)
{
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};

	return run(i, argv, what);
}

/* ------------------------------------------------------------- what the guest is */

static void copy_text(char *to, size_t size, const json_t *object, const char *key)
{
	_cleanup_free_ char *clean = text_clean(ctl_text(object, key), false);

	snprintf(to, size, "%s", clean ? clean : "");
}

/* An agent before QEMU 2.10 can't say it; one that runs programs can be asked all the same. */
static enum status ask_machine(struct installing *i)
{
	static const char *const argv[] = {"uname", "-m", NULL};
	enum status status = run(i, argv, "asking what machine its guest is");

	if (status)
		return status;
	snprintf(i->machine, sizeof(i->machine), "%s", guest_exec_last_line(i->end->out));
	snprintf(i->os, sizeof(i->os), "a guest");
	return STATUS_DONE;
}

static enum status ask_os(struct installing *i)
{
	_cleanup_json_ json_t *info = NULL;

	if (guest_agent_ask(i->agent, json_pack("{s:s}", "execute", "guest-get-osinfo"),
			    JSON_OBJECT, &info) < 0)
		return ask_machine(i);
	if (!strcmp(ctl_text(info, "id"), "mswindows")) {
		ctl_error("failed",
			  "%s: its guest runs Windows, for which there is no usbroute-agent",
			  i->vm);
		ctl_note("usbip-win2 attaches there what is routed to it, by hand");
		return STATUS_FAILED;
	}
	copy_text(i->machine, sizeof(i->machine), info, "machine");
	copy_text(i->os, sizeof(i->os), info, "pretty-name");
	return *i->machine ? STATUS_DONE : ask_machine(i);
}

static enum status look(struct installing *i)
{
	enum status status = run_script(i, agent_look, "looking at its guest");

	i->systemd = strstr(i->end->out, "systemd\n");
	i->package = strstr(i->end->out, "package ");
	return status;
}

/* ------------------------------------------------------------- writing */

static enum status write_one(struct installing *i, const char *path, const void *data, size_t len)
{
	int r;

	i->doing = "writing";
	r = guest_file_write(i->agent, path, data, len, show, i);
	show_no_more(i);
	return r < 0 ? failed(i, "writing the agent into its guest") : STATUS_DONE;
}

static enum status compare_one(struct installing *i, const char *path, const void *data, size_t len)
{
	int r = guest_file_compare(i->agent, path, data, len);

	if (r < 0)
		return failed(i, "reading back what was written");
	if (r == 0)
		return STATUS_DONE;
	ctl_error("failed", "%s: %s in its guest is not what was written there", i->vm, path);
	return STATUS_FAILED;
}

/* The word behind the program's name, in what `--version` prints. */
static void take_version(const struct installing *i)
{
	_cleanup_free_ char *line = text_clean(guest_exec_last_line(i->end->out), false);
	const char *word = line ? strrchr(line, ' ') : NULL;

	snprintf(i->version, AGENT_VERSION_SIZE, "%s", word ? word + 1 : "");
}

static enum status place(struct installing *i)
{
	const char *unit = agent_files_unit();
	enum status status = agent_files_load(i->ctl, i->machine, &i->files);

	if (!status)
		status = write_one(i, STAGED "/agent", i->files.program, i->files.len);
	if (!status)
		status = write_one(i, STAGED "/unit", unit, strlen(unit));
	if (!status)
		status = run_script(i, agent_place, "putting the agent into its place");
	if (status)
		return status;
	take_version(i);
	status = compare_one(i, AGENT_PROGRAM, i->files.program, i->files.len);
	if (!status && i->systemd)
		status = compare_one(i, AGENT_UNIT, unit, strlen(unit));
	if (!status)
		printf("%s: written and read back: " AGENT_PROGRAM
		       " (usbroute-agent %s, %zu KiB)%s\n",
		       i->vm, i->version, i->files.len / 1024, i->systemd ? ", " AGENT_UNIT : "");
	return status;
}

/* ------------------------------------------------------------- starting */

/* What is missing in the guest is a note: the agent runs, and waits for it. */
static void check(struct installing *i)
{
	const char *const argv[] = {i->package ? "/usr/sbin/usbroute-agent" : AGENT_PROGRAM,
				    "--check", NULL};
	char *save = NULL;

	if (guest_exec(i->agent, argv, SCRIPT_MS, i->end) < 0 || !i->end->status)
		return;
	printf("%s: something is missing in its guest yet; usbroute-agent --check says there:\n",
	       i->vm);
	for (char *line = strtok_r(i->end->out, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		_cleanup_free_ char *clean = text_clean(line, false);

		printf("  %s\n", clean ? clean : "");
	}
}

static enum status begin(struct installing *i)
{
	enum status status;

	if (!i->systemd && i->package) {
		ctl_error(
			"failed",
			"%s: its guest has a package's usbroute-agent, and no systemd: have its init start /usr/sbin/usbroute-agent",
			i->vm);
		return STATUS_FAILED;
	}
	status = run_script(i, i->systemd ? agent_start : agent_start_plain,
			    "starting the agent in its guest");
	if (status)
		return status;
	if (i->systemd)
		printf("%s: usbroute-agent.service is enabled and runs\n", i->vm);
	else
		printf("%s: usbroute-agent runs until the guest's next boot: its guest has no systemd; have its init start " AGENT_PROGRAM
		       "\n",
		       i->vm);
	return STATUS_DONE;
}

static void tell_undo(const struct installing *i)
{
	printf("%s: to undo it, as root in the guest: %s\n", i->vm,
	       i->package   ? "systemctl disable --now usbroute-agent"
	       : i->systemd ? AGENT_UNDO
			    : "kill $(pidof usbroute-agent); rm " AGENT_PROGRAM);
}

/* What was written before it failed; that it can't be removed is no further fault. */
static void clean_up(const struct installing *i)
{
	static const char *const argv[] = {"rm", "-rf", STAGED, NULL};

	(void)guest_exec(i->agent, argv, SCRIPT_MS, i->end);
}

static enum status install(struct installing *i)
{
	enum status status = ask_os(i);

	if (status)
		return status;
	printf("%s: %s, %s\n", i->vm, i->os, i->machine);
	status = look(i);
	if (!status && i->package)
		printf("%s: its guest has the agent of a package: nothing is written\n", i->vm);
	else if (!status)
		status = place(i);
	clean_up(i);
	if (!status)
		status = begin(i);
	if (status)
		return status;
	check(i);
	tell_undo(i);
	return STATUS_DONE;
}

/**
 * agent_install() - put usbroute-agent into a guest, and start it
 * @ctl:		the run
 * @vm:			the guest's VM, for people
 * @agent:		the way to QEMU's guest agent, which answers
 * @ret_version:	the version of what was put there; "": a package's
 *
 * What was done is printed, and what undoes it.
 *
 * Return: the exit status; it has been said why.
 */
enum status agent_install(const struct ctl *ctl, const char *vm, struct guest_agent *agent,
			  char ret_version[AGENT_VERSION_SIZE])
{
	struct installing i = {.ctl = ctl, .vm = vm, .agent = agent, .version = ret_version};
	enum status status;

	*ret_version = '\0';
	i.end = calloc(1, sizeof(*i.end));
	if (!i.end) {
		ctl_error("failed", "no memory");
		return STATUS_FAILED;
	}
	status = install(&i);
	agent_files_deinit(&i.files);
	free(i.end);
	return status;
}
