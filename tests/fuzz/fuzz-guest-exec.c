/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest's agent answers, an answer a line, to attach and to detach. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "libvirt/guest_usbip.h"

struct wicked {
	struct guest_agent agent;
	const char *data;
	size_t size;
};

static int wicked_command(struct guest_agent *agent, const char *command, char **ret_answer)
{
	struct wicked *w = container_of(agent, struct wicked, agent);
	const char *end = w->size ? memchr(w->data, '\n', w->size) : NULL;
	size_t n = end ? (size_t)(end - w->data) : w->size;

	assert(!strncmp(command, "{\"execute\":\"guest-", 18));
	if (!n)
		return w->size ? -ENOENT : -EREMOTEIO;
	*ret_answer = strndup(w->data, n);
	w->data += n + (end != NULL);
	w->size -= n + (end != NULL);
	return *ret_answer ? 0 : -ENOMEM;
}

static void wicked_pause(struct guest_agent *agent, unsigned ms)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wicked w = {.agent = {.command = wicked_command, .pause = wicked_pause},
			   .data = (const char *)data,
			   .size = size};

	guest_usbip_attach(&w.agent, "10.77.0.1", "1-1");
	w.data = (const char *)data;
	w.size = size;
	guest_usbip_attach(&w.agent, "fe80::1@52:54:00:77:00:0b", "1-1");
	w.data = (const char *)data;
	w.size = size;
	guest_usbip_detach(&w.agent, "1-1");
	assert(strnlen(w.agent.error, sizeof(w.agent.error)) < sizeof(w.agent.error));
	return 0;
}
