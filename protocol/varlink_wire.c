/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The buffer behind the framing.
 *
 * It holds the bytes from the oldest message not yet taken to the newest byte read. Asking for
 * space moves them to the front, and enlarges the buffer only if one message fills it, so that an
 * idle client costs 4 KiB and none costs more than 64.
 */
#include "protocol/varlink_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WIRE_FIRST 4096

/**
 * varlink_wire_space() - room for bytes from the peer
 * @wire:	the buffer; messages that varlink_wire_next() gave are gone afterwards
 * @ret_space:	where to read to
 * @ret_size:	how many bytes, at least 1
 *
 * Call once varlink_wire_next() has said VARLINK_WIRE_MORE.
 *
 * Return: 0; -EMSGSIZE where a message is too long; -ENOMEM. After an error the connection can only
 * be closed.
 */
int varlink_wire_space(struct varlink_wire *wire, char **ret_space, size_t *ret_size)
{
	size_t held = wire->end - wire->start;

	if (wire->start) {
		memmove(wire->data, wire->data + wire->start, held);
		wire->scanned -= wire->start;
		wire->start = 0;
		wire->end = held;
	}
	if (held > VARLINK_MESSAGE_MAX)
		return -EMSGSIZE;
	if (held == wire->size) {
		size_t size = held ? held * 2 : WIRE_FIRST;
		char *data;

		if (size > VARLINK_MESSAGE_MAX)
			size = VARLINK_MESSAGE_MAX + 1;
		data = realloc(wire->data, size);
		if (!data)
			return -ENOMEM;
		wire->data = data;
		wire->size = size;
	}
	*ret_space = wire->data + held;
	*ret_size = wire->size - held;
	return 0;
}

/**
 * varlink_wire_filled() - say how many bytes were read into the space
 * @wire:	the buffer
 * @n:		how many, at most the space's size
 */
void varlink_wire_filled(struct varlink_wire *wire, size_t n)
{
	wire->end += n;
}

/**
 * varlink_wire_next() - take the next whole message
 * @wire:		the buffer
 * @ret_message:	the message, with its NUL; stays until varlink_wire_space() is called
 * @ret_len:		its length without the NUL
 *
 * Return: 0, or VARLINK_WIRE_MORE where none is whole yet.
 */
int varlink_wire_next(struct varlink_wire *wire, const char **ret_message, size_t *ret_len)
{
	const char *nul = NULL;

	if (wire->scanned < wire->end)
		nul = memchr(wire->data + wire->scanned, '\0', wire->end - wire->scanned);
	if (!nul) {
		wire->scanned = wire->end;
		return VARLINK_WIRE_MORE;
	}
	*ret_message = wire->data + wire->start;
	*ret_len = (size_t)(nul - *ret_message);
	wire->start = wire->scanned = (size_t)(nul - wire->data) + 1;
	return 0;
}

/**
 * varlink_wire_deinit() - free the buffer
 * @wire:	the buffer; empty afterwards
 */
void varlink_wire_deinit(struct varlink_wire *wire)
{
	free(wire->data);
	*wire = (struct varlink_wire){0};
}

/**
 * varlink_nesting_ok() - ask whether JSON text is nested no deeper than VARLINK_NESTING_MAX
 * @message:	the text, which need not be JSON
 * @len:	its length in bytes
 *
 * Call it before a parser that recurses sees the text.
 *
 * Return: true where it is not.
 */
bool varlink_nesting_ok(const char *message, size_t len)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		char c = message[i];

		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			if (++depth > VARLINK_NESTING_MAX)
				return false;
		} else if ((c == '}' || c == ']') && depth) {
			depth--;
		}
	}
	return true;
}
