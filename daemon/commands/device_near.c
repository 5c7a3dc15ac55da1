/* SPDX-License-Identifier: BSD-2-Clause */
/* What a person may have meant; see device_near.h. */
#include "daemon/commands/device_near.h"

#include <stdio.h>
#include <string.h>

#include "base/near.h"
#include "daemon/commands/commands.h"
#include "policy/name.h"

#define TEXT_MAX 256

/* What was found so far, the nearest first. */
struct search {
	struct commands *commands;
	const char *text;  /* all that was typed */
	const char *value; /* behind = */
	char key[16];	   /* before =; "" for a bare word */
	struct device_near *near;
	enum near rank[DEVICE_NEAR_MAX];
	size_t n;
};

/**
 * device_words() - a device in a few words, for a list
 * @device:	the device
 * @buf:	room for them
 * @size:	how much
 *
 * Return: @buf: id, product and serial.
 */
const char *device_words(const struct device *device, char *buf, size_t size)
{
	snprintf(buf, size, "%04x:%04x  %s%s%s", device->id_vendor, device->id_product,
		 device->product ? device->product : "", device->serial ? "  serial=" : "",
		 device->serial ? device->serial : "");
	return buf;
}

static void found(struct search *s, enum near rank, const char *key, const char *word,
		  const char *what)
{
	struct device_near entry = {0};
	size_t at = s->n;

	snprintf(entry.word, sizeof(entry.word), "%s%s", key, word);
	snprintf(entry.what, sizeof(entry.what), "%s", what);
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->near[i].word, entry.word))
			return;
	while (at && s->rank[at - 1] > rank)
		at--;
	if (at == DEVICE_NEAR_MAX)
		return;
	if (s->n < DEVICE_NEAR_MAX)
		s->n++;
	for (size_t i = s->n - 1; i > at; i--) {
		s->near[i] = s->near[i - 1];
		s->rank[i] = s->rank[i - 1];
	}
	s->near[at] = entry;
	s->rank[at] = rank;
}

static void found_vm(struct search *s, const char *name)
{
	found(s, NEAR_CASE, "", name, "a VM; the device comes first");
	for (size_t i = 0; i < s->n; i++)
		s->near[i].vm = s->near[i].vm || !strcmp(s->near[i].word, name);
}

static void found_device(struct search *s, enum near rank, const char *key, const char *word,
			 const struct device *d)
{
	char what[DEVICE_WORDS_MAX];

	found(s, rank, key, word, device_words(d, what, sizeof(what)));
}

/* Whether a word of the person's, which may be a pattern, means a text but for its case. */
static bool same_but_case(const char *pattern, const char *text)
{
	char a[TEXT_MAX], b[TEXT_MAX];

	if (strlen(pattern) >= sizeof(a) || strlen(text) >= sizeof(b))
		return false;
	for (char *p = strcpy(a, pattern); *p; p++)
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
	for (char *p = strcpy(b, text); *p; p++)
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
	return pattern_matches(a, b);
}

static enum near near_text(const char *typed, const char *text)
{
	if (!text || !*typed)
		return NEAR_NOT;
	return same_but_case(typed, text) ? NEAR_CASE : near_word(typed, text);
}

static bool is_key(const struct search *s, const char *key)
{
	return !strcmp(s->key, key);
}

/* ------------------------------------------------------------- one kind after the other */

static void look_at_names(struct search *s)
{
	const struct commands *commands = s->commands;
	enum near near;

	list_for_each(it, &commands->core->config->devices) {
		const char *name = list_entry(it, struct config_device, link)->name;

		near = near_word(s->value, name);
		if (near != NEAR_NOT && (!*s->key || is_key(s, "alias")))
			found(s, near, "", name, "the configuration's name of a device");
	}
	list_for_each(it, &commands->core->config->groups) {
		const char *name = list_entry(it, struct config_group, link)->name;

		near = near_word(s->value, name);
		if (near != NEAR_NOT && (!*s->key || is_key(s, "group")))
			found(s, near, "", name, "a group");
	}
	list_for_each(it, &commands->vms->all) {
		const char *name = list_entry(it, struct vm, link)->name;

		if (!*s->key && !strcmp(s->value, name))
			found_vm(s, name);
	}
}

/* "class=keyboard", "class=HID". */
static void look_at_classes(struct search *s)
{
	for (unsigned c = 0; c < USB_CLASSES && is_key(s, "class"); c++) {
		const char *name = usb_class_name((enum usb_class)c), *dot = strchr(name, '.');
		enum near near = near_word(s->value, name);

		if (near == NEAR_NOT && dot)
			near = near_word(s->value, dot + 1);
		if (near != NEAR_NOT)
			found(s, near, "class=", name, "a class");
	}
}

/* What names a device: its name by command, its serial, its port, its id. */
static void look_at_marks(struct search *s, const struct device *d)
{
	bool bare = !*s->key;
	char id[16];
	enum near near;

	if (bare && device_alias(d) && !device_bears_section(d) &&
	    (near = near_word(s->value, d->alias)) != NEAR_NOT)
		found_device(s, near, "", d->alias, d);
	if (bare || is_key(s, "serial")) {
		near = near_text(s->value, d->serial);
		if (near != NEAR_NOT)
			found_device(s, near, "serial=", d->serial, d);
	}
	if (name_is_busid(s->value) && (bare || is_key(s, "port"))) {
		near = near_word(s->value, d->busid);
		if (near == NEAR_SLIP || near == NEAR_PREFIX)
			found_device(s, near, "port=", d->busid, d);
	}
	if (name_is_stable_port(s->value)) {
		near = near_word(s->value, d->stable_port);
		if (near != NEAR_NOT)
			found_device(s, near, "port=", d->stable_port, d);
	}
	if (bare || is_key(s, "id")) {
		snprintf(id, sizeof(id), "%04x:%04x", d->id_vendor, d->id_product);
		near = near_word(s->value, id);
		/* Of the same maker, as a prefix of four digits says. */
		if (near == NEAR_NOT && name_is_id(s->value) && !strncasecmp(s->value, id, 5))
			near = NEAR_SLIP;
		if (near != NEAR_NOT)
			found_device(s, near, "", id, d);
	}
}

/* "keyboard" means "hid.keyboard". */
static bool has_class(const struct device *d, const char *word)
{
	for (unsigned c = 0; c < USB_CLASSES; c++) {
		const char *name = usb_class_name((enum usb_class)c), *dot = strchr(name, '.');

		if (d->classes >> c & 1 &&
		    (!strcasecmp(name, word) || (dot && !strcasecmp(dot + 1, word))))
			return true;
	}
	return false;
}

/* What a device says of itself, and what it is, for a person who knows no name for it. */
static void look_at_words(struct search *s, const struct device *d)
{
	bool bare = !*s->key;
	enum near near = NEAR_NOT;

	if (bare || is_key(s, "product")) {
		near = near_text(s->value, d->product);
		if (near == NEAR_NOT && d->product && strlen(s->value) >= 3 &&
		    strcasestr(d->product, s->value))
			near = NEAR_PREFIX;
	}
	if (bare && near == NEAR_NOT &&
	    (near_text(s->value, d->manufacturer) != NEAR_NOT || has_class(d, s->value)))
		near = NEAR_SLIP;
	if (near != NEAR_NOT)
		found_device(s, near, "port=", d->busid, d);
}

/* As lsusb(8) and /dev/bus/usb say it: "001/002", "001:002", "1/2". And a sysfs path. */
static void look_at_places(struct search *s, const struct device *d)
{
	const char *slash = strrchr(s->text, '/'), *last = slash ? slash + 1 : s->text;
	const char *bus = strstr(s->text, "/usb/");
	unsigned busnum, devnum;
	char end;

	bus = bus ? bus + strlen("/usb/") : s->text;
	if ((sscanf(bus, "%3u%*1[:/.]%3u%c", &busnum, &devnum, &end) == 2 && busnum == d->busnum &&
	     devnum == d->devnum) ||
	    (slash && !strcmp(last, d->busid)))
		found_device(s, NEAR_CASE, "port=", d->busid, d);
}

/**
 * device_near() - what a person may have meant by a word for a device
 * @commands:	whose devices, names and groups
 * @text:	the word, which means none of them
 * @near:	what is near it, the nearest first
 *
 * Return: how many there are.
 */
size_t device_near(struct commands *commands, const char *text,
		   struct device_near near[DEVICE_NEAR_MAX])
{
	struct search s = {.commands = commands, .text = text, .value = text, .near = near};
	const char *equals = strchr(text, '=');

	if (strlen(text) >= TEXT_MAX)
		return 0;
	if (equals && (size_t)(equals - text) < sizeof(s.key)) {
		memcpy(s.key, text, (size_t)(equals - text));
		s.value = equals + 1;
	}
	look_at_names(&s);
	look_at_classes(&s);
	list_for_each(it, &commands->devices->all) {
		const struct device *d = list_entry(it, struct device, link);

		look_at_marks(&s, d);
		look_at_words(&s, d);
		look_at_places(&s, d);
	}
	return s.n;
}

/* What tells a device from what a section's `match` says; NULL where it is not near it at all. */
static bool miss(const struct selector *match, const struct device *d, char *buf, size_t size)
{
	bool id = match->has_id && match->id_vendor == d->id_vendor &&
		  match->id_product == d->id_product;
	bool serial = match->serial && d->serial && same_but_case(match->serial, d->serial);

	if (!id && !serial)
		return false;
	if (match->has_id && !id)
		snprintf(buf, size, "its id is %04x:%04x", d->id_vendor, d->id_product);
	else if (match->serial && (!d->serial || !pattern_matches(match->serial, d->serial)))
		snprintf(buf, size, d->serial ? "its serial is \"%s\"%s" : "it has no serial%s%s",
			 d->serial ? d->serial : "", serial ? ", in other case" : "");
	else if (match->product && (!d->product || !pattern_matches(match->product, d->product)))
		snprintf(buf, size, "its product is \"%s\"", d->product ? d->product : "");
	else if (match->port && strcmp(match->port, d->busid) &&
		 strcmp(match->port, d->stable_port))
		snprintf(buf, size, "its port is %s", d->stable_port);
	else if (match->class_ >= 0 && !(d->classes >> match->class_ & 1))
		snprintf(buf, size, "its class is not %s",
			 usb_class_name((enum usb_class)match->class_));
	else
		return false;
	return true;
}

/**
 * device_near_section() - say which present device nearly is what a section of the configuration
 * means
 * @devices:	whose devices
 * @section:	the section, which none of them is; or NULL
 * @buf:	"port=1-1.2 comes near, but its serial is "abc""; "" where none is
 * @size:	room there
 */
void device_near_section(const struct devices *devices, const struct config_device *section,
			 char *buf, size_t size)
{
	*buf = '\0';
	list_for_each(it, &devices->all) {
		const struct device *d = list_entry(it, struct device, link);
		char what[DEVICE_WORDS_MAX];

		if (section && miss(&section->match, d, what, sizeof(what))) {
			snprintf(buf, size, "port=%s comes near, but %s", d->busid, what);
			return;
		}
	}
}

/**
 * vm_near() - the VM that a person may have meant
 * @vms:	whose VMs
 * @name:	what was typed, which is none of them
 *
 * Return: its name, or NULL.
 */
const char *vm_near(const struct vms *vms, const char *name)
{
	const char *best = NULL;
	enum near rank = NEAR_NOT;

	list_for_each(it, &vms->all) {
		const struct vm *vm = list_entry(it, struct vm, link);
		enum near near = near_word(name, vm->name);

		if (near < rank) {
			rank = near;
			best = vm->name;
		}
	}
	return best;
}
