/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main() for a fuzz target without a fuzzer: runs the target once on each file named on the command
 * line, and on each file of each directory named there. Exit 0 where all of them could be read and
 * nothing trapped; a crash is the target's own.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_run, n_failed;

static void run_file(const char *path)
{
	FILE *f = fopen(path, "rbe");
	_cleanup_free_ char *text = NULL;
	size_t len = 0, size = 0, n;

	if (!f) {
		perror(path);
		n_failed++;
		return;
	}
	do {
		char *grown;

		size = size * 2 + 4096;
		grown = realloc(text, size);
		if (!grown)
			abort();
		text = grown;
		n = fread(text + len, 1, size - len, f);
		len += n;
	} while (n);
	fclose(f);

	/* Exactly as long as the file, so that a sanitizer sees a read past its end. */
	uint8_t *exact = malloc(len ? len : 1);

	if (!exact)
		abort();
	memcpy(exact, text, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	n_run++;
}

static void run_directory(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (!d) {
		perror(path);
		n_failed++;
		return;
	}
	while ((e = readdir(d))) {
		char name[4096];

		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		run_file(name);
	}
	closedir(d);
}

int main(int argc, char **argv)
{
	struct stat st;

	for (int i = 1; i < argc; i++) {
		if (!stat(argv[i], &st) && S_ISDIR(st.st_mode))
			run_directory(argv[i]);
		else
			run_file(argv[i]);
	}
	printf("%u inputs replayed, %u could not be read\n", n_run, n_failed);
	return n_failed || !n_run;
}
