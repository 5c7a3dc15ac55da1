/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines between the daemon and usbrouted-libvirt; see virt_wire.h. */
#include "protocol/virt_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define WORDS_MAX 4

/* The kinds of words. */
enum word {
	WORD_END,
	WORD_ID,
	WORD_DOMAIN,
	WORD_ADDRESS,
	WORD_BUSID,
	WORD_STATE,
	WORD_YES,
	WORD_TEXT
};

static const struct {
	const char *name;
	enum word words[WORDS_MAX + 1];
} verbs[] = {
	[VIRT_STATE] = {"STATE", {WORD_END}},
	[VIRT_ATTACH] = {"ATTACH", {WORD_ID, WORD_DOMAIN, WORD_ADDRESS, WORD_BUSID}},
	[VIRT_DETACH] = {"DETACH", {WORD_ID, WORD_DOMAIN, WORD_BUSID}},
	[VIRT_LIBVIRT] = {"LIBVIRT", {WORD_YES}},
	[VIRT_DOMAIN] = {"DOMAIN", {WORD_DOMAIN, WORD_STATE}},
	[VIRT_AGENT] = {"AGENT", {WORD_DOMAIN, WORD_YES}},
	[VIRT_DONE] = {"DONE", {WORD_ID}},
	[VIRT_FAILED] = {"FAILED", {WORD_ID, WORD_TEXT}},
};

static const char *const state_names[VIRT_STATES] = {
	[VIRT_GONE] = "gone",	  [VIRT_SHUTOFF] = "shutoff", [VIRT_RUNNING] = "running",
	[VIRT_PAUSED] = "paused", [VIRT_CRASHED] = "crashed",
};

const char *virt_state_name(enum virt_state state)
{
	return state_names[state];
}

/* ------------------------------------------------------------- words */

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:@+,";
static const char digits[] = "0123456789ABCDEF";

static bool is_plain(char c)
{
	return c && strchr(plain, c);
}

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

static bool has_control(const char *text)
{
	while (*text && !is_control(*text))
		text++;
	return *text;
}

/**
 * virt_domain_valid() - whether a line can have a domain's name
 * @name:	the name; libvirt permits any without / and newlines, this no control characters at
 * all
 */
bool virt_domain_valid(const char *name)
{
	size_t len = strlen(name);

	return len && len <= VIRT_DOMAIN_MAX && !strchr(name, '/') && !has_control(name);
}

/**
 * virt_busid_valid() - whether a text may be given to `usbip attach -b`
 * @busid:	a bus id or an alias; never one that could pass for an option
 */
bool virt_busid_valid(const char *busid)
{
	size_t len = strlen(busid);

	return len && len <= VIRT_BUSID_MAX && busid[0] != '-' && busid[0] != '.' &&
	       strspn(busid, plain) == len && !strpbrk(busid, "@+,:");
}

/**
 * virt_address_mac() - the MAC address in an ADDRESS
 * @address:	as in ATTACH
 *
 * Return: the MAC, whose interface leads to the daemon; NULL where @address is none of this kind.
 */
const char *virt_address_mac(const char *address)
{
	static const char before[] = "fe80::1@", form[] = "xx:xx:xx:xx:xx:xx";
	const char *mac = address + sizeof(before) - 1;

	if (strncmp(address, before, sizeof(before) - 1) || strlen(mac) != sizeof(form) - 1)
		return NULL;
	for (size_t i = 0; i < sizeof(form) - 1; i++) {
		if (form[i] == ':' ? mac[i] != ':' : !strchr("0123456789abcdef", mac[i]))
			return NULL;
	}
	return mac;
}

static bool address_valid(const char *address)
{
	struct in_addr v4;

	return strlen(address) <= VIRT_ADDRESS_MAX &&
	       (inet_pton(AF_INET, address, &v4) == 1 || virt_address_mac(address));
}

/* One word, decoded; there is one spelling of each. Return: its length, or a negative errno. */
static int word_decode(char *buf, size_t size, const char *word, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = word[i];

		if (c == '%') {
			const char *high, *low;

			if (len - i < 3 || !word[i + 1] || !word[i + 2])
				return -EPROTO;
			high = strchr(digits, word[i + 1]);
			low = strchr(digits, word[i + 2]);
			if (!high || !low)
				return -EPROTO;
			c = (char)((high - digits) << 4 | (low - digits));
			if (!c || is_plain(c))
				return -EPROTO;
			i += 2;
		} else if (!is_plain(c)) {
			return -EPROTO;
		}
		if (n + 1 >= size)
			return -EPROTO;
		buf[n++] = c;
	}
	buf[n] = '\0';
	return n ? (int)n : -EPROTO;
}

static bool id_parse(const char *text, unsigned *ret_id)
{
	unsigned long id = 0;
	size_t len = strlen(text);

	if (!len || len > 9 || text[0] == '0' || strspn(text, digits) != len)
		return false;
	for (; *text; text++) {
		if (*text > '9')
			return false;
		id = id * 10 + (unsigned long)(*text - '0');
	}
	*ret_id = (unsigned)id;
	return true;
}

static bool state_parse(const char *text, enum virt_state *ret_state)
{
	for (unsigned i = 0; i < VIRT_STATES; i++)
		if (!strcmp(text, state_names[i])) {
			*ret_state = (enum virt_state)i;
			return true;
		}
	return false;
}

static int word_parse(struct virt_line *line, enum word kind, const char *word, size_t len)
{
	char text[VIRT_TEXT_MAX + 1];
	int r = word_decode(text, sizeof(text), word, len);
	bool ok = false;

	if (r < 0)
		return r;
	switch (kind) {
	case WORD_END:
		break;
	case WORD_ID:
		ok = id_parse(text, &line->id);
		break;
	case WORD_DOMAIN:
		ok = virt_domain_valid(text);
		if (ok)
			strcpy(line->domain, text);
		break;
	case WORD_ADDRESS:
		ok = address_valid(text);
		if (ok)
			strcpy(line->address, text);
		break;
	case WORD_BUSID:
		ok = virt_busid_valid(text);
		if (ok)
			strcpy(line->busid, text);
		break;
	case WORD_STATE:
		ok = state_parse(text, &line->state);
		break;
	case WORD_YES:
		line->yes = !strcmp(text, "yes");
		ok = line->yes || !strcmp(text, "no");
		break;
	case WORD_TEXT:
		ok = !has_control(text);
		if (ok)
			strcpy(line->text, text);
		break;
	}
	return ok ? 0 : -EPROTO;
}

/* ------------------------------------------------------------- lines */

/**
 * virt_line_parse() - read one line
 * @ret_line:	what it says
 * @text:	the line, without its newline
 * @len:	its length
 *
 * Return: 0, or -EPROTO where it is not exactly a line of the table.
 */
int virt_line_parse(struct virt_line *ret_line, const char *text, size_t len)
{
	const char *space = memchr(text, ' ', len), *end = text + len;
	size_t n = space ? (size_t)(space - text) : len;
	struct virt_line line = {0};
	unsigned verb;

	if (len >= VIRT_LINE_MAX)
		return -EPROTO;
	for (verb = 0; verb < ARRAY_SIZE(verbs); verb++)
		if (strlen(verbs[verb].name) == n && !memcmp(verbs[verb].name, text, n))
			break;
	if (verb == ARRAY_SIZE(verbs))
		return -EPROTO;
	line.verb = (enum virt_verb)verb;
	text += n;
	for (const enum word *kind = verbs[verb].words; *kind != WORD_END; kind++) {
		int r;

		if (text == end || *text++ != ' ')
			return -EPROTO;
		space = memchr(text, ' ', (size_t)(end - text));
		n = (size_t)((space ? space : end) - text);
		r = word_parse(&line, *kind, text, n);
		if (r < 0)
			return r;
		text += n;
	}
	if (text != end)
		return -EPROTO;
	*ret_line = line;
	return 0;
}

/* A text for people may be cut, and has no control characters; nothing else is changed. */
static int word_append(char buf[VIRT_LINE_MAX], size_t *len, const char *word, bool cut)
{
	size_t n = *len;

	buf[n++] = ' ';
	for (; *word; word++) {
		char c = cut && is_control(*word) ? ' ' : *word;
		size_t need = is_plain(c) ? 1 : 3;

		if (VIRT_LINE_MAX - 1 - n < need) {
			if (cut)
				break;
			return -EMSGSIZE;
		}
		if (need == 1) {
			buf[n++] = c;
		} else {
			buf[n++] = '%';
			buf[n++] = digits[(unsigned char)c >> 4];
			buf[n++] = digits[c & 15];
		}
	}
	*len = n;
	return 0;
}

/**
 * virt_line_format() - write one line
 * @buf:	where it goes, with its newline and no NUL
 * @line:	what it says
 *
 * Return: its length, or a negative errno: what was made could not be read back.
 */
int virt_line_format(char buf[VIRT_LINE_MAX], const struct virt_line *line)
{
	size_t len = strlen(verbs[line->verb].name);
	struct virt_line back;
	char id[16];
	int r = 0;

	memcpy(buf, verbs[line->verb].name, len);
	snprintf(id, sizeof(id), "%u", line->id);
	for (const enum word *kind = verbs[line->verb].words; *kind != WORD_END && r == 0; kind++) {
		const char *word = *kind == WORD_ID	   ? id
				   : *kind == WORD_DOMAIN  ? line->domain
				   : *kind == WORD_ADDRESS ? line->address
				   : *kind == WORD_BUSID   ? line->busid
				   : *kind == WORD_STATE   ? state_names[line->state]
				   : *kind == WORD_YES	   ? (line->yes ? "yes" : "no")
							   : line->text;

		if (VIRT_LINE_MAX - 1 - len < 2)
			return -EMSGSIZE;
		r = word_append(buf, &len, word, *kind == WORD_TEXT);
	}
	if (r < 0)
		return r;
	r = virt_line_parse(&back, buf, len);
	if (r < 0)
		return r;
	buf[len++] = '\n';
	return (int)len;
}

/* ------------------------------------------------------------- reading */

/**
 * virt_reader_space() - where to read bytes into
 * @reader:	the reader; all whole lines have been taken from it
 * @ret_size:	room there, at least 1 byte unless a line is too long
 *
 * Return: the place.
 */
char *virt_reader_space(struct virt_reader *reader, size_t *ret_size)
{
	memmove(reader->data, reader->data + reader->start, reader->end - reader->start);
	reader->end -= reader->start;
	reader->start = 0;
	*ret_size = sizeof(reader->data) - reader->end;
	return reader->data + reader->end;
}

/**
 * virt_reader_filled() - bytes were read
 * @reader:	the reader
 * @n:		how many
 */
void virt_reader_filled(struct virt_reader *reader, size_t n)
{
	reader->end += n;
}

/**
 * virt_reader_next() - the next line
 * @reader:	the reader
 * @ret_line:	what it says
 *
 * Return: 0; VIRT_READER_MORE where no whole line is there; -EPROTO where what is there is none.
 */
int virt_reader_next(struct virt_reader *reader, struct virt_line *ret_line)
{
	const char *line = reader->data + reader->start;
	size_t have = reader->end - reader->start;
	const char *end = memchr(line, '\n', have);

	if (!end)
		return have == sizeof(reader->data) ? -EPROTO : VIRT_READER_MORE;
	reader->start += (size_t)(end - line) + 1;
	return virt_line_parse(ret_line, line, (size_t)(end - line));
}
