/* SPDX-License-Identifier: BSD-2-Clause */
/* One card, its front-end, and a frame for the daemon: for the tests of drivers that break their own card. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/net_rules.h"
#include "vu-frontend.h"

#define NEXT VIRTQ_DESC_F_NEXT
#define WR   VIRTQ_DESC_F_WRITE
#define IND  VIRTQ_DESC_F_INDIRECT

#define BUF   (FE_GPA + FE_TX_BUF)
#define TABLE (FE_GPA + FE_HALF - 32) /* two entries before the border, the rest behind it */
#define END   (FE_GPA + FE_SIZE)
#define FRAME 72u

static struct fe_net net;
static struct fe fe;

static inline int set_up_with(uint64_t features)
{
	struct net_port_config config = fe_config(0);

	fe_net_init(&net);
	fe_open(&fe, &net, &config);
	fe_start(&fe, features, 256);
	return net_port_up(fe.port) ? 0 : -1;
}

static inline int tear_down(void **state _unused_)
{
	fe_close(&fe);
	fe_net_deinit(&net);
	return 0;
}

/* 60 bytes of ARP to the daemon, with a virtio-net header of zeros, at BUF. */
static inline void put_frame(void)
{
	static const uint8_t arp[] = {
		0x02, 0x75, 0x73, 0x62, 0x72, 0x64, 2, 0, 0, 0, 0,  10, 0x08, 0x06,
		0,    1,    8,	  0,	6,    4,    0, 1, 2, 0, 0,  0,	0,    10,
		10,   77,   0,	  10,	0,    0,    0, 0, 0, 0, 10, 77, 0,    1,
	};

	memset(fe_at(&fe, BUF), 0, FRAME);
	memcpy(fe_at(&fe, BUF) + 12, arp, sizeof(arp));
}
