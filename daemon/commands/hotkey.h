/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hot keys: what is struck on a keyboard that a guest has, and meant for the daemon.
 *
 * The guest's thread sees the chord in the keyboard's reports (usb/hid_input.h) and posts which
 * one it was; what it does is decided here, in the control thread.
 */
#pragma once

#include "base/hotkey.h"

struct commands;
struct device;

void hotkey_struck(struct commands *commands, struct device *keyboard, enum hotkey which);
