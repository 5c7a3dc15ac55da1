/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control thread's state: what there is (devices, VMs), what is wished, and what is being done
 * about it. All of this is touched by the control thread alone, and never a URB or a frame.
 *
 *   struct daemon   the owner of everything; made once
 *   struct device   a USB device that is plugged in (device_registry.c), with its route (route.c)
 *   struct vm       a configured VM (vm_registry.c), with its thread
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "base/loop.h"
#include "daemon/guests/agent.h"
#include "daemon/broker/broker.h"
#include "daemon/config/config.h"
#include "daemon/core/core.h"
#include "daemon/routing/device_names.h"
#include "daemon/broker/starter.h"
#include "dataplane/guest.h"
#include "policy/selector.h"
#include "daemon/core/wish_book.h"
#include "usb/hid_found.h"
#include "vhost_user_net/net_roster.h"
#include "usbip/usbip_op.h"

struct control_socket;
struct virt_link;
struct vms_left;
struct device_registry;
struct policy;
struct sandbox_user;
struct route;

/* What is plugged in, and what it is called. */
struct devices {
	struct core *core;
	struct wish_books *books;
	struct device_registry *registry;
	struct list all;    /* of struct device, as plugged in */
	struct list off;    /* of struct port_off: their ports are switched off by command */
	uint64_t n_seen;    /* how many were ever in @all */
	struct names names; /* which device bears which */
	char *twins_before; /* of the last run; see twins.h */
};

/* The configured VMs. */
struct vms {
	struct core *core;
	struct starter *starter;
	struct net_roster roster;
	struct vm *ports[NET_PORTS]; /* whose number is whose */
	struct list all;	     /* of struct vm, as configured */
	struct list leaving;	     /* of struct vm, out of the configuration, with a thread yet */
	gid_t socket_group;	     /* whose the VMs' sockets are, or -1 */
	struct loop_watch cards_save;	/* vm_card.c: what is known of cards is written soon */
	struct loop_watch have_started; /* others than before may have what is wished for them */
	unsigned n_ending;		/* threads not yet ended */
};

/* Where devices should be, and are. */
struct routing {
	struct core *core;
	struct wish_books *books;
	struct devices *devices;
	struct vms *vms;
	struct broker *broker;
	struct list claimed_before; /* of struct claim: of the last run, not seen yet */
	struct list old_sessions;   /* of struct old_session: of the last run, not hung up yet */
};

/* What is being done because somebody said so. */
struct commands {
	struct core *core;
	struct list calls;		   /* of struct route_call: commands that wait */
	struct list port_jobs;		   /* of struct port_job: resets, and ports' power */
	struct loop_watch port_jobs_watch; /* something has changed that one may wait for */
};

/* The ways to the guests' insides. */
struct guests {
	struct core *core;
	struct virt_link *virt; /* usbrouted-libvirt's socket */
};

struct daemon {
	struct core *core;
	struct wish_books *books;
	struct devices *devices;
	struct vms *vms;
	struct routing *routing;
	struct commands *commands;
	struct guests *guests;
	struct control_socket *control;
	struct vms_left *vms_left; /* processes whose VMs are in no configuration any more */
	int lock;		   /* of the runtime directory */
	int signals;		   /* a signalfd */
	bool done;
	bool ends_all; /* stopping: the VMs' processes end, too */
	int exit_status;
	struct loop_watch stop_deadline;
};

/* ------------------------------------------------------------- VMs */

struct vm {
	struct list link;
	struct daemon *daemon;
	char name[32];
	char *domain;		/* libvirt's name for it; NULL: the same */
	struct in_addr address; /* configured, or handed out */
	bool has_fixed_address, has_fixed_mac;
	uint8_t fixed_mac[6];
	bool has_mac, connected;
	uint8_t mac[6];
	bool has_foreign, has_daemon; /* as in struct guest_card */
	uint8_t foreign[6], told_foreign[6];
	bool started;	     /* its thread was */
	bool entered;	     /* its card has a number */
	uint8_t card_mac[6]; /* its card's, as its process told last */
	unsigned number;
	bool leaving, ending; /* out of the configuration; its thread was told to end */
	bool left;	      /* control ends, and its process goes on */
	unsigned n_devices;   /* that its thread has, or is to have */
	struct guest *guest;  /* NULL until it is started */
	struct {
		struct starter_request req;
		struct loop_watch timer; /* until it answers, or until it is tried again */
		uint64_t stood_ns;	 /* since when it stands; 0: it doesn't */
		unsigned failures;	 /* in a row */
		bool aside;   /* the next control's door was made, and has not its name yet */
		bool old;     /* it is the last control's, and not known yet what it has */
		bool strange; /* it is, of a version that we do not speak */
	} process;	      /* vm_run.c */
	int socket;	      /* <vm>.sock, until the guest has it */
	struct agents agents;
	bool asleep;		      /* its agent has said so; the card may be down meanwhile */
	struct loop_watch side_watch; /* guest_side.c: something has changed */
	struct log_limit limit;	      /* of lines that the guest can trigger */
	struct log_limit card_limit;  /* of warnings about its card, which are told once */
};

/* VMs of one configuration, in its order. */
struct vm_list {
	struct vm *at[CONFIG_VMS_MAX];
	size_t n;
};

int vms_start(struct daemon *daemon);
void vms_stop(struct daemon *daemon);
bool vms_known(const struct daemon *daemon);
void vms_leave(struct daemon *daemon);
void vms_free(struct daemon *daemon);
void vms_find_group(struct daemon *daemon);
int vms_make_sockets(struct daemon *daemon);
int vms_prepare(struct daemon *daemon, const struct config *config, struct vm_list *ret_next,
		struct config_errors *errors);
void vms_change(struct daemon *daemon, const struct vm_list *next);
void vm_maybe_gone(struct vm *vm);
struct vm *vm_find(struct daemon *daemon, const char *name);
bool vm_card_warning(const struct vm *vm, unsigned i, char *text, size_t size);
bool vm_daemon_by_mac(const struct vm *vm, char mac[18]);
const char *vm_daemon_address(const struct vm *vm, char *text, size_t size);

/* ------------------------------------------------------------- devices */

struct device {
	struct list link;
	struct daemon *daemon;
	uint64_t number; /* the how manieth that was seen, from 1: no other has it */
	char *syspath, *busid, *stable_port;
	char *serial, *manufacturer, *product; /* NULL: none */
	char tag[72];			       /* alias, else "046d:c31c at 1-1.2": for log lines */
	uint16_t id_vendor, id_product;
	uint16_t busnum, devnum;
	usb_class_set classes; /* what device_classes_anew() makes of @info and @hid */
	struct hid_found hid;  /* its keyboards and pointers, until it is unplugged */
	struct usb_device_info info;
	const char *never_routed; /* why it is in no list that people see, static; or NULL */
	bool unread;		  /* the kernel has not told what it is; it is broken meanwhile */
	char broken[384]; /* why its descriptors can't be used, and what to do; "" where they can */
	const struct config_device *section; /* the first whose match means it, or NULL */
	char alias[32]; /* the name that it bears; "" if none (device_names.h) */
	bool had_twin;	/* of the same id and serial, beside it */
	bool unpowered; /* of struct port_off: its port is switched off, and it is in no list here */
	bool ours;	/* no driver of the host has it: we have it, or had */
	/* More is known of it, or it has another name: may who wished it somewhere? */
	bool judge;
	struct route *route; /* routing's; NULL: never routed, or its port is off */
};

struct device_facts device_facts_of(const struct device *device);
bool device_pair_is_unique(const struct device *device);
bool device_pair_tells(const struct device *device);
bool device_has_twin(const struct device *device);
const char *device_alias(const struct device *device);
bool device_bears_section(const struct device *device);
void device_find_section(struct device *device);
bool device_stands_reset(const struct device *device);

/* Outcomes of device_resolve(). */
enum { RESOLVE_UNKNOWN = 1, RESOLVE_AMBIGUOUS, RESOLVE_ABSENT /* the alias is configured */ };

/* How a person named a device: what is wished for it hangs on that. */
enum device_by { DEVICE_BY_SELECTOR, DEVICE_BY_PORT, DEVICE_BY_NAME };

int device_resolve(struct daemon *daemon, const char *text, struct device **ret_device,
		   enum device_by *ret_by, const char **ret_expected);
bool device_is_meant(const struct device *device, const char *text);

/* ------------------------------------------------------------- the whole */

int daemon_run(struct config *config, struct policy *policy, const char *config_file,
	       int broker_line, int starter_line, const struct sandbox_user *user);
int daemon_reload(struct daemon *daemon, struct config_errors *errors);
void daemon_stop(struct daemon *daemon, int exit_status);
void daemon_maybe_done(struct daemon *daemon);
void daemon_vm_goes_on(struct vm *vm);
void daemon_vm_known(struct vm *vm);
char *daemon_path(char *buf, size_t size, const char *folder, const char *name);
