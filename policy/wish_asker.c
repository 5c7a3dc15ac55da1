/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who has made a wish, where only a rule gave them the right to: a user's number, and the numbers of
 * all groups of that user.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/wish_private.h"

/* Numbers of a user and of groups, in memory of the wish's own. */
int wish_set_asker(struct wish *w, const uint32_t *asker, size_t n)
{
	uint32_t *copy = n ? malloc(n * sizeof(*copy)) : NULL;

	if (n && !copy)
		return -ENOMEM;
	if (n)
		memcpy(copy, asker, n * sizeof(*copy));
	free(w->asker);
	w->asker = copy;
	w->n_asker = n;
	return 0;
}

/* The file's field, which is cut up; no numbers where it is empty. Return: 0 or -EINVAL. */
int wish_parse_asker(uint32_t asker[WISH_ASKER_MAX], size_t *ret_n, char *field)
{
	char *number;

	*ret_n = 0;
	while (*field && (number = strsep(&field, ","))) {
		if (!*number || strlen(number) > 10 ||
		    strspn(number, "0123456789") != strlen(number) ||
		    strtoull(number, NULL, 10) > UINT32_MAX || *ret_n == WISH_ASKER_MAX)
			return -EINVAL;
		asker[(*ret_n)++] = (uint32_t)strtoull(number, NULL, 10);
		if (!field)
			return 0;
	}
	return *ret_n ? -EINVAL : 0;
}

/**
 * wishes_last_asked_by() - remember who has made the wish that was set last
 * @wishes:	the list, not empty
 * @uid:	the user's number
 * @gids:	the numbers of all groups of that user; the first WISH_ASKER_MAX - 1 are kept
 * @n_gids:	how many
 *
 * Return: 0 or -ENOMEM.
 */
int wishes_last_asked_by(struct wishes *wishes, uint32_t uid, const uint32_t *gids, size_t n_gids)
{
	uint32_t asker[WISH_ASKER_MAX] = {uid};
	size_t n = min_t(size_t, n_gids, WISH_ASKER_MAX - 1);

	if (n)
		memcpy(asker + 1, gids, n * sizeof(*gids));
	return wish_set_asker(list_entry(wishes->all.prev, struct wish, link), asker, 1 + n);
}
