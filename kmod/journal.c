// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The journal: a record of every access of the engine, in one ring for each CPU, which the host reads from the guest's
 * memory without asking (engine/abi/morsel_journal.h).
 *
 * While it records, an access and its record are done under one lock, so that the order of the sequence numbers is the
 * order of the accesses. An access that may sleep is recorded right after it.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "kmod/shim.h"

#define MIN_CAPACITY_LG2 6	/* one page of records */

static DEFINE_MUTEX(switching);			/* of the rings themselves */
static struct morsel_journal_ring **rings;	/* by CPU; NULL: none yet */
static unsigned int capacity_lg2;

static DEFINE_SPINLOCK(lock);			/* of what follows, and of the rings' contents */
static bool recording;
static u64 last_sequence;

static size_t ring_bytes(unsigned int lg2)
{
	return PAGE_SIZE + (sizeof(struct morsel_journal_record) << lg2);
}

static struct morsel_journal_record *records_of(struct morsel_journal_ring *ring)
{
	return (void *)ring + PAGE_SIZE;
}

void kernel_begin_record(struct engine_point_event *event)
{
	event->recording = READ_ONCE(recording);
	if (event->recording)
		spin_lock(&lock);
}

static void write_record(struct engine_actor *actor, const struct engine_point_event *event)
{
	const unsigned int cpu = smp_processor_id();
	struct morsel_journal_ring *ring = rings[cpu];
	const u64 written = ring->written;

	records_of(ring)[written & ((1ul << capacity_lg2) - 1)] = (struct morsel_journal_record){
		.sequence = ++last_sequence,
		.time_ns = ktime_get_ns(),
		.object_offset = event->offset,
		.before = event->before,
		.after = event->after,
		.actor_id = actor->id,
		.object_id = actor->object->id,
		.point = event->point,
		.tree = event->tree,
		.level = event->level,
		.actor_kind = actor->kind,
		.fault_action = event->action,
		.flags = event->flags,
		.cpu = cpu,
	};
	smp_store_release(&ring->written, written + 1);
}

void morsel_journal_end(struct engine_actor *actor, const struct engine_point_event *event)
{
	if (!event->recording)
		return;
	if (recording)
		write_record(actor, event);
	spin_unlock(&lock);
}

/* Returns whether it was on. */
static bool stop_recording(void)
{
	bool was_on;

	spin_lock(&lock);
	was_on = recording;
	WRITE_ONCE(recording, false);
	spin_unlock(&lock);
	return was_on;
}

static void free_rings(struct morsel_journal_ring **old, unsigned int lg2)
{
	unsigned int cpu;

	for (cpu = 0; old && cpu < nr_cpu_ids; cpu++)
		if (old[cpu])
			free_pages_exact(old[cpu], ring_bytes(lg2));
	kfree(old);
}

static struct morsel_journal_ring **new_rings(unsigned int lg2)
{
	struct morsel_journal_ring **made = kcalloc(nr_cpu_ids, sizeof(*made), GFP_KERNEL_ACCOUNT);
	unsigned int cpu;

	for (cpu = 0; made && cpu < nr_cpu_ids; cpu++) {
		made[cpu] = alloc_pages_exact(ring_bytes(lg2), GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
		if (!made[cpu]) {
			free_rings(made, lg2);
			return NULL;
		}
	}
	return made;
}

/* `switching` held, nothing records. */
static int make_ready(unsigned int lg2)
{
	struct morsel_journal_ring **made;
	unsigned int cpu;

	if (!rings || lg2 != capacity_lg2) {
		made = new_rings(lg2);
		if (!made)
			return -ENOMEM;
		free_rings(rings, capacity_lg2);
		rings = made;
		capacity_lg2 = lg2;
	}
	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		*rings[cpu] = (struct morsel_journal_ring){
			.magic = MORSEL_JOURNAL_MAGIC,
			.version = MORSEL_JOURNAL_VERSION,
			.record_bytes = sizeof(struct morsel_journal_record),
			.cpu = cpu,
			.capacity_lg2 = lg2,
		};
	return 0;
}

/* `switching` held. */
static int tell(struct morsel_journal_switch *request)
{
	u64 __user *addresses = u64_to_user_ptr(request->rings);
	unsigned int cpu;

	request->size = sizeof(*request);
	request->count = rings ? nr_cpu_ids : 0;
	request->capacity_lg2 = capacity_lg2;
	for (cpu = 0; cpu < request->count && cpu < request->room; cpu++)
		if (put_user(virt_to_phys(rings[cpu]), addresses + cpu))
			return -EFAULT;
	spin_lock(&lock);
	request->next_sequence = last_sequence + 1;
	spin_unlock(&lock);
	return 0;
}

static int check(const struct morsel_journal_switch *request)
{
	if (request->on > 1)
		return -EINVAL;
	if (!request->on)
		return request->capacity_lg2 ? -EINVAL : 0;
	if (request->capacity_lg2 < MIN_CAPACITY_LG2 || request->capacity_lg2 > MORSEL_JOURNAL_MAX_CAPACITY_LG2)
		return -EINVAL;
	return request->room < nr_cpu_ids ? -ENOSPC : 0;
}

int morsel_journal_switch(struct morsel_journal_switch *request)
{
	bool was_on;
	int error = check(request);

	if (error)
		return error;
	mutex_lock(&switching);
	was_on = stop_recording();
	if (request->on)
		error = make_ready(request->capacity_lg2);
	if (!error)
		error = tell(request);
	if (!error && request->on) {
		if (!was_on)
			morsel_observe_on();
		spin_lock(&lock);
		WRITE_ONCE(recording, true);
		spin_unlock(&lock);
	} else if (was_on) {
		morsel_observe_off();
	}
	mutex_unlock(&switching);
	return error;
}

/* At unload: no point is reached any more. */
void morsel_journal_stop(void)
{
	if (stop_recording())
		morsel_observe_off();
	free_rings(rings, capacity_lg2);
	rings = NULL;
}
