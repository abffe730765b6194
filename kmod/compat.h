/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between kernels, behind the module's own small functions. Linux 6.1 is supported. What has changed after
 * it, and would have to be answered here: page_entry_size became an order in ->huge_fault (6.6), pte_offset_map_lock()
 * may fail (6.5), VMA flags are set by vm_flags_set() (6.3), faults come under a lock of the VMA alone (6.4: such a
 * fault has FAULT_FLAG_VMA_LOCK and must be retried), user_namespace became mnt_idmap (6.3), timestamps of inodes are
 * set by functions (6.6).
 */
#ifndef MORSEL_KMOD_COMPAT_H
#define MORSEL_KMOD_COMPAT_H

#include <linux/mm.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0) || LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#error "morsel.ko supports Linux 6.1: see kmod/compat.h for what later kernels would need"
#endif
#ifndef CONFIG_PTE_MARKER_UFFD_WP
#error "morsel.ko needs CONFIG_PTE_MARKER_UFFD_WP: software words are PTE markers"
#endif
#if !USE_SPLIT_PTE_PTLOCKS || !USE_SPLIT_PMD_PTLOCKS
#error "morsel.ko needs split page-table locks"
#endif

/* engine/format/software_word.hpp encodes software words with this swap type (docs/decisions/0002). */
static_assert(SWP_PTE_MARKER == 30, "software words would not be PTE markers");

static inline void morsel_set_vma_flags(struct vm_area_struct *vma, unsigned long set, unsigned long clear)
{
	vma->vm_flags = (vma->vm_flags & ~clear) | set;
}

/* Level of the entry that ->huge_fault is asked to fill. */
static inline unsigned int morsel_fault_level(enum page_entry_size size)
{
	return size == PE_SIZE_PUD ? 2 : size == PE_SIZE_PMD ? 1 : 0;
}

/* The lock of one page-table page, as pte_lockptr() and pmd_lockptr() find it from above. */
static inline spinlock_t *morsel_table_lock(struct page *table)
{
	return ptlock_ptr(table);
}

#endif /* MORSEL_KMOD_COMPAT_H */
