/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's guest agent of a domain, line by line: a command comes in on stdin, its answer goes out on
 * stdout, until stdin ends. What libvirt says went wrong is an answer, too, in the agent's own form.
 * Runs with the rights of whoever runs it; libvirt decides whether they suffice.
 */
#include "libvirt/agent_relay.h"

#include <jansson.h>
#include <libvirt/libvirt-qemu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "libvirt/domain_open.h"
#include "libvirt/virt_error.h"

#define AGENT_SECONDS 25 /* less than guest_channel.h's reader waits */

/* One answer, as a line. Return: whether it was written. */
static bool answer(virDomainPtr domain, const char *command)
{
	_cleanup_free_ char *said = virDomainQemuAgentCommand(domain, command, AGENT_SECONDS, 0);
	_cleanup_free_ char *line = NULL;
	json_t *json;

	if (said && !strchr(said, '\n'))
		return puts(said) >= 0 && fflush(stdout) == 0;
	json = json_pack("{s:{s:s, s:s}}", "error", "class", "GenericError", "desc",
			 said ? "the guest's agent answers nonsense" : virt_error_text());
	line = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return line && puts(line) >= 0 && fflush(stdout) == 0;
}

/**
 * agent_relay() - pass commands to a domain's guest agent until stdin ends
 * @uri:	libvirt's connection
 * @domain:	the domain
 *
 * Return: the exit status.
 */
int agent_relay(const char *uri, const char *domain)
{
	struct domain_open o = {.uri = uri, .name = domain};
	_cleanup_free_ char *line = NULL;
	int status = domain_open(&o, true);
	size_t size = 0;
	ssize_t n;

	while (!status && (n = getline(&line, &size, stdin)) > 0) {
		line[n - (line[n - 1] == '\n')] = '\0';
		if (!answer(o.domain, line))
			status = DOMAIN_FAILED;
	}
	domain_close(&o);
	return status;
}
