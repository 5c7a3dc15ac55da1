/* SPDX-License-Identifier: BSD-2-Clause */
/* XML for libvirt domains; see virt_snippet.h. */
#include "protocol/virt_snippet.h"

/* Text in an attribute: a path may have any byte in it. */
static void put_escaped(FILE *f, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", f);
			break;
		case '<':
			fputs("&lt;", f);
			break;
		case '\'':
			fputs("&apos;", f);
			break;
		default:
			putc(*text, f);
		}
	}
}

/**
 * virt_snippet_card() - the <interface> of a guest's card
 * @f:		where it goes
 * @socket:	the VM's socket
 * @mac:	the card's address; NULL: libvirt makes one
 *
 * QEMU connects, and connects again when the daemon was away: the daemon listens. Without a boot
 * ROM, since nothing can be booted from this network.
 */
void virt_snippet_card(FILE *f, const char *socket, const char *mac)
{
	fputs("<interface type='vhostuser'>\n", f);
	if (mac) {
		fputs("  <mac address='", f);
		put_escaped(f, mac);
		fputs("'/>\n", f);
	}
	fputs("  <source type='unix' path='", f);
	put_escaped(f, socket);
	fputs("' mode='client'>\n"
	      "    <reconnect enabled='yes' timeout='1'/>\n"
	      "  </source>\n"
	      "  <model type='virtio'/>\n"
	      "  <rom enabled='no'/>\n"
	      "</interface>\n",
	      f);
}

/**
 * virt_snippet_network() - what the card is that follows
 * @f:		where it goes
 * @network:	the further network's name
 */
void virt_snippet_network(FILE *f, const char *network)
{
	fprintf(f,
		"\n"
		"<!--\n"
		"  A card on the network %s, for a guest that is to have one there: beside the first one.\n"
		"-->\n",
		network);
}

/**
 * virt_snippet_both() - both parts, with what to do with them
 * @f:		where they go
 * @vm:		the VM's name
 * @socket:	its socket
 * @mac:	its card's address; NULL: libvirt makes one
 */
void virt_snippet_both(FILE *f, const char *vm, const char *socket, const char *mac)
{
	fprintf(f,
		"<!--\n"
		"  The two parts of a libvirt domain that make it the VM %s of usbrouted. `usbroutectl vm add`\n"
		"  puts them into a domain; by hand: `virsh edit DOMAIN`.\n"
		"\n"
		"  The guest's memory must be shared, because usbrouted reads and writes the card's rings in\n"
		"  it. This goes directly below <domain>:\n"
		"-->\n",
		vm);
	fputs(VIRT_SNIPPET_MEMORY, f);
	fputs("\n"
	      "<!--\n"
	      "  The card. usbrouted listens and QEMU connects, so the domain starts only while usbrouted\n"
	      "  runs; after that its card comes back by itself when usbrouted was restarted. This goes\n"
	      "  below <devices>:\n"
	      "-->\n",
	      f);
	virt_snippet_card(f, socket, mac);
}
