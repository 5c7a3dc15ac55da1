// SPDX-License-Identifier: BSD-2-Clause
/*
 * framewatch - prints what spoof (spoof.c) got through to this machine.
 *
 *	framewatch IFACE
 *
 * One line a frame: "ready" first, then "frame NAME" for each frame that carries "spoof:NAME;".
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	int sock = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	static char frame[1 << 16];
	ssize_t n;

	at.sll_ifindex = argc == 2 ? (int)if_nametoindex(argv[1]) : 0;
	if (sock < 0 || !at.sll_ifindex || bind(sock, (struct sockaddr *)&at, sizeof(at))) {
		perror("framewatch");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while ((n = recv(sock, frame, sizeof(frame) - 1, 0)) >= 0) {
		char *found, *end;

		frame[n] = 0;
		found = memmem(frame, (size_t)n, "spoof:", 6);
		end = found ? strchr(found, ';') : NULL;
		if (end)
			printf("frame %.*s\n", (int)(end - found - 6), found + 6);
	}
	return 1;
}
