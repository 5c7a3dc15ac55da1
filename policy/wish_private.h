/* SPDX-License-Identifier: BSD-2-Clause */
/* What the list of wishes (wish.c) and its file form (wish_file.c) need of each other. */
#pragma once

#include <stdio.h>

#include "policy/wish.h"

/* A wish of its own, in no list. Return: 0, -EINVAL where the target is no name, or -ENOMEM. */
int wish_new(struct wish **ret_wish, enum wish_kind kind, const char *target, const char *serial,
	     const char *port, const char *name);
struct wish *wish_free(struct wish *w);
int wish_set_asker(struct wish *w, const uint32_t *asker, size_t n);
int wish_parse_asker(uint32_t asker[WISH_ASKER_MAX], size_t *ret_n, char *field);
/* A copy of a wish with a target of its own. Return: as wish_new(). */
int wish_clone(struct wish **ret_wish, const struct wish *w, const char *target);
bool wish_hangs_on(const struct wish *w, const char *text);
bool wish_means(const struct wish *w, const struct device_facts *d, bool pair_is_unique);
/* Both are there, and equal. */
bool wish_same_text(const char *a, const char *b);
/* A copy of text that may be NULL. Return: 0 or -ENOMEM. */
int wish_copy_text(char **ret, const char *text);
/* Takes the wish. */
void wishes_add(struct wishes *wishes, struct wish *w);
void wishes_remove(struct wishes *wishes, struct wish *w);

#define WISH_LINE_MAX 8192

/*
 * Lines and fields of the file forms, which bearers have, too (bearer_file.c). Each line that is not empty and no
 * longer than WISH_LINE_MAX is taken, without its newline, and may be cut up. Return: 0, with how many lines said nothing;
 * or -ENOMEM, at once.
 */
int wish_each_line(const char *text, size_t len, int (*take)(void *ctx, char *line), void *ctx,
		   unsigned *ret_bad_lines);
bool wish_unescape(char *field);
void wish_put_escaped(FILE *f, const char *text);
