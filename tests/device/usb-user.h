/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whoever has a device (struct user): its jobs run in a worker, its descriptors are polled, and its session
 * has a client, as in a guest's thread. Below it are libusb and a device of mock-device.h.
 */
#pragma once

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "../unit/script-backend.h"
#include "base/fd.h"
#include "base/mailbox.h"
#include "mock-device.h"
#include "usb/hid_chord.h"
#include "usb/hid_found.h"
#include "usb/usb_device.h"
#include "usb/usb_memory.h"
#include "usbip/usbip_session.h"

#define turn_until(u, condition)                                   \
	do {                                                       \
		double start_ = now();                             \
		while (!(condition)) {                             \
			turn(u);                                   \
			if (now() - start_ > 20)                   \
				fail_msg("never: %s", #condition); \
		}                                                  \
	} while (0)
#define DEVICE(configurations) \
	18, 1, 0x00, 0x02, 0, 0, 0, 64, 0x6b, 0x1d, 5, 1, 0, 1, 0, 0, 0, configurations
#define CONFIG(total, value) 9, 2, total, 0, 1, value, 0, 0x80, 50
#define INTERRUPT(address)   7, 5, address, 3, 8, 0, 10

struct user {
	struct mock mock;
	struct mailbox box;
	struct usb_device *dev;
	struct usbip_session *session;
	int fd, server, client;
	struct stat node; /* which file @fd is */
	pthread_t worker;
	struct usb_job *job;
	struct pollfd watched[8];
	unsigned n_watched;
	/* what was told */
	int opened, ended;
	bool was_opened, was_ended, was_closed, run_at_once, hand_over;
	unsigned n_gone, n_resumed, n_struck;
	char reason[160];
	/* who has the device next */
	const struct usb_device_ops *next_ops;
	struct user *next;
	/* what the client has */
	uint8_t got[65536];
	size_t n_got;
};

extern const struct usb_device_ops ops;
extern const struct pdu_submit interrupt_in;
extern const struct pdu_submit get_descriptor;

void turn(struct user *u);
double now(void);
bool node_open(const struct user *u);
struct user *user_new(uint16_t vendor, uint16_t product);
struct user *user_new_of(const void *node, size_t len, uint8_t configuration);
void user_open(struct user *u);
void user_attach(struct user *u);
void user_detach(struct user *u);
void user_free(struct user *u);
void ask(struct user *u, struct pdu_submit pdu, const void *payload);
void unlink_urb(struct user *u, uint32_t seqnum, uint32_t victim);
void expect(struct user *u, uint32_t command, uint32_t seqnum, int status, uint32_t data_len,
	    uint8_t *data);
struct pdu_submit with_seqnum(struct pdu_submit pdu, uint32_t seqnum);
void report(struct user *u, uint32_t seqnum, const char *in, const char *out);
