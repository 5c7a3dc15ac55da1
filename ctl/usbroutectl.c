/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usbroutectl: words on a command line to one call of the daemon.
 *
 * A table has every command with its words, its help and its function; options may stand anywhere.
 * Nothing here asks questions or keeps anything.
 */
#include "ctl/ctl.h"

#include <build_info.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/text.h"

#define DEFAULT_SOCKET	 "/run/usbrouted/control"
#define WAIT_SECONDS_MAX 86400

#define DEVICE_HELP                                                                           \
	"DEVICE is an alias from the configuration, an id such as 046d:c31c, or one of\n"     \
	"serial=TEXT, port=PORT, class=CLASS, product=TEXT. In TEXT, * stands for any text\n" \
	"and ? for one character.\n"

static const struct command commands[] = {
	{"list", "", 0, 0, "list the devices: which are wanted where, and where they are",
	 "WANT is where a device should be, NOW where it is, STATE how far it has come.\n",
	 ctl_list},
	{"show", "DEVICE", 1, 0, "show all about one device", DEVICE_HELP, ctl_show},
	{"vms", "", 0, 0, "list the VMs and the devices that they have",
	 "LINK is up while the VM's card is connected to the daemon.\n", ctl_vms},
	{"status", "", 0, 0, "show how the daemon is, and what should be mended", "", ctl_status},
	{"attach", "DEVICE VM [--wait S | --no-wait] [--unmount]", 2,
	 COMMAND_WAITS | COMMAND_UNMOUNTS,
	 "give a device to a VM, now and until the next attach or detach",
	 DEVICE_HELP
	 "\n"
	 "The wish stays when the device is plugged out, the VM is off, or the daemon\n"
	 "restarts; it is forgotten when the host reboots. Where a line has to be typed in\n"
	 "the guest, it is printed.\n"
	 "\n"
	 "  --wait S     wait up to S seconds until the guest has it; exit 7 where it has not\n"
	 "  --no-wait    do not wait\n"
	 "  --unmount    first unmount the device's disks, with your rights and never by force\n",
	 ctl_attach},
	{"detach", "DEVICE", 1, 0, "give a device back to the host", DEVICE_HELP, ctl_detach},
	{"why", "DEVICE [VM]", 1, 0, "say why a device is where it is, and which VMs may have it",
	 DEVICE_HELP "\n"
		     "Without VM: about the one where it is wanted, else about all. A > marks the\n"
		     "rules that decided; see usbrouted-policy(5).\n",
	 ctl_why, 1},
	{"policy", "test FILE [--devices SET]", 2, COMMAND_TESTS,
	 "say what a file of rules would do, were it in policy.d",
	 "FILE is put among the rules in force by its name, in the place of the one that has\n"
	 "the same name. Nothing changes.\n"
	 "\n"
	 "  --devices SET  try it with the devices in SET, which `usbroutectl --json list`\n"
	 "                 has printed, in place of those that are present\n",
	 ctl_policy},
	{"vm", "xml VM | add DOMAIN [--apply] [--connect URI]", 2, COMMAND_APPLIES,
	 "make a libvirt domain a VM that can have devices",
	 "vm xml VM prints what a domain needs, to be put into it by `virsh edit`. vm add DOMAIN\n"
	 "says what the domain lacks; with --apply it puts it in, and plugs the card in where the\n"
	 "domain runs and its memory is shared. DOMAIN's VM is the one in the configuration that\n"
	 "has its name, or names it by `domain =`.\n"
	 "\n"
	 "  --apply        do it\n"
	 "  --connect URI  libvirt's connection (qemu:///system)\n",
	 ctl_vm},
	{"version", "", 0, 0, "print the versions of usbroutectl and of the daemon", "",
	 ctl_version},
};

/* How long the words of a command's line are, without its options. */
static int words_len(const char *args)
{
	size_t n = strcspn(args, "[");

	while (n && args[n - 1] == ' ')
		n--;
	return (int)n;
}

static void print_help(void)
{
	puts("usage: usbroutectl [--json] [--socket PATH] COMMAND\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		char words[64];

		snprintf(words, sizeof(words), "%s%s%.*s", commands[i].name,
			 *commands[i].args ? " " : "", words_len(commands[i].args),
			 commands[i].args);
		printf("  %-18s %s\n", words, commands[i].help);
	}
	puts("\n"
	     "Options:\n"
	     "  --json             print the daemon's reply as one line of JSON\n"
	     "  --socket PATH      the daemon's control socket (" DEFAULT_SOCKET ")\n"
	     "  --help             this text; `usbroutectl COMMAND --help` about one command\n"
	     "  --version          print the version of usbroutectl\n"
	     "\n"
	     "Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 ambiguous, 5 denied, 6 busy,\n"
	     "7 not within the wait, 8 no daemon. Errors go to stderr, also with --json.");
}

static void print_command_help(const struct command *c)
{
	printf("usage: usbroutectl [--json] [--socket PATH] %s%s%s\n\n%c%s.\n", c->name,
	       *c->args ? " " : "", c->args, c->help[0] - 'a' + 'A', c->help + 1);
	if (*c->details)
		printf("\n%s", c->details);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static enum status usage(const struct command *c)
{
	ctl_try("usbroutectl %s%s--help", c ? c->name : "", c ? " " : "");
	return STATUS_USAGE;
}

static bool parse_wait(const char *text, double *ret_seconds)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !isfinite(seconds) || seconds < 0 ||
	    seconds > WAIT_SECONDS_MAX || strspn(text, "0123456789.") != strlen(text))
		return false;
	*ret_seconds = seconds;
	return true;
}

enum {
	OPTION_JSON = 256,
	OPTION_SOCKET,
	OPTION_WAIT,
	OPTION_NO_WAIT,
	OPTION_UNMOUNT,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_DEVICES,
	OPTION_APPLY,
	OPTION_CONNECT
};

static const struct option options[] = {
	{"json", no_argument, NULL, OPTION_JSON},
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"wait", required_argument, NULL, OPTION_WAIT},
	{"no-wait", no_argument, NULL, OPTION_NO_WAIT},
	{"devices", required_argument, NULL, OPTION_DEVICES},
	{"unmount", no_argument, NULL, OPTION_UNMOUNT},
	{"apply", no_argument, NULL, OPTION_APPLY},
	{"connect", required_argument, NULL, OPTION_CONNECT},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{0},
};

/* What the options said beside what is in struct ctl. */
struct words {
	bool help, version, wait, no_wait;
};

static enum status parse_options(struct ctl *ctl, struct words *w, int argc, char **argv)
{
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (c) {
		case OPTION_JSON:
			ctl->json = true;
			break;
		case OPTION_SOCKET:
			ctl->socket = optarg;
			break;
		case OPTION_WAIT:
			w->wait = true;
			if (!parse_wait(optarg, &ctl->wait_seconds)) {
				ctl_error("usage",
					  "--wait: expected seconds, 0 to %d; found \"%s\"",
					  WAIT_SECONDS_MAX, optarg);
				return usage(NULL);
			}
			break;
		case OPTION_DEVICES:
			ctl->devices = optarg;
			break;
		case OPTION_NO_WAIT:
			w->no_wait = true;
			break;
		case OPTION_UNMOUNT:
			ctl->unmount = true;
			break;
		case OPTION_APPLY:
			ctl->apply = true;
			break;
		case OPTION_CONNECT:
			ctl->connect = optarg;
			break;
		case OPTION_HELP:
		case 'h':
			w->help = true;
			break;
		case OPTION_VERSION:
			w->version = true;
			break;
		case ':':
			ctl_error("usage", "%s: expected %s after it", argv[optind - 1],
				  optopt == OPTION_WAIT	     ? "seconds"
				  : optopt == OPTION_CONNECT ? "libvirt's address"
							     : "a path");
			return usage(NULL);
		default:
			ctl_error("usage", "%s: there is no such option", argv[optind - 1]);
			return usage(NULL);
		}
	}
	ctl->has_wait = w->wait || w->no_wait;
	return STATUS_DONE;
}

/* Whether the words after the options are what the command takes. */
static enum status check_words(const struct ctl *ctl, const struct words *w, int n, char **words)
{
	const struct command *c = ctl->command;
	unsigned words_max = c->n_args + c->n_optional;

	if (w->wait && w->no_wait) {
		ctl_error("usage", "--wait and --no-wait: expected one of them");
		return usage(c);
	}
	if ((w->wait || w->no_wait) && !(c->options & COMMAND_WAITS)) {
		ctl_error("usage", "%s: it does not take %s", c->name,
			  w->wait ? "--wait" : "--no-wait");
		return usage(c);
	}
	if (ctl->devices && !(c->options & COMMAND_TESTS)) {
		ctl_error("usage", "%s: it does not take --devices", c->name);
		return usage(c);
	}
	if (ctl->unmount && !(c->options & COMMAND_UNMOUNTS)) {
		ctl_error("usage", "%s: it does not take --unmount", c->name);
		return usage(c);
	}
	if ((ctl->apply || ctl->connect) && !(c->options & COMMAND_APPLIES)) {
		ctl_error("usage", "%s: it does not take %s", c->name,
			  ctl->apply ? "--apply" : "--connect");
		return usage(c);
	}
	if (n < (int)c->n_args) {
		ctl_error("usage", "%s: expected %.*s after it", c->name, words_len(c->args),
			  c->args);
		return usage(c);
	}
	if (n > (int)words_max) {
		ctl_error("usage", "%s: expected nothing more after it; found \"%s\"",
			  words_max ? words[words_max - 1] : c->name, words[words_max]);
		return usage(c);
	}
	return STATUS_DONE;
}

static void look_at_terminal(struct ctl *ctl)
{
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	bool obeys = term && strcmp(term, "dumb");
	struct winsize ws;

	if (isatty(STDOUT_FILENO)) {
		ctl->width = 80;
		if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) && ws.ws_col)
			ctl->width = ws.ws_col;
		ctl->colours = obeys && (!no_colour || !*no_colour);
	}
	ctl->progress = obeys && isatty(STDERR_FILENO);
}

int main(int argc, char **argv)
{
	struct ctl ctl = {.socket = DEFAULT_SOCKET};
	struct words w = {0};
	enum status status;

	text_init();
	status = parse_options(&ctl, &w, argc, argv);
	if (status)
		return status;
	if (w.version) {
		puts("usbroutectl " USBROUTED_VERSION);
		return STATUS_DONE;
	}
	if (optind == argc) {
		if (w.help) {
			print_help();
			return STATUS_DONE;
		}
		ctl_error("usage", "expected a command: list show vms status attach detach why "
				   "policy vm version");
		return usage(NULL);
	}
	ctl.command = find_command(argv[optind]);
	if (!ctl.command) {
		ctl_error("usage", "\"%s\": there is no such command", argv[optind]);
		return usage(NULL);
	}
	if (w.help) {
		print_command_help(ctl.command);
		return STATUS_DONE;
	}
	ctl.args = argv + optind + 1;
	status = check_words(&ctl, &w, argc - optind - 1, ctl.args);
	if (status)
		return status;
	look_at_terminal(&ctl);
	status = ctl.command->run(&ctl);
	if (fflush(stdout) && !status) {
		ctl_error("failed", "standard output can't be written");
		status = STATUS_FAILED;
	}
	return status;
}
