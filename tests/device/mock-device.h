/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A USB device that umockdev pretends: a keyboard behind usbfs' ioctls, with hooks for what goes
 * wrong. usbfs' ioctls are answered in umockdev's thread.
 *
 * What it can't pretend: a descriptor that is ready only when something is (it is a regular file),
 * POLLERR at unplugging, blocking calls, host drivers.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <umockdev.h>

#define MOCK_MAX_URBS 64

struct mock_urb {
	UMockdevIoctlData *urb, *buffer;
	bool done;
};

struct mock {
	UMockdevTestbed *testbed;
	UMockdevIoctlBase *handler;
	pthread_mutex_t lock;		     /* all below */
	struct mock_urb urbs[MOCK_MAX_URBS]; /* in the order of submission */
	unsigned n_urbs;
	int claim_errno, reset_errno, submit_errno, set_interface_errno, set_configuration_errno,
		report_descriptor_errno, get_configuration_errno;
	int report_descriptor_cut; /* bytes that are missing of it */
	int keyboard;		   /* which interface has it; others don't answer */
	uint8_t configuration;
	uint8_t leds;
	int control_length; /* wLength of the last control request */
	unsigned n_submitted, n_discarded;
	unsigned n_packets; /* isochronous ones in, so far */
	uint8_t next_byte;
	uint8_t out[4096]; /* isochronous bytes out */
	size_t n_out;
	char log[8192]; /* calls but for transfers: "claim0 reset release0" … */
};

void mock_new(struct mock *mock, uint16_t vendor, uint16_t product);
void mock_new_of(struct mock *mock, const void *node, size_t len, uint8_t configuration);
void mock_free(struct mock *mock);
int mock_open(void);
bool mock_key(struct mock *mock, uint8_t key);
bool mock_report(struct mock *mock, const uint8_t report[8]);
bool mock_packets(struct mock *mock);
void mock_unplug(struct mock *mock);
void mock_set(struct mock *mock, int *field, int value);
bool mock_logged(struct mock *mock, const char *what);
void mock_forget(struct mock *mock);
