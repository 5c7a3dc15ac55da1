/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `--host HOST`: the same words on another machine, by ssh(1). The usbroutectl there does all of
 * it, with the rights of the user who logs in, on that machine's files; this one only passes on its
 * output and its exit status.
 *
 * On a terminal, the other side gets a terminal, too, so that a list is as wide as this one, and is
 * drawn in its place. If standard input is no terminal, ssh asks no questions.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/output.h"
#include "ctl/ctl.h"

#define SSH_FAILED    255 /* ssh(1): an error of its own */
#define NOT_INSTALLED 127 /* the shell there */

/* All words but --host and its value, quoted for the shell there. NULL: no memory. */
static char *words_of(int argc, char *const *argv)
{
	bool options = true;
	char *line = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&line, &size);

	if (!f)
		return NULL;
	fputs("usbroutectl", f);
	for (int i = 1; i < argc; i++) {
		if (options && !strcmp(argv[i], "--host")) {
			i++;
			continue;
		}
		if (options && !strncmp(argv[i], "--host=", strlen("--host=")))
			continue;
		options = options && strcmp(argv[i], "--") != 0;
		ctl_put_word(f, argv[i]);
	}
	if (fclose(f) == 0)
		return line;
	free(line);
	return NULL;
}

static void be_ssh(const struct ctl *ctl, char *line)
{
	const char *argv[12] = {"ssh", "-o", "LogLevel=ERROR"};
	size_t n = 3;

	output_deinit();
	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
		argv[n++] = "-t";
	} else if (!isatty(STDIN_FILENO)) {
		argv[n++] = "-o";
		argv[n++] = "BatchMode=yes";
	}
	argv[n++] = "--";
	argv[n++] = ctl->host;
	argv[n++] = line;
	execvp("ssh", (char **)argv);
	fprintf(stderr, "ssh: %s\n", strerror(errno));
	_exit(SSH_FAILED);
}

/**
 * remote_run() - have the same words carried out on the machine that --host names
 * @ctl:	the run
 * @argc:	as of main()
 * @argv:	as of main(), in the order in which they were typed
 *
 * Return: the exit status of the usbroutectl there; STATUS_NO_DAEMON where the machine can't be reached.
 */
enum status remote_run(const struct ctl *ctl, int argc, char *const *argv)
{
	_cleanup_free_ char *line = words_of(argc, argv);
	int status = 0;
	pid_t pid;

	if (!line) {
		ctl_error("failed", "no memory");
		return STATUS_FAILED;
	}
	pid = fork();
	if (!pid)
		be_ssh(ctl, line);
	/* Ctrl-C is for ssh, which gets it, too; this process waits for its exit status. */
	signal(SIGINT, SIG_IGN);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
		ctl_error("failed", "%s: ssh has not ended as it should", ctl->host);
		return STATUS_FAILED;
	}
	if (WEXITSTATUS(status) == SSH_FAILED) {
		ctl_error("no-daemon", "%s: ssh could not reach it", ctl->host);
		return STATUS_NO_DAEMON;
	}
	if (WEXITSTATUS(status) == NOT_INSTALLED) {
		ctl_error("failed", "%s: there is no usbroutectl", ctl->host);
		return STATUS_FAILED;
	}
	return (enum status)WEXITSTATUS(status);
}
