/* SPDX-License-Identifier: BSD-2-Clause */
/* Initial sequence numbers that nobody can guess who has not the key (RFC 6528). Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct tcp_path;

uint64_t tcp_siphash(const uint8_t key[16], const void *data, size_t len);
uint32_t tcp_isn(const uint8_t key[16], const struct tcp_path *path, uint64_t now);
