/* SPDX-License-Identifier: BSD-2-Clause */
/* The hot keys that there are. */
#pragma once

enum hotkey {
	HOTKEY_PANIC, /* every keyboard and mouse to the host */
	HOTKEY_NEXT,  /* what the keyboard belongs to goes to the next VM */
	HOTKEYS
};
