// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What vCPUs and devices share: pages of their own, which are counted; on tables of the caller's own a lab, 2 MiB of
 * memory that he maps; handing out the descriptor; how one access ended.
 */
#include <linux/gfp.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "engine/abi/morsel_device.h"
#include "engine/abi/morsel_vcpu.h"
#include "kmod/shim.h"

#define LAB_ORDER (PMD_SHIFT - PAGE_SHIFT)

/* Zeroed, and in one piece. */
void *morsel_own_pages(unsigned int pages, gfp_t gfp)
{
	void *own = alloc_pages_exact(pages * PAGE_SIZE, gfp | __GFP_ZERO);

	if (own)
		morsel_count(MORSEL_OWN_PAGES, pages);
	return own;
}

void morsel_own_pages_free(void *own, unsigned int pages)
{
	if (!own)
		return;
	free_pages_exact(own, pages * PAGE_SIZE);
	morsel_count(MORSEL_OWN_PAGES, -(s64)pages);
}

struct page *morsel_lab_new(const char **reason)
{
	struct page *lab = alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN, LAB_ORDER);

	BUILD_BUG_ON(MORSEL_LAB_BYTES != PMD_SIZE);
	if (lab)
		morsel_count(MORSEL_OWN_PAGES, 1 << LAB_ORDER);
	else
		*reason = "there are no 2 MiB of memory in one piece";
	return lab;
}

void morsel_lab_free(struct page *lab)
{
	if (!lab)
		return;
	__free_pages(lab, LAB_ORDER);
	morsel_count(MORSEL_OWN_PAGES, -(1 << LAB_ORDER));
}

int morsel_lab_map(struct page *lab, struct vm_area_struct *vma)
{
	const unsigned long bytes = vma->vm_end - vma->vm_start;

	if (!lab || vma->vm_pgoff || bytes > MORSEL_LAB_BYTES || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	return remap_pfn_range(vma, vma->vm_start, page_to_pfn(lab), bytes, vma->vm_page_prot);
}

/* Takes the file over. The reply to the request, in which *fd lies, tells its descriptor. */
int morsel_give_file(struct file *file, s32 *fd, const void *reply, size_t size, void __user *argument)
{
	*fd = get_unused_fd_flags(O_CLOEXEC);
	if (*fd < 0) {
		fput(file);
		return *fd;
	}
	if (copy_to_user(argument, reply, size)) {
		put_unused_fd(*fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(*fd, file);
	return 0;
}

/* `result` is an enum morsel_vcpu_result or an enum morsel_dma_result. Returns what the request for the access does. */
int morsel_access_result(struct morsel_access *request, u32 result, u32 outcome, u64 value)
{
	BUILD_BUG_ON((int)MORSEL_VCPU_DONE != (int)MORSEL_DMA_DONE ||
		     (int)MORSEL_VCPU_DENIED != (int)MORSEL_DMA_DENIED ||
		     (int)MORSEL_VCPU_HOLE != (int)MORSEL_DMA_HOLE ||
		     (int)MORSEL_VCPU_OUTSIDE != (int)MORSEL_DMA_OUTSIDE);
	switch (result) {
	case MORSEL_VCPU_DONE:
		request->result = outcome;
		if (request->rights == MORSEL_READ)
			request->value = value;
		return 0;
	case MORSEL_VCPU_DENIED:
		request->result = MORSEL_ACCESS_DENIED;
		return 0;
	case MORSEL_VCPU_HOLE:
		return -ENXIO;
	case MORSEL_VCPU_OUTSIDE:
		return -ERANGE;
	default:
		return -EIO;
	}
}
