/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages between control and a VM's process, from either side. What is taken has its length, its
 * texts end, and what is not taken is said why.
 *
 * Input: a byte of who says it and how many descriptors come with it, and the message.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/vm_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads to the end of each text that a taken message has. */
static size_t read_texts(const union vm_wire_message *m)
{
	switch (m->kind) {
	case VM_ASK_START:
		return strlen(m->start.name);
	case VM_ASK_GIVE:
		return strlen(m->give.tag) + strlen(m->give.info.path) + strlen(m->give.info.busid);
	case VM_SAY_HELD:
		return strlen(m->held.busid);
	case VM_SAY_IMPORT_ASKED:
		return strlen(m->import_asked.busid);
	case VM_SAY_OPENED:
	case VM_SAY_SESSION_ENDED:
	case VM_SAY_WAS_RESET:
	case VM_SAY_STUCK:
	case VM_SAY_TAKEN:
		return strlen(m->result.reason);
	default:
		return 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *fault = NULL;
	/* As long as the message, so that who reads on is seen. */
	_cleanup_free_ union vm_wire_message *m = malloc(max_t(size_t, size, 1));
	enum vm_wire_side from;
	unsigned n_fds;
	int r;

	if (!m || !size)
		return 0;
	from = data[0] & 1 ? VM_WIRE_VM : VM_WIRE_CONTROL;
	n_fds = data[0] >> 1 & 3;
	memcpy(m, data + 1, size - 1);
	r = vm_wire_check(m, size - 1, n_fds, from, &fault);
	if (r == -EBADMSG) {
		assert(fault && *fault);
	} else if (r == 0) {
		assert(vm_wire_size(m->kind) == size - 1);
		assert(strcmp(vm_wire_name(m->kind), "?"));
		assert(read_texts(m) < size);
		if (m->kind == VM_SAY_HELLO || m->kind == VM_ASK_HELLO)
			assert(vm_wire_agree(&m->hello) <= VM_WIRE_VERSION);
	} else {
		assert(r == VM_WIRE_UNKNOWN && size - 1 >= sizeof(m->kind));
	}
	return 0;
}
