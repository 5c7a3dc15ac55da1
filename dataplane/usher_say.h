/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a front-end's connection was closed, for a person. */
#pragma once

#include "base/log.h"
#include "base/usher.h"

void usher_tell_end(const struct usher *usher, struct log_limit *limit, const char *name);
