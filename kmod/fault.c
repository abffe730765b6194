// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Page faults in mappings. A process that maps the primary populates it; one that maps a view fills it (and populates
 * the primary if that has a hole).
 *
 * The engine may sleep at its points, so it runs without mmap_lock: the first pass of a fault pins the file, drops the
 * lock, makes the table and the leaf, and asks for a retry; the second pass finds the table and attaches it, or finds
 * the leaf. The faults that must go through the engine with mmap_lock held for reading, and cannot be suspended there,
 * are on the list in docs/concurrency.md, "No lock is held at a point".
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <asm/pgalloc.h>

#include "kmod/shim.h"

static bool may_drop_lock(struct vm_fault *vmf)
{
	return fault_flag_allow_retry_first(vmf->flags) && !(vmf->flags & FAULT_FLAG_RETRY_NOWAIT);
}

static vm_fault_t fault_error(int engine_error)
{
	switch (engine_error) {
	case ENGINE_DONE:
		return VM_FAULT_NOPAGE;
	case ENGINE_ACCESS_DENIED:
		return VM_FAULT_SIGSEGV;
	default:	/* no memory too, as with huge pages: VM_FAULT_OOM would have the access tried again for ever */
		return VM_FAULT_SIGBUS;
	}
}

/* What a fault needs of the engine. */
struct work {
	struct morsel_tree *tree;
	u64 offset;
	unsigned int want;
	int table_level;		/* of the table that shall be attached, or -1: only the leaf */
	u64 table;			/* out */
	bool may_wait;			/* mmap_lock is not held */
	u64 address;
};

static unsigned long slot_of(u64 offset, unsigned int table_level)
{
	return offset >> (table_level ? PUD_SHIFT : PMD_SHIFT);
}

static u64 known_table(struct morsel_tree *tree, u64 offset, unsigned int level)
{
	void *entry = xa_load(&tree->tables[level], slot_of(offset, level));

	return entry ? (u64)xa_to_value(entry) << PAGE_SHIFT : 0;
}

/* Tables of a tree that is marked attached are never unlinked, so what is found once stays true. */
static int ensure_table(struct work *work, struct engine_actor *actor)
{
	struct morsel_tree *tree = work->tree;
	struct morsel_object *object = tree->object;
	const unsigned int level = work->table_level;
	const u64 start = work->offset & (level ? PUD_MASK : PMD_MASK);
	const u64 span = level ? PUD_SIZE : PMD_SIZE;
	engine_u64 table;
	int error;

	for (;;) {
		error = engine_ensure_table(actor, &object->engine, morsel_view(tree), work->offset, level, &table);
		/* A large leaf of the view stands there: it is only a copy, and is filled again in small pages. */
		if (error != ENGINE_EXISTS || !morsel_is_view(tree))
			break;
		error = engine_invalidate_view(actor, &object->engine, &tree->view, start, start + span);
		if (error)
			break;
		cond_resched();
	}
	if (error)
		return error;
	if (xa_is_err(xa_store(&tree->tables[level], slot_of(work->offset, level), xa_mk_value(table >> PAGE_SHIFT),
			       GFP_KERNEL_ACCOUNT)))
		return ENGINE_NO_MEMORY;
	work->table = table;
	return ENGINE_DONE;
}

static int do_work(struct work *work)
{
	struct morsel_tree *tree = work->tree;
	struct engine_actor actor = morsel_actor(tree->object, morsel_is_view(tree) ? MORSEL_ACTOR_PROCESS_VIEW
										     : MORSEL_ACTOR_PROCESS_PRIMARY);
	unsigned int result;
	int error;

	actor.may_wait = work->may_wait;
	actor.fault_address = work->address;
	if (work->table_level >= 0) {
		error = ensure_table(work, &actor);
		if (error && error != ENGINE_EXISTS)
			return error;
	}
	error = engine_access(&actor, &tree->object->engine, morsel_view(tree), work->offset, work->want, 1, &result);
	if (!error)
		morsel_count(MORSEL_FILLS, 1);
	return error;
}

/* The child of a fork has no notifier yet. */
static void register_late(struct mm_struct *mm, unsigned long address)
{
	struct vm_area_struct *vma;

	if (mmap_write_lock_killable(mm))
		return;
	vma = find_vma(mm, address);
	if (vma && vma->vm_start <= address && vma->vm_ops == &morsel_vm_ops && !vma->vm_private_data)
		morsel_register(vma);
	mmap_write_unlock(mm);
}

static vm_fault_t work_without_lock(struct vm_fault *vmf, struct work *work)
{
	struct mm_struct *mm = vmf->vma->vm_mm;
	struct morsel_user *user = vmf->vma->vm_private_data;
	const unsigned long address = vmf->address;
	struct file *file = get_file(vmf->vma->vm_file);
	struct morsel_context *context = NULL;
	struct morsel_tree *pinned;

	if (user) {
		context = user->context;
		morsel_context_ref(context);
	}
	pinned = morsel_tree_get(work->tree->object, work->tree->number);	/* a mapped tree is there */
	mmap_read_unlock(mm);
	if (context) {
		wait_event_killable(context->idle, !morsel_invalidating(context, address));
		morsel_context_put(context);
	} else {
		register_late(mm, address);
	}
	work->may_wait = true;
	if (!fatal_signal_pending(current))
		do_work(work);
	morsel_gate_end();
	morsel_tree_put(pinned);
	fput(file);
	return VM_FAULT_RETRY;
}

static vm_fault_t resolve(struct vm_fault *vmf, struct work *work)
{
	if (may_drop_lock(vmf))
		return work_without_lock(vmf, work);
	return fault_error(do_work(work));
}

static bool covers(struct vm_area_struct *vma, unsigned long address, unsigned long size)
{
	const unsigned long start = address & ~(size - 1);
	const unsigned long offset = (vma->vm_pgoff << PAGE_SHIFT) + (start - vma->vm_start);

	return start >= vma->vm_start && start + size > start && start + size <= vma->vm_end &&
	       IS_ALIGNED(offset, size);
}

static bool can_attach(struct vm_fault *vmf, struct morsel_tree *tree, unsigned int level)
{
	struct morsel_user *user = vmf->vma->vm_private_data;
	/* A view's root is at its format's top. */
	const unsigned int root_level = morsel_is_view(tree) ? 3 : tree->object->root_level;

	return user && user->granularity >= level && (vmf->vma->vm_flags & VM_WRITE) && level - 1 <= root_level &&
	       covers(vmf->vma, vmf->address, level == 2 ? PUD_SIZE : PMD_SIZE);
}

static vm_fault_t attach_slot(struct vm_fault *vmf, struct work *work, unsigned int level)
{
	struct morsel_user *user = vmf->vma->vm_private_data;
	u64 table = known_table(work->tree, work->offset, level - 1);
	struct engine_actor actor;
	int error;

	work->table_level = level - 1;
	if (may_drop_lock(vmf) && (!table || morsel_invalidating(user->context, vmf->address)))
		return work_without_lock(vmf, work);
	if (!table) {
		actor = morsel_actor(work->tree->object, MORSEL_ACTOR_PROCESS_PRIMARY);
		actor.may_wait = false;
		error = ensure_table(work, &actor);
		if (error == ENGINE_EXISTS)
			return VM_FAULT_FALLBACK;	/* a 2-MiB leaf of the primary */
		if (error)
			return fault_error(error);
		table = work->table;
	}
	return morsel_attach(user, vmf, level, table);
}

static bool is_ours(struct vm_fault *vmf, struct morsel_object *object)
{
	if (morsel_table_owner(vmf->pmd) == object)
		return true;
	return !pmd_none(*vmf->pmd) && pmd_present(*vmf->pmd) && !pmd_leaf(*vmf->pmd) &&
	       morsel_table_owner((void *)pmd_page_vaddr(*vmf->pmd)) == object;
}

/* ---- page by page ---- */

/*
 * A table of the kernel's own, so that nothing of ours, and no huge page, is put there afterwards. False: the kernel
 * has allocated none, because the slot was taken when it looked; the access faults again.
 */
static bool own_table(struct vm_fault *vmf)
{
	struct mm_struct *mm = vmf->vma->vm_mm;
	spinlock_t *lock = pmd_lock(mm, vmf->pmd);
	const bool free = pmd_none(*vmf->pmd);

	if (free && vmf->prealloc_pte) {
		mm_inc_nr_ptes(mm);
		smp_wmb();	/* the table's contents before its address */
		pmd_populate(mm, vmf->pmd, vmf->prealloc_pte);
		vmf->prealloc_pte = NULL;
	}
	spin_unlock(lock);
	return !pmd_none(*vmf->pmd);
}

/* With the page locked, the leaf is looked at once more: see kernel_leaf_changed(). 0: it maps another page by now. */
static unsigned int rights_to(struct work *work, struct page *page)
{
	struct engine_actor actor = morsel_actor(work->tree->object, MORSEL_ACTOR_PROCESS_PRIMARY);
	struct engine_leaf leaf;

	actor.may_wait = false;
	if (engine_find(&actor, &work->tree->object->engine, NULL, work->offset, 0, &leaf) != ENGINE_DONE ||
	    leaf.frame >> PAGE_SHIFT != page_to_pfn(page))
		return 0;
	return leaf.rights;
}

static vm_fault_t map_one_page(struct vm_fault *vmf, struct work *work)
{
	struct morsel_object *object = work->tree->object;
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_PROCESS_PRIMARY);
	struct engine_leaf leaf;
	struct page *page;
	vm_fault_t error;

	actor.may_wait = false;
	if (!own_table(vmf) || is_ours(vmf, object))
		return VM_FAULT_NOPAGE;		/* attached or detached meanwhile */
	WRITE_ONCE(object->mapped_by_pages, true);
	smp_mb();	/* the flag, then the leaf: kernel_leaf_changed() does it the other way round */
	for (;;) {
		if (engine_find(&actor, &object->engine, NULL, work->offset, 1, &leaf) != ENGINE_DONE) {
			error = resolve(vmf, work);
			if (error != VM_FAULT_NOPAGE)
				return error;
			continue;
		}
		page = pfn_to_page(leaf.frame >> PAGE_SHIFT);
		lock_page(page);
		if ((rights_to(work, page) & work->want) == work->want)
			break;
		unlock_page(page);
		put_page(page);
		if ((leaf.rights & work->want) != work->want)
			return VM_FAULT_SIGSEGV;
		cond_resched();
	}
	vmf->page = page;
	return VM_FAULT_LOCKED;
}

/* ---- entry points ---- */

static void init_work(struct work *work, struct vm_fault *vmf, bool write)
{
	work->tree = morsel_mapped_tree(vmf->vma);
	work->offset = (u64)vmf->pgoff << PAGE_SHIFT;
	work->want = write ? MORSEL_WRITE : MORSEL_READ;
	work->table_level = -1;
	work->table = 0;
	work->may_wait = false;
	work->address = vmf->address;
}

/* `level` is that of the entry which the kernel found empty, or 0 for a PTE. */
static vm_fault_t fault_at(struct vm_fault *vmf, unsigned int level)
{
	struct work work;
	vm_fault_t result;

	init_work(&work, vmf, vmf->flags & FAULT_FLAG_WRITE);
	if (work.offset >= i_size_read(work.tree->object->inode))
		return VM_FAULT_SIGBUS;
	if (!vmf->vma->vm_private_data && may_drop_lock(vmf))
		return work_without_lock(vmf, &work);
	if (level == 2)
		return can_attach(vmf, work.tree, 2) ? attach_slot(vmf, &work, 2) : VM_FAULT_FALLBACK;
	/* Never FALLBACK here: the kernel would put a table of its own into ours, or split our leaf. */
	if (is_ours(vmf, work.tree->object))
		return resolve(vmf, &work);
	if (pmd_none(*vmf->pmd) && can_attach(vmf, work.tree, 1)) {
		result = attach_slot(vmf, &work, 1);
		if (result != VM_FAULT_FALLBACK)
			return result;
	}
	if (morsel_is_view(work.tree))
		return VM_FAULT_SIGBUS;
	if (level == 1)
		return VM_FAULT_FALLBACK;
	work.table_level = -1;
	return map_one_page(vmf, &work);
}

vm_fault_t morsel_fault(struct vm_fault *vmf)
{
	return fault_at(vmf, 0);
}

vm_fault_t morsel_huge_fault(struct vm_fault *vmf, enum page_entry_size size)
{
	const unsigned int level = morsel_fault_level(size);

	return level ? fault_at(vmf, level) : VM_FAULT_FALLBACK;
}

/*
 * A write to a present entry without the right. In our tables the rights are the primary's, or a view's that can be
 * filled again with more; in the kernel's own, every entry starts read-only and comes here before its first write.
 */
vm_fault_t morsel_mkwrite(struct vm_fault *vmf)
{
	struct page *page = vmf->page;
	unsigned int rights;
	struct work work;

	init_work(&work, vmf, true);
	if (work.offset >= i_size_read(work.tree->object->inode))
		return VM_FAULT_SIGBUS;
	if (is_ours(vmf, work.tree->object))
		return fault_error(do_work(&work));
	if (!page || morsel_is_view(work.tree))
		return VM_FAULT_SIGBUS;
	lock_page(page);
	rights = rights_to(&work, page);	/* one look: a move may begin or be undone between two */
	if (rights & MORSEL_WRITE)
		return VM_FAULT_LOCKED;
	unlock_page(page);
	/* The same page, but not for writing; or another: then what maps this one is on its way out. */
	return rights ? VM_FAULT_SIGSEGV : VM_FAULT_NOPAGE;
}
