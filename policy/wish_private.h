/* SPDX-License-Identifier: BSD-2-Clause */
/* What the list of wishes (wish.c) and its file form (wish_file.c) need of each other. */
#pragma once

#include "policy/wish.h"

/* A wish of its own, in no list. Return: 0, -EINVAL where the target is no name, or -ENOMEM. */
int wish_new(struct wish **ret_wish, enum wish_kind kind, const char *target, const char *serial,
	     const char *port, const char *alias);
/* Takes the wish. */
void wishes_add(struct wishes *wishes, struct wish *w);
