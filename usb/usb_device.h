/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One claimed USB device, on a descriptor that somebody else opened.
 *
 * A device belongs to one thread at a time (its user's), which calls everything here; between
 * usb_device_unbind() and usb_device_bind() it may be handed to another thread. It owns the
 * descriptor, its back-end (usb_backend.h), and the URBs in flight. It starts no thread and waits
 * for nothing: calls that block in the kernel are jobs, which a worker of the user's runs. While a
 * job is under way the device is *parked*: nothing is submitted, cancelled or reaped.
 *
 * States: new -> opening (job) -> ready <-> parked (job) -> draining -> closing (job) -> closed.
 * From any of them: gone (unplugged; URBs come back with -ESHUTDOWN), which still has to be closed.
 *
 * Between sessions a device is as after a reset: usb_device_end_session() cancels and drains what
 * is left, sets the configuration back to the one it was found in, and resets; only then is the
 * next session begun. Host drivers stay detached until the descriptor's opener binds them again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mailbox.h"

struct hid_chords;
struct hid_found;
struct usb_backend_ops;
struct usb_memory;
struct usb_device;

/*
 * One blocking call. run() is called in a worker and touches only what the job owns and the
 * back-end; done() afterwards in the user's thread. Embedded in the device, one at a time.
 */
struct usb_job {
	struct letter letter; /* for the user's way back */
	void (*run)(struct usb_job *job);
	void (*done)(struct usb_job *job);
	const char *what;     /* for log lines: "reset" … */
	unsigned deadline_ms; /* past it the call counts as stuck in the kernel */
};

/* What a device asks of its user. @ctx is as given to usb_device_bind(). */
struct usb_device_ops {
	/*
	 * Have a worker call job->run(job), then job->done(job) in this thread. May not fail: if no
	 * thread can be had, call run() here.
	 */
	void (*job)(void *ctx, struct usb_job *job);
	/* Call usb_device_events() when @fd is ready (EPOLLIN/EPOLLOUT, level: once, then armed
	 * again after each handling) / no more, called before the descriptor is closed. */
	void (*watch)(void *ctx, int fd, short events);
	void (*unwatch)(void *ctx, int fd);
	/* Opening ended: 0, or a negative errno with @reason (static or the device's own text). */
	void (*opened)(void *ctx, int r, const char *reason);
	/* The session has ended, all its URBs are back, the device is as after a reset (0) or could
	 * not be brought there. */
	void (*session_ended)(void *ctx, int r, const char *reason);
	/* Closing ended: nothing is under way any more; usb_device_free() may be called. */
	void (*closed)(void *ctx);
	/* The device is gone (unplugged), told once. */
	void (*gone)(void *ctx);
	/* The parked state ended: what was held back for it may be acted on. */
	void (*resumed)(void *ctx);
	/* A chord was struck on it: the number in what usb_device_watch_for() was given. Nothing
	 * may be asked of the device from within. May be NULL. */
	void (*struck)(void *ctx, unsigned chord);
};

int usb_device_library_init(void);
void usb_device_use(const struct usb_backend_ops *const *backends);

int usb_device_new(struct usb_device **ret_dev, const char *name, int fd);
void usb_device_expect(struct usb_device *dev, uint8_t configuration);
struct usb_device *usb_device_free(struct usb_device *dev);
void usb_device_bind(struct usb_device *dev, const struct usb_device_ops *ops, void *ctx);
void usb_device_unbind(struct usb_device *dev);
void usb_device_charge_to(struct usb_device *dev, struct usb_memory *memory);

void usb_device_open(struct usb_device *dev);
void usb_device_close(struct usb_device *dev);
void usb_device_events(struct usb_device *dev);
void usb_device_end_session(struct usb_device *dev);
void usb_device_watch_for(struct usb_device *dev, const struct hid_chords *chords);

bool usb_device_ready(const struct usb_device *dev);
bool usb_device_parked(const struct usb_device *dev);
unsigned usb_device_in_flight(const struct usb_device *dev);
const struct hid_found *usb_device_found(const struct usb_device *dev);
