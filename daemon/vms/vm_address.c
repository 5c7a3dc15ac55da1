/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses on the private segment for VMs to which the configuration gives none. They are handed
 * out once and kept in the state directory, so that another VM in the configuration renumbers
 * nobody. Control thread only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/core/state_file.h"
#include "daemon/vms/vm_private.h"

/* The first address that is handed out: after the daemon's .1, room is left for fixed ones. */
#define FIRST_HOST 11

static bool address_taken(const struct config *config, const struct vm_list *vms,
			  struct in_addr address)
{
	if (address.s_addr == config->address.s_addr)
		return true;
	for (size_t i = 0; i < vms->n; i++)
		if (vms->at[i]->address.s_addr == address.s_addr)
			return true;
	return false;
}

static struct vm *find(const struct vm_list *vms, const char *name)
{
	for (size_t i = 0; i < vms->n; i++)
		if (!strcmp(vms->at[i]->name, name))
			return vms->at[i];
	return NULL;
}

/* Host part of the segment: 0 and the highest are no host's. */
static bool address_fits(const struct config *config, struct in_addr address)
{
	uint32_t mask = config->prefix ? ~0u << (32 - config->prefix) : 0;
	uint32_t a = ntohl(address.s_addr), net = ntohl(config->address.s_addr) & mask;

	return (a & mask) == net && a != net && a != (net | ~mask);
}

/*
 * Read what was handed out before; an address counts if it still fits and nobody was given it
 * since.
 */
static void addresses_load(const struct config *config, const struct vm_list *vms, const char *path)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL;
	size_t len;

	if (state_file_read(path, &text, &len) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char name[32], dotted[16];
		struct in_addr address;
		struct vm *vm;

		if (sscanf(line, "%31s %15s", name, dotted) != 2 ||
		    inet_pton(AF_INET, dotted, &address) != 1)
			continue;
		vm = find(vms, name);
		if (vm && !vm->address.s_addr && address_fits(config, address) &&
		    !address_taken(config, vms, address))
			vm->address = address;
	}
}

static int address_next(const struct config *config, const struct vm_list *vms,
			struct in_addr *ret_address)
{
	uint32_t mask = config->prefix ? ~0u << (32 - config->prefix) : 0;
	uint32_t net = ntohl(config->address.s_addr) & mask, size = ~mask;

	for (uint32_t i = 0; i < size; i++) {
		uint32_t host = (FIRST_HOST + i) % size;
		struct in_addr address = {.s_addr = htonl(net | host)};

		if (address_fits(config, address) && !address_taken(config, vms, address)) {
			*ret_address = address;
			return 0;
		}
	}
	return -ENOSPC;
}

static void addresses_print(FILE *f, const void *ctx)
{
	const struct vm_list *vms = ctx;

	for (size_t i = 0; i < vms->n; i++) {
		const struct vm *vm = vms->at[i];
		char dotted[INET_ADDRSTRLEN];

		if (!vm->has_fixed_address)
			fprintf(f, "%s %s\n", vm->name,
				inet_ntop(AF_INET, &vm->address, dotted, sizeof(dotted)));
	}
}

/**
 * vm_addresses_assign() - give an address to each VM that the configuration gives none
 * @config:	the configuration that they are of
 * @vms:	all of its VMs
 *
 * Return: 0 once what was handed out is on the disk, or a negative errno and it was logged.
 */
int vm_addresses_assign(const struct config *config, const struct vm_list *vms)
{
	char path[PATH_MAX];
	bool given = false;
	int r;

	state_file_path(path, sizeof(path), config->state_directory, "addresses");
	addresses_load(config, vms, path);
	for (size_t i = 0; i < vms->n; i++) {
		struct vm *vm = vms->at[i];

		if (vm->address.s_addr)
			continue;
		r = address_next(config, vms, &vm->address);
		if (r < 0) {
			log_err("%s: no address is free in [network] address; widen its prefix",
				vm->name);
			return r;
		}
		given = true;
	}
	if (!given)
		return 0;
	r = state_file_print(path, addresses_print, vms);
	if (r < 0)
		log_err("%s: %s; give each [vm] an address, or make the folder writable", path,
			errno_text(r));
	return r;
}
