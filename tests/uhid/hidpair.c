/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hidpair - the same report descriptor, the same reports: what Linux makes of them, and what we do.
 *
 *	hidpair SEED MUTANTS [FILE]
 *
 * FILE (or standard input) has a descriptor a line: a name, a colon, hexadecimal bytes. Each, and
 * MUTANTS that are made of it, becomes an input device by uhid; random reports are sent to it. What
 * is compared: whether the descriptor is taken at all; what kind of device it is, by what its event
 * nodes can do; and after each report which keys are down. To tell keys apart whatever Linux's
 * table of keycodes says, each key's code is set to KEYS + its usage first.
 *
 * A line for each difference, with the descriptor; at the end the counts. Exit status 1 where there
 * was a difference, 2 where the machine would not do it.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/input.h>
#include <linux/uhid.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "usb/hid_keyboard.h"
#include "usb/hid_report.h"

#define KEYS	       0x200 /* from here on a keyboard's keys have their codes … */
#define OTHERS	       0x1f0 /* … and all others have this one */
#define NODES_MAX      32
#define USAGES_MAX     3000 /* that are gone through one by one */
#define REPORTS	       24   /* that are sent to each */
#define WAIT_MS	       60000
#define UHID_BYTES_MAX 4095 /* of a report; usbhid takes more */

struct device {
	int uhid, nodes[NODES_MAX];
	unsigned n_nodes;
	char name[64]; /* in /sys/bus/hid/devices */
};

static unsigned n_descriptors, n_refused, n_keyboards, n_pointers, n_reports, n_differences,
	n_skipped;
static uint64_t random_state;
static uint16_t product;
/* Whether an application of usage Digitizer alone makes an input device here: not before Linux 6.3
 * (IS_INPUT_APPLICATION() in include/linux/hid.h began at Pen). */
static bool takes_digitizers;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return n ? (uint32_t)(random_state >> 33) % n : 0;
}

static void differs(const char *name, const uint8_t *d, size_t len, const char *what)
{
	n_differences++;
	printf("differs: %s: %s:", name, what);
	for (size_t i = 0; i < len; i++)
		printf(" %02x", d[i]);
	printf("\n");
}

/* ------------------------------------------------------------- Linux's side */

static bool bit(const unsigned char *bits, unsigned n)
{
	return bits[n / 8] >> (n % 8) & 1;
}

/* The device's folder. The kernel makes it in a worker of its own. */
static void find_device(struct device *d)
{
	char pattern[64];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/sys/bus/hid/devices/0003:1D6B:%04X.*", product);
	for (unsigned ms = 0; ms < WAIT_MS; ms++) {
		if (glob(pattern, 0, NULL, &found) == 0) {
			snprintf(d->name, sizeof(d->name), "%s",
				 strrchr(found.gl_pathv[0], '/') + 1);
			globfree(&found);
			return;
		}
		usleep(1000);
	}
	errx(2, "no HID device came of a descriptor");
}

/*
 * Binding it again takes the device's lock, so the first probe is over then. ENODEV: its link in sysfs is there, and
 * the bus does not list it yet. Return: taken?
 */
static bool wait_probed(const struct device *d)
{
	int fd = open("/sys/bus/hid/drivers/hid-generic/bind", O_WRONLY | O_CLOEXEC),
	    error = EAGAIN;

	if (fd < 0)
		err(2, "hid-generic");
	for (unsigned ms = 0; ms < WAIT_MS && (error == EAGAIN || error == ENODEV); ms++) {
		if (ms)
			usleep(1000);
		error = write(fd, d->name, strlen(d->name)) < 0 ? errno : 0;
	}
	close(fd);
	/* Its driver's own error is EINVAL. */
	if (error && error != EBUSY && error != EINVAL)
		errx(2, "%s: probing it: %s", d->name, strerror(error));
	return error != EINVAL;
}

static void open_nodes(struct device *d)
{
	char pattern[128], path[64];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/sys/bus/hid/devices/%s/input/input*/event*", d->name);
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc && d->n_nodes < NODES_MAX; i++) {
		snprintf(path, sizeof(path), "/dev/input/%s", strrchr(found.gl_pathv[i], '/') + 1);
		d->nodes[d->n_nodes] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (d->nodes[d->n_nodes] < 0)
			err(2, "%s", path);
		d->n_nodes++;
	}
	globfree(&found);
}

static void device_close(struct device *d)
{
	struct uhid_event ev = {.type = UHID_DESTROY};

	while (d->n_nodes)
		close(d->nodes[--d->n_nodes]);
	if (write(d->uhid, &ev, sizeof(ev.type)) < 0)
		warn("UHID_DESTROY");
	close(d->uhid);
}

/* Return: whether Linux takes the descriptor. */
static bool device_open(struct device *d, const uint8_t *descriptor, size_t len)
{
	struct uhid_event ev = {.type = UHID_CREATE2};

	*d = (struct device){.uhid = open("/dev/uhid", O_RDWR | O_CLOEXEC)};
	if (d->uhid < 0)
		err(2, "/dev/uhid");
	snprintf((char *)ev.u.create2.name, sizeof(ev.u.create2.name), "hidpair");
	ev.u.create2.rd_size = (uint16_t)len;
	ev.u.create2.bus = BUS_USB;
	ev.u.create2.vendor = 0x1d6b;
	ev.u.create2.product = ++product;
	memcpy(ev.u.create2.rd_data, descriptor, len);
	if (write(d->uhid, &ev, sizeof(ev)) < 0)
		err(2, "UHID_CREATE2");
	find_device(d);
	if (!wait_probed(d))
		return false;
	open_nodes(d);
	return true;
}

/* By what the nodes can do, as udev's input_id looks at them. */
static unsigned kinds_of(const struct device *d)
{
	static const unsigned char typing[] = {
		KEY_1,	 KEY_2,	  KEY_3,   KEY_4,   KEY_5,   KEY_6,   KEY_7,   KEY_8,
		KEY_9,	 KEY_0,	  KEY_Q,   KEY_W,   KEY_E,   KEY_R,   KEY_T,   KEY_Y,
		KEY_U,	 KEY_I,	  KEY_O,   KEY_P,   KEY_A,   KEY_S,   KEY_D,   KEY_F,
		KEY_G,	 KEY_H,	  KEY_J,   KEY_K,   KEY_L,   KEY_Z,   KEY_X,   KEY_C,
		KEY_V,	 KEY_B,	  KEY_N,   KEY_M,   KEY_KP0, KEY_KP1, KEY_KP2, KEY_KP3,
		KEY_KP4, KEY_KP5, KEY_KP6, KEY_KP7, KEY_KP8, KEY_KP9,
	};
	unsigned char all[KEY_CNT / 8] = {}, keys[KEY_CNT / 8], rel[REL_CNT / 8 + 1],
				    axes[ABS_CNT / 8 + 1];
	unsigned kinds = 0, n = 0;

	for (unsigned i = 0; i < d->n_nodes; i++) {
		bool clicks = false;

		memset(keys, 0, sizeof(keys));
		memset(rel, 0, sizeof(rel));
		memset(axes, 0, sizeof(axes));
		ioctl(d->nodes[i], EVIOCGBIT(EV_KEY, sizeof(keys)), keys);
		ioctl(d->nodes[i], EVIOCGBIT(EV_REL, sizeof(rel)), rel);
		ioctl(d->nodes[i], EVIOCGBIT(EV_ABS, sizeof(axes)), axes);
		for (unsigned k = BTN_MOUSE; k <= BTN_TASK; k++)
			clicks |= bit(keys, k);
		clicks |= bit(keys, BTN_TOUCH) || bit(keys, BTN_TOOL_PEN) ||
			  bit(keys, BTN_TOOL_FINGER) || bit(keys, BTN_TOOL_MOUSE);
		if (clicks && ((bit(rel, REL_X) && bit(rel, REL_Y)) ||
			       (bit(axes, ABS_X) && bit(axes, ABS_Y))))
			kinds |= HID_POINTER;
		for (size_t k = 0; k < sizeof(keys); k++)
			all[k] |= keys[k];
	}
	for (size_t i = 0; i < sizeof(typing); i++)
		n += bit(all, typing[i]);
	return kinds | (n >= HID_KEYS_THAT_TYPE ? HID_KEYBOARD : 0u);
}

/* Give each key of the Keyboard page a code of its own. Return: whether all of them have one. */
static bool set_codes(const struct device *d)
{
	for (unsigned node = 0; node < d->n_nodes; node++)
		for (unsigned i = 0;; i++) {
			struct input_keymap_entry e = {.flags = INPUT_KEYMAP_BY_INDEX,
						       .index = (uint16_t)i};
			uint32_t usage;

			if (i == USAGES_MAX)
				return false;
			if (ioctl(d->nodes[node], EVIOCGKEYCODE_V2, &e) < 0)
				break;
			if (e.keycode == KEY_RESERVED)
				continue;
			memcpy(&usage, e.scancode, sizeof(usage));
			e.keycode = usage >> 16 == 7 && (usage & 0xffff) <= 0xff
					    ? KEYS + (usage & 0xff)
					    : OTHERS;
			e.index = (uint16_t)i;
			e.flags = INPUT_KEYMAP_BY_INDEX;
			if (ioctl(d->nodes[node], EVIOCSKEYCODE_V2, &e) < 0)
				err(2, "EVIOCSKEYCODE");
		}
	return true;
}

static void keys_down(const struct device *d, struct hid_keys *down)
{
	for (unsigned i = 0; i < d->n_nodes; i++) {
		unsigned char keys[KEY_CNT / 8] = {};

		if (ioctl(d->nodes[i], EVIOCGKEY(sizeof(keys)), keys) < 0)
			err(2, "EVIOCGKEY");
		for (unsigned usage = 4; usage < 256; usage++)
			if (bit(keys, KEYS + usage))
				hid_keys_add(down, (uint8_t)usage);
	}
}

/* ------------------------------------------------------------- reports */

static size_t make_report(const struct hid_layout *l, uint8_t *data)
{
	unsigned how = random_below(8);
	size_t len = 1 + random_below(24), at = 0;

	memset(data, 0, UHID_DATA_MAX);
	if (l->n_reports && random_below(16)) {
		unsigned i = random_below(l->n_reports);

		len = l->reports[i].length + (l->has_ids ? 1u : 0u);
		if (l->has_ids)
			data[at++] = l->reports[i].id;
	}
	if (len > UHID_BYTES_MAX)
		len = UHID_BYTES_MAX;
	for (; at < len; at++) {
		switch (how) {
		case 0: /* all up */
			break;
		case 1:
			data[at] = (uint8_t)random_below(256);
			break;
		case 2: /* an error in each element */
			data[at] = (uint8_t)(1 + random_below(3));
			break;
		case 3:
			data[at] = (uint8_t)(1u << random_below(8));
			break;
		default: /* few at a time */
			if (!random_below(4))
				data[at] = (uint8_t)(random_below(2) ? random_below(256)
								     : 1u << random_below(8));
		}
	}
	/* Too short, too long. */
	if (!random_below(8) && len > 1)
		len = 1 + random_below((uint32_t)len);
	else if (!random_below(16) && len + 3 < UHID_BYTES_MAX)
		len += 3;
	return len ? len : 1;
}

static void compare_reports(struct device *d, struct hid_layout *layout, const char *name,
			    const uint8_t *descriptor, size_t len)
{
	static uint8_t data[UHID_DATA_MAX];
	struct hid_keyboard *keyboard;
	int r = hid_keyboard_new(&keyboard, layout);

	if (r < 0) {
		hid_layout_free(layout);
		n_skipped++;
		return;
	}
	for (unsigned i = 0; i < REPORTS; i++) {
		struct uhid_event ev = {.type = UHID_INPUT2};
		struct hid_keys linux_has = {}, we_have = {};
		char what[200];

		ev.u.input2.size = (uint16_t)make_report(layout, data);
		memcpy(ev.u.input2.data, data, ev.u.input2.size);
		if (write(d->uhid, &ev, sizeof(ev)) < 0)
			err(2, "UHID_INPUT2");
		hid_keyboard_read(keyboard, data, ev.u.input2.size);
		keys_down(d, &linux_has);
		hid_keyboard_down(keyboard, &we_have);
		n_reports++;
		if (!memcmp(&linux_has, &we_have, sizeof(we_have)))
			continue;
		snprintf(what, sizeof(what),
			 "report %u (%u bytes, first %02x): Linux has %016llx %016llx %016llx "
			 "%016llx, we have %016llx %016llx %016llx %016llx",
			 i, ev.u.input2.size, data[0], (unsigned long long)linux_has.bits[0],
			 (unsigned long long)linux_has.bits[1],
			 (unsigned long long)linux_has.bits[2],
			 (unsigned long long)linux_has.bits[3], (unsigned long long)we_have.bits[0],
			 (unsigned long long)we_have.bits[1], (unsigned long long)we_have.bits[2],
			 (unsigned long long)we_have.bits[3]);
		differs(name, descriptor, len, what);
		break;
	}
	hid_keyboard_free(keyboard);
}

/*
 * Where several values of an array mean the same key, Linux may let it go while one of them goes on
 * and another ends. We take it for down then; no keyboard is like that.
 */
static bool has_doubles(const struct hid_layout *l)
{
	for (unsigned i = 0; i < l->n_fields; i++) {
		const struct hid_field *f = &l->fields[i];
		unsigned n = 0;
		struct hid_keys keys = {};

		for (unsigned k = f->run; f->array && k < f->run + f->n_runs; k++) {
			for (unsigned u = 0; u < l->runs[k].n; u++)
				hid_keys_add(&keys, (uint8_t)(l->runs[k].usage +
							      (l->runs[k].same ? 0 : u)));
			n += l->runs[k].n;
		}
		if (n != hid_keys_count(&keys))
			return true;
	}
	return false;
}

static void try_digitizer(void)
{
	static const uint8_t digitizer[] = {
		0x05, 0x0d, 0x09, 0x01, 0xa1, 0x01, /* Digitizer, an application */
		0x05, 0x01, 0x09, 0x30, 0x09, 0x31, /* X, Y */
		0x15, 0x00, 0x25, 0x7f, 0x75, 0x08, 0x95, 0x02, 0x81, 0x02, 0xc0,
	};
	struct device d;

	takes_digitizers = device_open(&d, digitizer, sizeof(digitizer)) && d.n_nodes;
	device_close(&d);
}

/* What this kernel is too old to see as a pointer, and we do. */
static bool is_new_digitizer(const struct device *d, const struct hid_layout *l,
			     const uint8_t *descriptor, size_t len)
{
	return !takes_digitizers && !d->n_nodes && l->kinds == HID_POINTER &&
	       memmem(descriptor, len, (const uint8_t[]){0x05, 0x0d}, 2);
}

/*
 * A report that uhid is too small for, of any kind: the kernel refuses the descriptor for that
 * (Linux 6.1, hid-core.c: hid_add_field(), max_buffer_size), and would take it from usbhid.
 */
static bool beyond_uhid(const uint8_t *d, size_t len)
{
	static uint32_t bits[3][256];
	struct {
		uint32_t size, count, id;
	} now = {}, stack[4] = {};
	unsigned depth = 0;

	memset(bits, 0, sizeof(bits));
	for (size_t at = 0; at < len;) {
		unsigned n = (d[at] & 3) == 3 ? 4 : d[at] & 3, kind = 3;
		uint32_t value = 0;

		for (unsigned i = 0; i < n && at + 1 + i < len; i++)
			value |= (uint32_t)d[at + 1 + i] << (8 * i);
		switch (d[at] & 0xfc) {
		case 0x74:
			now.size = value;
			break;
		case 0x84:
			now.id = value & 0xff;
			break;
		case 0x94:
			now.count = value;
			break;
		case 0xa4:
			if (depth < ARRAY_SIZE(stack))
				stack[depth++] = now;
			break;
		case 0xb4:
			if (depth)
				now = stack[--depth];
			break;
		case 0x80:
			kind = 0;
			break;
		case 0x90:
			kind = 1;
			break;
		case 0xb0:
			kind = 2;
			break;
		}
		if (kind < 3) {
			bits[kind][now.id] += now.size * now.count;
			if (bits[kind][now.id] > UHID_BYTES_MAX * 8)
				return true;
		}
		at += 1 + n;
	}
	return false;
}

static void compare(const char *name, const uint8_t *descriptor, size_t len)
{
	struct hid_layout *layout = NULL;
	int r = hid_report_parse(&layout, descriptor, len);
	struct device d;
	bool taken = device_open(&d, descriptor, len);
	char what[80];

	n_descriptors++;
	n_refused += !taken;
	if (!taken && r == 0 && beyond_uhid(descriptor, len)) {
		n_skipped++;
	} else if (taken != (r == 0)) {
		differs(name, descriptor, len, taken ? "Linux takes it" : "Linux refuses it");
	} else if (taken && is_new_digitizer(&d, layout, descriptor, len)) {
		n_skipped++;
	} else if (taken) {
		unsigned kinds = kinds_of(&d);

		n_keyboards += kinds & HID_KEYBOARD ? 1 : 0;
		n_pointers += kinds & HID_POINTER ? 1 : 0;
		if (kinds != layout->kinds) {
			snprintf(what, sizeof(what), "kinds: Linux has %u, we have %u", kinds,
				 layout->kinds);
			differs(name, descriptor, len, what);
		}
		if (!has_doubles(layout) && set_codes(&d))
			compare_reports(&d, take_ptr(layout), name, descriptor, len);
		else
			n_skipped++;
	}
	hid_layout_free(layout);
	device_close(&d);
}

/* ------------------------------------------------------------- mutants */

struct item {
	uint8_t bytes[5];
	unsigned len;
};

static unsigned to_items(const uint8_t *d, size_t len, struct item *items, unsigned max)
{
	unsigned n = 0;

	for (size_t at = 0; at < len && n < max; n++) {
		static const uint8_t sizes[] = {1, 2, 3, 5};
		unsigned size = sizes[d[at] & 3];

		items[n].len = size < len - at ? size : (unsigned)(len - at);
		memcpy(items[n].bytes, d + at, items[n].len);
		at += items[n].len;
	}
	return n;
}

static struct item random_item(void)
{
	/* Of the kinds that matter to keyboards and pointers. */
	static const uint8_t tags[] = {0x04, 0x04, 0x08, 0x08, 0x14, 0x18, 0x18, 0x24,
				       0x28, 0x28, 0x74, 0x80, 0x80, 0x84, 0x90, 0x94,
				       0x94, 0xa0, 0xa4, 0xa8, 0xb0, 0xb4, 0xc0};
	static const uint8_t values[] = {0,    1,    2,	   3,	 4,    6,    7,	   8,
					 9,    0x0d, 0x10, 0x20, 0x30, 0x31, 0x42, 0x65,
					 0x7f, 0x80, 0x81, 0xe0, 0xe7, 0xff};
	struct item item = {.len = 1};
	unsigned size = random_below(8);

	size = size < 5 ? 1 : size < 6 ? 0 : size < 7 ? 2 : 3;
	item.bytes[0] = (uint8_t)(tags[random_below(sizeof(tags))] | size);
	if (!random_below(40))
		item.bytes[0] = (uint8_t)random_below(256);
	item.len += (item.bytes[0] & 3) == 3 ? 4 : item.bytes[0] & 3;
	item.bytes[1] = values[random_below(sizeof(values))];
	if (!random_below(4))
		item.bytes[1] = (uint8_t)random_below(256);
	if (random_below(4) == 0)
		item.bytes[2] = (uint8_t)random_below(8);
	if (item.len == 5 && random_below(2))
		item.bytes[3] = (uint8_t)(random_below(2) ? 7 : random_below(14));
	return item;
}

static void mutate_items(struct item *items, unsigned *n, unsigned max)
{
	unsigned at = random_below(*n), other = random_below(*n);
	struct item swap;

	switch (random_below(7)) {
	case 0: /* less */
		memmove(items + at, items + at + 1, (*n - at - 1) * sizeof(*items));
		*n -= *n > 1;
		break;
	case 1: /* one twice, elsewhere */
	case 2: /* something new */
		if (*n == max)
			break;
		swap = random_below(2) ? items[other] : random_item();
		memmove(items + at + 1, items + at, (*n - at) * sizeof(*items));
		items[at] = swap;
		++*n;
		break;
	case 3:
		swap = items[at];
		items[at] = items[other];
		items[other] = swap;
		break;
	case 4: /* another value */
		if (items[at].len > 1)
			items[at].bytes[1] = random_item().bytes[1];
		break;
	case 5:
		items[at].bytes[random_below(items[at].len)] ^= (uint8_t)(1u << random_below(8));
		break;
	default: /* other flags of an Input item */
		for (unsigned i = 0; i < *n; i++)
			if ((items[(at + i) % *n].bytes[0] & 0xfc) == 0x80 &&
			    items[(at + i) % *n].len > 1) {
				items[(at + i) % *n].bytes[1] ^= (uint8_t)(1u << random_below(7));
				break;
			}
	}
}

static size_t mutant(const uint8_t *d, size_t len, uint8_t *out)
{
	static struct item items[HID_DESCRIPTOR_MAX];
	unsigned n = to_items(d, len, items, ARRAY_SIZE(items));
	size_t used = 0;
	int open = 0;

	for (unsigned i = 1 + random_below(4); i-- > 0 && n;)
		mutate_items(items, &n, ARRAY_SIZE(items));
	for (unsigned i = 0; i < n && used + items[i].len <= HID_DESCRIPTOR_MAX - 8; i++) {
		memcpy(out + used, items[i].bytes, items[i].len);
		used += items[i].len;
		open += (items[i].bytes[0] & 0xfc) == 0xa0;
		open -= (items[i].bytes[0] & 0xfc) == 0xc0;
	}
	/* Mostly balanced: what is refused for that tells little. */
	while (open-- > 0 && used < HID_DESCRIPTOR_MAX && random_below(16))
		out[used++] = 0xc0;
	if (!random_below(24) && used > 1)
		used -= random_below((uint32_t)used);
	return used ? used : 1;
}

static size_t from_hex(const char *text, uint8_t *out, size_t max)
{
	size_t n = 0;
	int taken;
	unsigned byte;

	while (n < max && sscanf(text, " %2x%n", &byte, &taken) == 1) {
		out[n++] = (uint8_t)byte;
		text += taken;
	}
	return n;
}

int main(int argc, char *argv[])
{
	static uint8_t descriptor[HID_DESCRIPTOR_MAX], changed[HID_DESCRIPTOR_MAX];
	_cleanup_free_ char *line = NULL;
	size_t room = 0;
	unsigned mutants;

	if (argc < 3 || (argc > 3 && !freopen(argv[3], "r", stdin)))
		errx(2, "usage: hidpair SEED MUTANTS [FILE]");
	random_state = strtoull(argv[1], NULL, 0);
	mutants = (unsigned)strtoul(argv[2], NULL, 0);
	try_digitizer();
	while (getline(&line, &room, stdin) > 0) {
		char *colon = strchr(line, ':');
		size_t len;

		if (line[0] == '#' || !colon)
			continue;
		*colon = '\0';
		len = from_hex(colon + 1, descriptor, sizeof(descriptor));
		if (!len)
			continue;
		compare(line, descriptor, len);
		for (unsigned i = 0; i < mutants; i++)
			compare(line, changed, mutant(descriptor, len, changed));
		fflush(stdout);
	}
	printf("%u descriptors, %u refused by both or one, %u keyboards, %u pointers, %u reports, "
	       "%u left out, %u differences\n",
	       n_descriptors, n_refused, n_keyboards, n_pointers, n_reports, n_skipped,
	       n_differences);
	return n_differences ? 1 : 0;
}
