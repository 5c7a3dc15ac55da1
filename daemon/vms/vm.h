/* SPDX-License-Identifier: BSD-2-Clause */
/* The configured VMs, each with its process; see vm_registry.c. Control thread only. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/log.h"
#include "base/loop.h"
#include "daemon/broker/starter.h"
#include "daemon/config/config.h"
#include "daemon/core/core.h"
#include "dataplane/guest.h"
#include "vhost_user_net/net_counts.h"
#include "vhost_user_net/net_roster.h"

struct broker;
struct guest_side;
struct lan;
struct network;
struct vm;
struct vms;

/*
 * What the rooms above keep with a VM, and what they answer. What happens to VMs is told by events (core/events.h). @ctx
 * is the VMs'.
 */
struct vms_ops {
	/* A VM is made (a negative errno: it can't be), and is about to be freed. */
	int (*made)(void *ctx, struct vm *vm);
	void (*freed)(void *ctx, struct vm *vm);
	/* Its process is about to be told to end, or to be left: nothing of its guest is heard any more. */
	void (*silenced)(void *ctx, struct vm *vm, const char *why);
	/* A client in it asks for a device: each is answered by guest_import(), guest_probe() or guest_refuse(). */
	void (*import_asked)(void *ctx, struct vm *vm, uint32_t client, const char *busid);
	/* The same of a client on the LAN; @vm: where devices are that are exported to it. */
	void (*lan_asked)(void *ctx, struct vm *vm, uint32_t client, const char *busid,
			  const struct guest_peer *peer);
	/* Its process has died, and a client of its guest had this connection. */
	void (*connection_lost)(void *ctx, struct vm *vm, const struct guest_peer *peer);
};

#define VMS_PASSED_MAX 8

struct vms {
	struct core *core;
	struct starter *starter;
	struct broker *broker; /* opens the taps of uplinks */
	const struct vms_ops *ops;
	void *ctx;
	struct net_roster roster;
	struct vm *ports[NET_PORTS]; /* whose number is whose */
	struct list all;	     /* of struct vm, as configured */
	struct list leaving;	     /* of struct vm, out of the configuration; they end */
	struct list gone;	     /* of struct vm, ended: until all have heard of it */
	struct network
		*networks[CONFIG_NETWORKS_MAX]; /* further ones, each at its number; or NULL */
	struct list uplinks_ending;		/* of struct vm: processes of uplinks (uplink.c) */
	struct lan *lan;			/* the LAN export (lan.h); NULL: there is none */
	int passed[VMS_PASSED_MAX]; /* sockets that listen for it, as systemd passed them */
	size_t n_passed;
	gid_t socket_group;	      /* whose the VMs' sockets are, or -1 */
	struct loop_watch cards_save; /* vm_card.c: what is known of cards is written soon */
	unsigned n_ending;	      /* processes that have not ended */
	struct {
		struct list waits;	   /* of struct vms_stats_wait */
		struct loop_watch late;	   /* a round is under way, until this at the latest */
		struct loop_watch untimed; /* nobody has asked for so long */
	} stats;			   /* vm_stats.c */
};

void vms_init(struct vms *vms, struct core *core, const struct vms_ops *ops, void *ctx);

/* What comes of its process (vm_run.c). */
struct vm_run_ops {
	void (*stands)(struct vm *vm);
	void (*lost)(struct vm *vm);
	/* What becomes of it is raised as events: it is a VM's. */
	bool raises;
};

/* A VM's card on a further network (vm_nic.c). */
struct vm_nic {
	bool entered;	 /* it has a number there */
	int missing;	 /* why it has none: a negative errno; 0: it has one, or is to get one */
	bool up;	 /* a virtual machine has it */
	unsigned number; /* its port's */
	int socket;	 /* VM.NETWORK.sock, or -1 */
	uint8_t mac[6];	 /* that its guest has taken; zeros: none */
	uint8_t foreign[6], told_foreign[6]; /* as in struct guest_card */
};

struct vm {
	struct list link;
	struct event_source events;
	struct vms *vms;
	const struct vm_run_ops *run;
	struct network *uplink_of; /* it is no VM: its process is a network's uplink (uplink.c) */
	bool is_lan;		   /* nor is this one: its process is the LAN export's (lan.h) */
	char name[32];
	char process_name[48];	/* the same; of an uplink NETWORK.uplink */
	char *domain;		/* libvirt's name for it; NULL: the same */
	struct in_addr address; /* configured, or handed out */
	bool has_fixed_address, has_fixed_mac;
	uint8_t fixed_mac[6];
	bool has_mac, connected;
	uint8_t mac[6];
	bool has_foreign, has_daemon, deaf; /* as in struct guest_card */
	uint8_t foreign[6], told_foreign[6];
	bool started;	     /* its struct guest was made */
	bool entered;	     /* its card has a number */
	uint8_t card_mac[6]; /* its card's, as its process told last */
	unsigned number;
	bool leaving, ending; /* out of the configuration; its process was told to end */
	bool replaced; /* it leaves, as another configuration has it otherwise: it comes again */
	bool left;     /* control ends, and its process goes on */
	unsigned n_devices; /* that its process has, or is to have */
	struct net_counts
		*counts; /* its process's, of what goes through its ports; NULL: none yet */
	bool any_mac;	 /* on further networks: it may send from others' MACs, too */
	struct vm_nic nics[CONFIG_NETWORKS_MAX]; /* its cards there, by their networks' numbers */
	struct guest *guest;			 /* NULL until it is started */
	struct {
		struct starter_request req;
		struct loop_watch timer; /* until it answers, or until it is tried again */
		uint64_t stood_ns;	 /* since when it stands; 0: it doesn't */
		unsigned failures;	 /* in a row */
		bool aside;	 /* the next control's door was made, and has not its name yet */
		bool old;	 /* it is the last control's, and not known yet what it has */
		bool strange;	 /* it is, of a version that we do not speak */
	} process;		 /* vm_run.c */
	struct list anews;	 /* of struct vm_anew: who waits for its next process */
	bool stats_due;		 /* its process is to answer in this round */
	int socket;		 /* <vm>.sock, until the guest has it */
	bool asleep;		 /* its agent has said so; its card may be down meanwhile */
	struct guest_side *side; /* of the ways to its inside */
	struct log_limit limit;	 /* of lines that the guest can trigger */
	struct log_limit card_limit; /* of warnings about its card, which are told once */
};

/* Who waits until all processes have told what has gone through their devices; in the vms' list until done(). */
struct vms_stats_wait {
	struct list link;
	void (*done)(void *ctx);
	void *ctx;
};

/* Who wants another process for a VM, and waits until that stands; in the VM's list until done(). */
struct vm_anew {
	struct list link;
	struct loop *loop;
	struct loop_watch late;
	void (*done)(void *ctx, int r);
	void *ctx;
};

int vm_anew(struct vm *vm, struct vm_anew *anew);
void vm_anew_forget(struct vm_anew *anew);

int vms_ask_stats(struct vms *vms, struct vms_stats_wait *wait);

/* VMs of one configuration, in its order. */
struct vm_list {
	struct vm *at[CONFIG_VMS_MAX];
	size_t n;
};

int vms_start(struct vms *vms);
void vms_stop(struct vms *vms);
bool vms_known(const struct vms *vms);
void vms_leave(struct vms *vms);
void vms_free(struct vms *vms);
void vms_find_group(struct vms *vms);
int vms_make_sockets(struct vms *vms);
int vms_prepare(struct vms *vms, const struct config *config, struct vm_list *ret_next,
		struct config_errors *errors);
void vms_change(struct vms *vms, const struct vm_list *next);
void vm_maybe_gone(struct vm *vm);
void vm_gone(struct vm *vm);
const char *vm_why_left(const struct vm *vm);

static inline void vm_raise(struct vm *vm, enum event event)
{
	events_raise(&vm->vms->core->events, &vm->events, vm, event);
}

struct vm *vm_find(struct vms *vms, const char *name);
const struct vm *vm_stranger(const struct vms *vms, const char *name);
void vms_memory_limit(const struct vms *vms, unsigned *ret_limit, unsigned *ret_wanted);
bool vm_card_warning(const struct vm *vm, unsigned i, char *text, size_t size);
bool vm_daemon_by_mac(const struct vm *vm, char mac[18]);
const char *vm_daemon_address(const struct vm *vm, char *text, size_t size);
