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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/near.h"
#include "base/output.h"
#include "base/utf8.h"
#include "ctl/options.h"
#include "ctl/text.h"

#define WORD_MAX       4096 /* bytes, as of a path */
#define DEFAULT_SOCKET "/run/usbrouted/control"

#define DEVICE_HELP                                                                      \
	"DEVICE is an alias, a group, an id such as 046d:c31c, or one of serial=TEXT,\n" \
	"port=PORT, class=CLASS, product=TEXT, group=GROUP. In TEXT, * stands for any\n" \
	"text and ? for one character.\n"
#define WAIT_HELP                                                                                  \
	"  --wait S        wait up to S seconds until the guest has it; exit 7 where it has not\n" \
	"  --no-wait       do not wait\n"
#define TRY_HELP "  --dry-run       only say what would be done\n"
#define FORCE_HELP                                                                        \
	"  --force         also the host's last keyboard\n"                               \
	"  --unmount       first unmount the device's disks, with your rights, never by " \
	"force\n" TRY_HELP

static const struct command commands[] = {
	{"list", "", 0, 0, "list the devices: which are wanted where, and where they are",
	 "WANT is where a device should be, NOW where it is, STATE how far it has come.\n",
	 ctl_list},
	{"show", "DEVICE", 1, 0, "show all about one device", DEVICE_HELP, ctl_show},
	{"vms", "", 0, 0, "list the VMs and the devices that they have",
	 "LINK is up while the VM's card is connected to the daemon.\n", ctl_vms},
	{"status", "", 0, 0, "show how the daemon is, and what should be mended", "", ctl_status},
	{"attach",
	 "DEVICE VM [--wait S | --no-wait] [--for TIME] [--until-unplug] [--force] [--unmount] "
	 "[--dry-run]",
	 2, COMMAND_WAITS | COMMAND_UNMOUNTS | COMMAND_ENDS | COMMAND_FORCES | COMMAND_TRIES,
	 "give a device to a VM, now and until the next attach or detach",
	 DEVICE_HELP
	 "\n"
	 "The wish stays when the device is plugged out, the VM is off, or the daemon\n"
	 "restarts; it is forgotten when the host reboots. Where a line has to be typed in\n"
	 "the guest, it is printed.\n"
	 "\n" WAIT_HELP
	 "  --for TIME      for that long, such as 90s, 10m, 8h, 2d; then what was before decides\n"
	 "  --until-unplug  until the device is plugged out\n" FORCE_HELP,
	 ctl_attach},
	{"detach", "DEVICE [--for TIME] [--until-unplug] [--dry-run]", 1,
	 COMMAND_ENDS | COMMAND_TRIES, "give a device back to the host", DEVICE_HELP "\n" TRY_HELP,
	 ctl_detach},
	{"switch",
	 "DEVICE next|prev|VM|host [--wait S | --no-wait] [--force] [--unmount] [--dry-run]", 2,
	 COMMAND_WAITS | COMMAND_FORCES | COMMAND_UNMOUNTS | COMMAND_TRIES,
	 "take a device or a group to another VM",
	 DEVICE_HELP
	 "\n"
	 "next and prev go round the VMs that are connected and may have all of it, in the\n"
	 "order of the configuration. All go, or none.\n"
	 "\n" WAIT_HELP FORCE_HELP,
	 ctl_switch},
	{"assign", "DEVICE VM|host [--wait S | --no-wait] [--unmount] [--dry-run]", 2,
	 COMMAND_WAITS | COMMAND_UNMOUNTS | COMMAND_TRIES,
	 "give a device to a VM, now and for good",
	 DEVICE_HELP
	 "\n"
	 "An assignment survives plugging, the VM's, the daemon's and the host's restart.\n"
	 "attach and detach come before it until the host reboots, or until release.\n"
	 "\n" WAIT_HELP "  --unmount       first unmount the device's disks, with your rights, "
	 "never by force\n" TRY_HELP,
	 ctl_assign},
	{"unassign", "DEVICE [--dry-run]", 1, COMMAND_TRIES,
	 "take an assignment back: rules decide, else the host has it", DEVICE_HELP, ctl_unassign},
	{"release", "DEVICE [--dry-run]", 1, COMMAND_TRIES,
	 "forget what attach or detach said: assignment and rules decide", DEVICE_HELP,
	 ctl_release},
	{"reserve", "DEVICE [--off] [--dry-run]", 1, COMMAND_OFF | COMMAND_TRIES,
	 "keep a device from the host's drivers, also while no VM has it",
	 DEVICE_HELP
	 "\n"
	 "It is taken as soon as udev announces it, for good; usbrouted(8) says what the host\n"
	 "may have seen of it before.\n"
	 "\n"
	 "  --off           give it to the host's drivers again\n" TRY_HELP,
	 ctl_reserve},
	{"undo", "", 0, 0, "take back the last change that a command made",
	 "Undone twice it is done again. A restart of the daemon forgets it.\n", ctl_undo},
	{"reset", "DEVICE [--wait S | --no-wait] [--force] [--unmount] [--dry-run]", 1,
	 COMMAND_WAITS | COMMAND_FORCES | COMMAND_UNMOUNTS | COMMAND_TRIES,
	 "reset a device where it is, as when it hangs",
	 DEVICE_HELP
	 "\n"
	 "To the guest that has it, it is plugged out and in: it is imported anew. Wishes stay.\n"
	 "\n"
	 "  --wait S        wait up to S seconds until the guest has it again; exit 7 where it\n"
	 "                  has not\n"
	 "  --no-wait       wait for the reset only\n"
	 "  --force         also a device whose disk the host uses\n"
	 "  --unmount       first unmount the device's disks, with your rights, never by "
	 "force\n" TRY_HELP,
	 ctl_reset},
	{"power", "DEVICE off|on|cycle [--wait S | --no-wait] [--force] [--unmount] [--dry-run]", 2,
	 COMMAND_WAITS | COMMAND_FORCES | COMMAND_UNMOUNTS | COMMAND_TRIES,
	 "switch the power of a device's port",
	 DEVICE_HELP
	 "\n"
	 "Only where its hub switches that port alone; exit 1 where it does not. A device whose\n"
	 "port is off is unplugged, and listed as off; its wishes stay. cycle is off and on "
	 "again.\n"
	 "\n"
	 "  --wait S        on, cycle: wait up to S seconds until it is back where it is wanted;\n"
	 "                  exit 7 where it is not\n"
	 "  --no-wait       on, cycle: wait until the port is on, and no longer\n"
	 "  --force         also the host's last keyboard, and a device whose disk the host uses\n"
	 "  --unmount       first unmount the device's disks, with your rights, never by "
	 "force\n" TRY_HELP,
	 ctl_power},
	{"alias", "DEVICE NAME|none", 2, 0, "give a device a name, for good",
	 DEVICE_HELP "\nA device with a section in the configuration has its name from there.\n",
	 ctl_alias},
	{"reload", "", 0, 0, "have the daemon read its configuration and rules anew",
	 "It takes them whole, or not at all and says what is wrong.\n", ctl_reload},
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
	{"help", "[COMMAND]", 0, 0, "say how commands are typed, or about one: what it does", "",
	 ctl_help, 2},
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

#define COLUMN_MAX 40

static void print_help(void)
{
	char words[ARRAY_SIZE(commands)][COLUMN_MAX];
	int width = 0;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		snprintf(words[i], COLUMN_MAX, "%s%s%.*s", commands[i].name,
			 *commands[i].args ? " " : "", words_len(commands[i].args),
			 commands[i].args);
		width = max_t(int, width, (int)strlen(words[i]));
	}
	puts("usage: usbroutectl [--json] [--socket PATH] COMMAND\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-*s  %s\n", width, words[i], commands[i].help);
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

/**
 * ctl_usage() - say where it is written how a command is typed
 * @c:	the command; NULL: it is not known
 *
 * Return: STATUS_USAGE.
 */
enum status ctl_usage(const struct command *c)
{
	ctl_try("usbroutectl %s%s--help", c ? c->name : "", c ? " " : "");
	return STATUS_USAGE;
}

/*
 * Messages are JSON, which is UTF-8: a word that is not would be blamed on another one. And they have
 * a bound, which no words get over.
 */
static enum status check_text(const struct command *c, int n, char **words)
{
	const char *name = c->args;

	for (int i = 0; i < n; i++) {
		size_t len = strcspn(name, " ]");

		if (strlen(words[i]) > WORD_MAX) {
			ctl_error("usage", "%.*s: expected at most %d bytes; found %zu",
				  (int)(len - (*name == '[')), name + (*name == '['), WORD_MAX,
				  strlen(words[i]));
			return ctl_usage(c);
		}
		if (utf8_valid_len(words[i], strlen(words[i])) < strlen(words[i])) {
			ctl_error("usage", "%.*s: expected text in UTF-8; found \"%s\"",
				  (int)(len - (*name == '[')), name + (*name == '['), words[i]);
			return ctl_usage(c);
		}
		name += len;
		name += strspn(name, " ]");
	}
	return STATUS_DONE;
}

/* Whether the words after the options are what the command takes. */
static enum status check_words(const struct ctl *ctl, int n, char **words)
{
	const struct command *c = ctl->command;
	unsigned words_max = c->n_args + c->n_optional;

	if (n < (int)c->n_args) {
		ctl_error("usage", "%s: expected %.*s after it", c->name, words_len(c->args),
			  c->args);
		return ctl_usage(c);
	}
	if (n > (int)words_max) {
		if (!words_max)
			ctl_error("usage", "%s: expected nothing more after it; found \"%s\"",
				  c->name, words[0]);
		else
			ctl_error(
				"usage",
				"%s: expected nothing more after \"%s\"; found \"%s\" (words with "
				"blanks in them stand in quotes)",
				c->name, words[words_max - 1], words[words_max]);
		return ctl_usage(c);
	}
	return check_text(c, n, words);
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

/* The words that a command line may begin with, for who mistyped one. */
static void no_such_command(const char *typed)
{
	const char *names[ARRAY_SIZE(commands)], *near;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;
	near = near_best(typed, names, ARRAY_SIZE(names));
	ctl_error("usage", "\"%s\": there is no such command%s%s%s", typed,
		  near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/**
 * ctl_help() - `help [COMMAND]`: how to type it
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_help(struct ctl *ctl)
{
	const struct command *c = ctl->args[0] ? find_command(ctl->args[0]) : NULL;

	if (ctl->args[0] && !c) {
		no_such_command(ctl->args[0]);
		return ctl_usage(NULL);
	}
	if (c)
		print_command_help(c);
	else
		print_help();
	return STATUS_DONE;
}

static enum status no_command(const struct ctl *ctl)
{
	char names[256] = "";

	if (ctl->help) {
		print_help();
		return STATUS_DONE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		strncat(names, " ", sizeof(names) - strlen(names) - 1);
		strncat(names, commands[i].name, sizeof(names) - strlen(names) - 1);
	}
	ctl_error("usage", "expected a command:%s", names);
	return ctl_usage(NULL);
}

static enum status run(int argc, char **argv)
{
	struct ctl ctl = {.socket = DEFAULT_SOCKET};
	enum status status = options_parse(&ctl, argc, argv);

	if (status)
		return status;
	if (ctl.version) {
		puts("usbroutectl " USBROUTED_VERSION);
		return STATUS_DONE;
	}
	if (optind == argc)
		return no_command(&ctl);
	ctl.command = find_command(argv[optind]);
	if (!ctl.command) {
		no_such_command(argv[optind]);
		return ctl_usage(NULL);
	}
	if (ctl.help) {
		print_command_help(ctl.command);
		return STATUS_DONE;
	}
	ctl.args = argv + optind + 1;
	status = options_check(&ctl);
	if (!status)
		status = check_words(&ctl, argc - optind - 1, ctl.args);
	if (status)
		return status;
	look_at_terminal(&ctl);
	return ctl.command->run(&ctl);
}

int main(int argc, char **argv)
{
	output_init();
	text_init();
	return output_end("error[failed]", (int)run(argc, argv));
}
