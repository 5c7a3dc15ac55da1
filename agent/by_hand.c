/* SPDX-License-Identifier: BSD-2-Clause */
/* Who writes to vhci-hcd's file `detach`; see by_hand.h. */
#include "agent/by_hand.h"

#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/fd.h"

/**
 * by_hand_init() - begin
 * @hand:	to fill in; nothing is watched yet
 */
void by_hand_init(struct by_hand *hand)
{
	*hand = (struct by_hand){.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .watch = -1};
}

/**
 * by_hand_deinit() - end
 * @hand:	initialised
 */
void by_hand_deinit(struct by_hand *hand)
{
	hand->fd = fd_close(hand->fd);
	hand->watch = -1;
}

/**
 * by_hand_watch() - watch the controller's file, where it is not watched
 * @hand:		initialised
 * @vhci_folder:	the controller's folder; "": there is none
 */
void by_hand_watch(struct by_hand *hand, const char *vhci_folder)
{
	char path[PATH_MAX];

	if (hand->fd < 0 || hand->watch >= 0 || !*vhci_folder ||
	    snprintf(path, sizeof(path), "%s/detach", vhci_folder) >= (int)sizeof(path))
		return;
	hand->watch = inotify_add_watch(hand->fd, path, IN_MODIFY);
}

/**
 * by_hand_news() - whether somebody has written since this was last asked
 * @hand:	initialised
 */
bool by_hand_news(struct by_hand *hand)
{
	_Alignas(struct inotify_event) char buf[4096];
	bool written = false;
	ssize_t n;

	while (hand->fd >= 0 && (n = read(hand->fd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);

			written = written || (e->mask & IN_MODIFY);
			/* The module was unloaded. */
			if ((e->mask & IN_IGNORED) && e->wd == hand->watch)
				hand->watch = -1;
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
	return written;
}

/**
 * by_hand_forget() - this program itself has just written
 * @hand:	initialised
 */
void by_hand_forget(struct by_hand *hand)
{
	(void)by_hand_news(hand);
}
