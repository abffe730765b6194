// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Accesses that injection puts off: each is kept by its actor until he has passed another point, leaves his section, or
 * ends his operation, and then happens as it would have, with a record of its own. An access that is done twice is one
 * that is put off until he has passed its own point.
 */
#include <linux/atomic.h>
#include <linux/slab.h>

#include "kmod/shim.h"

#define MAX_LATER 64	/* of one actor; more happen at once */

struct morsel_later {
	struct morsel_later *next;
	unsigned int until;
	bool fresh;				/* the access that it stands for is still being passed */
	struct engine_point_event event;
};

bool morsel_is_table(const struct engine_actor *actor, const struct engine_point_event *event)
{
	const unsigned int format = actor->object->trees[event->tree].format;
	engine_u64 frame;

	if (event->access != ENGINE_STORE && event->access != ENGINE_COMPARE)
		return false;
	return engine_word_kind(format, event->level, READ_ONCE(*(const u64 *)event->word), &frame) == ENGINE_EXISTS;
}

/* False: no memory or no room for it, so it happens now. */
bool morsel_do_again(struct engine_actor *actor, const struct engine_point_event *event, unsigned int until)
{
	struct morsel_later **last = &actor->later;
	struct morsel_later *later;
	unsigned int count = 0;

	for (; *last; last = &(*last)->next)
		count++;
	if (count >= MAX_LATER)
		return false;
	later = kzalloc(sizeof(*later), GFP_KERNEL_ACCOUNT);
	if (!later)
		return false;
	later->until = until;
	later->fresh = event->action != MORSEL_FAULT_DUPLICATE;
	later->event = *event;
	*last = later;
	return true;
}

/* A table may have come since: what is exchanged then would be lost, so it stays. */
static void exchange(struct engine_actor *actor, struct engine_point_event *event)
{
	u64 *word = (u64 *)event->word;
	const u64 desired = event->after;

	do {
		event->before = READ_ONCE(*word);
		event->after = morsel_is_table(actor, event) ? event->before : desired;
	} while (event->after != event->before && !kernel_compare_exchange(word, event->before, event->after));
}

static void compare_exchange(struct engine_point_event *event)
{
	u64 *word = (u64 *)event->word;

	event->before = event->expected;
	if (kernel_compare_exchange(word, event->expected, event->after))
		return;
	event->before = READ_ONCE(*word);
	event->after = event->before;
	event->flags |= MORSEL_RECORD_LOST;
}

static void add(struct engine_point_event *event)
{
	const u32 by = event->after;

	event->after = (u32)atomic_add_return(by, (atomic_t *)event->word);
	event->before = (u32)event->after - by;
}

/* These may sleep: the record follows. */
static void work(struct engine_actor *actor, const struct engine_point_event *event)
{
	if (event->point == MORSEL_POINT_flush)
		kernel_flush(actor, event->tree, event->before, event->after);
	else if (event->point == MORSEL_POINT_carry)
		kernel_carry(actor, event->before, event->level);
	else
		kernel_copy_frame(actor, event->before, event->after, event->level);
}

static void perform(struct engine_actor *actor, struct engine_point_event *event)
{
	if (event->access == ENGINE_OTHER)
		work(actor, event);
	kernel_begin_record(event);
	if (event->access == ENGINE_STORE)
		exchange(actor, event);
	else if (event->access == ENGINE_COMPARE)
		compare_exchange(event);
	else if (event->access == ENGINE_ADD)
		add(event);
	morsel_journal_end(actor, event);
}

/* What happens may be what others wait for. */
static void do_those(struct engine_actor *actor, u64 passed)
{
	struct morsel_later **link = &actor->later;

	BUILD_BUG_ON(MORSEL_POINT_COUNT > 64);
	while (*link) {
		struct morsel_later *later = *link;

		if (later->fresh || !(passed & BIT_ULL(later->until))) {
			link = &later->next;
			continue;
		}
		*link = later->next;
		perform(actor, &later->event);
		passed |= BIT_ULL(later->event.point);
		kfree(later);
		link = &actor->later;
	}
}

static void nothing_is_fresh(struct engine_actor *actor)
{
	struct morsel_later *later;

	for (later = actor->later; later; later = later->next)
		later->fresh = false;
}

void morsel_passed(struct engine_actor *actor, unsigned int point)
{
	if (!actor->later)
		return;
	do_those(actor, BIT_ULL(point));
	nothing_is_fresh(actor);
}

void kernel_do_later(struct engine_actor *actor)
{
	nothing_is_fresh(actor);
	do_those(actor, ~0ull);
}
