/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A daemon without a kernel below it: devices, VMs, wishes, routes, policy and reload are the real
 * ones, with real files in a folder of the test's; the broker, the guests' threads, their agents
 * and the host's input devices do what the test says, step by step, or all at once with settle(). After each step, and before
 * anything is asserted, the loop's turn ends: what has happened is told.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/ip.h"
#include "daemon/rooms.h"
#include "daemon/vms/lan.h"
#include "daemon/vms/network.h"
#include "daemon/vms/vm_process.h"
#include "daemon/routing/route_private.h"
#include "daemon/commands/subjects.h"

struct guest {
	struct vm *vm; /* whose thread it is; may be out of the configuration by now */
	const struct guest_events *events;
	void *ctx;
	bool told_to_end;
	bool gone; /* its process has died, and no other one is there yet */
	struct list link;
	/* Its card: whom it was told of, the end of a link to each, and its MAC. */
	uint8_t mac[6];
	bool denied; /* the last that it asked for */
	struct net_peer peers[NET_PORTS];
	uint64_t known, linked;
	struct net_link links[NET_PORTS];
	/* The same on further networks, each at its number; an uplink's at 0. */
	struct guest_on_net {
		bool told;
		char name[32];
		bool any_mac;
		uint8_t mac[6];
		struct net_peer peers[NET_PORTS];
		uint64_t known, linked;
	} nets[CONFIG_NETWORKS_MAX];
	const struct guest_process_events *process;
	bool nets_told;
	unsigned n_taps;
	unsigned n_sockets;	      /* the LAN export's: at which it listens */
	unsigned n_refused, n_probed; /* clients on the LAN */
	char name[48];
};

struct guest_device {
	const struct guest_device_events *events;
	void *ctx;
	struct guest *in;
	bool taking, close_it, opened, resetting;
	bool exported;			   /* as its thread was told */
	struct ip_prefix to[ROUTE_LAN_TO]; /* and who may have it over the LAN */
	size_t n_to;
};

struct fixture {
	struct rooms rooms;
	struct routing_ops routing_ops; /* the rooms' own, but for takes() */
	char folder[64], config_path[96];
	struct vm *vm1, *vm2, *vm3; /* vm3 is not connected at first */
	struct device *keyboard;    /* the one that set_up() plugs in */
	uint16_t devnum;	    /* of what is plugged in next */
	int other_keyboards;	    /* that the host has beside those in the test */
	struct vm *takes; /* something in its guest takes what is exported to it; or NULL */
	unsigned answers;
	enum route_outcome outcome;
	char text[1024];
	size_t n_subjects;
	struct route_times times;
};

/* Who hears of devices and VMs besides; see control-script.c. */
struct fixture_ears {
	void (*moved)(const struct device *device);
	void (*removed)(const struct device *device);
	void (*link)(const struct vm *vm, bool up);
	void (*refused)(const struct device *device, const char *vm, const char *reason);
};

extern const struct fixture_ears *fixture_ears; /* NULL: nobody */
extern struct fixture *the_fixture;
extern struct guest_held left_held; /* how the last daemon's processes have each device, */
extern bool left_there;		    /* where they have it at all */
extern unsigned n_imports;
extern struct urb_stats script_stats;

/* How many dead connections guests were told of, and the last one. */
extern struct hung_up {
	unsigned n;
	struct guest_peer peer;
	const struct vm *vm;
} hung_up;

extern unsigned n_keyboard_looks; /* how often the host's keyboards were looked at */
extern const char usual_config[];

int set_up(void **state);
int tear_down(void **state);
struct fixture *start_with(const char *config, const char *rules);

/* How long a name waits for the device that had it: too short for anything but a test. */
#define NAME_WAIT (200ull * 1000000)

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* Devices and VMs. */
struct device *plug(struct fixture *f, const char *serial);
struct device *plug_at(struct fixture *f, const char *busid, uint16_t product, const char *serial,
		       usb_class_set classes);
void plug_hub(struct fixture *f, const char *busid);
void unplug(struct device *d);
void vm_is(struct vm *vm, bool connected);
bool vm_ends(struct fixture *f, const char *name);
unsigned threads(void);

/* What the broker and the threads do. */
bool asks_open(const struct device *d);
bool asks_rebind(const struct device *d);
bool asks_reset(const struct device *d);
bool asks_power(bool on);
extern bool was_forced; /* the last of these two */
void tap_opens(int r, const char *text);
bool asks_tap(void);
unsigned asks_to_listen(void);
void listens(int r, const char *text);
struct guest *uplink_of(const char *network);
struct broker_request *open_asked(struct device *d);
void node_opens(struct device *d, int r);
void drivers_probe(struct device *d, int r);
void broker_resets(struct device *d, int r, const char *text);
void power_switched(bool on, int r, const char *text);
struct guest_device *thread_of(const struct device *d);
struct guest *guest_of(const struct device *d);
void claimed(struct device *d, int r, const char *reason);
void taken(struct device *d);
bool told_to_reset(const struct device *d);
void was_reset(struct device *d, int r, const char *reason);
void imports(struct device *d, struct vm *vm);
void drop(struct guest_device *gd);
void turn_ends(void);
void settle(struct fixture *f);
void script_end(void);

/* Commands. */
void on_done(void *ctx, const struct route_result *result);
void say(struct fixture *f, enum route_verb verb, const char *what, struct vm *vm);
void say_with(struct fixture *f, struct route_ask ask, const char *what);
void command(struct fixture *f, struct vm *vm, double wait);
void in_vm1(struct fixture *f);
void assert_answer(struct fixture *f, enum route_outcome outcome, const char *text);
void assert_stands(const struct device *d, const char *wanted, const char *actual,
		   const char *state);
void assert_by(const struct device *d, const char *wanted, const char *by);

/* Files. */
bool file_says(const struct fixture *f, const char *name, const char *words);
int reload_with(struct fixture *f, const char *config, const char *rules);
void begin_anew(struct fixture *f);
void started(struct fixture *f);
