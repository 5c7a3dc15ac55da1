/* SPDX-License-Identifier: BSD-2-Clause */
/* usbroute-agent: attaches what the host routes to this guest; see agent.h and usbroute-agent(8).
 */
#include <build_info.h>
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/output.h"
#include "base/service.h"
#include "agent/agent.h"

static const char usage[] =
	"usage: usbroute-agent [--interface NAME] [--address IPV4] [--check] [--verbose]\n"
	"\n"
	"Attaches the USB devices that usbrouted on the host routes to this guest.\n"
	"\n"
	"  --interface NAME  the interface on usbrouted's private segment; without it, the one\n"
	"                    at whose other end usbrouted's card is\n"
	"  --address IPV4    usbrouted's address there, where IPv6 does not lead to it "
	"(10.77.0.1)\n"
	"  --check           say what is missing here, and exit: 0 nothing, 1 something\n"
	"  --let-go          before the system sleeps, where logind does not say so: have the\n"
	"                    agent that runs here let go of all devices; when it has, exit\n"
	"  --take-back       after the sleep: have it take them back\n"
	"  --no-modprobe     don't load vhci-hcd\n"
	"  --sysfs FOLDER    where sysfs is mounted (/sys)\n"
	"  --run FOLDER      where `usbip port` looks (/var/run/vhci_hcd)\n"
	"  --folder FOLDER   where the agent has its socket (/run/usbroute-agent)\n"
	"  --verbose         say more\n"
	"  --version, --help\n";

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

static int run(int argc, char **argv)
{
	enum {
		CHECK = 1,
		VERSION,
		HELP,
		VERBOSE,
		INTERFACE,
		ADDRESS,
		SYSFS,
		RUN,
		NO_MODPROBE,
		LET_GO,
		TAKE_BACK,
		FOLDER
	};
	static const struct option words[] = {
		{"check", no_argument, NULL, CHECK},
		{"version", no_argument, NULL, VERSION},
		{"help", no_argument, NULL, HELP},
		{"verbose", no_argument, NULL, VERBOSE},
		{"interface", required_argument, NULL, INTERFACE},
		{"address", required_argument, NULL, ADDRESS},
		{"sysfs", required_argument, NULL, SYSFS},
		{"run", required_argument, NULL, RUN},
		{"no-modprobe", no_argument, NULL, NO_MODPROBE},
		{"let-go", no_argument, NULL, LET_GO},
		{"take-back", no_argument, NULL, TAKE_BACK},
		{"folder", required_argument, NULL, FOLDER},
		{0},
	};
	struct agent_options options = {.sysfs = "/sys",
					.run = "/var/run/vhci_hcd",
					.folder = "/run/usbroute-agent",
					.load_module = true};
	const char *ask = NULL;
	enum log_level level = LOG_LEVEL_NOTICE;
	bool check = false, bad = false;
	int word;

	inet_pton(AF_INET, "10.77.0.1", &options.address);
	while ((word = getopt_long(argc, argv, "", words, NULL)) >= 0) {
		switch (word) {
		case CHECK:
			check = true;
			break;
		case VERSION:
			puts("usbroute-agent " USBROUTED_VERSION);
			return 0;
		case HELP:
			fputs(usage, stdout);
			return 0;
		case VERBOSE:
			level = LOG_LEVEL_DEBUG;
			break;
		case INTERFACE:
			options.interface = optarg;
			bad = bad || !*optarg || strlen(optarg) >= IF_NAMESIZE;
			break;
		case ADDRESS:
			bad = bad || inet_pton(AF_INET, optarg, &options.address) != 1;
			break;
		case SYSFS:
			options.sysfs = optarg;
			break;
		case RUN:
			options.run = optarg;
			break;
		case NO_MODPROBE:
			options.load_module = false;
			break;
		case LET_GO:
		case TAKE_BACK:
			bad = bad || ask;
			ask = word == LET_GO ? "let-go" : "take-back";
			break;
		case FOLDER:
			options.folder = optarg;
			break;
		default:
			bad = true;
			break;
		}
	}
	if (!bad && optind < argc)
		fprintf(stderr, "usbroute-agent: expected options only; found \"%s\"\n",
			argv[optind]);
	if (bad || optind < argc) {
		fputs(usage, stderr);
		return 2;
	}
	log_init(level);
	if (ask)
		return control_ask(options.folder, ask);
	return check ? agent_check(&options) : run_agent(&options);
}

int main(int argc, char **argv)
{
	output_init();
	return output_end("usbroute-agent", run(argc, argv));
}
