/* SPDX-License-Identifier: BSD-2-Clause */
/* The agent's lines; see agent_wire.h. One table says which words follow which verb. */
#include "protocol/agent_wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum word {
	WORD_NONE,
	WORD_PROTOCOL,
	WORD_VERSION,
	WORD_HIGH,
	WORD_SUPER,
	WORD_BUSID,
	WORD_PORT,
	WORD_SPEED,
	WORD_DEVID,
	WORD_HELD,
	WORD_VM,
	WORD_ALIAS,
	WORD_TEXT, /* the rest of the line, which may be nothing */
	/* The rest, word by word: each may be missing, and others are a later version's. */
	WORD_GUEST_CAN,
	WORD_DAEMON_CAN,
};

#define WORDS_MAX 5
#define BOOT	  "boot="
#define LET_GO	  "let-go"

enum from { FROM_GUEST = 1, FROM_DAEMON = 2, FROM_BOTH = 3 };

static const struct {
	const char *name;
	enum from from;
	enum word words[WORDS_MAX];
} verbs[AGENT_VERBS] = {
	[AGENT_HELLO] = {"HELLO",
			 FROM_GUEST,
			 {WORD_PROTOCOL, WORD_VERSION, WORD_HIGH, WORD_SUPER, WORD_GUEST_CAN}},
	[AGENT_PORTS] = {"PORTS", FROM_GUEST, {WORD_HIGH, WORD_SUPER}},
	[AGENT_TRYING] = {"TRYING", FROM_GUEST, {WORD_BUSID}},
	[AGENT_HAS] = {"HAS", FROM_GUEST, {WORD_BUSID, WORD_PORT}},
	[AGENT_FAILED] = {"FAILED", FROM_GUEST, {WORD_BUSID, WORD_TEXT}},
	[AGENT_GONE] = {"GONE", FROM_GUEST, {WORD_BUSID}},
	[AGENT_LETGO] = {"LETGO", FROM_GUEST, {WORD_BUSID}},
	[AGENT_SLEEP] = {"SLEEP", FROM_GUEST, {WORD_NONE}},
	[AGENT_AWAKE] = {"AWAKE", FROM_GUEST, {WORD_NONE}},
	[AGENT_WELCOME] = {"WELCOME",
			   FROM_DAEMON,
			   {WORD_PROTOCOL, WORD_VM, WORD_VERSION, WORD_DAEMON_CAN}},
	[AGENT_REFUSED] = {"REFUSED", FROM_DAEMON, {WORD_TEXT}},
	[AGENT_ROUTE] = {"ROUTE",
			 FROM_DAEMON,
			 {WORD_BUSID, WORD_SPEED, WORD_DEVID, WORD_HELD, WORD_ALIAS}},
	[AGENT_UNROUTE] = {"UNROUTE", FROM_DAEMON, {WORD_BUSID}},
	[AGENT_SYNCED] = {"SYNCED", FROM_DAEMON, {WORD_NONE}},
	[AGENT_PING] = {"PING", FROM_BOTH, {WORD_NONE}},
	[AGENT_PONG] = {"PONG", FROM_BOTH, {WORD_NONE}},
};

static const char *const speeds[] = {
	[AGENT_SPEED_LOW] = "low",
	[AGENT_SPEED_FULL] = "full",
	[AGENT_SPEED_HIGH] = "high",
	[AGENT_SPEED_SUPER] = "super",
};

/**
 * agent_speed_name() - a speed's word
 * @speed:	the speed
 *
 * Return: NULL for a number that is none.
 */
const char *agent_speed_name(enum agent_speed speed)
{
	return (unsigned)speed < ARRAY_SIZE(speeds) ? speeds[speed] : NULL;
}

/* ------------------------------------------------------------- reading */

struct reader {
	const char *p, *end;
};

static size_t next_word(struct reader *r, const char **ret_word)
{
	const char *space;
	size_t n;

	*ret_word = r->p;
	space = memchr(r->p, ' ', (size_t)(r->end - r->p));
	n = (size_t)((space ? space : r->end) - r->p);
	r->p = space ? space + 1 : r->end;
	return n;
}

static bool plain(char c, bool dots)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || (dots && (c == '.' || c == '+' || c == '~' || c == ':'));
}

/* A name goes into messages, and a busid into a file: neither may be more than a word. */
static int read_name(const char *word, size_t n, bool dots, char name[AGENT_NAME_SIZE])
{
	if (n == 0 || n >= AGENT_NAME_SIZE)
		return -EPROTO;
	for (size_t i = 0; i < n; i++)
		if (!plain(word[i], dots))
			return -EPROTO;
	memcpy(name, word, n);
	name[n] = 0;
	return 0;
}

static int read_number(const char *word, size_t n, unsigned max, unsigned *ret)
{
	unsigned value = 0;

	if (n == 0 || n > 6)
		return -EPROTO;
	for (size_t i = 0; i < n; i++) {
		if (word[i] < '0' || word[i] > '9')
			return -EPROTO;
		value = value * 10 + (unsigned)(word[i] - '0');
	}
	if (value > max)
		return -EPROTO;
	*ret = value;
	return 0;
}

static int read_keyed(const char *word, size_t n, const char *key, unsigned *ret)
{
	if (n < 3 || memcmp(word, key, 3))
		return -EPROTO;
	return read_number(word + 3, n - 3, AGENT_PORTS_MAX, ret);
}

static int read_devid(const char *word, size_t n, uint32_t *ret)
{
	uint32_t value = 0;

	if (n != 8)
		return -EPROTO;
	for (size_t i = 0; i < n; i++) {
		char c = word[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint32_t)(c - 'a' + 10);
		else
			return -EPROTO;
	}
	*ret = value;
	return 0;
}

static int read_speed(const char *word, size_t n, enum agent_speed *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(speeds); i++) {
		if (speeds[i] && strlen(speeds[i]) == n && !memcmp(word, speeds[i], n)) {
			*ret = (enum agent_speed)i;
			return 0;
		}
	}
	return -EPROTO;
}

static int read_held(const char *word, size_t n, bool *ret)
{
	if (n != 4 || (memcmp(word, "held", 4) && memcmp(word, "free", 4)))
		return -EPROTO;
	*ret = word[0] == 'h';
	return 0;
}

/* Text for people that is too long is cut: it says enough by then. */
static int read_text(struct reader *r, char text[AGENT_TEXT_SIZE])
{
	size_t n = min_t(size_t, (size_t)(r->end - r->p), AGENT_TEXT_SIZE - 1);

	memcpy(text, r->p, n);
	text[n] = 0;
	r->p = r->end;
	return 0;
}

static bool is_boot(const char *word, size_t n)
{
	if (n != strlen(BOOT) + AGENT_BOOT_SIZE - 1 || memcmp(word, BOOT, strlen(BOOT)))
		return false;
	for (size_t i = strlen(BOOT); i < n; i++)
		if (!((word[i] >= '0' && word[i] <= '9') || (word[i] >= 'a' && word[i] <= 'f')))
			return false;
	return true;
}

static int read_can(struct reader *r, enum word kind, struct agent_message *m)
{
	while (r->p < r->end) {
		const char *word;
		size_t n = next_word(r, &word);

		if (kind == WORD_GUEST_CAN && is_boot(word, n))
			memcpy(m->boot, word + strlen(BOOT), AGENT_BOOT_SIZE - 1);
		else if (kind == WORD_DAEMON_CAN && n == strlen(LET_GO) && !memcmp(word, LET_GO, n))
			m->let_go = true;
	}
	return 0;
}

static int read_word(struct reader *r, enum word kind, struct agent_message *m)
{
	const char *word;
	size_t n;

	if (kind == WORD_TEXT)
		return read_text(r, m->text);
	if (kind == WORD_GUEST_CAN || kind == WORD_DAEMON_CAN)
		return read_can(r, kind, m);
	n = next_word(r, &word);
	switch (kind) {
	case WORD_PROTOCOL:
		return read_number(word, n, 9999, &m->protocol);
	case WORD_VERSION:
		return read_name(word, n, true, m->version);
	case WORD_HIGH:
		return read_keyed(word, n, "hs=", &m->high);
	case WORD_SUPER:
		return read_keyed(word, n, "ss=", &m->super);
	case WORD_BUSID:
		/* A name of dots alone would be a folder's. */
		return n && word[0] == '.' ? -EPROTO : read_name(word, n, true, m->busid);
	case WORD_PORT:
		return read_number(word, n, AGENT_PORTS_MAX, &m->port);
	case WORD_SPEED:
		return read_speed(word, n, &m->speed);
	case WORD_DEVID:
		return read_devid(word, n, &m->devid);
	case WORD_HELD:
		return read_held(word, n, &m->held);
	case WORD_VM:
		return read_name(word, n, false, m->name);
	case WORD_ALIAS:
		if (n == 1 && *word == '-')
			return 0;
		return read_name(word, n, false, m->name);
	case WORD_NONE:
	case WORD_TEXT:
	case WORD_GUEST_CAN:
	case WORD_DAEMON_CAN:
		break;
	}
	return -EPROTO;
}

/**
 * agent_wire_parse() - take a line apart
 * @line:	the line, without its newline
 * @len:	its bytes
 * @from_guest:	who said it: the guest, else the daemon
 * @ret:	what it says; whole only where this returns 0
 *
 * Return: 0, AGENT_WIRE_UNKNOWN for a verb that nobody knows (to be passed over), -EPROTO for a
 * line that has not its verb's form, or whose verb is not this side's to say.
 */
int agent_wire_parse(const char *line, size_t len, bool from_guest, struct agent_message *ret)
{
	struct reader r = {.p = line, .end = line + len};
	const char *word;
	size_t n;
	int at = -1;

	*ret = (struct agent_message){0};
	if (len >= AGENT_LINE_MAX)
		return -EPROTO;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || (unsigned char)line[i] > 0x7e)
			return -EPROTO;
	n = next_word(&r, &word);
	for (int v = 0; v < AGENT_VERBS; v++)
		if (strlen(verbs[v].name) == n && !memcmp(verbs[v].name, word, n))
			at = v;
	if (at < 0)
		return AGENT_WIRE_UNKNOWN;
	ret->verb = (enum agent_verb)at;
	if (!(verbs[at].from & (from_guest ? FROM_GUEST : FROM_DAEMON)))
		return -EPROTO;
	for (size_t i = 0; i < WORDS_MAX && verbs[at].words[i]; i++) {
		int e = read_word(&r, verbs[at].words[i], ret);

		if (e < 0)
			return e;
	}
	return r.p == r.end ? 0 : -EPROTO;
}

/* ------------------------------------------------------------- writing */

static void write_word(FILE *f, enum word kind, const struct agent_message *m)
{
	switch (kind) {
	case WORD_PROTOCOL:
		fprintf(f, " %u", m->protocol);
		break;
	case WORD_VERSION:
		fprintf(f, " %s", m->version);
		break;
	case WORD_HIGH:
		fprintf(f, " hs=%u", m->high);
		break;
	case WORD_SUPER:
		fprintf(f, " ss=%u", m->super);
		break;
	case WORD_BUSID:
		fprintf(f, " %s", m->busid);
		break;
	case WORD_PORT:
		fprintf(f, " %u", m->port);
		break;
	case WORD_SPEED:
		fprintf(f, " %s", agent_speed_name(m->speed) ?: "full");
		break;
	case WORD_DEVID:
		fprintf(f, " %08x", m->devid);
		break;
	case WORD_HELD:
		fprintf(f, " %s", m->held ? "held" : "free");
		break;
	case WORD_VM:
		fprintf(f, " %s", m->name);
		break;
	case WORD_ALIAS:
		fprintf(f, " %s", m->name[0] ? m->name : "-");
		break;
	case WORD_TEXT:
		fputc(' ', f);
		for (const char *p = m->text; *p; p++)
			fputc(*p >= 0x20 && *p <= 0x7e ? *p : '?', f);
		break;
	case WORD_GUEST_CAN:
		if (m->boot[0])
			fprintf(f, " " BOOT "%s", m->boot);
		break;
	case WORD_DAEMON_CAN:
		if (m->let_go)
			fputs(" " LET_GO, f);
		break;
	case WORD_NONE:
		break;
	}
}

/**
 * agent_wire_format() - make a line
 * @line:	where it goes, with its newline
 * @size:	room there: AGENT_LINE_MAX + 1 is always enough
 * @message:	what it says; names of the forms that agent_wire_parse() takes
 *
 * Return: bytes of the line, or 0 where there is no room for it.
 */
size_t agent_wire_format(char *line, size_t size, const struct agent_message *message)
{
	FILE *f = fmemopen(line, size, "w");
	long n;

	if (!f)
		return 0;
	fputs(verbs[message->verb].name, f);
	for (size_t i = 0; i < WORDS_MAX; i++)
		write_word(f, verbs[message->verb].words[i], message);
	fputc('\n', f);
	n = fflush(f) == 0 ? ftell(f) : 0;
	fclose(f);
	return n > 0 && (size_t)n < size && line[n - 1] == '\n' ? (size_t)n : 0;
}
