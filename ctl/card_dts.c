/* SPDX-License-Identifier: BSD-2-Clause */
/* See card_dts.h. */
#include "ctl/card_dts.h"

/*
 * QEMU's machine `virt` has 32 places for virtio over MMIO (hw/arm/virt.c: VIRT_MMIO, a15irqmap,
 * create_virtio_devices()), of 0x200 bytes from 0x0a000000 on, with SPIs from 16 on. Bus 31 is the
 * last one: QEMU puts the first device that names no bus there.
 */
#define PLACE	      31
#define PLACE_SIZE    0x200
#define PLACE_ADDRESS (0x0a000000 + PLACE * PLACE_SIZE)
#define PLACE_SPI     (16 + PLACE)

/* The first place of its machine `microvm` without ACPI (hw/i386/microvm.c: microvm_devices_init()). */
#define MICROVM_PLACE "512@0xfeb00000:5"

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

/**
 * card_dts() - what a guest without PCI needs to have a VM's card
 * @f:		where it goes
 * @vm:		the VM's name
 * @socket:	its socket
 * @mac:	its card's address; NULL: QEMU makes one
 *
 * The text is a source that dtc takes behind another one. The node follows Linux's binding
 * virtio/mmio.yaml. Its interrupt follows the GIC's binding: an SPI, at a rising edge.
 */
void card_dts(FILE *f, const char *vm, const char *socket, const char *mac)
{
	fprintf(f,
		"// The card of the VM %s of usbrouted in a guest without PCI: virtio over MMIO.\n"
		"//\n"
		"// What QEMU is told, beside memory that is shared. The machine is virt (9.2 and later\n"
		"// want reconnect-ms=1000 in place of reconnect=1):\n"
		"//\n"
		"//   -object memory-backend-memfd,id=mem,size=512M,share=on\n"
		"//   -machine memory-backend=mem -global virtio-mmio.force-legacy=false\n"
		"//   -chardev socket,id=card,path=",
		vm);
	put_value(f, socket);
	fputs(",reconnect=1\n"
	      "//   -netdev vhost-user,id=net,chardev=card\n"
	      "//   -device virtio-net-device,netdev=net,",
	      f);
	if (mac)
		fprintf(f, "mac=%s,", mac);
	fprintf(f,
		"bus=virtio-mmio-bus.%d\n"
		"//\n"
		"// QEMU gives that machine a device tree which has this node. A tree of your own needs\n"
		"// it, with the address and the interrupt that your machine has there.\n"
		"/ {\n"
		"\tvirtio_mmio@%x {\n"
		"\t\tcompatible = \"virtio,mmio\";\n"
		"\t\treg = <0x0 0x%08x 0x0 0x%x>;\n"
		"\t\tinterrupts = <0 %d 1>;\n"
		"\t\tdma-coherent;\n"
		"\t};\n"
		"};\n"
		"// A kernel without a device tree (x86; CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y) takes the\n"
		"// place as a boot argument. QEMU's machine microvm adds it by itself; its first place is\n"
		"// virtio-mmio-bus.0:\n"
		"//\n"
		"//   virtio_mmio.device=" MICROVM_PLACE "\n",
		PLACE, PLACE_ADDRESS, PLACE_ADDRESS, PLACE_SIZE, PLACE_SPI);
}
