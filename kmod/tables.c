// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory for tables and frames, and the accesses to entries.
 *
 * Tables that a process's CPU may walk (levels 0 and 1 of AMD64 trees) are proper page-table pages: Linux takes their
 * split lock, and it updates accessed and dirty bits by plain stores under it. So an entry in such a table is only
 * changed under that lock; all other tables are plain pages, and their entries are changed by the instruction alone.
 *
 * Fields of struct page. Tables: pt_mm is the owning object; the two words of lru carry the list of retired tables
 * (kmod/reclaim.c), and are put back to zero before the page is freed, because the second is pmd_huge_pte.
 * Frames: mapping and index as in any file (shared futexes are found by them); private links retired frames. A 2-MiB
 * frame is one compound page, as get_user_pages needs it, and may be given back in 4-KiB pieces after its leaf was
 * split: the second word of its head's lru counts the pieces that are still ours.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/vmstat.h>
#include <asm/pgalloc.h>

#include "kmod/shim.h"

#define TABLE_OWNER(page) (*(struct morsel_object **)&(page)->pt_mm)
#define FRAME_PIECES(head) ((atomic_t *)&(head)->lru.prev)

static struct page *page_at(u64 pa)
{
	return pfn_to_page(pa >> PAGE_SHIFT);
}

static bool is_walked_by_cpus(struct morsel_object *object, unsigned int tree, unsigned int level)
{
	return level <= 1 && morsel_cpu_format(object->trees[tree].format);
}

/*
 * An object's memory is no process's, so killing one would free none: asking for too much is an error for who asks, not
 * a case for the OOM killer. Who is being killed gets nothing more, so that a large request ends soon.
 */
static struct page *allocate(gfp_t gfp, unsigned int order)
{
	if (fatal_signal_pending(current))
		return NULL;
	return alloc_pages(gfp | __GFP_ZERO | __GFP_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN, order);
}

/* Only roots of formats that CPUs here do not walk have more than one page. */
engine_u64 kernel_allocate_table(struct engine_actor *actor, unsigned int tree, unsigned int level, unsigned int order)
{
	struct morsel_object *object = actor->object;
	struct page *page = allocate(GFP_KERNEL, order);

	if (!page)
		return 0;
	if (is_walked_by_cpus(object, tree, level) &&
	    !(level ? pgtable_pmd_page_ctor(page) : pgtable_pte_page_ctor(page))) {
		__free_page(page);
		return 0;
	}
	page->lru.next = NULL;
	page->lru.prev = NULL;
	TABLE_OWNER(page) = object;
	atomic64_inc(&object->tables);
	morsel_count(MORSEL_TABLES, 1);
	return page_to_phys(page);
}

static void free_table(struct page *page, unsigned int order)
{
	struct morsel_object *object = TABLE_OWNER(page);

	TABLE_OWNER(page) = NULL;
	page->lru.next = NULL;
	page->lru.prev = NULL;
	if (PageTable(page))
		pgtable_pte_page_dtor(page);	/* for a PMD table as well: it has no deposited tables */
	__free_pages(page, order);
	atomic64_dec(&object->tables);
	morsel_count(MORSEL_TABLES, -1);
}

void kernel_free_table(struct engine_actor *actor, engine_u64 table, unsigned int order)
{
	free_table(page_at(table), order);
}

static void free_unread_table(struct rcu_head *rcu)
{
	free_table(container_of(rcu, struct page, rcu_head), 0);
}

/* Only the table: what its entries name lives on. The end of the object waits for it (srcu_barrier). */
void kernel_free_table_later(struct engine_actor *actor, engine_u64 table)
{
	BUILD_BUG_ON(offsetof(struct page, rcu_head) != offsetof(struct page, lru));
	call_srcu(&actor->object->grace, &page_at(table)->rcu_head, free_unread_table);
}

/* The object whose table `entry` stands in, if it is a table that CPUs walk and one of ours. */
struct morsel_object *morsel_table_owner(void *entry)
{
	struct page *page = virt_to_page(entry);

	return PageTable(page) ? TABLE_OWNER(page) : NULL;
}

engine_u64 *kernel_words(engine_u64 pa)
{
	return __va(pa);
}

engine_u64 kernel_physical(const void *word)
{
	return __pa(word);
}

/*
 * Frames cannot be reclaimed: objects together get three quarters of memory, and then an error, as files of a tmpfs do.
 */
static bool have_room(unsigned int pages)
{
	return atomic64_read(&morsel_counters[MORSEL_FRAMES]) + pages <= totalram_pages() / 4 * 3;
}

engine_u64 kernel_allocate_frame(struct engine_actor *actor, unsigned int level)
{
	struct morsel_object *object = actor->object;
	const unsigned int order = level ? PMD_SHIFT - PAGE_SHIFT : 0;
	struct page *page;

	if (!have_room(1 << order))
		return 0;
	page = allocate(GFP_HIGHUSER | (order ? __GFP_COMP : 0), order);
	if (!page)
		return 0;
	if (order) {
		page->lru.next = NULL;	/* not the head of a tail: bit 0 clear */
		atomic_set(FRAME_PIECES(page), 1 << order);
	}
	page->mapping = object->inode->i_mapping;
	atomic64_add(1 << order, &object->frames);
	morsel_count(MORSEL_FRAMES, 1 << order);
	return page_to_phys(page);
}

void kernel_place_frame(engine_u64 frame, engine_u64 offset)
{
	page_at(frame)->index = offset >> PAGE_SHIFT;
}

void kernel_hold_frame(engine_u64 frame)
{
	get_page(page_at(frame));
}

/* Gives back `pages` of the page's frame. Others may still hold references (get_user_pages). */
void morsel_frame_put(struct morsel_object *object, struct page *page, unsigned int pages)
{
	struct page *head = compound_head(page);
	unsigned int i;

	atomic64_sub(pages, &object->frames);
	morsel_count(MORSEL_FRAMES, -(s64)pages);
	if (PageCompound(head)) {
		if (atomic_sub_return(pages, FRAME_PIECES(head)))
			return;
		head->lru.prev = NULL;
	}
	WRITE_ONCE(head->mapping, NULL);
	smp_mb();	/* no mapping any more, then the log's bits: morsel_dirty_folio() does it the other way round */
	for (i = 0; i < compound_nr(head); i++)
		ClearPagePrivate2(head + i);	/* Linux wants them gone from pages that are freed */
	put_page(head);
}

void kernel_free_frame(struct engine_actor *actor, engine_u64 frame, unsigned int level)
{
	morsel_frame_put(actor->object, page_at(frame), level ? PTRS_PER_PMD : 1);
	cond_resched();
}

/*
 * A walker has written the frame. At the end of a grace period the frame itself may be gone already (its own grace
 * period may end before that of a table which still names it); it is ours as long as it has our mapping, and only the
 * reclaiming actor, which is one at a time, takes that away.
 *
 * Two bits come of it: the head's PG_dirty, the verdict about the frame, and PG_private_2 of each page, the dirty log,
 * which a harvest fetches and clears.
 */
void kernel_carry(struct engine_actor *actor, engine_u64 frame, unsigned int level)
{
	struct page *page = page_at(frame), *head = compound_head(page);
	unsigned int i;

	if (READ_ONCE(head->mapping) != actor->object->inode->i_mapping)
		return;
	SetPageDirty(head);
	for (i = 0; i < (level ? PTRS_PER_PMD : 1); i++)
		SetPagePrivate2(page + i);
}

/*
 * Linux says that a folio was written: a table of its own had a dirty entry for it, or who had pinned it wrote it. Who
 * calls has a reference, but the frame may be on its way out.
 */
bool morsel_dirty_folio(struct address_space *mapping, struct folio *folio)
{
	long i;

	for (i = 0; i < folio_nr_pages(folio); i++)
		SetPagePrivate2(folio_page(folio, i));
	smp_mb();	/* the log's bits, then the mapping: see morsel_frame_put() */
	if (READ_ONCE(folio->mapping) != mapping)
		for (i = 0; i < folio_nr_pages(folio); i++)
			ClearPagePrivate2(folio_page(folio, i));
	return noop_dirty_folio(mapping, folio);
}

int kernel_is_dirty(engine_u64 frame)
{
	return PagePrivate2(page_at(frame));
}

int kernel_take_dirty(engine_u64 frame)
{
	return TestClearPagePrivate2(page_at(frame));
}

/*
 * A frame has one reference of ours, whatever its size. Another one is a pin (get_user_pages), or an entry in a table
 * of the kernel's own (kmod/fault.c): such a page must not move, because it is written without the primary's leave.
 *
 * The answer is final when the primary's entry is moving and everybody was flushed. New references are taken from
 * entries: under the table's lock, as entries are changed; or by get_user_pages_fast() with interrupts off, for which
 * the flush's interrupt waits, if it did not see the change anyway; or by a fault that maps single pages, which lets go
 * of the page when it finds that the leaf has changed.
 */
int kernel_is_held(engine_u64 frame)
{
	return page_count(compound_head(page_at(frame))) != 1;
}

/* Single pages that happen to lie side by side stay single: they are counted and given back one by one. */
int kernel_is_one_frame(engine_u64 frame)
{
	struct page *page = page_at(frame);

	return PageHead(page) && compound_order(page) == PMD_SHIFT - PAGE_SHIFT;
}

void kernel_copy_frame(struct engine_actor *actor, engine_u64 from, engine_u64 to, unsigned int level)
{
	unsigned int i;

	morsel_wait_for_touches(actor->object);
	for (i = 0; i < (level ? PTRS_PER_PMD : 1); i++) {
		copy_highpage(page_at(to) + i, page_at(from) + i);
		cond_resched();
	}
}

/* The new frame is zero. */
void kernel_copy_half(struct engine_actor *actor, engine_u64 from, engine_u64 to, unsigned int level)
{
	const size_t bytes = (level ? PMD_SIZE : PAGE_SIZE) / 2;

	morsel_wait_for_touches(actor->object);
	memcpy(__va(to), __va(from), bytes);
}

/* Whether a leaf of that level may name this frame: it is the object's. */
bool morsel_owns_frame(struct morsel_object *object, u64 frame, unsigned int level)
{
	unsigned long pfn = frame >> PAGE_SHIFT;
	const unsigned long end = pfn + (level ? PTRS_PER_PMD : 1);

	if (level > 1)
		return false;
	for (; pfn < end; pfn++)
		if (!pfn_valid(pfn) || READ_ONCE(compound_head(pfn_to_page(pfn))->mapping) != object->inode->i_mapping)
			return false;
	return true;
}

/*
 * The engine's walker in the module caches nothing, but an access of its own may be under way, which saw a leaf as it
 * was: whoever changed the leaf waits for it in morsel_wait_for_touches(), as it waits for CPUs by the flush.
 */
void kernel_begin_touch(struct engine_actor *actor)
{
	down_read(&actor->object->touches);
}

void kernel_end_touch(struct engine_actor *actor)
{
	up_read(&actor->object->touches);
}

engine_u64 kernel_exchange(engine_u64 *word, engine_u64 desired)
{
	struct page *table = virt_to_page(word);
	engine_u64 before;

	if (!PageTable(table))
		return xchg(word, desired);
	spin_lock(morsel_table_lock(table));
	before = xchg(word, desired);
	spin_unlock(morsel_table_lock(table));
	return before;
}

int kernel_compare_exchange(engine_u64 *word, engine_u64 expected, engine_u64 desired)
{
	struct page *table = virt_to_page(word);
	bool done;

	if (!PageTable(table))
		return cmpxchg(word, expected, desired) == expected;
	spin_lock(morsel_table_lock(table));
	done = cmpxchg(word, expected, desired) == expected;
	spin_unlock(morsel_table_lock(table));
	return done;
}

/*
 * A leaf of the primary was taken away or lost rights. A fault that maps single pages into tables of the kernel's own
 * looks at the leaf with the page locked, and keeps it locked until the entry is made (kmod/fault.c): once we have had
 * the lock, such an entry is either there, and the caller's unmap_mapping_range() finds it, or never will be.
 */
void kernel_leaf_changed(struct engine_actor *actor, engine_u64 frame)
{
	struct page *page = page_at(frame);

	cond_resched();
	smp_mb();	/* the change, then the flag; the fault sets the flag, then reads the leaf */
	if (!READ_ONCE(actor->object->mapped_by_pages))
		return;
	lock_page(page);
	unlock_page(page);
}

engine_u64 kernel_token(struct engine_actor *actor)
{
	return atomic64_inc_return(&actor->object->token);
}
