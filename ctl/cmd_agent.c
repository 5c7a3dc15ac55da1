/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `vm agent VM`: usbroute-agent into a guest that runs, by QEMU's guest agent.
 *
 * It is done here, with the caller's rights, and never by the daemon: who may have libvirt run
 * programs in a guest, or may open its agent's socket, may do this. The way to the agent is
 * usbrouted-libvirt, which passes lines on to it (this program knows nothing of libvirt), or, for a
 * guest without libvirt, the socket that QEMU was given for it.
 */
#include "ctl/cmd_agent.h"

#include <build_info.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/output.h"
#include "ctl/agent_install.h"
#include "ctl/agent_print.h"
#include "qemu_agent/guest_channel.h"

#define HELPER_VARIABLE "USBROUTED_LIBVIRT"
#define NO_HELPER	127
#define HEARD_SECONDS	15

/* The way to a guest's agent. */
struct way {
	struct guest_channel channel;
	pid_t helper; /* 0: there is none */
};

/* ------------------------------------------------------------- by libvirt */

static _Noreturn void be_helper(const struct ctl *ctl, const char *domain, int sock)
{
	const char *helper = getenv(HELPER_VARIABLE);
	const char *argv[6] = {"usbrouted-libvirt", "--guest-agent", domain};

	output_deinit();
	dup2(sock, STDIN_FILENO);
	dup2(sock, STDOUT_FILENO);
	if (ctl->connect) {
		argv[3] = "--connect";
		argv[4] = ctl->connect;
	}
	execv(helper && *helper ? helper : USBROUTED_LIBVIRT, (char **)argv);
	_exit(NO_HELPER);
}

static enum status open_domain(const struct ctl *ctl, const char *domain, struct way *way)
{
	int socks[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) < 0) {
		ctl_error("failed", "a way to usbrouted-libvirt: %s", errno_text(errno));
		return STATUS_FAILED;
	}
	way->helper = fork();
	if (!way->helper)
		be_helper(ctl, domain, socks[1]);
	close(socks[1]);
	guest_channel_init(&way->channel, socks[0]);
	if (way->helper > 0)
		return STATUS_DONE;
	way->helper = 0;
	ctl_error("failed", "starting usbrouted-libvirt: %s", errno_text(errno));
	return STATUS_FAILED;
}

/* The helper's exit status, once its line is closed; it has said itself what went wrong. */
static enum status close_way(struct way *way)
{
	int status = 0;

	guest_channel_deinit(&way->channel);
	if (!way->helper)
		return STATUS_DONE;
	if (waitpid(way->helper, &status, 0) != way->helper || !WIFEXITED(status))
		return STATUS_FAILED;
	return (enum status)WEXITSTATUS(status);
}

/* ------------------------------------------------------------- whether it answers */

static void tell_other_ways(const char *vm)
{
	ctl_note(
		"in the guest, as root: apt install qemu-guest-agent; its virtual machine needs a channel \"org.qemu.guest_agent.0\"");
	ctl_note(
		"without it, where ssh leads to the guest: usbroutectl vm agent %s --script | ssh root@GUEST sh",
		vm);
}

static enum status no_agent(const char *vm, struct way *way)
{
	char why[sizeof(way->channel.agent.error)];
	bool ended = way->channel.ended;
	enum status status;

	memcpy(why, way->channel.agent.error, sizeof(why));
	status = close_way(way);
	way->helper = 0;
	if (ended && status == (enum status)NO_HELPER) {
		ctl_error(
			"failed",
			"usbrouted-libvirt is not installed; for a guest without libvirt, --guest-agent names the socket of its agent");
		return STATUS_FAILED;
	}
	if (ended && status)
		return status;
	ctl_error("failed", "%s: QEMU's guest agent does not answer in its guest: %s", vm, why);
	tell_other_ways(vm);
	return STATUS_FAILED;
}

static int ping(struct guest_agent *agent)
{
	_cleanup_json_ json_t *answer = NULL;

	return guest_agent_ask(agent, json_pack("{s:s}", "execute", "guest-ping"), JSON_OBJECT,
			       &answer);
}

/* ------------------------------------------------------------- whether the daemon hears it */

static bool hears(struct ctl *ctl, const char *vm, const char *version)
{
	_cleanup_(client_answer_deinit) struct client_answer answer = {0};
	const json_t *v;
	size_t i;

	if (ctl_call(ctl, &(struct client_ask){.method = "io.usbrouted.Vms", .more = true},
		     &answer))
		return false;
	json_array_foreach(json_object_get(answer.parameters, "vms"), i, v)
		if (!strcmp(ctl_text(v, "name"), vm))
			return !strcmp(ctl_text(v, "agent"), version);
	return false;
}

static void wait_until_heard(struct ctl *ctl, const json_t *vm, const char *version)
{
	const char *name = ctl_text(vm, "name");

	if (!*version)
		return;
	if (!json_is_true(json_object_get(vm, "connected"))) {
		printf("%s: its card is not connected to usbrouted: nothing is attached there yet\n",
		       name);
		return;
	}
	for (unsigned i = 0; i < HEARD_SECONDS; i++) {
		if (hears(ctl, name, version)) {
			printf("%s: usbrouted hears it\n", name);
			return;
		}
		if (ctl->progress)
			fprintf(stderr, "\r\033[K%s: waiting for it … %u s", name, i);
		sleep(1);
	}
	if (ctl->progress)
		fputs("\r\033[K", stderr);
	printf("%s: usbrouted does not hear it yet; usbroutectl doctor %s says more\n", name, name);
}

/**
 * ctl_vm_agent() - `vm agent VM`
 * @ctl:	the run
 * @vm:		the VM, as Vms tells of it
 *
 * Return: the exit status.
 */
enum status ctl_vm_agent(struct ctl *ctl, const json_t *vm)
{
	const char *name = ctl_text(vm, "name"), *domain = ctl_text(vm, "domain");
	char version[AGENT_VERSION_SIZE] = "";
	struct way way = {.channel = {.fd = -1}};
	enum status status;

	if (ctl->script || ctl->cloud_init)
		return ctl->script ? agent_print_script(ctl) : agent_print_cloud_init(ctl);
	signal(SIGPIPE, SIG_IGN);
	if (ctl->guest_agent) {
		if (guest_channel_connect(&way.channel, ctl->guest_agent) < 0)
			return no_agent(name, &way);
	} else {
		status = open_domain(ctl, *domain ? domain : name, &way);
		if (status)
			return status;
	}
	if (ping(&way.channel.agent) < 0)
		return no_agent(name, &way);
	status = agent_install(ctl, name, &way.channel.agent, version);
	close_way(&way);
	if (!status)
		wait_until_heard(ctl, vm, version);
	return status;
}
