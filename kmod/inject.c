// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Observation of the engine's accesses: fault injection and tracepoints; the journal (kmod/journal.c) is told from
 * here. All are behind one static key, which is off unless a rule exists, a tracepoint is enabled or the journal
 * records.
 *
 * A rule counts the accesses that match its point and tree, and fires at the nth and the following ones, `times` of
 * them. Not every access may be dropped here: this is a live kernel, and an operation that believes to have unlinked or
 * linked something would free or lose it. So DROP is offered where what goes wrong stays within the views: then frames
 * of the object are kept until it goes, because stale entries may name them.
 */
#include <linux/jump_label.h>
#include <linux/kernel.h>
#include <linux/reboot.h>
#include <linux/spinlock.h>

#include "kmod/shim.h"

#define CREATE_TRACE_POINTS
#include "kmod/trace.h"

#define MAX_RULES 32
#define MAX_LOST_EXCHANGES 4096		/* who always loses a compare-and-swap tries for ever */

/* For the engine: extern "C" struct morsel_static_key morsel_observed_key. */
DEFINE_STATIC_KEY_FALSE(morsel_observed_key);

struct rule {
	struct morsel_inject request;
	u64 seen;
};
static struct rule rules[MAX_RULES];
static unsigned int rule_count;
static DEFINE_SPINLOCK(rules_lock);

/* Tracepoints want an int. */
int morsel_observe_on(void)
{
	static_branch_inc(&morsel_observed_key);
	return 0;
}

void morsel_observe_off(void)
{
	static_branch_dec(&morsel_observed_key);
}

static bool may_drop(unsigned int point)
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

static int check_rule(const struct morsel_inject *rule)
{
	if (rule->point >= MORSEL_POINT_COUNT || !rule->nth || !rule->times)
		return -EINVAL;
	if (rule->view > MORSEL_MAX_VIEWS && rule->view != MORSEL_ANY_TREE)
		return -EINVAL;
	if (rule->action == MORSEL_FAULT_CRASH)
		return 0;
	if (rule->action != MORSEL_FAULT_DROP && rule->action != MORSEL_FAULT_FAIL)
		return -EINVAL;
	if (rule->action == MORSEL_FAULT_DROP && !may_drop(rule->point))
		return -EOPNOTSUPP;
	if (rule->action == MORSEL_FAULT_FAIL && rule->point != MORSEL_POINT_alloc && !may_lose(rule->point))
		return -EOPNOTSUPP;
	return may_lose(rule->point) && rule->times > MAX_LOST_EXCHANGES ? -ERANGE : 0;
}

int morsel_inject_add(struct morsel_inject *rule)
{
	int error = check_rule(rule);

	if (error)
		return error;
	spin_lock(&rules_lock);
	if (rule_count == MAX_RULES) {
		spin_unlock(&rules_lock);
		return -ENOSPC;
	}
	rule->size = sizeof(*rule);
	rule->fired = 0;
	rule->rule = rule_count + 1;
	rules[rule_count].request = *rule;
	rules[rule_count].seen = 0;
	rule_count++;
	spin_unlock(&rules_lock);
	morsel_observe_on();
	return 0;
}

int morsel_inject_list(struct morsel_inject *rule)
{
	int error = -ENOENT;

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

static bool fires(struct rule *rule, unsigned int point, unsigned int tree)
{
	struct morsel_inject *request = &rule->request;

	if (request->point != point || (request->view != MORSEL_ANY_TREE && request->view != tree))
		return false;
	rule->seen++;
	if (rule->seen < request->nth || rule->seen - request->nth >= request->times)
		return false;
	request->fired++;
	return true;
}

/* A table word of a view is never dropped: the engine would free a table that is still linked. */
static bool would_keep_table(const struct engine_point_event *event)
{
	u64 word = 0;

	if (event->point == MORSEL_POINT_invalidate && event->level)
		word = READ_ONCE(*(const u64 *)event->word);
	return (word & 7) && !(word & _PAGE_PSE);
}

/* What happens at this access. */
static unsigned int choose_action(const struct engine_point_event *event)
{
	unsigned int action = MORSEL_FAULT_NONE;
	unsigned int i;

	if (!READ_ONCE(rule_count) || would_keep_table(event))
		return action;
	spin_lock(&rules_lock);
	for (i = 0; i < rule_count; i++)
		if (fires(&rules[i], event->point, event->tree) && action == MORSEL_FAULT_NONE)
			action = rules[i].request.action;
	spin_unlock(&rules_lock);
	return action;
}

void kernel_arrive(struct engine_actor *actor, struct engine_point_event *event)
{
	morsel_gate_wait(actor, event);
	event->action = choose_action(event);
	if (event->action == MORSEL_FAULT_CRASH)
		emergency_restart();
	if (event->action == MORSEL_FAULT_DROP)
		WRITE_ONCE(actor->object->faulty, true);
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
}
