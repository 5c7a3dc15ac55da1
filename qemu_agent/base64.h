/* SPDX-License-Identifier: BSD-2-Clause */
/* Base64 (RFC 4648, section 4), in which QEMU's guest agent carries bytes. */
#pragma once

#include <stddef.h>

/* Characters that so many bytes take, without a NUL. */
#define BASE64_LEN(bytes) (((bytes) + 2) / 3 * 4)

void base64_encode(const void *data, size_t len, char *text);
size_t base64_decode(const char *text, void *data, size_t size);
