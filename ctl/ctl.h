/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One run of usbroutectl: what was asked for, and how it ends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/mem.h"
#include "ctl/client.h"

/* Exit statuses; scripts depend on them. */
enum status {
	STATUS_DONE,
	STATUS_FAILED,
	STATUS_USAGE,
	STATUS_NOT_FOUND,
	STATUS_AMBIGUOUS,
	STATUS_DENIED,
	STATUS_BUSY,
	STATUS_PENDING, /* not within the wait */
	STATUS_NO_DAEMON,
	STATUS_FINDINGS, /* doctor has found something */
};

struct ctl {
	const char *socket;
	const char *host; /* another machine's daemon is meant; NULL: this one's */
	bool json;
	bool has_wait;
	double wait_seconds;
	double for_seconds; /* 0: not given */
	bool until_unplug, force, dry_run;
	bool off;	 /* reserve: no longer */
	bool watch;	 /* list: again when something has changed */
	bool prometheus; /* stats: in that format */
	bool help, version;
	unsigned given;		 /* which options; options.c */
	const char *devices;	 /* --devices; NULL: not given */
	bool unmount;		 /* the device's disks, before anything else */
	bool apply;		 /* vm add: do it */
	bool script, cloud_init; /* vm agent: print it so */
	const char *guest_agent; /* vm agent: the socket of QEMU's guest agent; NULL: by libvirt */
	const char *file;	 /* vm agent: which program; NULL: the installed one */
	const char *connect;	 /* vm add: libvirt's connection, or NULL */
	const struct command *command;
	char **args; /* the command's own words; NULL for an optional one that was not given */
	bool colours, progress;
	size_t width, height; /* of the terminal that stdout is; 0: it is none */
};

/* Options beside those that every command takes, and what a command is like. */
enum {
	COMMAND_WAITS = 1,
	COMMAND_TESTS = 2,
	COMMAND_UNMOUNTS = 4,
	COMMAND_APPLIES = 8,
	COMMAND_ENDS = 16,
	COMMAND_FORCES = 32,
	COMMAND_TRIES = 64,
	COMMAND_OFF = 128,
	COMMAND_PORT = 256,    /* it is about the port that a device is in, and no wish */
	COMMAND_PRESENT = 512, /* it takes only what is plugged in */
	COMMAND_WATCHES = 1024,
	COMMAND_CONNECTS = 2048,
	COMMAND_EXPORTS = 4096,
	COMMAND_INSTALLS = 8192,
};

struct command {
	const char *name, *args;
	unsigned n_args, options;
	const char *help;    /* one line */
	const char *details; /* for COMMAND --help */
	enum status (*run)(struct ctl *ctl);
	unsigned n_optional; /* words that may follow those */
	const char *method;  /* ctl_change(): of io.usbrouted, and its parameters, one a word */
	const char *parameters[2];
};

/* commands.c; closed by one without a name. */
extern const struct command ctl_commands[];
const struct command *command_find(const char *name);
const char *command_near(const char *typed);

#define CALL_TIMEOUT_SECONDS 30

enum status ctl_list(struct ctl *ctl);
enum status ctl_show(struct ctl *ctl);
enum status ctl_vms(struct ctl *ctl);
enum status ctl_status(struct ctl *ctl);
enum status ctl_version(struct ctl *ctl);
enum status ctl_change(struct ctl *ctl);
enum status ctl_power(struct ctl *ctl);
enum status ctl_alias(struct ctl *ctl);
enum status ctl_reload(struct ctl *ctl);
enum status ctl_why(struct ctl *ctl);
enum status ctl_policy(struct ctl *ctl);
enum status ctl_vm(struct ctl *ctl);
enum status ctl_help(struct ctl *ctl);
enum status ctl_events(struct ctl *ctl);
enum status ctl_doctor(struct ctl *ctl);
enum status ctl_stats(struct ctl *ctl);
enum status ctl_top(struct ctl *ctl);

/* usbroutectl.c */
void ctl_look_at_terminal(struct ctl *ctl);
enum status ctl_usage(const struct command *c);

/* remote.c */
enum status remote_run(const struct ctl *ctl, int argc, char *const *argv);

/* problem.c */
enum status ctl_call(struct ctl *ctl, const struct client_ask *ask,
		     struct client_answer *ret_answer);
void ctl_error(const char *kind, const char *format, ...) _printf_(2, 3);
void ctl_try(const char *format, ...) _printf_(1, 2);
void ctl_put_word(FILE *f, const char *word);
void ctl_note(const char *format, ...) _printf_(1, 2);

/* print.c */
enum status ctl_print_json(const json_t *parameters);
void ctl_print_clean(const char *text);
const char *ctl_text(const json_t *object, const char *key);
void ctl_words(const json_t *array, const char *separator, char *buf, size_t size);
