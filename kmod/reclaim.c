// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Grace sections, and the end of what was unlinked in them. One SRCU domain for each object. What operations retire is
 * gathered in a batch, linked through struct page so that nothing has to be allocated; at most one batch waits for its
 * grace period, and when it is over, a work item, which may sleep and take its time, frees it and sends the next one.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "kmod/shim.h"

static struct workqueue_struct *reclaim_queue;

void kernel_enter(struct engine_actor *actor)
{
	actor->section = srcu_read_lock(&actor->object->grace);
	actor->inside = true;
}

void kernel_leave(struct engine_actor *actor)
{
	if (unlikely(actor->later))
		kernel_do_later(actor);	/* nobody observed his last point */
	actor->inside = false;
	srcu_read_unlock(&actor->object->grace, actor->section);
}

int kernel_wait_for_grace_period(struct engine_actor *actor)
{
	return morsel_wait_for_grace(actor->object);
}

/* A retired table: lru.next links, lru.prev says what it was. */
#define TABLE_NEXT(page) (*(struct page **)&((page)->lru.next))
#define TABLE_KIND(page) (*(unsigned long *)&(page)->lru.prev)

void kernel_note_table(struct engine_actor *actor, struct engine_retired *retired, unsigned int tree,
		       unsigned int level, engine_u64 table)
{
	struct page *page = pfn_to_page(table >> PAGE_SHIFT);

	TABLE_NEXT(page) = retired->tables;
	TABLE_KIND(page) = tree << 16 | actor->object->trees[tree].format << 8 | level;
	if (!retired->tables)
		retired->last_table = page;
	retired->tables = page;
}

void *kernel_next_table(void *table, unsigned int *tree, unsigned int *level, engine_u64 *pa)
{
	struct page *page = table;

	*tree = TABLE_KIND(page) >> 16;
	*level = TABLE_KIND(page) & 0xff;
	*pa = page_to_phys(page);
	return TABLE_NEXT(page);
}

/* A retired frame: private links, with the level in bit 0 (struct page is aligned; tail pages have no other word). */
#define FRAME_LARGE 1ul

void kernel_note_frame(struct engine_retired *retired, engine_u64 frame, unsigned int level)
{
	struct page *page = pfn_to_page(frame >> PAGE_SHIFT);

	set_page_private(page, (unsigned long)retired->frames);
	retired->frames = (void *)((unsigned long)page | (level ? FRAME_LARGE : 0));
	if (!retired->last_frame)
		retired->last_frame = page;
}

static struct page *pop_frame(void **list, unsigned int *pages)
{
	const unsigned long link = (unsigned long)*list;
	struct page *page = (struct page *)(link & ~FRAME_LARGE);

	*pages = link & FRAME_LARGE ? PTRS_PER_PMD : 1;
	*list = (void *)page_private(page);
	set_page_private(page, 0);
	return page;
}

static void splice(struct engine_retired *to, struct engine_retired *from)
{
	if (from->tables) {
		struct page *last = from->last_table;

		TABLE_NEXT(last) = to->tables;
		if (!to->tables)
			to->last_table = from->last_table;
		to->tables = from->tables;
	}
	if (from->frames) {
		set_page_private((struct page *)from->last_frame, (unsigned long)to->frames);
		if (!to->frames)
			to->last_frame = from->last_frame;
		to->frames = from->frames;
	}
	memset(from, 0, sizeof(*from));
}

static void grace_is_over(struct rcu_head *rcu)
{
	struct morsel_reclaim *reclaim = container_of(rcu, struct morsel_reclaim, rcu);

	queue_work(reclaim_queue, &reclaim->work);
}

/* reclaim->lock held. */
static void send_batch(struct morsel_object *object)
{
	struct morsel_reclaim *reclaim = &object->reclaim;

	reclaim->busy = reclaim->gathering.tables || reclaim->gathering.frames;
	if (!reclaim->busy)
		return;
	splice(&reclaim->waiting, &reclaim->gathering);
	reclaim->sent++;
	call_srcu(&object->grace, &reclaim->rcu, grace_is_over);
}

void kernel_retire(struct engine_actor *actor, struct engine_retired *retired)
{
	struct morsel_reclaim *reclaim = &actor->object->reclaim;

	if (!retired->tables && !retired->frames)
		return;
	spin_lock(&reclaim->lock);
	splice(&reclaim->gathering, retired);
	if (!reclaim->busy)
		send_batch(actor->object);
	spin_unlock(&reclaim->lock);
}

static void free_frames(struct morsel_object *object, void *frames)
{
	unsigned int pages;

	while (frames) {
		struct page *page = pop_frame(&frames, &pages);

		morsel_frame_put(object, page, pages);
		cond_resched();
	}
}

/*
 * Tables before frames, so that a frame is still ours when a table that names it is swept. Frames of an object in which
 * an invalidation was dropped on purpose stay until the object goes: stale entries may name them.
 */
static void free_batch(struct morsel_object *object, struct engine_retired *batch)
{
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_RECLAIM);
	unsigned int pages;

	while (batch->tables) {
		struct page *page = batch->tables;
		const unsigned long kind = TABLE_KIND(page);

		batch->tables = TABLE_NEXT(page);
		engine_release(&actor, kind >> 16, kind >> 8 & 0xff, kind & 0xff, page_to_phys(page));
		cond_resched();
	}
	if (!READ_ONCE(object->faulty)) {
		free_frames(object, batch->frames);
		return;
	}
	while (batch->frames) {
		struct page *page = pop_frame(&batch->frames, &pages);

		set_page_private(page, (unsigned long)object->reclaim.kept_frames);
		object->reclaim.kept_frames = (void *)((unsigned long)page | (pages > 1 ? FRAME_LARGE : 0));
	}
}

static void reclaim_work(struct work_struct *work)
{
	struct morsel_reclaim *reclaim = container_of(work, struct morsel_reclaim, work);
	struct morsel_object *object = container_of(reclaim, struct morsel_object, reclaim);
	struct engine_retired batch = {};

	spin_lock(&reclaim->lock);
	splice(&batch, &reclaim->waiting);
	spin_unlock(&reclaim->lock);
	free_batch(object, &batch);
	spin_lock(&reclaim->lock);
	reclaim->freed++;
	send_batch(object);
	spin_unlock(&reclaim->lock);
	wake_up_all(&reclaim->settled);
	morsel_gate_end();
}

void morsel_reclaim_init(struct morsel_object *object)
{
	spin_lock_init(&object->reclaim.lock);
	init_waitqueue_head(&object->reclaim.settled);
	INIT_WORK(&object->reclaim.work, reclaim_work);
}

static bool freed_up_to(struct morsel_reclaim *reclaim, u64 batch)
{
	bool result;

	spin_lock(&reclaim->lock);
	result = reclaim->freed >= batch;
	spin_unlock(&reclaim->lock);
	return result;
}

/* Waits until all is freed that was retired before. */
int morsel_settle(struct morsel_object *object)
{
	struct morsel_reclaim *reclaim = &object->reclaim;
	u64 last;

	spin_lock(&reclaim->lock);
	last = reclaim->sent;
	if (reclaim->gathering.tables || reclaim->gathering.frames)
		last++;
	spin_unlock(&reclaim->lock);
	return wait_event_interruptible(reclaim->settled, freed_up_to(reclaim, last));
}

static bool is_idle(struct morsel_reclaim *reclaim)
{
	bool result;

	spin_lock(&reclaim->lock);
	result = !reclaim->busy;
	spin_unlock(&reclaim->lock);
	return result;
}

/* Nobody uses the object any more: wait for what it has retired, and free it. Nothing of it waits at the gate. */
void morsel_reclaim_drain(struct morsel_object *object)
{
	struct morsel_reclaim *reclaim = &object->reclaim;

	do {
		wait_event_idle(reclaim->settled, is_idle(reclaim));
		srcu_barrier(&object->grace);
		flush_work(&reclaim->work);
	} while (!is_idle(reclaim));
	free_frames(object, reclaim->kept_frames);
	reclaim->kept_frames = NULL;
}

int morsel_reclaim_start(void)
{
	reclaim_queue = alloc_workqueue("morsel_reclaim", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return reclaim_queue ? 0 : -ENOMEM;
}

void morsel_reclaim_stop(void)
{
	destroy_workqueue(reclaim_queue);
}
