/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy.d: which files are read, in what order, what is refused and how. In a folder of the
 * test's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/config/policy_files.h"

static const char config_text[] = "[vm vm1]\n[vm vm2]\n[group desk]\ndevices = keyboard\n"
				  "[device keyboard]\nmatch = id=046d:c31c\n";

struct fixture {
	char folder[64], config_file[96];
	struct config *config;
	struct config_errors errors;
};

static void put(struct fixture *f, const char *name, const char *text)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/policy.d/%s", f->folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char path[200];

	*state = f;
	strcpy(f->folder, "/tmp/test-policy-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->config_file, sizeof(f->config_file), "%s/usbrouted.conf", f->folder);
	snprintf(path, sizeof(path), "%s/policy.d", f->folder);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(
		config_parse(&f->config, "c", config_text, strlen(config_text), &f->errors), 0);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", f->folder);
	assert_int_equal(system(command), 0);
	config_free(f->config);
	config_errors_deinit(&f->errors);
	free(f);
	return 0;
}

static struct policy *load(struct fixture *f)
{
	struct policy *policy = NULL;

	if (policy_files_load(&policy, f->config_file, f->config, &f->errors))
		fail_msg("%s", f->errors.text);
	assert_non_null(policy);
	assert_null(f->errors.text);
	return policy;
}

/* It is refused, with just these lines; "%s" in them is the folder. */
static void expect_refused(struct fixture *f, const char *const *lines, unsigned n)
{
	struct policy *policy = NULL;
	const char *p;

	assert_int_equal(policy_files_load(&policy, f->config_file, f->config, &f->errors),
			 CONFIG_BAD);
	assert_null(policy);
	assert_int_equal(f->errors.n, n);
	p = f->errors.text;
	for (unsigned i = 0; i < n; i++) {
		char line[400];

		snprintf(line, sizeof(line), "%s/policy.d/%s", f->folder, lines[i]);
		if (strncmp(p, line, strlen(line)))
			fail_msg("%s is not in %s", line, p);
		p += strcspn(p, "\n") + 1;
	}
	config_errors_deinit(&f->errors);
}

static void test_order(void **state)
{
	struct fixture *f = *state;
	struct policy *policy;
	static const char *const files[] = {
		"policy.d/10-b.rules", "policy.d/10-b.rules", "policy.d/9-a.rules",
		"policy.d/B.rules",    "policy.d/a.rules",
	};

	put(f, "a.rules", "allow *");
	put(f, "B.rules", "allow *\n");
	put(f, "10-b.rules", "# x\nallow * to vm1\nallow * to vm2\n");
	put(f, "9-a.rules", "allow *");
	put(f, "empty.rules", "");
	/* None of these is one. */
	put(f, ".hidden.rules", "what\n");
	put(f, "a.rules~", "what\n");
	put(f, "README", "what\n");
	put(f, ".rules", "what\n");
	policy = load(f);
	assert_int_equal(policy->n_rules, ARRAY_SIZE(files));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		assert_string_equal(policy->rules[i]->file, files[i]);
	assert_int_equal(policy->rules[1]->line, 3);
	policy_free(policy);
}

static void test_no_folder(void **state)
{
	struct fixture *f = *state;
	struct policy *policy;
	char path[200];

	snprintf(path, sizeof(path), "%s/policy.d", f->folder);
	assert_int_equal(rmdir(path), 0);
	policy = load(f);
	assert_int_equal(policy->n_rules, 0);
	policy_free(policy);
}

static void test_errors_of_all_files(void **state)
{
	struct fixture *f = *state;

	put(f, "1.rules", "allow * to vm1\nallow * to vm9\n");
	put(f, "2.rules", "allow in=desk\n");
	put(f, "3.rules", "\n\nallow in=lab\nwhat\n");
	expect_refused(f,
		       (const char *const[]){
			       "1.rules:2: expected all, none, or names of VMs that have",
			       "3.rules:3: expected in= with a group that has a section",
			       "3.rules:4: expected allow or deny",
		       },
		       3);
}

static void test_not_a_file(void **state)
{
	struct fixture *f = *state;
	char path[200];

	put(f, "1.rules", "what\n");
	snprintf(path, sizeof(path), "%s/policy.d/2.rules", f->folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(path, sizeof(path), "%s/policy.d/3.rules", f->folder);
	assert_int_equal(symlink("nowhere", path), 0);
	snprintf(path, sizeof(path), "%s/policy.d/4\033.rules", f->folder);
	assert_int_equal(mkdir(path, 0700), 0);
	expect_refused(f,
		       (const char *const[]){
			       "1.rules:1: expected allow or deny",
			       "2.rules: expected a regular file",
			       "3.rules: expected a readable file; No such file",
			       "4?.rules: expected a regular file",
		       },
		       4);
}

static void test_folder_is_a_file(void **state)
{
	struct fixture *f = *state;
	struct policy *policy = NULL;
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/policy.d", f->folder);
	assert_int_equal(rmdir(path), 0);
	file = fopen(path, "we");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(policy_files_load(&policy, f->config_file, f->config, &f->errors),
			 CONFIG_BAD);
	assert_non_null(strstr(f->errors.text, "policy.d: expected a readable folder"));
}

static void test_too_much(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *text = malloc(POLICY_FILE_MAX + 2);
	struct policy *policy = NULL;

	memset(text, '\n', POLICY_FILE_MAX + 1);
	text[POLICY_FILE_MAX + 1] = '\0';
	put(f, "1.rules", text);
	expect_refused(f, (const char *const[]){"1.rules: expected a file of at most 1 MiB"}, 1);

	/* 4096 rules in all files, and one more. */
	put(f, "1.rules", "deny *\n");
	for (unsigned i = 0; i < POLICY_RULES_MAX - 1; i++)
		memcpy(text + i * 7, "deny *\n", 8);
	put(f, "2.rules", text);
	policy_free(load(f));
	put(f, "3.rules", "# none\ndeny *\n");
	expect_refused(f, (const char *const[]){"3.rules:2: expected at most 4096 rules"}, 1);

	/* Of many errors, some. */
	for (unsigned i = 0; i < 5000; i++)
		memcpy(text + i * 2, "x\n", 3);
	put(f, "1.rules", text);
	assert_int_equal(policy_files_load(&policy, f->config_file, f->config, &f->errors),
			 CONFIG_BAD);
	assert_int_equal(f->errors.n, CONFIG_ERRORS_MAX + 1);
	assert_non_null(strstr(f->errors.text, "expected fewer errors"));
}

static void test_users(void **state)
{
	struct fixture *f = *state;
	const uint32_t gids[] = {0};
	const struct policy_caller root = {.uid = 0, .gids = gids, .n_gids = 1};
	const struct device_facts facts = {.id_vendor = 1};
	struct policy *policy;

	/* Root is known everywhere; a user who is not there is no error. */
	put(f, "1.rules",
	    "allow * to vm1 user=nobody-has-this-name|root\n"
	    "allow * to vm2 group=root\n");
	policy = load(f);
	assert_true(policy_right(policy, &root, &facts, "vm1", NULL, 0));
	assert_true(policy_right(policy, &root, &facts, "vm2", NULL, 0));
	assert_int_equal(policy->rules[0]->lists[RULE_USER].ids[0], RULE_ID_UNKNOWN);
	policy_free(policy);
}

/* What is installed says nothing; with each "#rule" as a rule, it is one. */
static void test_shipped(void **state)
{
	struct fixture *f = *state;
	const char *path = getenv("SHIPPED_RULES");
	char text[8192] = "", bare[8192] = "";
	struct policy *policy;
	FILE *file;

	if (!path)
		skip();
	file = fopen(path, "re");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	put(f, "50-example.rules", text);
	policy = load(f);
	assert_int_equal(policy->n_rules, 0);
	policy_free(policy);
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "\n") + 1;

		if (p[0] == '#' && p[1] >= 'a')
			strncat(bare, p + 1, n - 1);
		p += n;
	}
	put(f, "50-example.rules", bare);
	policy = load(f);
	assert_true(policy->n_rules >= 8);
	policy_free(policy);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_order),      TEST(test_no_folder),	    TEST(test_errors_of_all_files),
		TEST(test_not_a_file), TEST(test_folder_is_a_file), TEST(test_too_much),
		TEST(test_users),      TEST(test_shipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
