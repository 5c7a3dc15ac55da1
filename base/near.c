/* SPDX-License-Identifier: BSD-2-Clause */
/* Words that a person may have meant; see near.h. */
#include "base/near.h"

#include <string.h>

#include "base/mem.h"

#define LEN_MAX	   64
#define PREFIX_MIN 2

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool begins(const char *word, const char *with, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (lower(word[i]) != lower(with[i]))
			return false;
	return true;
}

/*
 * How many slips lie between two words: a character too many, too few, another one, or two that
 * changed places (the restricted distance of Damerau and Levenshtein), whatever their case.
 */
static unsigned slips(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][LEN_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2];

	for (unsigned j = 0; j <= b_len; j++)
		last[j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned *spare = before;

		row[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			bool same = lower(a[i - 1]) == lower(b[j - 1]);

			row[j] = last[j - 1] + !same;
			row[j] = min_t(unsigned, row[j], last[j] + 1);
			row[j] = min_t(unsigned, row[j], row[j - 1] + 1);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
			    lower(a[i - 2]) == lower(b[j - 1]))
				row[j] = min_t(unsigned, row[j], before[j - 2] + 1);
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[b_len];
}

/**
 * near_word() - whether a person may have meant a word
 * @typed:	what was typed
 * @word:	the word
 *
 * One slip is allowed in words of three characters and more, two from seven on.
 *
 * Return: how near it is; NEAR_NOT where it is not, or where either is empty.
 */
enum near near_word(const char *typed, const char *word)
{
	size_t n = strnlen(typed, LEN_MAX + 1), len = strnlen(word, LEN_MAX + 1);
	size_t shorter = min_t(size_t, n, len);

	if (!shorter)
		return NEAR_NOT;
	if (n == len && n <= LEN_MAX && begins(word, typed, n))
		return NEAR_CASE;
	if (shorter >= PREFIX_MIN && begins(word, typed, shorter))
		return NEAR_PREFIX;
	if (n > LEN_MAX || len > LEN_MAX || shorter < 3)
		return NEAR_NOT;
	return slips(typed, n, word, len) <= (shorter < 7 ? 1 : 2) ? NEAR_SLIP : NEAR_NOT;
}

/**
 * near_best() - the word that a person most likely meant
 * @typed:	what was typed
 * @words:	those that there are; NULL among them are passed over
 * @n:		how many
 *
 * Return: the first of the nearest, or NULL where none is near.
 */
const char *near_best(const char *typed, const char *const *words, size_t n)
{
	enum near best = NEAR_NOT;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		enum near near = words[i] ? near_word(typed, words[i]) : NEAR_NOT;

		if (near < best) {
			best = near;
			found = words[i];
		}
	}
	return found;
}
