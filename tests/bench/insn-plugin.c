/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For QEMU's user emulation: counts instructions between measured_begin() and measured_end(), function
 * by function. What has no name (libc's own functions) counts as called from the last one that has one.
 * At the end it writes a line for each: instructions, a tab, "function" or "function > libc".
 *
 * The calls are those of QEMU's docs/devel/tcg-plugins.rst (7.2); no header of it is packaged.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

#define EXPORT __attribute__((visibility("default")))

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   void (*cb)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
					  void (*cb)(unsigned vcpu, void *userdata), int flags,
					  void *userdata);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, void *),
				    void *userdata);

EXPORT extern int qemu_plugin_version;
int qemu_plugin_version = PLUGIN_VERSION;

enum marker { NONE, BEGIN, END };

/* One function; the bucket of what it calls that has no name is beside it. */
struct function {
	struct function *next;
	const char *name;
	uint64_t own, libc;
};

/* One block, as it is translated. Never freed: there are some thousands. */
struct block {
	struct function *function; /* NULL: without a name */
	uint64_t n;
	enum marker marker;
};

static struct function *functions, *last;
static bool measured;
static const char *file;

static struct function *function_of(const char *name)
{
	struct function *f;

	for (f = functions; f; f = f->next)
		if (!strcmp(f->name, name))
			return f;
	f = calloc(1, sizeof(*f));
	*f = (struct function){.next = functions, .name = strdup(name)};
	functions = f;
	return f;
}

static void on_exec(unsigned vcpu, void *userdata)
{
	const struct block *b = userdata;

	(void)vcpu;
	if (b->marker == END)
		measured = false;
	if (measured) {
		if (b->function) {
			last = b->function;
			last->own += b->n;
		} else if (last) {
			last->libc += b->n;
		}
	}
	if (b->marker == BEGIN) {
		measured = true;
		last = NULL;
	}
}

static void on_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	const char *name = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(tb, 0));
	struct block *b = calloc(1, sizeof(*b));

	(void)id;
	b->n = qemu_plugin_tb_n_insns(tb);
	if (name && *name) {
		b->function = function_of(name);
		b->marker = !strcmp(name, "measured_begin") ? BEGIN
			    : !strcmp(name, "measured_end") ? END
							    : NONE;
	}
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_exec, 0, b);
}

static void on_exit_(qemu_plugin_id_t id, void *userdata)
{
	FILE *out = fopen(file, "w");

	(void)id;
	(void)userdata;
	if (!out)
		return;
	for (const struct function *f = functions; f; f = f->next) {
		if (f->own)
			fprintf(out, "%" PRIu64 "\t%s\n", f->own, f->name);
		if (f->libc)
			fprintf(out, "%" PRIu64 "\t%s > libc\n", f->libc, f->name);
	}
	fclose(out);
}

/* out=FILE: where to. */
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv);

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4))
		return -1;
	file = strdup(argv[0] + 4);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
	qemu_plugin_register_atexit_cb(id, on_exit_, NULL);
	return 0;
}
