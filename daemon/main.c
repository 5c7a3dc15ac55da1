/* SPDX-License-Identifier: BSD-2-Clause */
/* usbrouted: options, configuration, broker; then daemon_run(). */
#include <build_info.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "base/output.h"
#include "base/service.h"
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
 * The allocator would raise this to the sizes that it has seen, and keep 6 MiB after a disk had
 * gone.
 */
#define GIVEN_BACK (256 * 1024)

/* A VM's card has up to a dozen descriptors, and two for each other card; a device has half a dozen. */
#define DESCRIPTORS 16384

struct wanted {
	const char *config, *user;
	bool check, release, debug;
};

static int parse_options(struct wanted *w, int argc, char **argv)
{
	const struct option_row rows[] = {
		{"config", "FILE", "read FILE (default: " USBROUTED_CONFIG ")", .text = &w->config},
		{"check",
		 .help = "read configuration and policy, print their errors, touch nothing",
		 .flag = &w->check},
		{"release",
		 .help = "give devices that a stopped daemon has left claimed to the host",
		 .flag = &w->release},
		{"user", "NAME", "once started, be NAME and not root (default: " RIGHTS_USER ")",
		 .text = &w->user},
		{"debug", .help = "log more", .flag = &w->debug},
	};
	const struct options options = {
		.program = "usbrouted",
		.version = USBROUTED_VERSION,
		.begins = "usbrouted",
		.usage = "usage: usbrouted [--config FILE] [--user NAME] [--check | --release]\n"
			 "\n"
			 "Routes USB devices into virtual machines.\n",
		.notes =
			"Devices are routed with usbroutectl(1); the configuration is described in\n"
			"usbrouted.conf(5).\n",
		.rows = rows,
		.n = ARRAY_SIZE(rows),
	};
	int r = options_read(&options, argc, argv);

	if (r == OPTIONS_GOOD && w->check && w->release)
		return options_wrong(&options, "--check and --release: expected one of them");
	return r;
}

static int load(struct config **ret_config, struct policy **ret_policy, const struct wanted *o)
{
	struct config_errors errors = {0};
	int r = config_load(ret_config, o->config ? o->config : USBROUTED_CONFIG, o->config != NULL,
			    &errors);

	/* What a stopped daemon has left is given back, whatever the rules say. */
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
	struct wanted o = {0};
	struct sandbox_user user = {0};
	struct daemon_passed passed = {.n = 0};
	struct config *config = NULL;
	struct policy *policy = NULL;
	char error[256];
	int line, starter_line, r = parse_options(&o, argc, argv);

	if (r != OPTIONS_GOOD)
		return r == OPTIONS_SHOWN ? 0 : EXIT_USAGE;
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
	passed.n = service_take_sockets(passed.fds, ARRAY_SIZE(passed.fds));
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
	return daemon_run(config, policy, o.config, line, starter_line, &user, &passed);
}

int main(int argc, char **argv)
{
	output_init();
	return output_end("usbrouted", run(argc, argv));
}
