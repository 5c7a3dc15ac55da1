/* SPDX-License-Identifier: BSD-2-Clause */
/* What usbroutectl prints: help, tables on a terminal, progress, and an output that fails. */
#include "tests/unit/ctl-fixture.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_every_command_has_help(void **state)
{
	static const char *const names[] = {
		"list",	   "show",   "vms",	"status", "attach", "detach",	"vm",
		"why",	   "policy", "version", "switch", "assign", "unassign", "release",
		"reserve", "undo",   "alias",	"reload", "reset",  "power",	"help"};
	char out[8192], err[8192], line[64];
	int out_fd, err_fd, status;

	for (size_t i = 0; i <= ARRAY_SIZE(names); i++) {
		const char *args[] = {i < ARRAY_SIZE(names) ? names[i] : "--help", "--help", NULL};
		pid_t pid = start(args, &out_fd, &err_fd);

		read_all(out_fd, out, sizeof(out));
		read_all(err_fd, err, sizeof(err));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_string_equal(err, "");
		if (i < ARRAY_SIZE(names)) {
			snprintf(line, sizeof(line),
				 "usage: usbroutectl [--json] [--host HOST] [--socket PATH] %s",
				 names[i]);
			assert_memory_equal(out, line, strlen(line));
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(line, sizeof(line), "\n  %s ", names[i]);
		assert_non_null(strstr(out, line));
	}
}

/* The same text by the command and by the option. */
static void test_help_is_a_command(void **state)
{
	static const struct {
		const char *command[4], *option[4];
	} same[] = {
		{{"help"}, {"--help"}},
		{{"help"}, {"-h"}},
		{{"help", "attach"}, {"attach", "--help"}},
		{{"help", "attach"}, {"attach", "-h"}},
		{{"help", "policy", "test"}, {"policy", "test", "--help"}},
		{{"help", "help"}, {"help", "--help"}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		char out[2][8192], err[8192];

		for (unsigned k = 0; k < 2; k++) {
			int out_fd, err_fd, status;
			pid_t pid = start(k ? same[i].option : same[i].command, &out_fd, &err_fd);

			read_all(out_fd, out[k], sizeof(out[k]));
			read_all(err_fd, err, sizeof(err));
			assert_int_equal(waitpid(pid, &status, 0), pid);
			assert_int_equal(status, 0);
			assert_string_equal(err, "");
		}
		assert_string_equal(out[0], out[1]);
		assert_true(strlen(out[0]) > 0);
	}
}

/* What can't be written is said, whatever was printed. */
static void test_output_that_fails(void **state)
{
	static const struct {
		const char *args[4], *call, *reply;
	} prints[] = {
		{{"--help"}, NULL, NULL},
		{{"--version"}, NULL, NULL},
		{{"help", "list"}, NULL, NULL},
		{{"list", "--help"}, NULL, NULL},
		{{"list"}, MORE("List"), "{\"parameters\":{\"devices\":[" STICK "]}}"},
		{{"--json", "list"}, MORE("List"), "{\"parameters\":{\"devices\":[" STICK "]}}"},
		{{"show", "x"},
		 CALL("Show", "{\"device\":\"x\"}"),
		 "{\"parameters\":{\"device\":" STICK "}}"},
		{{"vms"}, MORE("Vms"), VMS},
		{{"status"}, CALL("Status", "{}"), "{\"parameters\":{}}"},
		{{"detach", "x"},
		 CALL("Detach", "{\"device\":\"x\"}"),
		 "{\"parameters\":{\"message\":\"done\"}}"},
		{{"reload"}, CALL("Reload", "{}"), "{\"parameters\":{}}"},
		{{"vm", "xml", "vm1"}, MORE("Vms"), VMS},
		{{"version"},
		 "{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":{}}",
		 "{\"parameters\":{\"version\":\"9\"}}"},
	};
	enum { FULL, CLOSED_PIPE, CLOSED, WAYS };

	for (size_t i = 0; i < ARRAY_SIZE(prints) * WAYS; i++) {
		const char *const *args = prints[i / WAYS].args;
		const char *argv[12] = {"usbroutectl", "--socket", socket_path};
		int err[2], pipe_out[2], status;
		char text[8192];
		pid_t pid;

		for (unsigned k = 0; args[k]; k++)
			argv[k + 3] = args[k];
		assert_int_equal(pipe2(err, O_CLOEXEC), 0);
		assert_int_equal(pipe2(pipe_out, O_CLOEXEC), 0);
		close(pipe_out[0]);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			signal(SIGPIPE, SIG_DFL);
			dup2(err[1], STDERR_FILENO);
			if (i % WAYS == FULL)
				dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
			else if (i % WAYS == CLOSED_PIPE)
				dup2(pipe_out[1], STDOUT_FILENO);
			else
				close(STDOUT_FILENO);
			execv(getenv("USBROUTECTL"), (char **)argv);
			_exit(99);
		}
		close(err[1]);
		close(pipe_out[1]);
		if (prints[i / WAYS].call)
			serve(prints[i / WAYS].call, prints[i / WAYS].reply);
		read_all(err[0], text, sizeof(text));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 ||
		    strncmp(text, "error[failed]: standard output can't be written: ", 49))
			fail_msg("%s, way %zu: status %#x\n%s", args[0], i % WAYS, status, text);
	}
}

/* What a terminal of @columns shows of a run, with CR LF as LF. */
static int run_on_terminal(unsigned short columns, const char *const *args, const char *call,
			   const char *reply, bool late, char *text, size_t size)
{
	struct winsize ws = {.ws_row = 24, .ws_col = columns};
	const char *argv[12] = {"usbroutectl", "--socket", socket_path};
	int terminal, slave, status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	for (unsigned i = 0; args[i]; i++)
		argv[i + 3] = args[i];
	/*
	 * No controlling terminal: the end of a session's leader hangs it up, and that throws away
	 * what was written last and has not been read yet.
	 */
	assert_int_equal(openpty(&terminal, &slave, NULL, NULL, &ws), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		for (int fd = 0; fd < 3; fd++)
			dup2(slave, fd);
		close(slave);
		close(terminal);
		setenv("TERM", "xterm", 1);
		execv(getenv("USBROUTECTL"), (char **)argv);
		_exit(99);
	}
	close(slave);
	if (late) {
		char first = 0;

		/* The reply comes only once there is progress to be seen. */
		serve_begin(call);
		assert_int_equal(read(terminal, &first, 1), 1);
		text[len++] = first;
		serve_end(reply);
	} else {
		serve(call, reply);
	}
	while ((n = read(terminal, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	for (char *p = text; (p = strstr(p, "\r\n"));)
		memmove(p, p + 1, strlen(p));
	close(terminal);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void test_terminal(void **state)
{
	static const char *const list[] = {"list", NULL}, *const json[] = {"--json", "list", NULL};
	static const char reply[] = "{\"parameters\":{\"devices\":[" STICK "," DEVICE "]}}";
	char text[8192];

	unsetenv("NO_COLOR");
	assert_int_equal(run_on_terminal(80, list, MORE("List"), reply, false, text, sizeof(text)),
			 0);
	assert_non_null(strstr(text, "\033[33mpending: vm1 is"));
	assert_non_null(strstr(text, "…\033[0m\n"));
	assert_non_null(strstr(text, "\n2 devices, 0 attached, 1 not where wanted."));
	assert_null(strstr(text, "\033[2J"));

	setenv("NO_COLOR", "1", 1);
	assert_int_equal(run_on_terminal(80, list, MORE("List"), reply, false, text, sizeof(text)),
			 0);
	assert_null(strchr(text, '\033'));

	/* JSON for a person to read: nothing that the terminal would obey. */
	assert_int_equal(run_on_terminal(80, json, MORE("List"),
					 "{\"parameters\":{\"devices\":[],\"a\":\"\xc2\x9b\"}}",
					 false, text, sizeof(text)),
			 0);
	assert_string_equal(text, "{\"devices\":[],\"a\":\"\\u009B\"}\n");
}

static void test_progress(void **state)
{
	static const char *const attach[] = {"attach", "keyboard", "vm1", "--wait", "60", NULL};
	const char *call =
		CALL("Attach", "{\"device\":\"keyboard\",\"vm\":\"vm1\",\"wait_seconds\":60.0}");
	char text[8192];

	assert_int_equal(run_on_terminal(80, attach, call,
					 ERROR("Pending", "{\"reason\":\"not yet\"}"), true, text,
					 sizeof(text)),
			 7);
	assert_non_null(strstr(text, "\r\033[Kkeyboard: waiting for vm1 … "));
	assert_non_null(strstr(text, "\r\033[Kerror[pending]: keyboard: not yet\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_command_has_help),
		cmocka_unit_test(test_help_is_a_command),
		cmocka_unit_test(test_output_that_fails),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_progress),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
