/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration, parsed: a plain tree that never changes once it is made. It is parsed from
 * memory, and whole before anything of it is used. Errors name file, line, section and key.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/list.h"
#include "base/mem.h"
#include "daemon/config/config_line.h"
#include "policy/selector.h"
#include "usb/hid_chord.h"

#define CONFIG_FILE_MAX	     (1024 * 1024)
#define CONFIG_VMS_MAX	     60
#define CONFIG_DEVICES_MAX   1024
#define CONFIG_GROUPS_MAX    256
#define CONFIG_MEMBERS_MAX   64
#define CONFIG_TALKS_MAX     1024
#define CONFIG_NETWORKS_MAX  8
#define CONFIG_DOMAIN_MAX    127
#define CONFIG_LISTENS_MAX   8
#define CONFIG_EXPORTS_MAX   256
#define CONFIG_EXPORT_TO_MAX 32
#define CONFIG_EXPORT_PORT   3240
#define CONFIG_ERRORS_MAX    50

/* Outcome of config_parse() and config_load(): refused, and the errors say why. */
enum { CONFIG_BAD = 1 };

struct config_vm {
	struct list link;
	char name[32];
	bool has_address;
	struct in_addr address;
	bool has_mac;
	uint8_t mac[6];
	bool trust_mac; /* on further networks: it may send from other MACs than its own */
	char *domain;	/* the libvirt domain's name; NULL: as the VM's */
	unsigned line, address_line, mac_line;
};

/* A further network. Every VM has a card on it. */
struct config_network {
	struct list link;
	char name[32];
	char tap[16]; /* the uplink's; "": guests only */
	unsigned line, uplink_line;
};

struct config_device {
	struct list link;
	char name[32]; /* the alias */
	struct selector match;
	bool has_vms; /* else every VM may have it */
	char (*vms)[32];
	size_t n_vms;
	unsigned line, vms_line;
};

/* Devices that are routed together. */
struct config_group {
	struct list link;
	char name[32];
	char (*devices)[32]; /* aliases, of the configuration or given by command */
	size_t n_devices;
	unsigned line;
};

/* A device or a group that machines elsewhere may import, over [lan-export]. */
struct config_export {
	struct list link;
	char name[32];	      /* the device's alias, or the group's */
	struct ip_prefix *to; /* who may */
	size_t n_to;
	unsigned line;
};

/* Two VMs that reach each other though guests are isolated. */
struct config_talk {
	char vms[2][32];
};

struct config {
	char *runtime_directory, *state_directory, *socket_group;
	struct in_addr address; /* the daemon's on the private segment */
	unsigned prefix;
	bool isolate;
	struct config_talk *talks;
	size_t n_talks;
	struct hid_chords hotkeys; /* by enum hotkey */
	struct list vms;	   /* of struct config_vm, in the file's order */
	struct list devices;	   /* of struct config_device, in the file's order */
	struct list groups;	   /* of struct config_group, in the file's order */
	struct list networks;	   /* of struct config_network, in the file's order */
	struct list exports;	   /* of struct config_export, in the file's order */
	size_t n_vms, n_devices, n_groups, n_networks, n_exports;
	bool lan_export; /* there is such a section: without it no export counts */
	struct ip_endpoint listens[CONFIG_LISTENS_MAX]; /* where the daemon listens for it */
	size_t n_listens; /* 0: at the sockets that systemd has passed */
};

/* Errors, each a line "FILE:LINE: [section] key: expected …", newline after each. */
struct config_errors {
	char *text;
	size_t len;
	unsigned n;
};

int config_new_default(struct config **ret_config);
int config_parse(struct config **ret_config, const char *file, const void *data, size_t len,
		 struct config_errors *errors);
int config_load(struct config **ret_config, const char *file, bool must_exist,
		struct config_errors *errors);
struct config *config_free(struct config *config);
void config_errors_add(struct config_errors *errors, const char *format, ...) _printf_(2, 3);
void config_errors_deinit(struct config_errors *errors);
const struct config_vm *config_find_vm(const struct config *config, const char *name);
bool config_may_talk(const struct config *config, const char *a, const char *b);
const struct config_device *config_find_device(const struct config *config, const char *name);
const struct config_network *config_find_network(const struct config *config, const char *name);
const struct config_group *config_find_group(const struct config *config, const char *name);
const struct config_export *config_find_export(const struct config *config, const char *name);
