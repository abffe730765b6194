// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Waiting for the end of a grace period. Whoever is inside a section may wait at the gate as long as somebody likes: so
 * who waits for him shows himself there (his state says so, and the sections of his object say for whom), and can be
 * killed.
 */
#include <linux/refcount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "kmod/shim.h"

static DECLARE_WAIT_QUEUE_HEAD(grace_over);

struct grace_wait {
	struct rcu_head rcu;
	refcount_t users;		/* who waits, who tells */
	bool over;
};

static void let_go_of(struct grace_wait *wait)
{
	if (refcount_dec_and_test(&wait->users))
		kfree(wait);
}

static void grace_is_over(struct rcu_head *rcu)
{
	struct grace_wait *wait = container_of(rcu, struct grace_wait, rcu);

	WRITE_ONCE(wait->over, true);
	wake_up_all(&grace_over);
	let_go_of(wait);
}

/*
 * Everybody who is inside a section of the object leaves it. False: the caller is being killed, and it is not over. Who
 * is waited for at the gate can be killed, too, or let go on.
 */
bool morsel_wait_for_grace(struct morsel_object *object)
{
	struct grace_wait *wait = NULL;
	struct morsel_gate_entry *entry;
	bool over;

	if (static_branch_unlikely(&morsel_observed_key))
		wait = kzalloc(sizeof(*wait), GFP_KERNEL_ACCOUNT);
	if (!wait) {
		synchronize_srcu(&object->grace);
		return true;
	}
	entry = morsel_gate_begin_grace(object);
	refcount_set(&wait->users, 2);
	call_srcu(&object->grace, &wait->rcu, grace_is_over);
	over = !wait_event_killable(grace_over, READ_ONCE(wait->over));
	let_go_of(wait);
	morsel_gate_end_grace(entry);
	return over;
}
