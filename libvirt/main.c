/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usbrouted-libvirt: what usbrouted has to do with libvirt, in a process of its own. Without --add
 * it is the helper of the daemon; with it, it completes one domain for whoever runs it.
 */
#include <build_info.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/output.h"
#include "libvirt/domain_add.h"
#include "libvirt/helper.h"

#define DEFAULT_URI    "qemu:///system"
#define DEFAULT_DAEMON "/run/usbrouted/libvirt"

enum {
	OPTION_CONNECT = 256,
	OPTION_DAEMON,
	OPTION_ADD,
	OPTION_SOCKET,
	OPTION_MAC,
	OPTION_APPLY,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option options[] = {
	{"connect", required_argument, NULL, OPTION_CONNECT},
	{"daemon", required_argument, NULL, OPTION_DAEMON},
	{"add", required_argument, NULL, OPTION_ADD},
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"mac", required_argument, NULL, OPTION_MAC},
	{"apply", no_argument, NULL, OPTION_APPLY},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{0},
};

static void print_help(void)
{
	puts("usage: usbrouted-libvirt [--connect URI] [--daemon PATH]\n"
	     "       usbrouted-libvirt [--connect URI] --add DOMAIN --socket PATH [--mac MAC] "
	     "[--apply]\n"
	     "\n"
	     "The first form is the helper of usbrouted: it tells the daemon of libvirt's domains "
	     "and\n"
	     "runs usbip in them for it, by QEMU's guest agent. The second puts shared memory and "
	     "the\n"
	     "card into a domain; `usbroutectl vm add` calls it with the right words.\n"
	     "\n"
	     "  --connect URI   libvirt's connection (" DEFAULT_URI ")\n"
	     "  --daemon PATH   the daemon's socket for it (" DEFAULT_DAEMON ")\n"
	     "  --add DOMAIN    the domain\n"
	     "  --socket PATH   the VM's socket\n"
	     "  --mac MAC       the card's address; without it any\n"
	     "  --apply         do it; without it only say what is missing\n"
	     "  --help, --version");
}

static int usage(const char *what, const char *which)
{
	fprintf(stderr, "error[usage]: %s%s\n  try: usbrouted-libvirt --help\n", what, which);
	return 2;
}

static int run(int argc, char **argv)
{
	struct domain_add add = {.uri = DEFAULT_URI};
	const char *daemon = NULL;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (c) {
		case OPTION_CONNECT:
			add.uri = optarg;
			break;
		case OPTION_DAEMON:
			daemon = optarg;
			break;
		case OPTION_ADD:
			add.domain = optarg;
			break;
		case OPTION_SOCKET:
			add.card.socket = optarg;
			break;
		case OPTION_MAC:
			add.card.mac = optarg;
			break;
		case OPTION_APPLY:
			add.apply = true;
			break;
		case OPTION_HELP:
		case 'h':
			print_help();
			return 0;
		case OPTION_VERSION:
			puts("usbrouted-libvirt " USBROUTED_VERSION);
			return 0;
		case ':':
			return usage("expected a value after ", argv[optind - 1]);
		default:
			return usage("there is no option ", argv[optind - 1]);
		}
	}
	if (optind < argc)
		return usage("expected options only; found ", argv[optind]);
	log_init(LOG_LEVEL_INFO);
	if (!add.domain) {
		if (add.card.socket || add.card.mac || add.apply)
			return usage("--socket, --mac and --apply: expected with --add", "");
		return helper_run(add.uri, daemon ? daemon : DEFAULT_DAEMON);
	}
	if (daemon)
		return usage("--daemon: expected without --add", "");
	if (!add.card.socket || add.card.socket[0] != '/')
		return usage("--add: expected --socket with an absolute path", "");
	return domain_add(&add);
}

int main(int argc, char **argv)
{
	output_init();
	return output_end("error[failed]", run(argc, argv));
}
