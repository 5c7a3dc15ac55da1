/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of files that the program is made of; see code_pages.h. */
#include "base/code_pages.h"

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Whether the loader has written into its code: then the pages are no copy of the file. */
static bool has_changed_code(const struct dl_phdr_info *info)
{
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_DYNAMIC)
			continue;
		for (const ElfW(Dyn) *d = (const void *)(info->dlpi_addr + p->p_vaddr);
		     d->d_tag != DT_NULL; d++)
			if (d->d_tag == DT_TEXTREL ||
			    (d->d_tag == DT_FLAGS && d->d_un.d_val & DF_TEXTREL))
				return true;
	}
	return false;
}

static int give_back(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	if (has_changed_code(info))
		return 0;
	/* The first segment last: these headers are in it. */
	for (unsigned i = info->dlpi_phnum; i-- > 0;) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t at = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);
		uintptr_t end = info->dlpi_addr + p->p_vaddr + p->p_memsz;

		/* What was written once, relocated pointers too, lies in a segment that may be. */
		if (p->p_type == PT_LOAD && !(p->p_flags & PF_W))
			madvise((void *)at, end - at, MADV_DONTNEED);
	}
	return 0;
}

/**
 * code_pages_give_back() - let go of the pages that only the start, or a rare call, has touched
 *
 * Call it once a process has started, and after what it seldom does. What the process runs from
 * then on comes back from the file, or from the kernel's copy of it, when it is touched. A
 * debugger's breakpoints in these pages are lost.
 */
void code_pages_give_back(void)
{
	dl_iterate_phdr(give_back, NULL);
}
