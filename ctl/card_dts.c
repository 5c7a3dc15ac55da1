/* SPDX-License-Identifier: BSD-2-Clause */
/* See card_dts.h. */
#include "ctl/card_dts.h"

/*
 * QEMU's machine `virt` has 32 places for virtio over MMIO (hw/arm/virt.c: VIRT_MMIO, a15irqmap,
 * create_virtio_devices()), of 0x200 bytes from 0x0a000000 on, with SPIs from 16 on. Bus 31 is the
 * last one: QEMU puts the first device that names no bus there, and the next ones below it.
 */
#define PLACE_LAST  31
#define PLACE_SIZE  0x200
#define PLACE_FIRST 0x0a000000
#define SPI_FIRST   16

/* Its machine `microvm` without ACPI has 8, on another bus (hw/i386/microvm.c: microvm_devices_init()). */
#define MICROVM_PLACES 8
#define MICROVM_FIRST  0xfeb00000u
#define MICROVM_IRQ    5

/*
 * QEMU's default of virtio-mmio.force-legacy is on (7.2 and 10.0, hw/virtio/virtio-mmio.c). usbrouted
 * serves no interface older than virtio 1.0.
 */

/* In an option of QEMU's a comma ends a value. A doubled one is part of it. */
static void put_value(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == ',')
			putc(',', f);
		putc(*text, f);
	}
}

/* Its options; a card on a further network has the network's name in its ids. */
static void put_options(FILE *f, const char *network, const char *socket, const char *mac,
			unsigned bus)
{
	const char *dash = network ? "-" : "", *name = network ? network : "";

	fprintf(f, "//   -chardev socket,id=card%s%s,path=", dash, name);
	put_value(f, socket);
	fprintf(f,
		",reconnect=1\n"
		"//   -netdev vhost-user,id=net%s%s,chardev=card%s%s\n"
		"//   -device virtio-net-device,netdev=net%s%s,",
		dash, name, dash, name, dash, name);
	if (mac)
		fprintf(f, "mac=%s,", mac);
	fprintf(f, "bus=virtio-mmio-bus.%u\n//\n", bus);
}

static void put_node(FILE *f, unsigned bus)
{
	unsigned address = PLACE_FIRST + bus * PLACE_SIZE;

	fprintf(f,
		"/ {\n"
		"\tvirtio_mmio@%x {\n"
		"\t\tcompatible = \"virtio,mmio\";\n"
		"\t\treg = <0x0 0x%08x 0x0 0x%x>;\n"
		"\t\tinterrupts = <0 %u 1>;\n"
		"\t\tdma-coherent;\n"
		"\t};\n"
		"};\n",
		address, address, PLACE_SIZE, SPI_FIRST + bus);
}

/**
 * card_dts() - what a guest without PCI needs to have one of a VM's cards
 * @f:		where it goes
 * @card:	which, from 0 on, each at a place of its own
 * @vm:		the VM's name
 * @network:	the further network's name; NULL: the private segment, which comes first
 * @socket:	the card's socket
 * @mac:	the card's address; NULL: QEMU makes one
 *
 * The text is a source that dtc takes behind another one. The node follows Linux's binding
 * virtio/mmio.yaml. Its interrupt follows the GIC's binding: an SPI, at a rising edge.
 */
void card_dts(FILE *f, unsigned card, const char *vm, const char *network, const char *socket,
	      const char *mac)
{
	unsigned bus = PLACE_LAST - card;

	if (network)
		fprintf(f, "// Its card on the network %s:\n//\n", network);
	else
		fprintf(f,
			"// The card of the VM %s of usbrouted in a guest without PCI: virtio over MMIO.\n"
			"//\n"
			"// What QEMU is told, beside memory that is shared. The machine is virt (9.2 and later\n"
			"// want reconnect-ms=1000 in place of reconnect=1):\n"
			"//\n"
			"//   -object memory-backend-memfd,id=mem,size=512M,share=on\n"
			"//   -machine memory-backend=mem -global virtio-mmio.force-legacy=false\n",
			vm);
	put_options(f, network, socket, mac, bus);
	if (!network)
		fputs("// QEMU gives that machine a device tree which has this node. A tree of your own needs\n"
		      "// it, with the address and the interrupt that your machine has there.\n",
		      f);
	put_node(f, bus);
	if (!network)
		fputs("// A kernel without a device tree (x86; CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y) takes the\n"
		      "// place as a boot argument. QEMU's machine microvm adds it by itself; its first place is\n"
		      "// virtio-mmio-bus.0:\n"
		      "//\n",
		      f);
	else if (card < MICROVM_PLACES)
		fprintf(f, "// On microvm it is virtio-mmio-bus.%u:\n//\n", card);
	else
		fprintf(f, "// QEMU's machine microvm has no place for it.\n");
	if (card < MICROVM_PLACES)
		fprintf(f, "//   virtio_mmio.device=%u@0x%x:%u\n", PLACE_SIZE,
			MICROVM_FIRST + card * PLACE_SIZE, MICROVM_IRQ + card);
}
