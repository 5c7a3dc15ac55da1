/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usbroute-agent for guests without QEMU's guest agent; see agent_print.h. Program and unit are in
 * what is printed, so that a guest needs no network for it. Both do what place.sh and start.sh do.
 */
#include "ctl/agent_print.h"

#include <build_info.h>
#include <stdio.h>
#include <string.h>

#include "ctl/agent_files.h"
#include "qemu_agent/base64.h"

#define LINE_BYTES 57 /* which is 76 characters, as base64(1) writes them */

static void put_base64(const struct agent_files *files, const char *indent)
{
	char line[BASE64_LEN(LINE_BYTES) + 1];

	for (size_t at = 0; at < files->len; at += LINE_BYTES) {
		base64_encode(files->program + at, min_t(size_t, LINE_BYTES, files->len - at),
			      line);
		printf("%s%s\n", indent, line);
	}
}

static void print_script(const struct agent_files *files)
{
	/* In a function, so that nothing of it runs before all has come. */
	printf("#!/bin/sh\n"
	       "# Puts usbroute-agent " USBROUTED_VERSION
	       " into the guest that it runs in, and starts it. To undo it:\n"
	       "# " AGENT_UNDO "\n"
	       "set -eu\n"
	       "install_agent() {\n"
	       "[ \"$(id -u)\" = 0 ] || { echo \"run it as root\" >&2; exit 1; }\n"
	       "[ \"$(uname -m)\" = %s ] || { echo \"this agent is for %s, and here is $(uname -m)\" >&2; exit 1; }\n"
	       "umask 022\n"
	       "mkdir -p /usr/local/sbin\n"
	       "base64 -d >" AGENT_PROGRAM ".new <<'END'\n",
	       files->machine, files->machine);
	put_base64(files, "");
	printf("END\n"
	       "[ \"$(wc -c <" AGENT_PROGRAM
	       ".new)\" -eq %zu ] || { echo \"the agent has not come whole\" >&2; exit 1; }\n"
	       "chmod 755 " AGENT_PROGRAM ".new\n"
	       "mv -f " AGENT_PROGRAM ".new " AGENT_PROGRAM "\n"
	       "if [ ! -d /run/systemd/system ]; then\n"
	       "\techo \"no systemd here: have your init start " AGENT_PROGRAM "\"\n"
	       "\treturn\n"
	       "fi\n"
	       "cat >" AGENT_UNIT " <<'END'\n"
	       "%s"
	       "END\n"
	       "systemctl daemon-reload\n"
	       "systemctl enable usbroute-agent.service\n"
	       "systemctl restart usbroute-agent.service\n"
	       "echo \"usbroute-agent runs\"\n"
	       "}\n"
	       "install_agent\n",
	       files->len, agent_files_unit());
}

static void put_indented(const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		printf("%s%.*s\n", n ? "      " : "", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static void print_cloud_init(const struct agent_files *files)
{
	printf("#cloud-config\n"
	       "# usbroute-agent " USBROUTED_VERSION
	       " for a guest that is %s. To undo it, in the guest:\n"
	       "# " AGENT_UNDO "\n"
	       "write_files:\n"
	       "  - path: " AGENT_UNIT "\n"
	       "    permissions: '0644'\n"
	       "    content: |\n",
	       files->machine);
	put_indented(agent_files_unit());
	puts("  - path: " AGENT_PROGRAM "\n"
	     "    permissions: '0755'\n"
	     "    encoding: b64\n"
	     "    content: >-");
	/* The blanks that YAML makes of the lines' ends are passed over by base64's readers. */
	put_base64(files, "      ");
	puts("runcmd:\n"
	     "  - [systemctl, daemon-reload]\n"
	     "  - [systemctl, enable, usbroute-agent.service]\n"
	     "  - [systemctl, restart, usbroute-agent.service]");
}

static enum status print(const struct ctl *ctl, void (*how)(const struct agent_files *files))
{
	struct agent_files files;
	enum status status = agent_files_load(ctl, NULL, &files);

	if (!status)
		how(&files);
	agent_files_deinit(&files);
	return status;
}

/**
 * agent_print_script() - a shell script that puts the agent into the guest where it is run
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status agent_print_script(const struct ctl *ctl)
{
	return print(ctl, print_script);
}

/**
 * agent_print_cloud_init() - user data of cloud-init that puts the agent into a new guest
 * @ctl:	the run
 *
 * Return: the exit status.
 */
enum status agent_print_cloud_init(const struct ctl *ctl)
{
	return print(ctl, print_cloud_init);
}
