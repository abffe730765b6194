// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Running a virtual CPU: in and out of guest mode, violations, flushes.
 *
 * A violation is a fill by the protocol, by an actor of the kind vCPU, in the task that runs it: so it waits at the
 * gate, and the journal names it, as any filler. On the primary it populates, as a process there does.
 *
 * A flush of a view must not return before its vCPUs have forgotten what they cached. It marks them outdated, then
 * interrupts those CPUs that are in guest mode, and waits until the interrupts were taken. A vCPU that enters says so
 * first, and then looks at the mark and at the view's root:
 *
 *	flush                              entry, interrupts off
 *	(the tables were changed)          cpu = this one
 *	outdated = true                    full barrier
 *	full barrier                       flush the TLB if outdated; copy the root's entry
 *	cpu? interrupt it, and wait        guest mode
 *
 * Whoever comes second sees the other. With interrupts off the interrupt ends guest mode at once.
 */
#include <linux/jiffies.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>

#include "kmod/vcpu.h"

#define OBJECT_SPAN (1ull << 39)

static bool is_in_guest_mode(int cpu, void *data)
{
	struct morsel_tree *tree = data;
	struct morsel_vcpu *vcpu;
	bool found = false;

	spin_lock(&tree->lock);
	list_for_each_entry(vcpu, &tree->vcpus, node)
		if (atomic_read(&vcpu->cpu) == cpu)
			found = true;
	spin_unlock(&tree->lock);
	return found;
}

static void leave_guest_mode(void *unused)
{
	/* The interrupt itself has done it. */
}

void morsel_vcpus_flush(struct morsel_tree *tree)
{
	struct morsel_vcpu *vcpu;
	bool any = false;

	spin_lock(&tree->lock);
	list_for_each_entry(vcpu, &tree->vcpus, node) {
		WRITE_ONCE(vcpu->outdated, true);
		WRITE_ONCE(vcpu->flushes, vcpu->flushes + 1);
		any = true;
	}
	spin_unlock(&tree->lock);
	if (!any)
		return;
	smp_mb();	/* the mark, then who is in guest mode */
	on_each_cpu_cond_mask(is_in_guest_mode, leave_guest_mode, tree, true, cpu_online_mask);
}

/* False: not entered, there is something else to do first. */
static bool enter(struct morsel_vcpu *vcpu)
{
	bool entered = false;

	preempt_disable();
	local_irq_disable();
	if (!signal_pending(current) && !need_resched()) {
		bool flush;

		atomic_set(&vcpu->cpu, smp_processor_id());
		smp_mb();	/* where it is, then the mark and the root */
		flush = xchg(&vcpu->outdated, false);
		vcpu->stage[0] = READ_ONCE(*vcpu->view_root);
		entered = vcpu->ops->enter(vcpu, flush);
		if (!entered && flush)
			WRITE_ONCE(vcpu->outdated, true);
		atomic_set_release(&vcpu->cpu, -1);
	}
	local_irq_enable();	/* what has ended guest mode is handled here */
	preempt_enable();
	return entered;
}

/*
 * Whether hardware goes on refusing what the engine finds allowed, with nobody who has changed it meanwhile: a page of
 * the primary that moves refuses, too, until the access calls that off, and then the mover tries again.
 */
static bool refuses(struct morsel_vcpu *vcpu, unsigned int *refusals)
{
	const u64 flushes = READ_ONCE(vcpu->flushes);

	*refusals = flushes == vcpu->refused_at ? *refusals + 1 : 1;
	vcpu->refused_at = flushes;
	WRITE_ONCE(vcpu->outdated, true);	/* it may do so by what it has cached */
	return *refusals == MORSEL_MAX_REFUSALS;
}

/* Returns whether the run is over, with its result. */
static bool fill(struct morsel_vcpu *vcpu, struct morsel_vcpu_run *run, unsigned int *refusals, int *error)
{
	struct morsel_object *object = vcpu->tree->object;
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_VCPU);
	/* Of a misconfigured entry hardware does not tell it: it allows none. */
	const unsigned int right = run->access & (MORSEL_READ | MORSEL_WRITE | MORSEL_EXEC) ?: MORSEL_READ;
	unsigned int outcome = MORSEL_ACCESS_HIT;

	switch (engine_access(&actor, &object->engine, morsel_view(vcpu->tree), run->violation, right,
			      run->flags & MORSEL_VCPU_POPULATE, &outcome)) {
	case ENGINE_DONE:
		run->outcome = max(run->outcome, outcome);
		run->result = MORSEL_VCPU_REFUSED;
		if (outcome == MORSEL_ACCESS_HIT)
			return refuses(vcpu, refusals);
		*refusals = 0;
		morsel_count(MORSEL_FILLS, 1);
		return false;
	case ENGINE_ACCESS_DENIED:
		run->result = MORSEL_VCPU_DENIED;
		return true;
	case ENGINE_NEEDS_POPULATE:
		run->result = MORSEL_VCPU_HOLE;
		return true;
	case ENGINE_OUT_OF_RANGE:
		run->result = MORSEL_VCPU_OUTSIDE;
		return true;
	case ENGINE_NO_MEMORY:
		*error = -ENOMEM;
		return true;
	default:
		*error = -EIO;	/* the tables are broken */
		return true;
	}
}

static bool violation(struct morsel_vcpu *vcpu, struct morsel_vcpu_run *run, const struct morsel_vcpu_exit *exit,
		      unsigned int *refusals, int *error)
{
	if (exit->address != run->violation || exit->access != run->access)
		*refusals = 0;
	run->violations++;
	run->violation = exit->address;
	run->access = exit->access;
	run->result = exit->address >= OBJECT_SPAN ? MORSEL_VCPU_OUTSIDE : MORSEL_VCPU_VIOLATION;
	if (exit->address >= OBJECT_SPAN || !vcpu->tree || (run->flags & MORSEL_VCPU_NO_FILL))
		return true;
	return fill(vcpu, run, refusals, error);
}

/* An instruction that was met by anything but a violation of its own fetch has been fetched. */
static bool was_fetched(const struct morsel_vcpu_run *run, const struct morsel_vcpu_exit *exit)
{
	if (run->program != MORSEL_VCPU_EXEC || exit->kind == MORSEL_EXIT_BROKEN)
		return false;
	return exit->kind != MORSEL_EXIT_VIOLATION || !(exit->access & (MORSEL_EXEC | MORSEL_VCPU_RESERVED)) ||
	       exit->address >> PAGE_SHIFT != run->offset >> PAGE_SHIFT;
}

static bool is_over(struct morsel_vcpu *vcpu, struct morsel_vcpu_run *run, const struct morsel_vcpu_exit *exit,
		    unsigned int *refusals, int *error)
{
	if (was_fetched(run, exit)) {
		run->result = MORSEL_VCPU_DONE;
		return true;
	}
	switch (exit->kind) {
	case MORSEL_EXIT_VIOLATION:
		return violation(vcpu, run, exit, refusals, error);
	case MORSEL_EXIT_END:
		run->result = MORSEL_VCPU_DONE;
		return true;
	case MORSEL_EXIT_EXCEPTION:
		run->violation = exit->address;
		run->access = exit->access;
		run->result = MORSEL_VCPU_EXCEPTION;
		return true;
	case MORSEL_EXIT_SHUTDOWN:
		run->result = MORSEL_VCPU_SHUTDOWN;
		return true;
	case MORSEL_EXIT_FORBIDDEN:
		run->result = MORSEL_VCPU_FORBIDDEN;
		return true;
	default:
		*error = -EIO;
		return true;
	}
}

static int run_until_over(struct morsel_vcpu *vcpu, struct morsel_vcpu_run *run, struct morsel_vcpu_exit *exit)
{
	const unsigned long end = jiffies + msecs_to_jiffies(run->timeout_ms);
	unsigned int refusals = 0;
	int error = 0;

	for (;;) {
		if (signal_pending(current))
			return -EINTR;
		if (run->timeout_ms && time_after(jiffies, end)) {
			run->result = MORSEL_VCPU_TIMEOUT;
			return 0;
		}
		cond_resched();
		if (!enter(vcpu))
			continue;
		run->entries++;
		vcpu->ops->explain(vcpu, exit);
		if (exit->kind == MORSEL_EXIT_INTERRUPT)
			run->interrupts++;
		else if (is_over(vcpu, run, exit, &refusals, &error))
			return error;
	}
}

int morsel_vcpu_run(struct morsel_vcpu *vcpu, struct morsel_vcpu_run *run)
{
	struct morsel_vcpu_registers registers;
	struct morsel_vcpu_exit exit = {};
	int error;

	if (!mutex_trylock(&vcpu->running))
		return -EBUSY;
	error = morsel_guest_load(vcpu, run, &registers);
	if (error)
		goto out;
	if (run->flags & MORSEL_VCPU_FLUSH)
		WRITE_ONCE(vcpu->outdated, true);
	vcpu->ops->start(vcpu, &registers);
	run->access = run->outcome = 0;
	run->violation = run->entries = run->interrupts = run->violations = 0;
	error = run_until_over(vcpu, run, &exit);
	if (run->program == MORSEL_VCPU_RUN_CODE)
		WRITE_ONCE(vcpu->outdated, true);	/* it may have changed its own tables, which are made anew */
	run->scratch = *(const u64 *)(vcpu->guest + MORSEL_GUEST_SCRATCH * PAGE_SIZE);
	run->exit_code = exit.code;
	run->instruction_pointer = exit.rip;
	if (run->program == MORSEL_VCPU_SPIN)
		run->value = run->scratch;
	else if (run->program != MORSEL_VCPU_WRITE && run->program != MORSEL_VCPU_EXEC)
		run->value = exit.rax;
out:
	mutex_unlock(&vcpu->running);
	return error;
}
