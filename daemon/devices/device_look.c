/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks at devices; see device_look.h. */
#include "daemon/devices/device_look.h"

#include <errno.h>
#include <fcntl.h>
#include <libudev.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "base/loop.h"
#include "usb/usb_descriptor.h"

#define LOOKS_MAX   16
#define DEADLINE_NS 2000000000ull
#define LOOK_STACK  (256 * 1024)
#define ATTR_MAX    4096 /* sysfs gives no more of a text */

enum look_state { LOOK_WAITING, LOOK_RUNNING, LOOK_LATE };

struct look {
	struct list link; /* of the looks; alone where it is forgotten */
	struct device_looks *looks;
	struct udev_device *u; /* as of the newest event */
	enum look_state state;
	bool again; /* something happened since the thread began */
	struct loop_watch timer;

	/* The thread's, until its letter has come. */
	char *syspath; /* never changes */
	struct device_seen seen;
	struct letter letter;
	struct loop *home; /* under home_lock; NULL: forgotten */
};

struct device_looks {
	struct loop *loop;
	const struct device_looks_ops *ops;
	void *ctx;
	struct list all; /* in the order of their events */
	unsigned n_waiting, n_running;
};

/* Of every look's @home, held for as long as a letter is posted. */
static pthread_mutex_t home_lock = PTHREAD_MUTEX_INITIALIZER;

static void seen_clear(struct device_seen *seen)
{
	free(seen->serial);
	free(seen->product);
	free(seen->manufacturer);
	free(seen->descriptors);
	*seen = (struct device_seen){0};
}

static void look_free(struct look *look)
{
	seen_clear(&look->seen);
	free(look->syspath);
	free(look);
}

/* ------------------------------------------------------------- in the thread */

/* A file of sysfs gives at most a page a read (fs/sysfs/file.c), and descriptors may be longer. */
static ssize_t read_attr(const char *syspath, const char *name, void *data, size_t size)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", syspath, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return fd_read_file(path, data, size);
}

static char *read_text(const char *syspath, const char *name)
{
	char text[ATTR_MAX + 1];
	ssize_t n = read_attr(syspath, name, text, ATTR_MAX);

	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	return n > 0 ? strndup(text, (size_t)n) : NULL;
}

static long read_number(const char *syspath, const char *name, long none)
{
	_cleanup_free_ char *text = read_text(syspath, name);
	char *end;
	long value = text ? strtol(text, &end, 10) : none;

	return text && end != text ? value : none;
}

static void read_seen(struct device_seen *seen, const char *syspath)
{
	long devnum = read_number(syspath, "devnum", 0);
	long configuration;
	ssize_t n;

	seen->serial = read_text(syspath, "serial");
	seen->product = read_text(syspath, "product");
	seen->manufacturer = read_text(syspath, "manufacturer");
	/* Empty where the device has no configuration, and 0 may be one. */
	configuration = read_number(syspath, "bConfigurationValue", USB_NO_CONFIGURATION);
	seen->configuration = configuration >= 0 && configuration <= UINT8_MAX
				      ? (int)configuration
				      : USB_NO_CONFIGURATION;
	seen->descriptors = malloc(USB_DESCRIPTORS_MAX);
	n = seen->descriptors
		    ? read_attr(syspath, "descriptors", seen->descriptors, USB_DESCRIPTORS_MAX)
		    : -ENOMEM;
	if (n < 0) {
		free(take_ptr(seen->descriptors));
		seen->error = (int)-n;
	} else {
		seen->n_descriptors = (size_t)n;
	}
	seen->devnum = read_number(syspath, "devnum", 0) == devnum ? devnum : -1;
}

static void look_back(struct letter *letter);

static void *look_main(void *arg)
{
	struct look *look = arg;
	bool forgotten;

	read_seen(&look->seen, look->syspath);
	pthread_mutex_lock(&home_lock);
	forgotten = !look->home;
	if (!forgotten)
		loop_post(look->home, &look->letter, look_back);
	pthread_mutex_unlock(&home_lock);
	if (forgotten)
		look_free(look);
	return NULL;
}

/* ------------------------------------------------------------- in the looks' thread */

static void look_late(void *ctx, int res);

static int look_start(struct look *look)
{
	struct device_looks *looks = look->looks;
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	look->again = false;
	look->home = looks->loop;
	loop_cancel(looks->loop, &look->timer);
	r = loop_watch_time(looks->loop, &look->timer, DEADLINE_NS, look_late, look);
	if (r < 0)
		return r;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, LOOK_STACK);
	r = -pthread_create(&thread, &attr, look_main, look);
	pthread_attr_destroy(&attr);
	if (r < 0)
		loop_cancel(looks->loop, &look->timer);
	return r;
}

/* Begin as many as may run. The others begin when one has ended. */
static void looks_go_on(struct device_looks *looks)
{
	list_for_each_safe(it, &looks->all) {
		struct look *look = list_entry(it, struct look, link);
		int r;

		if (looks->n_running >= LOOKS_MAX)
			return;
		if (look->state != LOOK_WAITING)
			continue;
		r = look_start(look);
		if (r < 0 && looks->n_running)
			return;
		if (r < 0) {
			log_err("%s: no thread to read it: %s", look->syspath, errno_text(r));
			loop_cancel(looks->loop, &look->timer);
			loop_watch_time(looks->loop, &look->timer, DEADLINE_NS, look_late, look);
			return;
		}
		look->state = LOOK_RUNNING;
		looks->n_waiting--;
		looks->n_running++;
	}
}

static void looks_maybe_settled(struct device_looks *looks)
{
	if (device_looks_settled(looks))
		looks->ops->settled(looks->ctx);
}

/* Take it out of the list; nobody hears of it any more. */
static void look_leave(struct look *look)
{
	struct device_looks *looks = look->looks;

	loop_cancel(looks->loop, &look->timer);
	list_remove(&look->link);
	list_init(&look->link);
	if (look->state == LOOK_WAITING)
		looks->n_waiting--;
	else if (look->state == LOOK_RUNNING)
		looks->n_running--;
	udev_device_unref(take_ptr(look->u));
	look->looks = NULL;
}

static void look_forget(struct look *look)
{
	bool has_thread = look->state != LOOK_WAITING;

	look_leave(look);
	if (!has_thread) {
		look_free(look);
		return;
	}
	/* Its letter may be under way; then the letter frees it, else the thread does. */
	pthread_mutex_lock(&home_lock);
	look->home = NULL;
	pthread_mutex_unlock(&home_lock);
}

static void look_late(void *ctx, int res _unused_)
{
	struct look *look = ctx;
	struct device_looks *looks = look->looks;

	if (look->state == LOOK_WAITING) {
		/* There was no thread for it. */
		looks_go_on(looks);
		return;
	}
	look->state = LOOK_LATE;
	looks->n_running--;
	looks->ops->told(looks->ctx, look->u, NULL);
	looks_go_on(looks);
	looks_maybe_settled(looks);
}

static void look_back(struct letter *letter)
{
	struct look *look = container_of(letter, struct look, letter);
	struct device_looks *looks = look->looks;

	if (!looks) {
		look_free(look);
		return;
	}
	if (look->again) {
		seen_clear(&look->seen);
		loop_cancel(looks->loop, &look->timer);
		if (look->state == LOOK_RUNNING)
			looks->n_running--;
		look->state = LOOK_WAITING;
		looks->n_waiting++;
	} else {
		struct udev_device *u = udev_device_ref(look->u);

		look_leave(look);
		looks->ops->told(looks->ctx, u, &look->seen);
		udev_device_unref(u);
		look_free(look);
	}
	looks_go_on(looks);
	looks_maybe_settled(looks);
}

/**
 * device_looks_at() - something has happened to a device: see what it is now
 * @looks:	the looks
 * @u:		the device
 *
 * Return: 0: ops->told() comes; -ENOMEM.
 */
int device_looks_at(struct device_looks *looks, struct udev_device *u)
{
	const char *syspath = udev_device_get_syspath(u);
	struct look *look;

	list_for_each(it, &looks->all) {
		look = list_entry(it, struct look, link);
		if (strcmp(look->syspath, syspath) != 0)
			continue;
		udev_device_ref(u);
		udev_device_unref(look->u);
		look->u = u;
		look->again = look->state != LOOK_WAITING;
		return 0;
	}
	look = calloc(1, sizeof(*look));
	if (look)
		look->syspath = strdup(syspath);
	if (!look || !look->syspath) {
		free(look);
		return -ENOMEM;
	}
	look->looks = looks;
	look->u = udev_device_ref(u);
	list_append(&looks->all, &look->link);
	looks->n_waiting++;
	looks_go_on(looks);
	return 0;
}

/**
 * device_looks_forget() - a device was unplugged
 * @looks:	the looks
 * @syspath:	the device; it may have no look
 */
void device_looks_forget(struct device_looks *looks, const char *syspath)
{
	list_for_each_safe(it, &looks->all) {
		struct look *look = list_entry(it, struct look, link);

		if (strcmp(look->syspath, syspath) != 0)
			continue;
		look_forget(look);
		looks_go_on(looks);
		looks_maybe_settled(looks);
		return;
	}
}

/**
 * device_looks_settled() - is all told?
 * @looks:	the looks
 *
 * Return: whether no look is waiting or running; late ones don't count.
 */
bool device_looks_settled(const struct device_looks *looks)
{
	return !looks->n_waiting && !looks->n_running;
}

/**
 * device_looks_new() - be ready to look at devices
 * @ret_looks:	the looks
 * @loop:	of the thread that calls all this, and that is told
 * @ops:	what is told
 * @ctx:	given to @ops
 *
 * Return: 0 or -ENOMEM.
 */
int device_looks_new(struct device_looks **ret_looks, struct loop *loop,
		     const struct device_looks_ops *ops, void *ctx)
{
	struct device_looks *looks = calloc(1, sizeof(*looks));

	if (!looks)
		return -ENOMEM;
	looks->loop = loop;
	looks->ops = ops;
	looks->ctx = ctx;
	list_init(&looks->all);
	*ret_looks = looks;
	return 0;
}

/**
 * device_looks_free() - forget all looks
 * @looks:	the looks, or NULL; their loop ends afterwards, too
 *
 * Return: NULL.
 */
struct device_looks *device_looks_free(struct device_looks *looks)
{
	if (!looks)
		return NULL;
	list_for_each_safe(it, &looks->all)
		look_forget(list_entry(it, struct look, link));
	free(looks);
	return NULL;
}
