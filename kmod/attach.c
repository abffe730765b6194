// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attachments: an entry of a process's own page tables that points to a table of an object's tree. Attaching is one
 * store under the kernel's page-table lock; detaching is one store and a flush of the process. (A vCPU on the primary
 * is an attachment, too: kmod/vcpu.c.)
 *
 * The stock kernel does not know that the table below is shared, so an attachment must be gone before it walks there to
 * change anything: each mm with mappings of ours has one mmu_notifier, and whatever is about to be invalidated is
 * detached first. The next access faults and attaches again.
 *
 * Attaching waits while an invalidation of the same address is under way. Detaching may run in contexts that must not
 * sleep (the OOM reaper), so it takes spinlocks only.
 *
 * A tree's flush domain is its vCPUs, and the CPUs of every process that has an attachment, or is just removing one: a
 * user stays on the tree's list until the flush of its last detachment is done.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/mmu_context.h>
#include <asm/pgalloc.h>
#include <asm/tlbflush.h>

#include "kmod/shim.h"

struct morsel_attachment {
	struct interval_tree_node span;	/* context->attachments: addresses, last inclusive */
	struct list_head node;		/* on the way out */
	struct morsel_user *user;
	unsigned int level;		/* of the entry: 1 PMD, 2 PUD */
	void *entry;			/* in a table that the kernel owns */
	unsigned long value;
};

static void flush_this_cpu(void *unused)
{
	__flush_tlb_all();
}

/*
 * As inc_mm_tlb_gen(), which modules cannot call: CPUs that have switched away from the mm flush when they come back,
 * those that are in its mask now flush at once. Counting is a full barrier before the mask is read, and the switching
 * CPU enters the mask before it reads the count.
 */
static void outdate(struct mm_struct *mm)
{
	atomic64_inc_return(&mm->context.tlb_gen);
}

static void flush_mm(struct mm_struct *mm)
{
	outdate(mm);
	on_each_cpu_mask(mm_cpumask(mm), flush_this_cpu, NULL, true);
	morsel_count(MORSEL_FLUSHES, 1);
}

static bool runs_user_of(int cpu, void *data)
{
	struct morsel_tree *tree = data;
	struct morsel_user *user;
	bool runs = false;

	spin_lock(&tree->lock);
	list_for_each_entry(user, &tree->users, node)
		if (cpumask_test_cpu(cpu, mm_cpumask(user->context->notifier.mm)))
			runs = true;
	spin_unlock(&tree->lock);
	return runs;
}

/* For CPUs the whole tree is flushed, whatever the range: they may have cached its table pointers. */
void kernel_flush(struct engine_actor *actor, unsigned int number, engine_u64 start, engine_u64 end)
{
	struct morsel_tree *tree = &actor->object->trees[number];
	struct morsel_user *user;
	bool used = false;

	morsel_count(MORSEL_FLUSHES, 1);
	morsel_wait_for_touches(actor->object);
	spin_lock(&tree->lock);
	list_for_each_entry(user, &tree->users, node) {
		outdate(user->context->notifier.mm);
		used = true;
	}
	spin_unlock(&tree->lock);
	if (used)
		on_each_cpu_cond_mask(runs_user_of, flush_this_cpu, tree, true, cpu_online_mask);
	morsel_vcpus_flush(tree);
	morsel_devices_flush(tree, start, end);
}

/* Only of those who flush no more than the range. */
void kernel_flush_devices(struct engine_actor *actor, unsigned int number, engine_u64 start, engine_u64 end)
{
	morsel_count(MORSEL_FLUSHES, 1);
	morsel_devices_flush(&actor->object->trees[number], start, end);
}

/* ---- processes ---- */

static DECLARE_WAIT_QUEUE_HEAD(context_freed);

static bool idle(void)
{
	return !atomic64_read(&morsel_counters[MORSEL_CONTEXTS]);
}

int morsel_wait_until_idle(void)
{
	return wait_event_interruptible(context_freed, idle());
}

/*
 * At unload. mmu_notifier_synchronize() alone is not enough: it waits for a grace period, not for other CPUs' callbacks
 * of it. They run with softirqs off, so the RCU grace period of the unload itself waits for the last one's return.
 */
void morsel_contexts_stop(void)
{
	mmu_notifier_synchronize();
	wait_event(context_freed, idle());
}

static void free_context(struct kref *references)
{
	struct morsel_context *context = container_of(references, struct morsel_context, references);

	kfree(context);
	morsel_count(MORSEL_CONTEXTS, -1);
	wake_up_all(&context_freed);
}

void morsel_context_ref(struct morsel_context *context)
{
	kref_get(&context->references);
}

void morsel_context_put(struct morsel_context *context)
{
	kref_put(&context->references, free_context);
}

static bool overlaps(struct morsel_context *context, unsigned long start, unsigned long last)
{
	return context->invalidations && start < context->end && last >= context->start;
}

bool morsel_invalidating(struct morsel_context *context, unsigned long address)
{
	bool result;

	spin_lock(&context->lock);
	result = overlaps(context, address & PUD_MASK, address | ~PUD_MASK);
	spin_unlock(&context->lock);
	return result;
}

static void lock_and_clear(struct morsel_attachment *attachment, struct mm_struct *mm)
{
	const bool pud = attachment->level == 2;
	spinlock_t *lock = pud ? pud_lock(mm, attachment->entry) : pmd_lock(mm, attachment->entry);
	const unsigned long found = *(unsigned long *)attachment->entry;

	if ((found ^ attachment->value) & ~_PAGE_ACCESSED) {
		morsel_count(MORSEL_BAD_ENTRIES, 1);
		pr_err_ratelimited("morsel: the entry for %lx is %lx, not %lx\n", attachment->span.start, found,
				   attachment->value);
	} else if (pud) {
		pud_clear(attachment->entry);
	} else {
		pmd_clear(attachment->entry);
	}
	spin_unlock(lock);
}

/* The mm is alive, or is being torn down and its page tables are still there. */
void morsel_detach(struct morsel_context *context, unsigned long start, unsigned long end)
{
	struct mm_struct *mm = context->notifier.mm;
	struct morsel_attachment *attachment, *next;
	struct interval_tree_node *span;
	LIST_HEAD(gone);

	spin_lock(&context->lock);
	while ((span = interval_tree_iter_first(&context->attachments, start, end - 1))) {
		attachment = container_of(span, struct morsel_attachment, span);
		interval_tree_remove(span, &context->attachments);
		lock_and_clear(attachment, mm);
		list_add(&attachment->node, &gone);
	}
	spin_unlock(&context->lock);
	if (list_empty(&gone))
		return;
	flush_mm(mm);
	list_for_each_entry_safe(attachment, next, &gone, node) {
		morsel_user_put(attachment->user);
		kfree(attachment);
		morsel_count(MORSEL_ATTACHMENTS, -1);
		morsel_count(MORSEL_DETACHED, 1);
	}
}

static int invalidate_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct morsel_context *context = container_of(notifier, struct morsel_context, notifier);

	spin_lock(&context->lock);
	if (!context->invalidations++) {
		context->start = range->start;
		context->end = range->end;
	} else {
		context->start = min(context->start, range->start);
		context->end = max(context->end, range->end);
	}
	spin_unlock(&context->lock);
	morsel_detach(context, range->start, range->end);
	return 0;
}

static void invalidate_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct morsel_context *context = container_of(notifier, struct morsel_context, notifier);
	bool last;

	spin_lock(&context->lock);
	last = !--context->invalidations;
	spin_unlock(&context->lock);
	if (last)
		wake_up_all(&context->idle);
}

static void release_mm(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct morsel_context *context = container_of(notifier, struct morsel_context, notifier);

	spin_lock(&context->lock);
	context->dead = true;
	spin_unlock(&context->lock);
	morsel_detach(context, 0, ULONG_MAX);
}

static struct mmu_notifier *new_context(struct mm_struct *mm)
{
	struct morsel_context *context = kzalloc(sizeof(*context), GFP_KERNEL_ACCOUNT);

	if (!context)
		return ERR_PTR(-ENOMEM);
	kref_init(&context->references);
	spin_lock_init(&context->lock);
	context->attachments = RB_ROOT_CACHED;
	init_waitqueue_head(&context->idle);
	morsel_count(MORSEL_CONTEXTS, 1);
	return &context->notifier;
}

static void drop_context(struct mmu_notifier *notifier)
{
	morsel_context_put(container_of(notifier, struct morsel_context, notifier));
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
	.release = release_mm,
	.alloc_notifier = new_context,
	.free_notifier = drop_context,
};

/* mmap_lock of `mm` held for writing. */
struct morsel_user *morsel_user_get(struct mm_struct *mm, struct morsel_tree *tree)
{
	struct mmu_notifier *notifier;
	struct morsel_user *user;

	spin_lock(&tree->lock);
	list_for_each_entry(user, &tree->users, node)
		if (user->context->notifier.mm == mm && kref_get_unless_zero(&user->references)) {
			spin_unlock(&tree->lock);
			return user;
		}
	spin_unlock(&tree->lock);

	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		return ERR_PTR(-ENOMEM);
	notifier = mmu_notifier_get_locked(&notifier_ops, mm);
	if (IS_ERR(notifier)) {
		kfree(user);
		return ERR_CAST(notifier);
	}
	user->context = container_of(notifier, struct morsel_context, notifier);
	user->tree = tree;
	user->granularity = morsel_granularity;
	kref_init(&user->references);
	spin_lock(&tree->lock);
	list_add(&user->node, &tree->users);
	spin_unlock(&tree->lock);
	return user;
}

void morsel_user_ref(struct morsel_user *user)
{
	kref_get(&user->references);
}

static void free_user(struct kref *references)
{
	struct morsel_user *user = container_of(references, struct morsel_user, references);

	spin_lock(&user->tree->lock);
	list_del(&user->node);
	spin_unlock(&user->tree->lock);
	mmu_notifier_put(&user->context->notifier);
	kfree(user);
}

void morsel_user_put(struct morsel_user *user)
{
	kref_put(&user->references, free_user);
}

/* ---- attaching ---- */

static bool store_entry(struct morsel_attachment *attachment, struct mm_struct *mm)
{
	const bool pud = attachment->level == 2;
	spinlock_t *lock = pud ? pud_lock(mm, attachment->entry) : pmd_lock(mm, attachment->entry);
	const bool free = pud ? pud_none(*(pud_t *)attachment->entry) : pmd_none(*(pmd_t *)attachment->entry);

	if (free && pud)
		set_pud(attachment->entry, __pud(attachment->value));
	else if (free)
		set_pmd(attachment->entry, __pmd(attachment->value));
	spin_unlock(lock);
	return free;
}

/*
 * Puts `table` into the entry at `level` that covers the fault's address. mmap_lock held, so the VMA covers the slot
 * and the kernel's own table stays. If the slot is taken meanwhile, or an invalidation is under way, the access simply
 * faults again.
 */
vm_fault_t morsel_attach(struct morsel_user *user, struct vm_fault *vmf, unsigned int level, u64 table)
{
	struct morsel_context *context = user->context;
	const unsigned long size = level == 2 ? PUD_SIZE : PMD_SIZE;
	struct morsel_attachment *attachment = kzalloc(sizeof(*attachment), GFP_KERNEL_ACCOUNT);
	bool attached = false;
	bool dead;

	if (!attachment)
		return VM_FAULT_OOM;
	attachment->user = user;
	attachment->level = level;
	attachment->entry = level == 2 ? (void *)vmf->pud : (void *)vmf->pmd;
	attachment->value = table | _PAGE_TABLE;
	attachment->span.start = vmf->address & ~(size - 1);
	attachment->span.last = attachment->span.start + size - 1;

	spin_lock(&context->lock);
	dead = context->dead;
	if (!dead && !overlaps(context, attachment->span.start, attachment->span.last))
		attached = store_entry(attachment, vmf->vma->vm_mm);
	if (attached) {
		morsel_user_ref(user);
		interval_tree_insert(&attachment->span, &context->attachments);
	}
	spin_unlock(&context->lock);
	if (!attached) {
		kfree(attachment);
		cond_resched();
		return dead ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
	}
	morsel_count(MORSEL_ATTACHMENTS, 1);
	morsel_count(MORSEL_ATTACHED, 1);
	return VM_FAULT_NOPAGE;
}
