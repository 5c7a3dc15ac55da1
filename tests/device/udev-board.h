/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A list of devices whose udev and sysfs are umockdev's, and what it has told: for tests of the list
 * and of what is known of each device.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <umockdev.h>

#include "daemon/devices/device.h"

#define KEYBOARD_DESCRIPTORS 52

struct board {
	UMockdevTestbed *bed;
	struct core core;
	struct wish_books books;
	struct devices devices;
	unsigned added, changed, removed, bound;
};

extern const uint8_t keyboard_descriptors[KEYBOARD_DESCRIPTORS];

int board_set_up(void **state);
int board_tear_down(void **state);
void board_begin(struct board *b);
void board_start(struct board *b);
void board_turn(struct board *b);
void board_settle(struct board *b);
void turn_until(struct board *b, const unsigned *n, unsigned want);
char *add_device(struct board *b, const char *parent, const char *name, const char *class,
		 const char *speed, const char *devnum, const void *descriptors, size_t len);
struct device *only_device(struct board *b);
struct device *by_busid(struct board *b, const char *busid);
