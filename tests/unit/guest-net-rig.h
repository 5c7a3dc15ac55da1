/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest of the product's own thread, a driver with rings and a TCP of ten lines, and control as the test: for
 * the tests of what goes over the guest's connections.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/loop.h"
#include "dataplane/guest.h"
#include "tests/unit/tcp-end.h"

#define PATIENCE_MS 20000
#define FIRST_SEQ   1000u

struct rig {
	struct loop *loop;
	struct guest *guest;
	char path[64];
	struct fe fe;
	unsigned ups, ended, agents;
	uint32_t last_agent;
	unsigned n_asked;
	uint32_t client;
	char name[40];
};

void until(struct rig *rig, const unsigned *count, unsigned n);
int connects_to(struct rig *rig);
void starts(struct rig *rig);
void boots(struct rig *rig);
void says(struct rig *rig, const struct end *e, uint8_t flags, const void *data, size_t len);
bool comes(struct rig *rig, struct seen *s, unsigned ms);
struct seen hears(struct rig *rig, struct end *e);
void is_heard(struct rig *rig, const struct end *e);
struct end connects(struct rig *rig, uint16_t from, uint16_t to);
void sends(struct rig *rig, struct end *e, const void *data, size_t len);
int set_up(void **state);
int tear_down(void **state);
void stops(struct rig *rig, uint32_t base[VIRTIO_NET_RINGS]);
void goes_on(struct rig *rig, const uint32_t base[VIRTIO_NET_RINGS]);
void connects_anew(struct rig *rig);
