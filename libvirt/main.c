/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usbrouted-libvirt: all that usbrouted does with libvirt, in a process of its own. It is the
 * daemon's helper; or, for whoever runs it, it completes one domain (--add), or passes commands to
 * the guest agent of one (--guest-agent).
 */
#include <build_info.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/output.h"
#include "libvirt/agent_relay.h"
#include "libvirt/domain_add.h"
#include "libvirt/helper.h"

#define DEFAULT_URI    "qemu:///system"
#define DEFAULT_DAEMON "/run/usbrouted/libvirt"

static int run(int argc, char **argv)
{
	struct domain_add add = {.uri = DEFAULT_URI};
	const char *daemon = NULL, *guest_agent = NULL;
	const struct option_row rows[] = {
		{"connect", "URI", "libvirt's connection (" DEFAULT_URI ")", .text = &add.uri},
		{"daemon", "PATH", "the daemon's socket for it (" DEFAULT_DAEMON ")",
		 .text = &daemon},
		{"add", "DOMAIN", "the domain", .text = &add.domain},
		{"socket", "PATH", "the VM's socket", .text = &add.card.socket},
		{"mac", "MAC", "the card's address; without it any", .text = &add.card.mac},
		{"guest-agent", "DOMAIN",
		 "pass lines of stdin to the domain's QEMU guest agent, and answers to stdout",
		 .text = &guest_agent},
		{"apply", .help = "do it; without it only say what is missing", .flag = &add.apply},
	};
	const struct options options = {
		.program = "usbrouted-libvirt",
		.version = USBROUTED_VERSION,
		.begins = "error[usage]",
		.usage =
			"usage: usbrouted-libvirt [--connect URI] [--daemon PATH]\n"
			"       usbrouted-libvirt [--connect URI] --add DOMAIN --socket PATH [--mac MAC] [--apply]\n"
			"       usbrouted-libvirt [--connect URI] --guest-agent DOMAIN\n"
			"\n"
			"The first form is the helper of usbrouted: it tells the daemon of libvirt's domains, and\n"
			"runs usbip in them for it, by QEMU's guest agent. The second puts shared memory and the\n"
			"card into a domain, the third gives a way to its guest's agent; `usbroutectl vm add` and\n"
			"`usbroutectl vm agent` call them with the right words.\n",
		.rows = rows,
		.n = ARRAY_SIZE(rows),
	};
	int r = options_read(&options, argc, argv);

	if (r != OPTIONS_GOOD)
		return r == OPTIONS_SHOWN ? 0 : 2;
	log_init(LOG_LEVEL_INFO);
	if (!add.domain && (add.card.socket || add.card.mac || add.apply))
		r = options_wrong(&options, "--socket, --mac and --apply: expected with --add");
	else if (add.domain && daemon)
		r = options_wrong(&options, "--daemon: expected without --add");
	else if (guest_agent && (add.domain || daemon))
		r = options_wrong(&options, "--guest-agent: expected without --add and --daemon");
	else if (add.domain && (!add.card.socket || add.card.socket[0] != '/'))
		r = options_wrong(&options, "--add: expected --socket with an absolute path");
	if (r != OPTIONS_GOOD)
		return 2;
	if (guest_agent)
		return agent_relay(add.uri, guest_agent);
	return add.domain ? domain_add(&add)
			  : helper_run(add.uri, daemon ? daemon : DEFAULT_DAEMON);
}

int main(int argc, char **argv)
{
	output_init();
	return output_end("error[failed]", run(argc, argv));
}
