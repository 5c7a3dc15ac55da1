/* SPDX-License-Identifier: BSD-2-Clause */
/* What libvirt says went wrong last, in this thread. */
#pragma once

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

static inline int virt_error_code(void)
{
	virErrorPtr error = virGetLastError();

	return error ? error->code : VIR_ERR_OK;
}

static inline const char *virt_error_text(void)
{
	return virGetLastErrorMessage();
}
