// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mappings of objects: mmap and the life of a VMA. Faults are in kmod/fault.c.
 *
 * The primary is mapped as a shared file mapping whose pages are normal pages, so that get_user_pages, futexes and fork
 * work. Rights live in leaf entries only, and the primary's leaves are writable: so a VMA that may write gets the
 * primary's own tables attached, and a read-only one is served page by page in tables that the kernel owns.
 *
 * A view is mapped for its tables' sake: the CPU's MMU walks them. It is mapped as a whole, never page by page, so its
 * VMA consists of whole 2-MiB slots; get_user_pages and page-table walks of the kernel stay away (VM_IO, VM_PFNMAP); a
 * fork does not inherit it; its rights are the primary's, so mprotect is refused.
 *
 * VM_UFFD_WP: reserved and moving words in the tables are PTE markers to Linux, and with this flag its fault path hands
 * them to ->fault as if nothing stood there, instead of clearing them. No userfaultfd is behind it. A fork removes the
 * flag from the child, whose first fault sets it again together with the child's notifier: not ->open, because after it
 * the fork would copy the parent's page tables, attached ones included.
 */
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pagemap.h>

#include "kmod/shim.h"

#define VIEW_FLAGS (VM_IO | VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP | VM_UFFD_WP)
#define PRIMARY_FLAGS (VM_DONTEXPAND | VM_UFFD_WP)

/* NULL in vm_private_data: the child of a fork, whose process is not registered yet. Only the primary is inherited. */
struct morsel_tree *morsel_mapped_tree(struct vm_area_struct *vma)
{
	struct morsel_user *user = vma->vm_private_data;

	return user ? user->tree : &morsel_of(file_inode(vma->vm_file))->trees[0];
}

/* mmap_lock held for writing. False: no memory; then the mapping is served page by page. */
bool morsel_register(struct vm_area_struct *vma)
{
	struct morsel_user *user = morsel_user_get(vma->vm_mm, morsel_mapped_tree(vma));

	if (IS_ERR(user))
		return false;
	vma->vm_private_data = user;
	morsel_set_vma_flags(vma, VM_UFFD_WP, 0);
	return true;
}

/* A split, a move, or a fork. */
static void vma_open(struct vm_area_struct *vma)
{
	struct morsel_tree *tree = morsel_mapped_tree(vma);
	struct morsel_user *user = vma->vm_private_data;

	morsel_tree_mapped(tree, 1);
	if (!user)
		return;
	if (user->context->notifier.mm == vma->vm_mm)
		morsel_user_ref(user);
	else
		vma->vm_private_data = NULL;
}

static void vma_close(struct vm_area_struct *vma)
{
	struct morsel_tree *tree = morsel_mapped_tree(vma);

	if (vma->vm_private_data)
		morsel_user_put(vma->vm_private_data);
	morsel_tree_mapped(tree, -1);
}

/* What straddles the address goes: afterwards no VMA covers that slot. mmap_lock held for writing. */
static int vma_may_split(struct vm_area_struct *vma, unsigned long address)
{
	struct morsel_user *user = vma->vm_private_data;

	if (morsel_is_view(morsel_mapped_tree(vma)) && !IS_ALIGNED(address, PMD_SIZE))
		return -EINVAL;
	if (user)
		morsel_detach(user->context, address - 1, address + 1);
	return 0;
}

/* The kernel fetches its PMD pointer before it notifies, so the attachments must be gone before it begins. */
static int vma_mprotect(struct vm_area_struct *vma, unsigned long start, unsigned long end, unsigned long flags)
{
	struct morsel_user *user = vma->vm_private_data;

	if (morsel_is_view(morsel_mapped_tree(vma)))
		return -EACCES;
	if (user)
		morsel_detach(user->context, start, end);
	return 0;
}

static int vma_mremap(struct vm_area_struct *vma)
{
	if (morsel_is_view(morsel_mapped_tree(vma)) && !IS_ALIGNED(vma->vm_start | vma->vm_end, PMD_SIZE))
		return -EINVAL;
	return 0;
}

#ifdef CONFIG_NUMA
/* No policy of ours: keeps NUMA hinting from taking present bits away in shared tables. */
static struct mempolicy *vma_get_policy(struct vm_area_struct *vma, unsigned long address)
{
	return NULL;
}
#endif

const struct vm_operations_struct morsel_vm_ops = {
	.open = vma_open,
	.close = vma_close,
	.may_split = vma_may_split,
	.mprotect = vma_mprotect,
	.mremap = vma_mremap,
	.fault = morsel_fault,
	.huge_fault = morsel_huge_fault,
	.page_mkwrite = morsel_mkwrite,
	.pfn_mkwrite = morsel_mkwrite,
#ifdef CONFIG_NUMA
	.get_policy = vma_get_policy,
#endif
};

static int check_flags(struct vm_area_struct *vma, struct morsel_tree *tree)
{
	const unsigned long offset = vma->vm_pgoff << PAGE_SHIFT;

	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	if (!morsel_is_view(tree))
		return 0;
	/* Looked at here, not only when it was chosen: another view may have the number by now. */
	if (!morsel_cpu_format(tree->format))
		return -EINVAL;
	if ((vma->vm_flags & (VM_READ | VM_WRITE | VM_SHARED)) != (VM_READ | VM_WRITE | VM_SHARED))
		return -EACCES;
	if (!morsel_granularity || !IS_ALIGNED(vma->vm_start | vma->vm_end | offset, PMD_SIZE))
		return -EINVAL;
	return 0;
}

int morsel_mmap(struct file *file, struct vm_area_struct *vma)
{
	/* Which tree this descriptor maps: MORSEL_IOC_MAP_VIEW. */
	struct morsel_tree *tree = morsel_tree_get(morsel_of(file_inode(file)),
						   (unsigned long)READ_ONCE(file->private_data));
	struct morsel_user *user;
	int error;

	if (!tree)
		return -ENOENT;
	error = check_flags(vma, tree);
	if (!error)
		error = morsel_mark_attached(tree);
	if (error)
		goto put;
	user = morsel_user_get(vma->vm_mm, tree);
	if (IS_ERR(user)) {
		error = PTR_ERR(user);
		goto put;
	}
	morsel_set_vma_flags(vma, morsel_is_view(tree) ? VIEW_FLAGS : PRIMARY_FLAGS, VM_MAYEXEC);
	vma->vm_private_data = user;
	vma->vm_ops = &morsel_vm_ops;
	file_accessed(file);
	morsel_tree_mapped(tree, 1);
put:
	morsel_tree_put(tree);
	morsel_gate_end();
	return error;
}

/* Addresses congruent to the offset, so that whole slots can be attached. */
unsigned long morsel_get_unmapped_area(struct file *file, unsigned long address, unsigned long length,
				       unsigned long pgoff, unsigned long flags)
{
	const unsigned long slot = length >= PUD_SIZE && morsel_granularity >= 2 ? PUD_SIZE : PMD_SIZE;
	unsigned long found;

	if (address || (flags & MAP_FIXED) || length < PMD_SIZE || !morsel_granularity || length + slot < length)
		return current->mm->get_unmapped_area(file, address, length, pgoff, flags);
	found = current->mm->get_unmapped_area(file, 0, length + slot, 0, flags);
	if (IS_ERR_VALUE(found))
		return current->mm->get_unmapped_area(file, 0, length, pgoff, flags);
	return found + (((pgoff << PAGE_SHIFT) - found) & (slot - 1));
}
