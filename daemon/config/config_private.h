/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the configuration's parser share: where it stands, and how it complains.
 */
#pragma once

#include "base/mem.h"
#include "daemon/config/config.h"

#define CONFIG_KEYS_MAX	 4
#define CONFIG_FOUND_MAX 60
#define CONFIG_LIST_MAX	 160

enum config_section {
	SECTION_NONE,
	SECTION_REFUSED,
	SECTION_FIRST,
	SECTION_DAEMON = SECTION_FIRST,
	SECTION_NETWORK,
	SECTION_LAN, /* [network NAME] */
	SECTION_VM,
	SECTION_DEVICE,
	SECTION_GROUP,
	SECTION_LAN_EXPORT,
	SECTION_EXPORT,
	SECTION_HOTKEY,
	SECTIONS
};

struct config_parser {
	const char *file;
	unsigned line;
	struct config *config;
	struct config_errors *errors;
	int r; /* -ENOMEM, sticky */

	enum config_section section;
	char section_text[CONFIG_FOUND_MAX + 8];
	unsigned section_line;
	bool unread; /* a line of the section can't be read: what is missing may be in it */
	struct config_vm *vm;		     /* of [vm …] */
	struct config_device *device;	     /* of [device …] */
	struct config_group *group;	     /* of [group …] */
	struct config_network *network;	     /* of [network NAME] */
	struct config_export *export;	     /* of [export …] */
	unsigned key_lines[CONFIG_KEYS_MAX]; /* where each key of this section was given */

	unsigned section_lines[SECTIONS]; /* where [daemon] and [network] began */
	unsigned runtime_line, address_line, talk_line;
	bool address_refused;
	unsigned hotkey_lines[HID_CHORDS];
};

/* Reads one key's value into the tree; the line has as many words as the key takes. */
typedef void (*config_set_fn)(struct config_parser *p, const struct config_line *l);

struct config_key {
	const char *name;
	config_set_fn set;
	bool list; /* any number of words, but at least one; else exactly one */
	const char *example;
	const char *
		by_default; /* as it would be written; NULL: what nothing stands for is the reader's */
	const char *required; /* what a section without it lacks; NULL: it may be left out */
};

struct config_section_keys {
	const char *kind; /* [kind], or [kind NAME] */
	const char *name; /* an example of its name; NULL: it has none, and is there once */
	struct config_key keys[CONFIG_KEYS_MAX];
};

/* config_keys.c */
extern const struct config_section_keys config_sections[SECTIONS];
int config_key_find(enum config_section section, const char *name);
const char *config_key_list(enum config_section section, char buf[CONFIG_LIST_MAX]);
const char *config_section_list(char buf[CONFIG_LIST_MAX]);
int config_set_defaults(struct config *config);

const char *config_found(char buf[CONFIG_FOUND_MAX + 4], const char *text);
int config_read_file(int fd, const char *file, char **ret_data, size_t *ret_len,
		     struct config_errors *errors);
void config_complain_at(struct config_parser *p, unsigned line, const char *section,
			const char *key, const char *format, ...) _printf_(5, 6);

#define config_complain(p, key, ...)                                                         \
	config_complain_at(p, (p)->line, *(p)->section_text ? (p)->section_text : NULL, key, \
			   __VA_ARGS__)

static inline uint32_t config_network_mask(unsigned prefix)
{
	return ~(uint32_t)0 << (32 - prefix);
}

void config_set_runtime_directory(struct config_parser *p, const struct config_line *l);
void config_set_state_directory(struct config_parser *p, const struct config_line *l);
void config_set_socket_group(struct config_parser *p, const struct config_line *l);
void config_set_network_address(struct config_parser *p, const struct config_line *l);
void config_set_isolate(struct config_parser *p, const struct config_line *l);
void config_set_talk(struct config_parser *p, const struct config_line *l);
void config_set_uplink(struct config_parser *p, const struct config_line *l);
void config_set_trust_mac(struct config_parser *p, const struct config_line *l);
void config_set_vm_address(struct config_parser *p, const struct config_line *l);
void config_set_vm_mac(struct config_parser *p, const struct config_line *l);
void config_set_match(struct config_parser *p, const struct config_line *l);
void config_set_vms(struct config_parser *p, const struct config_line *l);
void config_set_domain(struct config_parser *p, const struct config_line *l);
void config_set_members(struct config_parser *p, const struct config_line *l);
void config_set_listen(struct config_parser *p, const struct config_line *l);
void config_set_to(struct config_parser *p, const struct config_line *l);
void config_set_hotkey_panic(struct config_parser *p, const struct config_line *l);
void config_set_hotkey_next(struct config_parser *p, const struct config_line *l);

void config_check(struct config_parser *p);
