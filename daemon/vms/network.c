/* SPDX-License-Identifier: BSD-2-Clause */
/* Further networks, and who is on them; see network.h. */
#include "daemon/vms/network.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/core/state_file.h"
#include "daemon/vms/vm_private.h"
#include "daemon/vms/vm_process.h"

/* ------------------------------------------------------------- what the roster tells whom */

/* The process of a port; NULL: it has ended, because the daemon ends. */
static struct guest *guest_at(const struct network *n, unsigned number)
{
	return n->ports[number] ? n->ports[number]->guest : NULL;
}

/* The number by which the process of a port knows the network; an uplink's knows one only, as 0. */
static unsigned called(const struct network *n, unsigned number)
{
	return n->ports[number]->uplink_of ? 0 : n->net;
}

static void tell_peer(void *ctx, unsigned to, const struct net_peer *peer)
{
	struct network *n = ctx;

	if (guest_at(n, to))
		guest_net_peer(guest_at(n, to), called(n, to), peer);
}

static void tell_gone(void *ctx, unsigned to, unsigned number)
{
	struct network *n = ctx;

	if (guest_at(n, to))
		guest_net_peer_gone(guest_at(n, to), called(n, to), number);
}

static void tell_mac(void *ctx, unsigned to, const uint8_t mac[6], bool granted)
{
	struct network *n = ctx;

	if (!n->ports[to]->uplink_of)
		vm_nic_has_mac(n, n->ports[to]);
	if (guest_at(n, to))
		guest_net_mac(guest_at(n, to), called(n, to), mac, granted);
}

static int tell_link(void *ctx, unsigned low, unsigned high)
{
	struct network *n = ctx;
	struct net_link_end ends[2];
	int r = net_link_make_ends(ends);

	if (r < 0) {
		log_err("%s and %s: no link between them on the network %s: %s; they do not reach each other there",
			n->ports[low]->process_name, n->ports[high]->process_name, n->name,
			errno_text(r));
		return r;
	}
	guest_net_link(guest_at(n, low), called(n, low), high, 0, ends[0].memory, ends[0].mine,
		       ends[0].theirs);
	guest_net_link(guest_at(n, high), called(n, high), low, 1, ends[1].memory, ends[1].mine,
		       ends[1].theirs);
	return 0;
}

static const struct net_roster_ops roster_ops = {
	.peer = tell_peer,
	.gone = tell_gone,
	.mac = tell_mac,
	.link = tell_link,
};

/* ------------------------------------------------------------- what processes say */

/* Return: the network that a process means by a number, where it has a port there. */
static struct network *network_of(const struct vm *vm, unsigned net)
{
	struct network *n;

	if (vm->uplink_of)
		return vm->uplink_of;
	n = vm->vms->networks[net];
	return n && vm->nics[net].entered ? n : NULL;
}

/* What a process says of a port that has left is passed over. */
static void on_card(void *ctx, unsigned net, const struct guest_card *card)
{
	struct vm *vm = ctx;
	struct network *n = network_of(vm, net);

	if (n)
		vm_nic_is(n, vm, card);
}

static void on_mac_wanted(void *ctx, unsigned net, const uint8_t mac[6])
{
	struct vm *vm = ctx;
	struct network *n = network_of(vm, net);

	if (n)
		net_roster_mac_wanted(&n->roster, vm->nics[net].number, mac);
}

static void on_link_wanted(void *ctx, unsigned net, unsigned number)
{
	struct vm *vm = ctx;
	struct network *n = network_of(vm, net);

	if (n)
		net_roster_link_wanted(&n->roster,
				       vm->uplink_of ? n->uplink_number : vm->nics[net].number,
				       number);
}

static void on_tap(void *ctx, bool has)
{
	struct vm *vm = ctx;

	if (vm->uplink_of)
		network_uplink_tap(vm->uplink_of, has);
}

const struct guest_net_events network_events = {
	.card = on_card,
	.mac_wanted = on_mac_wanted,
	.link_wanted = on_link_wanted,
	.tap = on_tap,
};

/* ------------------------------------------------------------- come and go */

/**
 * network_find() - the network with a name
 * @vms:	the VMs
 * @name:	the name
 *
 * Return: the network, or NULL.
 */
struct network *network_find(struct vms *vms, const char *name)
{
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++)
		if (vms->networks[i] && !strcmp(vms->networks[i]->name, name))
			return vms->networks[i];
	return NULL;
}

/**
 * networks_have_process() - whether a door's name is that of a configured network's uplink
 * @vms:	the VMs
 * @name:	as of vm_door_is()
 */
bool networks_have_process(struct vms *vms, const char *name)
{
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++) {
		const struct network *n = vms->networks[i];

		if (n && n->uplink && !strcmp(n->uplink->process_name, name))
			return true;
	}
	return false;
}

/* Return: the network, on which nobody is yet; NULL where there is no memory. */
static struct network *network_new(struct vms *vms, const struct config_network *c)
{
	struct network *n = calloc(1, sizeof(*n));

	if (!n) {
		log_err("network %s: no memory for it", c->name);
		return NULL;
	}
	n->vms = vms;
	while (vms->networks[n->net])
		n->net++;
	vms->networks[n->net] = n;
	memcpy(n->name, c->name, sizeof(n->name));
	memcpy(n->tap, c->tap, sizeof(n->tap));
	net_roster_init(&n->roster, &roster_ops, n);
	return n;
}

static void network_remove(struct network *n, bool comes_again)
{
	struct list *const lists[] = {&n->vms->all, &n->vms->leaving, &n->vms->gone};

	if (comes_again)
		log_notice("network %s: its uplink is another one: its cards begin anew", n->name);
	else
		log_notice("network %s: it is out of the configuration", n->name);
	network_uplink_end(n);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		list_for_each(it, lists[i])
			vm_nic_leave(n, list_entry(it, struct vm, link));
	n->vms->networks[n->net] = NULL;
	free(n);
}

/* Take away what is not in the configuration, or there with another uplink. */
static void remove_others(struct vms *vms)
{
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++) {
		struct network *n = vms->networks[i];
		const struct config_network *c =
			n ? config_find_network(vms->core->config, n->name) : NULL;

		if (n && (!c || strcmp(c->tap, n->tap) != 0))
			network_remove(n, c);
	}
}

/* Its VMs get their cards, where they have none yet. */
static void enter_all(struct network *n)
{
	list_for_each(it, &n->vms->all) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (vm->started && !vm->nics[n->net].entered && vm_nic_enter(n, vm) == 0 &&
		    vm->process.stood_ns)
			vm_nic_stand(n, vm);
	}
}

/* Return: whether a file is the socket of a card, by its name: VM.NETWORK.sock. */
static bool is_cards_socket(const char *file)
{
	static const char ending[] = ".sock";
	size_t n = strlen(file), end = sizeof(ending) - 1;
	const char *dot = strchr(file, '.');

	return n > end && !strcmp(file + n - end, ending) && dot && dot < file + n - end;
}

/* Networks may have left the configuration while there was no control: nobody listens at these any more. */
static void forget_sockets(const struct vms *vms)
{
	const char *folder = vms->core->config->runtime_directory;
	DIR *dir = opendir(folder);
	char path[PATH_MAX];
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (is_cards_socket(e->d_name))
			unlink(state_file_path(path, sizeof(path), folder, e->d_name));
	if (dir)
		closedir(dir);
}

/**
 * networks_make() - make the configured networks, on which nobody is yet
 * @vms:	the VMs; control begins, and the sockets of all cards are made anew
 */
void networks_make(struct vms *vms)
{
	forget_sockets(vms);
	list_for_each(it, &vms->core->config->networks)
		network_new(vms, list_entry(it, struct config_network, link));
}

/**
 * networks_change() - bring the networks to what the configuration says by now
 * @vms:	the VMs, as the new configuration has them
 *
 * A network whose uplink is another one by now is removed and made anew, and its cards with it. A card that
 * could not be had is tried again.
 */
void networks_change(struct vms *vms)
{
	remove_others(vms);
	list_for_each(it, &vms->core->config->networks) {
		const struct config_network *c = list_entry(it, struct config_network, link);
		struct network *n = network_find(vms, c->name);

		if (!n)
			n = network_new(vms, c);
		if (!n)
			continue;
		enter_all(n);
		network_uplink_start(n);
	}
}

/**
 * networks_free() - forget the networks, whose VMs are freed
 * @vms:	the VMs
 */
void networks_free(struct vms *vms)
{
	network_uplinks_free(vms);
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++) {
		free(vms->networks[i]);
		vms->networks[i] = NULL;
	}
}
