/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device in a guest's thread; see guest.h. Its session is in guest_session.c.
 *
 * States and what moves them (all in the thread):
 *
 *   AWAY --give--> OPENING --opened--> IDLE --import--> SESSION --closed, cut, gone--> ENDING
 *     --at rest--> IDLE; OPENING, ENDING --failed--> FAILED
 *   IDLE or FAILED, with "taking" set -> AWAY (handed back) or CLOSING -> AWAY (closed)
 *
 * A reset is what ENDING does anyhow: IDLE or SESSION --reset--> ENDING.
 * "taking" may be set in any state; it is acted upon when the state next comes to rest. A device
 * that is given back opened keeps its claim: the next guest's thread goes straight to IDLE.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "dataplane/guest_private.h"

static void gd_rest(struct guest_device *gd);

/* ------------------------------------------------------------- events to control */

/* Tell control. */
void guest_device_event(struct guest_device *gd, struct guest_device_event *ev, letter_fn deliver,
			int r, const char *reason)
{
	ev->r = r;
	ev->text[0] = 0;
	if (reason)
		snprintf(ev->text, sizeof(ev->text), "%s", reason);
	loop_post(gd->control, &ev->letter, deliver);
}

#define GD_DELIVER(member, call)                                                       \
	static void gd_deliver_##member(struct letter *letter)                         \
	{                                                                              \
		struct guest_device *gd =                                              \
			container_of(letter, struct guest_device, ev_##member.letter); \
		const struct guest_device_event *ev _unused_ = &gd->ev_##member;       \
		if (gd->events)                                                        \
			call;                                                          \
	}

GD_DELIVER(opened, gd->events->opened(gd->ctx, ev->r, ev->text))
GD_DELIVER(ended, gd->events->session_ended(gd->ctx, ev->r, ev->text))
GD_DELIVER(reset, gd->events->was_reset(gd->ctx, ev->r, ev->text))
GD_DELIVER(gone, gd->events->gone(gd->ctx))
GD_DELIVER(stuck, gd->events->stuck(gd->ctx, ev->text))

/*
 * A device that was forgotten on its way from one guest to the next (it was unplugged) is open, and
 * in no thread: control closes it itself. It has no session, and nothing is in flight. The call
 * runs in a worker, as all do, and nothing needs to be watched for that.
 */
static void orphan_back(void *ctx _unused_)
{
}

static void orphan_job(void *ctx, struct usb_job *job)
{
	struct guest_device *gd = ctx;

	worker_run(&gd->worker, job, gd->control, orphan_back, gd);
}

static void orphan_watch(void *ctx _unused_, int fd _unused_, short events _unused_)
{
}

static void orphan_unwatch(void *ctx _unused_, int fd _unused_)
{
}

static void orphan_closed(void *ctx)
{
	guest_device_free(ctx);
}

static const struct usb_device_ops orphan_ops = {
	.job = orphan_job,
	.watch = orphan_watch,
	.unwatch = orphan_unwatch,
	.closed = orphan_closed,
};

static void gd_deliver_taken(struct letter *letter)
{
	struct guest_device *gd = container_of(letter, struct guest_device, ev_taken.letter);
	const struct guest_device_event *ev = &gd->ev_taken;

	gd->guest = NULL;
	if (gd->events) {
		gd->events->taken(gd->ctx, ev->closed, ev->r, ev->text);
	} else if (ev->closed) {
		guest_device_free(gd);
	} else {
		usb_device_bind(gd->usb, &orphan_ops, gd);
		usb_device_close(gd->usb);
	}
}

static void gd_deliver_hotkey(struct letter *letter)
{
	struct guest_device_hotkey *ev = container_of(letter, struct guest_device_hotkey, letter);
	struct guest_device *gd = ev->gd;

	atomic_store(&ev->posted, false);
	if (gd->events)
		gd->events->hotkey(gd->ctx, (enum hotkey)(ev - gd->ev_hotkey));
}

static void gd_deliver_hid(struct letter *letter)
{
	struct guest_device_hid *ev = container_of(letter, struct guest_device_hid, letter);
	struct guest_device *gd = container_of(ev, struct guest_device, ev_hid);
	struct hid_found found;

	atomic_store(&ev->posted, false);
	pthread_mutex_lock(&ev->lock);
	found = ev->found;
	pthread_mutex_unlock(&ev->lock);
	if (gd->events && gd->events->hid)
		gd->events->hid(gd->ctx, &found);
}

/* Tell control what a blocking call has found out about its keyboards. */
static void gd_tell_hid(struct guest_device *gd)
{
	struct guest_device_hid *ev = &gd->ev_hid;
	bool news;

	pthread_mutex_lock(&ev->lock);
	news = hid_found_join(&ev->found, usb_device_found(gd->usb));
	pthread_mutex_unlock(&ev->lock);
	if (news && !atomic_exchange(&ev->posted, true))
		loop_post(gd->control, &ev->letter, gd_deliver_hid);
}

/* ------------------------------------------------------------- what the device asks for */

static void gd_stuck(void *ctx, int res _unused_)
{
	struct guest_device *gd = ctx;
	const char *what = gd->worker.job ? gd->worker.job->what : "a call";

	gd->stuck = true;
	log_err("%s: %s: \"%s\" is stuck in the kernel; the device is given up",
		gd->guest->cfg.name, gd->name, what);
	guest_device_event(gd, &gd->ev_stuck, gd_deliver_stuck, -ETIMEDOUT, what);
}

static void gd_job_back(void *ctx)
{
	struct guest_device *gd = ctx;

	loop_cancel(gd->guest->loop, &gd->job_timer);
}

static void gd_job(void *ctx, struct usb_job *job)
{
	struct guest_device *gd = ctx;

	loop_watch_time(gd->guest->loop, &gd->job_timer, job->deadline_ms * 1000000ull, gd_stuck,
			gd);
	worker_run(&gd->worker, job, gd->guest->loop, gd_job_back, gd);
}

static void gd_fd_ready(void *ctx, int res _unused_)
{
	struct guest_device_fd *entry = ctx;
	struct guest_device *gd = entry->gd;

	usb_device_events(gd->usb);
	/*
	 * Armed again each time, which makes it level-triggered: libusb reaps only so many at a
	 * time.
	 */
	if (entry->fd >= 0)
		loop_watch_again(gd->guest->loop, &entry->watch);
}

static void gd_watch(void *ctx, int fd, short events)
{
	struct guest_device *gd = ctx;

	for (size_t i = 0; i < GUEST_DEVICE_FDS; i++) {
		if (gd->fds[i].fd >= 0)
			continue;
		gd->fds[i].gd = gd;
		gd->fds[i].fd = fd;
		if (loop_watch_fd(gd->guest->loop, &gd->fds[i].watch, fd, (uint32_t)events, 0,
				  gd_fd_ready, &gd->fds[i]) < 0)
			log_err("%s: %s: no room to watch it", gd->guest->cfg.name, gd->name);
		return;
	}
	log_err("%s: %s: libusb has more descriptors than were expected", gd->guest->cfg.name,
		gd->name);
}

static void gd_unwatch(void *ctx, int fd)
{
	struct guest_device *gd = ctx;

	for (size_t i = 0; i < GUEST_DEVICE_FDS; i++) {
		if (gd->fds[i].fd != fd)
			continue;
		loop_cancel(gd->guest->loop, &gd->fds[i].watch);
		gd->fds[i].fd = -1;
	}
}

static void gd_opened(void *ctx, int r, const char *reason)
{
	struct guest_device *gd = ctx;

	gd->opened = r == 0;
	gd->state = r == 0 ? GD_IDLE : GD_FAILED;
	if (r == 0)
		gd_tell_hid(gd);
	guest_device_event(gd, &gd->ev_opened, gd_deliver_opened, r, reason);
	gd_rest(gd);
}

static void gd_session_ended(void *ctx, int r, const char *reason)
{
	struct guest_device *gd = ctx;

	gd->session = usbip_session_free(gd->session);
	gd->end_result = r;
	gd->state = r == 0 ? GD_IDLE : GD_FAILED;
	if (gd->had_session)
		guest_device_event(gd, &gd->ev_ended, gd_deliver_ended, r, reason);
	if (gd->resetting)
		guest_device_event(gd, &gd->ev_reset, gd_deliver_reset, r, reason);
	gd->had_session = gd->resetting = false;
	gd_rest(gd);
}

/*
 * The thread has done with a device. Functions on the stack may still look at it; so control, and
 * the next guest's thread, hear of it at the end of the turn.
 */
static void gd_leave(struct guest_device *gd, bool closed)
{
	gd->state = GD_AWAY;
	gd->taking = gd->exported = false;
	gd->ev_taken.closed = closed;
	list_remove(&gd->link);
	list_append(&gd->guest->leaving, &gd->link);
}

/**
 * guest_devices_leave() - tell control of the devices that this turn has done with
 * @guest:	the guest; at the end of a turn
 */
void guest_devices_leave(struct guest *guest)
{
	struct list *l;

	while ((l = list_pop(&guest->leaving))) {
		struct guest_device *gd = list_entry(l, struct guest_device, link);

		guest_device_event(gd, &gd->ev_taken, gd_deliver_taken, gd->end_result, NULL);
	}
	guest_maybe_done(guest);
}

static void gd_closed(void *ctx)
{
	struct guest_device *gd = ctx;

	loop_cancel(gd->guest->loop, &gd->job_timer);
	for (size_t i = 0; i < GUEST_DEVICE_FDS; i++)
		gd_unwatch(gd, gd->fds[i].fd);
	gd->usb = usb_device_free(gd->usb);
	gd->opened = false;
	gd_leave(gd, true);
}

static void gd_gone(void *ctx)
{
	struct guest_device *gd = ctx;

	gd->gone = true;
	guest_device_event(gd, &gd->ev_gone, gd_deliver_gone, 0, NULL);
	guest_session_close(gd, "the device is gone");
}

static void gd_resumed(void *ctx)
{
	struct guest_device *gd = ctx;

	gd_tell_hid(gd);
	gd->resumed = true;
}

/* A chord that is struck again before control has heard of it counts once. */
static void gd_struck(void *ctx, unsigned chord)
{
	struct guest_device *gd = ctx;
	struct guest_device_hotkey *ev = &gd->ev_hotkey[chord];

	if (!atomic_exchange(&ev->posted, true))
		loop_post(gd->control, &ev->letter, gd_deliver_hotkey);
}

static const struct usb_device_ops gd_ops = {
	.job = gd_job,
	.watch = gd_watch,
	.unwatch = gd_unwatch,
	.opened = gd_opened,
	.session_ended = gd_session_ended,
	.closed = gd_closed,
	.gone = gd_gone,
	.resumed = gd_resumed,
	.struck = gd_struck,
};

/* ------------------------------------------------------------- given and taken */

/* Nothing is under way: go where the device was told to. */
static void gd_rest(struct guest_device *gd)
{
	if (!gd->taking || (gd->state != GD_IDLE && gd->state != GD_FAILED))
		return;
	if (gd->close_it || gd->gone || gd->state == GD_FAILED) {
		gd->state = GD_CLOSING;
		usb_device_close(gd->usb);
		return;
	}
	usb_device_unbind(gd->usb);
	gd_leave(gd, false);
}

static void gd_take(struct guest_device *gd, bool close_it)
{
	gd->taking = true;
	gd->close_it = gd->close_it || close_it;
	guest_session_close(gd, "it is routed elsewhere");
	gd_rest(gd);
}

static void gd_give_delivered(struct letter *letter)
{
	struct guest_device *gd = container_of(letter, struct guest_device, give);

	gd->guest = gd->give_to;
	gd->close_it = false;
	gd->end_result = 0;
	list_append(&gd->guest->devices, &gd->link);
	usb_device_bind(gd->usb, &gd_ops, gd);
	usb_device_charge_to(gd->usb, &gd->guest->memory);
	usb_device_watch_for(gd->usb, &gd->guest->cfg.hotkeys);
	/* By the time somebody is told how to import it, the answer has come. */
	if (gd->guest->port)
		net_port_probe(gd->guest->port);
	if (gd->opened) {
		gd_opened(gd, 0, NULL);
	} else {
		gd->state = GD_OPENING;
		usb_device_open(gd->usb);
	}
	if (gd->guest->stopping)
		gd_take(gd, true);
}

static void gd_take_delivered(struct letter *letter)
{
	struct guest_device *gd = container_of(letter, struct guest_device, take);

	/* The thread may have closed it by itself, on its way out. */
	if (gd->state != GD_AWAY && gd->state != GD_CLOSING)
		gd_take(gd, gd->take_close);
}

static void gd_reset_delivered(struct letter *letter)
{
	struct guest_device *gd = container_of(letter, struct guest_device, reset);

	switch (gd->state) {
	case GD_SESSION:
		gd->resetting = true;
		guest_session_close(gd, "it is being reset");
		break;
	case GD_IDLE:
		gd->resetting = true;
		gd->state = GD_ENDING;
		usb_device_end_session(gd->usb);
		break;
	case GD_ENDING:
		/* Its session has just ended by itself, and that ends in a reset anyway. */
		gd->resetting = true;
		break;
	default:
		/* It could not be brought to rest, or the thread is on its way out. */
		guest_device_event(gd, &gd->ev_reset, gd_deliver_reset,
				   gd->end_result < 0 ? gd->end_result : -ECANCELED, NULL);
	}
}

/**
 * guest_give() - give a device to a guest's thread
 * @guest:	the guest
 * @gd:		in no guest; "opened" follows
 *
 * Control's thread.
 */
void guest_give(struct guest *guest, struct guest_device *gd)
{
	gd->give_to = guest;
	gd->guest = guest;
	loop_post(guest->loop, &gd->give, gd_give_delivered);
}

static void gd_export_delivered(struct letter *letter)
{
	struct guest_device *gd = container_of(letter, struct guest_device, export);

	atomic_store(&gd->export_posted, false);
	gd->exported = gd->state != GD_AWAY && atomic_load(&gd->export_wanted);
}

/**
 * guest_export() - let a guest see a device, or not
 * @guest:	the guest that has it
 * @gd:		the device
 * @exported:	a list of what there is shows it, while nobody has imported it
 *
 * Control's thread; not after guest_take().
 */
void guest_export(struct guest *guest, struct guest_device *gd, bool exported)
{
	atomic_store(&gd->export_wanted, exported);
	if (!atomic_exchange(&gd->export_posted, true))
		loop_post(guest->loop, &gd->export, gd_export_delivered);
}

/**
 * guest_reset() - reset a device
 * @guest:	the guest that has it
 * @gd:		the device, opened; its session ends, then "was_reset" follows
 *
 * USB/IP can't tell a client that its device was reset: only a new import makes the guest's drivers
 * begin anew.
 *
 * Control's thread; not again before "was_reset", nor after guest_take().
 */
void guest_reset(struct guest *guest, struct guest_device *gd)
{
	loop_post(guest->loop, &gd->reset, gd_reset_delivered);
}

/**
 * guest_take() - take a device away from a guest's thread
 * @guest:	the guest that has it
 * @gd:		the device; its session ends, then "taken" follows
 * @close_it:	close it, else hand it over claimed where that is possible
 *
 * Control's thread; not again before "taken".
 */
void guest_take(struct guest *guest, struct guest_device *gd, bool close_it)
{
	gd->take_close = close_it;
	loop_post(guest->loop, &gd->take, gd_take_delivered);
}

/* The thread is to end: everything goes. */
void guest_devices_stop(struct guest *guest)
{
	list_for_each_safe(it, &guest->devices)
		gd_take(list_entry(it, struct guest_device, link), true);
}

/**
 * guest_devices_watch() - watch all devices for the hot keys of now
 * @guest:	the guest
 */
void guest_devices_watch(struct guest *guest)
{
	list_for_each(it, &guest->devices)
		usb_device_watch_for(list_entry(it, struct guest_device, link)->usb,
				     &guest->cfg.hotkeys);
}

/* ------------------------------------------------------------- made and freed by control */

/**
 * guest_device_new() - make a device that may be given to a guest's thread
 * @name:	for log lines
 * @info:	what USB/IP tells of it
 * @fd:		its usbfs node; owned from here on where this succeeds
 * @control:	the caller's loop
 * @events:	called in the caller's thread with @ctx
 *
 * Return: the device, or NULL without memory.
 */
struct guest_device *guest_device_new(const char *name, const struct usb_device_info *info, int fd,
				      struct loop *control,
				      const struct guest_device_events *events, void *ctx)
{
	struct guest_device *gd = calloc(1, sizeof(*gd));

	if (!gd)
		return NULL;
	if (usb_device_new(&gd->usb, name, fd) < 0) {
		free(gd);
		return NULL;
	}
	usb_device_expect(gd->usb, info->configuration_value);
	snprintf(gd->name, sizeof(gd->name), "%s", name);
	gd->info = *info;
	gd->control = control;
	gd->events = events;
	gd->ctx = ctx;
	pthread_mutex_init(&gd->ev_hid.lock, NULL);
	for (size_t i = 0; i < GUEST_DEVICE_FDS; i++)
		gd->fds[i].fd = -1;
	for (size_t i = 0; i < HOTKEYS; i++)
		gd->ev_hotkey[i].gd = gd;
	list_init(&gd->link);
	return gd;
}

/**
 * guest_device_free() - free a device that was closed, or never given
 * @gd:		the device, or NULL
 *
 * Return: NULL.
 */
struct guest_device *guest_device_free(struct guest_device *gd)
{
	if (!gd)
		return NULL;
	usb_device_free(gd->usb);
	pthread_mutex_destroy(&gd->ev_hid.lock);
	free(gd->to);
	free(gd);
	return NULL;
}

/**
 * guest_device_forget() - hear nothing more of a device
 * @gd:		the device; it frees itself once it was taken and closed
 *
 * Control's thread.
 */
void guest_device_forget(struct guest_device *gd)
{
	gd->events = NULL;
	gd->ctx = NULL;
}
