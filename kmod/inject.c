// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Observation of the engine's accesses: fault injection and tracepoints; the journal (kmod/journal.c) is told from
 * here. All are behind one static key (kmod/observe.c).
 *
 * When a rule fires is the engine's to say (engine/platform/fault_count.hpp), as in the embedded machine. Not every
 * access may be spoilt here: this is a live kernel, and an operation that believes to have unlinked or linked something
 * would free or lose it. So faults are offered where what goes wrong stays within the views: then frames of the object
 * are kept until it goes, because stale entries may name them.
 */
#include <linux/kernel.h>
#include <linux/poll.h>
#include <linux/reboot.h>
#include <linux/spinlock.h>

#include "kmod/shim.h"

#define CREATE_TRACE_POINTS
#include "kmod/trace.h"

#define MAX_RULES 32
#define MAX_FIRED 64
#define MAX_LOST_EXCHANGES 4096		/* who always loses a compare-and-swap tries for ever */

struct rule {
	struct morsel_inject request;
	u64 seen;
};
static struct rule rules[MAX_RULES];
static unsigned int rule_count;
static struct morsel_fired fired_log[MAX_FIRED];
static u64 last_fired, last_told;
static DEFINE_SPINLOCK(rules_lock);
static DECLARE_WAIT_QUEUE_HEAD(fired_watchers);

/* Drop, delay, duplicate. */
static bool may_spoil(unsigned int point)
{
	switch (point) {
	case MORSEL_POINT_reserve:
	case MORSEL_POINT_publish:
	case MORSEL_POINT_undo:
	case MORSEL_POINT_pend:
	case MORSEL_POINT_unpend:
	case MORSEL_POINT_invalidate:
	case MORSEL_POINT_flush:
	case MORSEL_POINT_carry:
		return true;
	default:
		return false;
	}
}

static bool may_corrupt(unsigned int point)
{
	return point == MORSEL_POINT_publish || point == MORSEL_POINT_flush || point == MORSEL_POINT_copy;
}

static bool may_lose(unsigned int point)
{
	switch (point) {
	case MORSEL_POINT_link:
	case MORSEL_POINT_reserve:
	case MORSEL_POINT_publish:
	case MORSEL_POINT_undo:
	case MORSEL_POINT_link_primary:
	case MORSEL_POINT_split:
	case MORSEL_POINT_change:
		return true;
	default:
		return false;
	}
}

static int check_when(const struct morsel_inject *rule)
{
	if (rule->point >= MORSEL_POINT_COUNT || !rule->nth || !rule->times || !rule->interval)
		return -EINVAL;
	if (rule->view > MORSEL_MAX_VIEWS && rule->view != MORSEL_ANY_TREE)
		return -EINVAL;
	if (!rule->probability || rule->probability > 100 || rule->start > rule->end || rule->reserved)
		return -EINVAL;
	if (rule->action == MORSEL_FAULT_DELAY ? rule->until >= MORSEL_POINT_COUNT : rule->until)
		return -EINVAL;
	/* A torn copy needs no bits. */
	if (rule->bits && rule->action != MORSEL_FAULT_CORRUPT)
		return -EINVAL;
	return 0;
}

static bool is_offered(const struct morsel_inject *rule)
{
	switch (rule->action) {
	case MORSEL_FAULT_CRASH:
		return true;
	case MORSEL_FAULT_DROP:
	case MORSEL_FAULT_DELAY:
	case MORSEL_FAULT_DUPLICATE:
		return may_spoil(rule->point);
	case MORSEL_FAULT_CORRUPT:
		return may_corrupt(rule->point);
	default:
		return rule->point == MORSEL_POINT_alloc || may_lose(rule->point);
	}
}

static int check_rule(const struct morsel_inject *rule)
{
	if (check_when(rule) || rule->action == MORSEL_FAULT_NONE || rule->action > MORSEL_FAULT_CRASH)
		return -EINVAL;
	if (!is_offered(rule))
		return -EOPNOTSUPP;
	if (rule->action == MORSEL_FAULT_CORRUPT && !rule->bits != (rule->point == MORSEL_POINT_copy))
		return -EINVAL;
	return may_lose(rule->point) && rule->times > MAX_LOST_EXCHANGES ? -ERANGE : 0;
}

int morsel_inject_add(struct morsel_inject *rule)
{
	int error = check_rule(rule);

	if (error)
		return error;
	/* Before it can be seen: who clears the rules gives back what each of them has taken. */
	morsel_observe_on();
	spin_lock(&rules_lock);
	if (rule_count == MAX_RULES) {
		spin_unlock(&rules_lock);
		morsel_observe_off();
		return -ENOSPC;
	}
	rule->size = sizeof(*rule);
	rule->fired = 0;
	rule->rule = rule_count + 1;
	rules[rule_count].request = *rule;
	rules[rule_count].seen = 0;
	rule_count++;
	spin_unlock(&rules_lock);
	return 0;
}

int morsel_inject_list(struct morsel_inject *rule)
{
	int error = -ENOENT;

	if (rule->reserved)
		return -EINVAL;
	spin_lock(&rules_lock);
	if (rule->rule && rule->rule <= rule_count) {
		*rule = rules[rule->rule - 1].request;
		error = 0;
	}
	spin_unlock(&rules_lock);
	return error;
}

void morsel_inject_clear(void)
{
	unsigned int count;

	spin_lock(&rules_lock);
	count = rule_count;
	rule_count = 0;
	spin_unlock(&rules_lock);
	while (count--)
		morsel_observe_off();
}

/* The first that fired after fired->sequence. */
int morsel_inject_fired(struct morsel_fired *fired)
{
	int error = -ENOENT;
	u64 next;

	spin_lock(&rules_lock);
	next = fired->sequence >= last_fired ? last_fired + 1 : fired->sequence + 1;
	if (last_fired > MAX_FIRED)
		next = max(next, last_fired - MAX_FIRED + 1);
	if (next <= last_fired) {
		*fired = fired_log[next % MAX_FIRED];
		error = 0;
	}
	last_told = max(last_told, min(next, last_fired));
	spin_unlock(&rules_lock);
	return error;
}

__poll_t morsel_inject_poll(struct file *file, poll_table *table)
{
	poll_wait(file, &fired_watchers, table);
	return READ_ONCE(last_fired) != READ_ONCE(last_told) ? EPOLLPRI : 0;
}

/* rules_lock held. */
static void log_fired(const struct morsel_inject *rule, const struct engine_actor *actor,
		      const struct engine_point_event *event)
{
	const u64 sequence = last_fired + 1;

	fired_log[sequence % MAX_FIRED] = (struct morsel_fired){
		.size = sizeof(struct morsel_fired),
		.rule = rule->rule,
		.sequence = sequence,
		.point = event->point,
		.actor = actor->id,
		.object_id = actor->object->id,
		.tree = event->tree,
	};
	WRITE_ONCE(last_fired, sequence);
}

/* What the engine would free while it is linked, or lose; frames that are somebody else's. See morsel_ioctl.h. */
static bool would_harm(const struct morsel_inject *rule, const struct engine_actor *actor,
		       const struct engine_point_event *event)
{
	struct morsel_object *object = actor->object;
	const unsigned int format = object->trees[event->tree].format;
	engine_u64 frame;

	if (event->point == MORSEL_POINT_invalidate)
		return morsel_is_table(actor, event);
	if (rule->action != MORSEL_FAULT_CORRUPT || event->access != ENGINE_COMPARE)
		return false;
	switch (engine_word_kind(format, event->level, event->after ^ rule->bits, &frame)) {
	case ENGINE_DONE:
		return !morsel_owns_frame(object, frame, event->level);
	case ENGINE_CORRUPT:
		return morsel_cpu_format(format);	/* Linux takes it for a broken table of its own */
	default:
		return true;
	}
}

static bool matches(const struct morsel_inject *rule, const struct engine_actor *actor,
		    const struct engine_point_event *event)
{
	if (rule->point != event->point || (rule->view != MORSEL_ANY_TREE && rule->view != event->tree))
		return false;
	if ((rule->actor && rule->actor != actor->id) || (rule->object_id && rule->object_id != actor->object->id))
		return false;
	if (rule->end && (event->offset >= rule->end || event->end <= rule->start))
		return false;
	if (rule->action == MORSEL_FAULT_CRASH)
		return true;
	if (event->access == ENGINE_READ || event->access == ENGINE_READ_COUNTER)
		return false;
	return !would_harm(rule, actor, event);
}

static bool is_due(const struct rule *rule)
{
	const struct engine_fault_count count = {
		.nth = rule->request.nth, .times = rule->request.times, .interval = rule->request.interval,
		.seed = rule->request.seed, .probability = rule->request.probability,
		.seen = rule->seen, .fired = rule->request.fired,
	};

	return engine_fault_due(&count);
}

/* Every matching rule counts the access; the first that fires decides, and is copied. */
static bool choose(const struct engine_actor *actor, const struct engine_point_event *event,
		   struct morsel_inject *chosen)
{
	bool found = false;
	unsigned int i;

	if (!READ_ONCE(rule_count))
		return false;
	spin_lock(&rules_lock);
	for (i = 0; i < rule_count; i++) {
		if (!matches(&rules[i].request, actor, event))
			continue;
		rules[i].seen++;
		if (found || !is_due(&rules[i]))
			continue;
		rules[i].request.fired++;
		*chosen = rules[i].request;
		log_fired(chosen, actor, event);
		found = true;
	}
	spin_unlock(&rules_lock);
	if (found)
		wake_up_poll(&fired_watchers, EPOLLPRI);
	return found;
}

static void inject(struct engine_actor *actor, struct engine_point_event *event)
{
	struct morsel_inject rule;

	if (!choose(actor, event, &rule))
		return;
	if (rule.action == MORSEL_FAULT_CRASH)
		emergency_restart();
	if (rule.action != MORSEL_FAULT_FAIL)
		WRITE_ONCE(actor->object->faulty, true);
	if (rule.action == MORSEL_FAULT_DELAY && !morsel_do_again(actor, event, rule.until))
		return;
	event->action = rule.action;
	event->bits = rule.bits;
	if (rule.action == MORSEL_FAULT_DUPLICATE)
		morsel_do_again(actor, event, event->point);
}

void kernel_arrive(struct engine_actor *actor, struct engine_point_event *event)
{
	morsel_gate_wait(actor, event);
	inject(actor, event);
	if (event->point == MORSEL_POINT_leave && actor->later)
		kernel_do_later(actor);
}

void kernel_observe(struct engine_actor *actor, const struct engine_point_event *event)
{
	const unsigned int object = actor->object->id;

	morsel_journal_end(actor, event);
	switch (event->point) {
#define MORSEL_POINT_EMIT(number, name, text)				\
	case number:							\
		trace_morsel_##name(object, actor->kind, event);	\
		break;
	MORSEL_POINTS(MORSEL_POINT_EMIT)
#undef MORSEL_POINT_EMIT
	}
	morsel_passed(actor, event->point);
}
