/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hot keys: chords that are struck on a keyboard in a guest, and meant for the daemon.
 *
 * The VM's process sees the chord in the keyboard's reports (usb/hid_input.h) and tells which one
 * it was. What it does is decided here.
 */
#pragma once

#include "base/hotkey.h"

struct commands;
struct device;
struct route_result;

void hotkey_struck(struct commands *commands, struct device *keyboard, enum hotkey which);
void hotkey_refused(struct commands *commands, const struct route_result *result, const char *vm);
