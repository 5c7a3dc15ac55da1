/* SPDX-License-Identifier: BSD-2-Clause */
/* usbrouted: options, configuration, broker; then daemon_run(). */
#include <build_info.h>
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/output.h"
#include "base/stranger.h"
#include "daemon/broker/broker.h"
#include "daemon/config/config.h"
#include "daemon/daemon.h"
#include "daemon/config/policy_files.h"
#include "daemon/release.h"
#include "daemon/rights.h"
#include "daemon/broker/starter.h"

#define EXIT_CANNOT 1
#define EXIT_USAGE  2

/*
 * Buffers of transfers that are at least so large are given back to the system when they are freed.
 * Unless told, the allocator raises this to what it has seen, and 6 MiB stayed after a disk had gone.
 */
#define GIVEN_BACK (256 * 1024)

/* A VM's card has up to a dozen descriptors, and two for each other card; a device has half a dozen. */
#define DESCRIPTORS 16384

static const char usage[] =
	"Usage: usbrouted [--config FILE] [--user NAME] [--check | --release]\n"
	"Route USB devices into virtual machines.\n"
	"\n"
	"  --config FILE  read FILE (default: " USBROUTED_CONFIG ")\n"
	"  --check        read configuration and policy, print their errors, touch nothing\n"
	"  --release      give devices that a stopped daemon has left claimed to the host\n"
	"  --user NAME    once started, be NAME and not root (default: " RIGHTS_USER ")\n"
	"  --debug        log more\n"
	"  --version      print the version\n"
	"  --help         print this\n"
	"\n"
	"Devices are routed with usbroutectl(1); the configuration is described in\n"
	"usbrouted.conf(5).\n";

struct options {
	const char *config, *user;
	bool check, release, debug;
};

/* Return: -1 to go on, else the exit status. */
static int parse_options(struct options *o, int argc, char **argv)
{
	enum {
		OPT_CONFIG = 256,
		OPT_CHECK,
		OPT_RELEASE,
		OPT_USER,
		OPT_DEBUG,
		OPT_VERSION,
		OPT_HELP
	};
	static const struct option options[] = {
		{"config", required_argument, NULL, OPT_CONFIG},
		{"check", no_argument, NULL, OPT_CHECK},
		{"release", no_argument, NULL, OPT_RELEASE},
		{"user", required_argument, NULL, OPT_USER},
		{"debug", no_argument, NULL, OPT_DEBUG},
		{"version", no_argument, NULL, OPT_VERSION},
		{"help", no_argument, NULL, OPT_HELP},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case OPT_CONFIG:
			o->config = optarg;
			break;
		case OPT_CHECK:
			o->check = true;
			break;
		case OPT_RELEASE:
			o->release = true;
			break;
		case OPT_USER:
			o->user = optarg;
			break;
		case OPT_DEBUG:
			o->debug = true;
			break;
		case OPT_VERSION:
			puts("usbrouted " USBROUTED_VERSION);
			return 0;
		case OPT_HELP:
			fputs(usage, stdout);
			return 0;
		default:
			fputs("Try: usbrouted --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc || (o->check && o->release)) {
		fprintf(stderr, "usbrouted: unexpected \"%s\"\nTry: usbrouted --help\n",
			optind < argc ? argv[optind] : "--release");
		return EXIT_USAGE;
	}
	return -1;
}

static int load(struct config **ret_config, struct policy **ret_policy, const struct options *o)
{
	struct config_errors errors = {0};
	int r = config_load(ret_config, o->config ? o->config : USBROUTED_CONFIG, o->config != NULL,
			    &errors);

	/* What a stopped daemon has left is given back whatever the rules are by now. */
	if (r == 0 && !o->release)
		r = policy_files_load(ret_policy, o->config, *ret_config, &errors);
	if (errors.text)
		fputs(errors.text, stderr);
	else if (r < 0)
		fprintf(stderr, "%s: %s\n", o->config ? o->config : USBROUTED_CONFIG,
			errno_text(r));
	if (r)
		*ret_config = config_free(*ret_config);
	config_errors_deinit(&errors);
	return r;
}

static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS)
		return;
	limit.rlim_cur = min_t(rlim_t, DESCRIPTORS, limit.rlim_max);
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(int argc, char **argv)
{
	struct options o = {0};
	struct sandbox_user user = {0};
	struct config *config = NULL;
	struct policy *policy = NULL;
	char error[256];
	int line, starter_line, r = parse_options(&o, argc, argv);

	if (r >= 0)
		return r;
	log_init(o.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (load(&config, &policy, &o) != 0)
		return EXIT_CANNOT;
	if (o.check) {
		policy_free(policy);
		config_free(config);
		return 0;
	}
	if (o.release) {
		r = release_claimed(config->runtime_directory);
		policy_free(policy);
		config_free(config);
		return r < 0 ? EXIT_CANNOT : 0;
	}
	if (geteuid() == 0 && rights_find_user(&user, o.user) < 0) {
		policy_free(policy);
		config_free(config);
		return EXIT_CANNOT;
	}
	raise_descriptors();
	mallopt(M_MMAP_THRESHOLD, GIVEN_BACK);
	mallopt(M_TRIM_THRESHOLD, GIVEN_BACK);
	r = broker_start(&line, error, sizeof(error));
	if (r < 0) {
		log_err("%s", error);
		policy_free(policy);
		config_free(config);
		return EXIT_CANNOT;
	}
	r = starter_start(&starter_line);
	if (r < 0) {
		policy_free(policy);
		config_free(config);
		return EXIT_CANNOT;
	}
	r = strangers_start(&user);
	if (r < 0)
		log_warning("no process that closes strangers' descriptors: %s", errno_text(r));
	return daemon_run(config, policy, o.config, line, starter_line, &user);
}

int main(int argc, char **argv)
{
	output_init();
	return output_end("usbrouted", run(argc, argv));
}
