/* SPDX-License-Identifier: BSD-2-Clause */
/* What rules are tried on; see policy-fixture.h. */
#include "tests/unit/policy-fixture.h"

#include <stdio.h>
#include <string.h>

#define DESK ((const char *const[]){"desk"})

const struct device_facts keyboard = {
	.id_vendor = 0x046d,
	.id_product = 0xc31c,
	.product = "USB Keyboard",
	.busid = "1-1.2",
	.stable_port = "0000:00:14.0/usb2:1.2",
	.alias = "keyboard",
	.classes = 1 << USB_CLASS_HID | 1 << USB_CLASS_HID_KEYBOARD,
	.groups = DESK,
	.n_groups = 1,
};

const struct device_facts stick = {
	.id_vendor = 0x0951,
	.id_product = 0x1666,
	.serial = "E0D55EA5",
	.product = "Data|Traveler",
	.busid = "2-2",
	.stable_port = "0000:00:14.0/usb3:2",
	.classes = 1 << USB_CLASS_STORAGE,
};

static bool is_vm(void *ctx, const char *name)
{
	return !strcmp(name, "vm1") || !strcmp(name, "vm2") || !strcmp(name, "vm3");
}

static bool is_group(void *ctx, const char *name)
{
	return !strcmp(name, "desk") || !strcmp(name, "lab") || !strcmp(name, "more");
}

const struct policy_names names = {.is_vm = is_vm, .is_group = is_group};

void refuse(void *ctx, unsigned line, const char *text)
{
	struct refused *refused = ctx;

	refused->n++;
	refused->line = line;
	snprintf(refused->text, sizeof(refused->text), "%s", text);
}

static uint32_t look_up(void *ctx, const struct rule *rule, bool group, const char *name)
{
	if (group)
		return !strcmp(name, "usb") ? 50 : RULE_ID_UNKNOWN;
	return !strcmp(name, "alice") ? 1000 : !strcmp(name, "bob") ? 1001 : RULE_ID_UNKNOWN;
}

struct policy *policy_of_bytes(const char *file, const void *data, size_t len)
{
	struct policy *policy;
	struct refused refused = {0};

	assert_int_equal(policy_new(&policy), 0);
	if (policy_parse(policy, file, data, len, &names, refuse, &refused))
		fail_msg("line %u: %s", refused.line, refused.text);
	policy_resolve(policy, look_up, NULL);
	return policy;
}

struct policy *policy_of(const char *text)
{
	return policy_of_bytes("p", text, strlen(text));
}
