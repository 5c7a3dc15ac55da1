/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers as they lie in wire and descriptor structs: a struct around bytes, so that a value in
 * the wrong order, or at an odd address, can't be used by mistake.
 */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

typedef struct {
	uint8_t b[2];
} be16;
typedef struct {
	uint8_t b[4];
} be32;
typedef struct {
	uint8_t b[2];
} le16;
typedef struct {
	uint8_t b[4];
} le32;
typedef struct {
	uint8_t b[8];
} le64;

#define ENDIAN_ACCESS(type, bits, conv_get, conv_put)   \
	static inline uint##bits##_t type##_get(type v) \
	{                                               \
		uint##bits##_t x;                       \
		memcpy(&x, v.b, sizeof(x));             \
		return conv_get(x);                     \
	}                                               \
	static inline type type##_of(uint##bits##_t x)  \
	{                                               \
		type v;                                 \
		x = conv_put(x);                        \
		memcpy(v.b, &x, sizeof(x));             \
		return v;                               \
	}

ENDIAN_ACCESS(be16, 16, be16toh, htobe16)
ENDIAN_ACCESS(be32, 32, be32toh, htobe32)
ENDIAN_ACCESS(le16, 16, le16toh, htole16)
ENDIAN_ACCESS(le32, 32, le32toh, htole32)
ENDIAN_ACCESS(le64, 64, le64toh, htole64)
