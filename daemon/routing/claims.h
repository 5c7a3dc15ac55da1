/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list of claimed devices, kept in the runtime directory. From it a start after a crash knows
 * which devices the host's drivers don't have, and `usbrouted --release` which ones to give back.
 *
 * One device a line: busid, bus number, device number, vendor, product; VM and boot of the guest in
 * which somebody has let go of it; and the VM whose process it was given to, and by which number the
 * process knows it. "-" stands for what there is not. A device of another number is another device.
 */
#pragma once

#include "daemon/routing/route.h"

struct claim {
	struct list link;
	struct broker_device device;
	struct route_let_go let_go;
	struct route_before before;
};

int claims_load(const char *runtime_directory, struct list *claims);
void claims_clear(struct list *claims);
bool claims_take(struct list *claims, const struct device *device, struct route_let_go *ret_let_go,
		 struct route_before *ret_before);
int claims_save(struct routing *routing);
