/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The C boundary of the engine in the kernel: what kmod/engine.cc (C++) gives to the module's C files, and what it
 * takes from them. Plain C on both sides; nothing here is seen by user space.
 *
 * Every engine_ function is one operation by one actor. It may sleep, so it is called with no spinlock held; it enters
 * and leaves its grace section itself. A view of NULL means the primary.
 */
#ifndef MORSEL_ENGINE_ABI_H
#define MORSEL_ENGINE_ABI_H

#ifdef __cplusplus
extern "C" {
#endif

typedef unsigned long long engine_u64;

/* As enum class Error of engine/base/expected.hpp, in the same order. */
enum engine_error {
	ENGINE_DONE,
	ENGINE_NO_MEMORY,
	ENGINE_OUT_OF_RANGE,
	ENGINE_UNALIGNED,
	ENGINE_INVALID,
	ENGINE_NEEDS_POPULATE,
	ENGINE_ACCESS_DENIED,
	ENGINE_BUSY,
	ENGINE_EXISTS,
	ENGINE_NOT_FOUND,
	ENGINE_CORRUPT,
	ENGINE_TOO_MANY,
	ENGINE_FROZEN,
	ENGINE_INTERRUPTED,
};

/* Room for morsel::Object and morsel::View; engine.cc checks that it is enough. */
struct engine_object {
	engine_u64 storage[64];
};
struct engine_view {
	engine_u64 storage[8];
};

struct morsel_object;

/* Who performs an operation, and on which object. Lives on the caller's stack. */
struct engine_actor {
	struct morsel_object *object;
	unsigned int kind;		/* enum morsel_actor_kind */
	unsigned int id;
	int section;			/* of the grace domain, while inside */
	int inside;
	int may_wait;			/* at the gate: it holds nothing that others need */
	engine_u64 fault_address;	/* of a page fault; else 0 */
	struct morsel_later *later;	/* accesses put off by injection (kmod/later.c) */
};

struct engine_leaf {
	engine_u64 frame;		/* of the 4-KiB page */
	engine_u64 word;
	unsigned int rights;
	unsigned int level;
};

struct engine_tree_info {
	engine_u64 root;
	unsigned int root_level;
	unsigned int format;		/* enum morsel_format */
};

/* What an operation has unlinked, linked through struct page (kmod/reclaim.c). */
struct engine_retired {
	void *tables, *last_table;
	void *frames, *last_frame;
};

/* How an access uses its word, for who waits before it: what `before` and `after` would be now. */
enum engine_access_kind {
	ENGINE_OTHER,			/* no word: `before` and `after` are as the engine has filled them in */
	ENGINE_READ,
	ENGINE_STORE,			/* `after` will stand there */
	ENGINE_COMPARE,			/* ... if `expected` stands there now */
	ENGINE_READ_COUNTER,		/* 32 bits */
	ENGINE_ADD,			/* 32 bits, `after` is added */
};

/* One access at a point, for those who observe. */
struct engine_point_event {
	unsigned int point;		/* enum morsel_point */
	unsigned int tree;
	unsigned int level;
	unsigned int action;		/* enum morsel_fault_action that was injected */
	unsigned int access;		/* enum engine_access_kind */
	unsigned int flags;		/* MORSEL_RECORD_... */
	int recording;			/* the journal's lock is held */
	engine_u64 offset, end;		/* the span that the entry covers */
	engine_u64 before;
	engine_u64 after;
	engine_u64 expected;
	engine_u64 bits;		/* injected: flipped in what is stored */
	const void *word;
};

/* ---- the engine's operations (kmod/engine.cc) ---- */

int engine_create(struct engine_actor *actor, struct engine_object *object, engine_u64 bytes, unsigned int root_level);
void engine_destroy(struct engine_actor *actor, struct engine_object *object);
int engine_resize(struct engine_actor *actor, struct engine_object *object, engine_u64 bytes);
int engine_populate(struct engine_actor *actor, struct engine_object *object, engine_u64 start, engine_u64 end,
		    unsigned int rights, unsigned int leaf_level, engine_u64 *pages);
int engine_unmap(struct engine_actor *actor, struct engine_object *object, engine_u64 start, engine_u64 end,
		 engine_u64 *pages);
int engine_protect(struct engine_actor *actor, struct engine_object *object, engine_u64 start, engine_u64 end,
		   unsigned int rights, engine_u64 *pages);

int engine_split(struct engine_actor *actor, struct engine_object *object, engine_u64 start, engine_u64 end);
int engine_merge(struct engine_actor *actor, struct engine_object *object, engine_u64 start, engine_u64 end,
		 engine_u64 *pages);
int engine_migrate(struct engine_actor *actor, struct engine_object *object, engine_u64 start, engine_u64 end,
		   engine_u64 *pages);
/* Sets bits of pages, counted from `start`. */
int engine_harvest(struct engine_actor *actor, struct engine_object *object, engine_u64 start, engine_u64 end,
		   engine_u64 *accessed, engine_u64 *dirty);
/* *count runs, as many as there is room for; *next is where the first one left out begins, else `end`. */
struct morsel_run;
int engine_ranges(struct engine_actor *actor, struct engine_object *object, engine_u64 start, engine_u64 end,
		  int dirty, struct morsel_run *runs, engine_u64 room, engine_u64 *count, engine_u64 *next);

int engine_add_view(struct engine_actor *actor, struct engine_object *object, struct engine_view *view,
		    unsigned int format, unsigned int number);
void engine_drop_view(struct engine_actor *actor, struct engine_object *object, struct engine_view *view);
int engine_invalidate_view(struct engine_actor *actor, struct engine_object *object, struct engine_view *view,
			   engine_u64 start, engine_u64 end);

/*
 * Make the tree allow one access, as a fault's handler would: a view is filled; a hole in the primary is populated, if
 * `populate` says so, with a 4-KiB page of rights read and write (else ENGINE_NEEDS_POPULATE). *result is an enum
 * morsel_access_result.
 */
int engine_access(struct engine_actor *actor, struct engine_object *object, struct engine_view *view,
		  engine_u64 offset, unsigned int rights, int populate, unsigned int *result);

/* Read, write or fetch one 64-bit word through the tree by the engine's walker, setting accessed and dirty bits. */
int engine_touch(struct engine_actor *actor, struct engine_object *object, struct engine_view *view,
		 engine_u64 offset, unsigned int right, engine_u64 *value);

/* Translate. With `hold`, kernel_hold_frame() is called on the frame before the grace section ends. */
int engine_find(struct engine_actor *actor, struct engine_object *object, struct engine_view *view,
		engine_u64 offset, int hold, struct engine_leaf *leaf);

/* The table at `level` that covers `offset`, made if it is missing; the tree was marked attached before. */
int engine_ensure_table(struct engine_actor *actor, struct engine_object *object, struct engine_view *view,
			engine_u64 offset, unsigned int level, engine_u64 *table);
/* Whether hardware that walks this format may be pointed to the primary's own tables. */
int engine_walks_primary(unsigned int format);
void engine_mark_attached(struct engine_actor *actor, struct engine_object *object, struct engine_view *view);
void engine_describe(const struct engine_object *object, const struct engine_view *view, struct engine_tree_info *info);

/* Whether a rule of injection fires at the access that it saw last; chance is drawn from seed and count. */
struct engine_fault_count {
	engine_u64 nth, times, interval, seed, seen, fired;
	unsigned int probability;
};
int engine_fault_due(const struct engine_fault_count *count);

/* What `word` is in a table of that level: DONE a leaf of *frame; EXISTS a table; CORRUPT malformed; else INVALID. */
int engine_word_kind(unsigned int format, unsigned int level, engine_u64 word, engine_u64 *frame);

/* After its grace period: free a retired table and everything below it. */
void engine_release(struct engine_actor *actor, unsigned int tree, unsigned int format, unsigned int level,
		    engine_u64 table);

/* ---- what the engine's platform takes from the module ---- */

void kernel_enter(struct engine_actor *actor);
void kernel_leave(struct engine_actor *actor);
/* 2^order pages; 0: none */
engine_u64 kernel_allocate_table(struct engine_actor *actor, unsigned int tree, unsigned int level,
				 unsigned int order);
void kernel_free_table(struct engine_actor *actor, engine_u64 table, unsigned int order);
void kernel_free_table_later(struct engine_actor *actor, engine_u64 table);	/* after a grace period */
engine_u64 *kernel_words(engine_u64 pa);
engine_u64 kernel_allocate_frame(struct engine_actor *actor, unsigned int level);	/* 0: none */
void kernel_free_frame(struct engine_actor *actor, engine_u64 frame, unsigned int level);
void kernel_place_frame(engine_u64 frame, engine_u64 offset);	/* before it is mapped at this offset */
void kernel_hold_frame(engine_u64 frame);
engine_u64 kernel_exchange(engine_u64 *word, engine_u64 desired);
int kernel_compare_exchange(engine_u64 *word, engine_u64 expected, engine_u64 desired);
void kernel_leaf_changed(struct engine_actor *actor, engine_u64 frame);	/* a leaf of the primary was taken or changed */
void kernel_flush(struct engine_actor *actor, unsigned int tree, engine_u64 start, engine_u64 end);
void kernel_flush_devices(struct engine_actor *actor, unsigned int tree, engine_u64 start, engine_u64 end);
void kernel_carry(struct engine_actor *actor, engine_u64 frame, unsigned int level);
int kernel_is_dirty(engine_u64 frame);		/* the dirty log's bit of a 4-KiB frame */
int kernel_take_dirty(engine_u64 frame);	/* the same, and clear it */
void kernel_begin_touch(struct engine_actor *actor);	/* the engine's walker looks at a leaf and accesses memory */
void kernel_end_touch(struct engine_actor *actor);
int kernel_is_held(engine_u64 frame);		/* somebody else has a reference to it */
int kernel_is_one_frame(engine_u64 frame);	/* 2 MiB that were allocated as one */
void kernel_copy_frame(struct engine_actor *actor, engine_u64 from, engine_u64 to, unsigned int level);
void kernel_copy_half(struct engine_actor *actor, engine_u64 from, engine_u64 to, unsigned int level);	/* the first */
int kernel_wait_for_grace_period(struct engine_actor *actor);	/* 0: the caller is killed, it is not over */
void kernel_note_table(struct engine_actor *actor, struct engine_retired *retired, unsigned int tree,
		       unsigned int level, engine_u64 table);
void kernel_note_frame(struct engine_retired *retired, engine_u64 frame, unsigned int level);
void *kernel_next_table(void *table, unsigned int *tree, unsigned int *level, engine_u64 *pa);
void kernel_retire(struct engine_actor *actor, struct engine_retired *retired);
engine_u64 kernel_token(struct engine_actor *actor);

/*
 * Only called while morsel_observed_key is on: a tracepoint is enabled, a fault is injected, the journal records, or
 * somebody controls the gate. An observed access is kernel_arrive(), kernel_begin_record(), the access,
 * kernel_observe(); between the last two calls nothing sleeps.
 */
void kernel_arrive(struct engine_actor *actor, struct engine_point_event *event);	/* action, bits, flags: out */
void kernel_begin_record(struct engine_point_event *event);
void kernel_observe(struct engine_actor *actor, const struct engine_point_event *event);
engine_u64 kernel_physical(const void *word);	/* of a word in a table */
void kernel_do_later(struct engine_actor *actor);	/* all that was put off; whether or not the key is on */

#ifdef __cplusplus
}
#endif

#endif /* MORSEL_ENGINE_ABI_H */
