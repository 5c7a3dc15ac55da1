/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What makes a virtual machine a VM: `vm xml` prints what a domain of libvirt needs, `vm dts` what a
 * guest without PCI needs, `vm add` has usbrouted-libvirt put it into a domain, `vm agent` puts
 * usbroute-agent into a guest (cmd_agent.c). This program knows nothing of libvirt. It runs
 * usbrouted-libvirt, with the caller's rights, and ends with its exit status.
 */
#include "ctl/ctl.h"

#include <build_info.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/output.h"
#include "protocol/virt_snippet.h"
#include "ctl/card_dts.h"
#include "ctl/cmd_agent.h"
#include "ctl/options.h"
#include "ctl/text.h"

/* For tests, and for a helper that is not installed. */
#define HELPER_VARIABLE "USBROUTED_LIBVIRT"

static const char *null_if_empty(const char *text)
{
	return *text ? text : NULL;
}

/* The VM with that name; @by_domain: the VM whose domain has that name. NULL: there is none. */
static const json_t *find_vm(const json_t *vms, const char *name, bool by_domain)
{
	const json_t *v;
	size_t i;

	json_array_foreach(vms, i, v) {
		const char *domain = ctl_text(v, "domain");

		if (!strcmp(by_domain && *domain ? domain : ctl_text(v, "name"), name))
			return v;
	}
	return NULL;
}

/* The VM that is named, for a word that prints what it needs. */
static const json_t *named_vm(const struct ctl *ctl, const json_t *vms)
{
	const json_t *v = find_vm(vms, ctl->args[1], false);

	if (!v) {
		ctl_error("not-found", "no VM \"%s\" is configured", ctl->args[1]);
		ctl_try("usbroutectl vms");
	}
	return v;
}

static enum status print_xml(struct ctl *ctl, const json_t *vms)
{
	const json_t *v = named_vm(ctl, vms), *card;
	size_t i;

	if (!v)
		return STATUS_NOT_FOUND;
	virt_snippet_both(stdout, ctl_text(v, "name"), ctl_text(v, "socket"),
			  null_if_empty(ctl_text(v, "mac")));
	json_array_foreach(json_object_get(v, "cards"), i, card) {
		virt_snippet_network(stdout, ctl_text(card, "network"));
		virt_snippet_card(stdout, ctl_text(card, "socket"),
				  null_if_empty(ctl_text(card, "mac")));
	}
	return STATUS_DONE;
}

static enum status print_dts(struct ctl *ctl, const json_t *vms)
{
	const json_t *v = named_vm(ctl, vms);

	const json_t *card;
	size_t i;

	if (!v)
		return STATUS_NOT_FOUND;
	card_dts(stdout, 0, ctl_text(v, "name"), NULL, ctl_text(v, "socket"),
		 null_if_empty(ctl_text(v, "mac")));
	json_array_foreach(json_object_get(v, "cards"), i, card)
		card_dts(stdout, (unsigned)i + 1, ctl_text(v, "name"), ctl_text(card, "network"),
			 ctl_text(card, "socket"), null_if_empty(ctl_text(card, "mac")));
	return STATUS_DONE;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

/* The section that is missing. A VM's name has fewer kinds of characters than a domain's. */
static void tell_section(const char *domain)
{
	_cleanup_free_ char *clean = text_clean(domain, false);
	char name[32];
	size_t n = 0;

	for (; domain[n] && n < sizeof(name) - 1; n++)
		name[n] = is_name_char(domain[n]) ? domain[n] : '-';
	name[n] = '\0';
	fprintf(stderr,
		"  Add to " USBROUTED_CONFIG ", and then: usbroutectl reload\n"
		"    [vm %s]\n",
		name);
	if (strcmp(name, domain)) {
		fputs("    domain = \"", stderr);
		for (const char *p = clean ? clean : ""; *p; p++)
			fprintf(stderr, "%s%c", strchr("\"\\", *p) ? "\\" : "", *p);
		fputs("\"\n", stderr);
	}
}

/* The program in this one's place, for one card: a VM's own, or one on a further network. */
_Noreturn static void become_helper(const struct ctl *ctl, const char *vm, const json_t *card)
{
	const char *helper = getenv(HELPER_VARIABLE), *mac = ctl_text(card, "mac");
	const char *argv[12] = {"usbrouted-libvirt", "--add", ctl->args[1], "--socket",
				ctl_text(card, "socket")};
	size_t n = 5;

	if (*mac) {
		argv[n++] = "--mac";
		argv[n++] = mac;
	}
	if (ctl->connect) {
		argv[n++] = "--connect";
		argv[n++] = ctl->connect;
	}
	if (ctl->apply)
		argv[n++] = "--apply";
	if (!helper || !*helper)
		helper = USBROUTED_LIBVIRT;
	execv(helper, (char **)argv);
	if (errno == ENOENT)
		ctl_error(
			"failed",
			"%s is not installed; by hand: put what `usbroutectl vm xml %s` prints into the domain",
			helper, vm);
	else
		ctl_error("failed", "%s: %s", helper, strerror(errno));
	_exit(STATUS_FAILED);
}

/* Return: the program's exit status, after its end. */
static enum status run_helper(const struct ctl *ctl, const char *vm, const json_t *card)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		become_helper(ctl, vm, card);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
		ctl_error("failed", "%s: usbrouted-libvirt did not end by itself", vm);
		return STATUS_FAILED;
	}
	return (enum status)WEXITSTATUS(status);
}

/* One card after the other: the domain is completed with the first that it lacks, then with the next. */
static enum status add_cards(struct ctl *ctl, const json_t *v)
{
	const json_t *cards = json_object_get(v, "cards"), *card = v;
	const char *vm = ctl_text(v, "name");
	enum status status;

	if (output_end("error[failed]", 0))
		return STATUS_FAILED;
	output_deinit();
	for (size_t i = 0; i < json_array_size(cards); i++) {
		status = run_helper(ctl, vm, card);
		if (status)
			return status;
		card = json_array_get(cards, i);
	}
	become_helper(ctl, vm, card);
}

static enum status add(struct ctl *ctl, const json_t *vms)
{
	const json_t *v = find_vm(vms, ctl->args[1], true);

	if (v)
		return add_cards(ctl, v);
	ctl_error("not-found", "the domain \"%s\" is no VM of the configuration", ctl->args[1]);
	tell_section(ctl->args[1]);
	return STATUS_NOT_FOUND;
}

static enum status agent(struct ctl *ctl, const json_t *vms)
{
	const json_t *v = named_vm(ctl, vms);

	return v ? ctl_vm_agent(ctl, v) : STATUS_NOT_FOUND;
}

static bool takes(const char *const *taken, const char *option)
{
	while (*taken && strcmp(*taken, option))
		taken++;
	return *taken;
}

/**
 * ctl_vm() - `vm xml VM`, `vm dts VM`, `vm add DOMAIN`, `vm agent VM`: what makes a virtual machine a VM
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status ctl_vm(struct ctl *ctl)
{
	static const struct {
		const char *word;
		enum status (*run)(struct ctl *ctl, const json_t *vms);
		const char *options[6];
	} words[] = {{"xml", print_xml, {NULL}},
		     {"dts", print_dts, {NULL}},
		     {"add", add, {"apply", "connect"}},
		     {"agent", agent, {"connect", "guest-agent", "file", "script", "cloud-init"}}};
	/* What one word takes, and another does not. */
	static const char *const options[] = {"apply", "connect", "guest-agent",
					      "file",  "script",  "cloud-init"};
	_cleanup_(client_answer_deinit) struct client_answer answer = {0};
	enum status status;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words) && strcmp(ctl->args[0], words[i].word); i++)
		continue;
	if (i == ARRAY_SIZE(words)) {
		ctl_error("usage", "vm: expected xml, dts, add or agent after it; found \"%s\"",
			  ctl->args[0]);
		ctl_try("usbroutectl vm --help");
		return STATUS_USAGE;
	}
	for (size_t o = 0; o < ARRAY_SIZE(options); o++)
		if (options_given(ctl, options[o]) && !takes(words[i].options, options[o])) {
			ctl_error("usage", "vm %s: it does not take --%s", words[i].word,
				  options[o]);
			return STATUS_USAGE;
		}
	if (ctl->json) {
		ctl_error("usage", "vm: it does not take --json; try usbroutectl --json vms");
		return STATUS_USAGE;
	}
	status = ctl_call(ctl, &(struct client_ask){.method = "io.usbrouted.Vms", .more = true},
			  &answer);
	if (status)
		return status;
	return words[i].run(ctl, json_object_get(answer.parameters, "vms"));
}
