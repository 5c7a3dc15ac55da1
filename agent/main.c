/* SPDX-License-Identifier: BSD-2-Clause */
/* usbroute-agent: attaches what the host routes to this guest; see agent.h and usbroute-agent(8).
 */
#include <build_info.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/output.h"
#include "base/service.h"
#include "agent/agent.h"

static int run_agent(const struct agent_options *options)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	int r = -1;

	if (!agent)
		return 1;
	if (agent_init(agent, options) == 0) {
		service_notify("READY=1\nSTATUS=Waiting for devices");
		r = agent_run(agent);
		service_notify("STOPPING=1");
	}
	agent_deinit(agent);
	free(agent);
	return r < 0;
}

static bool take_interface(void *ctx, const char *text)
{
	struct agent_options *options = ctx;

	options->interface = text;
	if (*text && strlen(text) < IF_NAMESIZE)
		return true;
	fprintf(stderr, "usbroute-agent: --interface: expected an interface's name; found \"%s\"\n",
		text);
	return false;
}

static bool take_address(void *ctx, const char *text)
{
	struct agent_options *options = ctx;

	if (inet_pton(AF_INET, text, &options->address) == 1)
		return true;
	fprintf(stderr, "usbroute-agent: --address: expected an IPv4 address; found \"%s\"\n",
		text);
	return false;
}

static int run(int argc, char **argv)
{
	struct agent_options agent = {
		.sysfs = "/sys", .run = "/var/run/vhci_hcd", .folder = "/run/usbroute-agent"};
	bool check = false, let_go = false, take_back = false, no_modprobe = false, verbose = false;
	const struct option_row rows[] = {
		{"interface", "NAME",
		 "the interface on usbrouted's private segment; without it, the one\n"
		 "at whose other end usbrouted's card is",
		 .take = take_interface, .ctx = &agent},
		{"address", "IPV4",
		 "usbrouted's address there, where IPv6 does not lead to it (10.77.0.1)",
		 .take = take_address, .ctx = &agent},
		{"check", .help = "say what is missing here, and exit: 0 nothing, 1 something",
		 .flag = &check},
		{"let-go",
		 .help = "before the system sleeps, where logind does not say so: have the\n"
			 "agent that runs here let go of all devices; when it has, exit",
		 .flag = &let_go},
		{"take-back", .help = "after the sleep: have it take them back",
		 .flag = &take_back},
		{"no-modprobe", .help = "don't load vhci-hcd", .flag = &no_modprobe},
		{"sysfs", "FOLDER", "where sysfs is mounted (/sys)", .text = &agent.sysfs},
		{"run", "FOLDER", "where `usbip port` looks (/var/run/vhci_hcd)",
		 .text = &agent.run},
		{"folder", "FOLDER", "where the agent has its socket (/run/usbroute-agent)",
		 .text = &agent.folder},
		{"verbose", .help = "say more", .flag = &verbose},
	};
	const struct options options = {
		.program = "usbroute-agent",
		.version = USBROUTED_VERSION,
		.begins = "usbroute-agent",
		.usage =
			"usage: usbroute-agent [--interface NAME] [--address IPV4] [--check] [--verbose]\n"
			"\n"
			"Attaches the USB devices that usbrouted on the host routes to this guest.\n",
		.rows = rows,
		.n = ARRAY_SIZE(rows),
	};
	int r;

	inet_pton(AF_INET, "10.77.0.1", &agent.address);
	r = options_read(&options, argc, argv);
	if (r == OPTIONS_GOOD && let_go && take_back)
		r = options_wrong(&options, "--let-go and --take-back: expected one of them");
	if (r != OPTIONS_GOOD)
		return r == OPTIONS_SHOWN ? 0 : 2;
	agent.load_module = !no_modprobe;
	log_init(verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_NOTICE);
	if (let_go || take_back)
		return control_ask(agent.folder, let_go ? "let-go" : "take-back");
	return check ? agent_check(&agent) : run_agent(&agent);
}

int main(int argc, char **argv)
{
	output_init();
	return output_end("usbroute-agent", run(argc, argv));
}
