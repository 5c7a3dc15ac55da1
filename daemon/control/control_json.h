/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices and VMs as the types of io.usbrouted. What is returned is the caller's; NULL: no memory.
 */
#pragma once

#include <jansson.h>

#include "protocol/varlink_wire.h"
#include "daemon/commands/commands.h"
#include "daemon/control/control_socket.h"

/* Of a reply's lists, with room for what is around them. */
#define JSON_LIST_MAX (VARLINK_MESSAGE_MAX - 1024)

json_t *json_text(const char *text);
json_t *json_lines(const char *text);
json_t *json_ms(double ms);
size_t json_size(const json_t *json);
bool json_append_within(json_t *list, json_t *item, size_t *room);
json_t *json_device(const struct device *device);
json_t *json_absent(const struct control_rooms *rooms, const char *alias);
json_t *json_lost(const struct control_rooms *rooms, const char *wish_on);
json_t *json_vm(const struct control_rooms *rooms, struct vm *vm);
json_t *json_networks(const struct vms *vms);
