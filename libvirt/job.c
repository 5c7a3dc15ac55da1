/* SPDX-License-Identifier: BSD-2-Clause */
/* A command in a guest; see job.h. */
#include "libvirt/job.h"

#include <errno.h>
#include <libvirt/libvirt-qemu.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "libvirt/guest_usbip.h"
#include "libvirt/virt_error.h"

/* How long the guest's agent may take to answer one command; most it answers at once. */
#define AGENT_SECONDS 10

struct domain_agent {
	struct guest_agent agent;
	virDomainPtr domain;
};

static int domain_command(struct guest_agent *agent, const char *command, char **ret_answer)
{
	struct domain_agent *a = container_of(agent, struct domain_agent, agent);
	const char *text;

	*ret_answer = virDomainQemuAgentCommand(a->domain, command, AGENT_SECONDS, 0);
	if (*ret_answer)
		return 0;
	text = virt_error_text();
	snprintf(agent->error, sizeof(agent->error), "%s", text);
	/* The agent's own words; its protocol has no number for it. */
	if (strstr(text, "Failed to execute child process"))
		return -ENOENT;
	return virt_error_code() == VIR_ERR_AGENT_UNRESPONSIVE ? -ETIMEDOUT : -EREMOTEIO;
}

static void domain_pause(struct guest_agent *agent, unsigned ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	nanosleep(&ts, NULL);
}

static void *job_run(void *ctx)
{
	struct job *job = ctx;
	struct domain_agent a = {
		.agent = {.command = domain_command, .pause = domain_pause},
		.domain = job->domain,
	};
	int r;

	if (job->ask.verb == VIRT_ATTACH)
		r = guest_usbip_attach(&a.agent, job->ask.address, job->ask.busid);
	else
		r = guest_usbip_detach(&a.agent, job->ask.busid);
	job->answer = (struct virt_line){
		.verb = r < 0 ? VIRT_FAILED : VIRT_DONE,
		.id = job->ask.id,
	};
	if (r < 0)
		snprintf(job->answer.text, sizeof(job->answer.text), "%.*s", VIRT_TEXT_MAX,
			 *a.agent.error ? a.agent.error : errno_text(r));
	/* An address is written whole or not at all, and the pipe has room for all jobs there may
	 * be. */
	if (write(job->pipe, &job, sizeof(job)) != sizeof(job))
		log_err("a job's end can't be told: %s", errno_text(errno));
	return NULL;
}

/**
 * job_start() - begin
 * @job:	the job, with all but its answer; its domain is taken
 *
 * Return: 0 or a negative errno.
 */
int job_start(struct job *job)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r = pthread_attr_init(&attr);

	if (r == 0) {
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		r = pthread_create(&thread, &attr, job_run, job);
		pthread_attr_destroy(&attr);
	}
	return -r;
}

struct job *job_free(struct job *job)
{
	if (job && job->domain)
		virDomainFree(job->domain);
	free(job);
	return NULL;
}
