// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The static key of observation: gate, journal, fault injection and tracepoints each switch it on while they are in
 * use. Where nobody does, an access of the engine is a nop away from a plain one.
 */
#include <asm/processor.h>
#include <linux/hrtimer.h>
#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "kmod/shim.h"

/* For the engine: extern "C" struct morsel_static_key morsel_observed_key. */
DEFINE_STATIC_KEY_FALSE(morsel_observed_key);

static DEFINE_MUTEX(key_mutex);
static unsigned int observers;

static bool is_ours(const struct jump_entry *entry)
{
	return jump_entry_key(entry) == &morsel_observed_key.key && !jump_entry_is_init(entry);
}

/* Another mapping of the pages from `first` on, for writing. NULL: no memory. */
static u8 *map_text(unsigned long first, unsigned int count)
{
	struct page **pages = kmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	u8 *alias;
	unsigned int i;

	if (!pages)
		return NULL;
	for (i = 0; i < count; i++)
		pages[i] = vmalloc_to_page((void *)(first + i * PAGE_SIZE));
	alias = vmap(pages, count, VM_MAP, PAGE_KERNEL);
	kfree(pages);
	return alias;
}

static bool in_tcg(void)
{
	return boot_cpu_has(X86_FEATURE_HYPERVISOR) && hypervisor_cpuid_base("TCGTCGTCGTCG", 0);
}

/*
 * A key is switched by way of a breakpoint at each place that asks for it (text_poke_bp()). TCG, before QEMU 8.1, may
 * translate such a place while another CPU writes there, and keep the breakpoint's translation when that has long gone:
 * whoever comes there is caught for ever, because the kernel finds no breakpoint and lets it try again. A write to the
 * place, even of what stands there, throws the translation away.
 *
 * All CPUs may be caught at once, in the kernel, where only interrupts come through; while whoever switches the key has
 * given his CPU away between two batches of places. And a host that is busy may let a CPU go on in the middle of a
 * translation long after the switch. So a timer's interrupt writes the places: each millisecond during the switch, then
 * after 1 ms, 2 ms, 4 ms, … 8 s. Other keys, as those of the tracepoints, stay as they are.
 */
#define FIRST_PAUSE (1 * NSEC_PER_MSEC)
#define LAST_PAUSE (8 * NSEC_PER_SEC)

static u8 *alias;		/* of the text from alias_start on; NULL: these CPUs need none */
static unsigned long alias_start;
static struct hrtimer again;
static u64 pause;		/* ns, until it rings */
static bool switching;

static void forget_breakpoints(void)
{
	struct jump_entry *entry = THIS_MODULE->jump_entries, *const end = entry + THIS_MODULE->num_jump_entries;

	for (; entry < end; entry++)
		if (is_ours(entry)) {
			/* Atomic: a byte that is being changed meanwhile must not come back. */
			asm volatile("lock orb $0, %0" : "+m"(alias[jump_entry_code(entry) - alias_start]));
		}
}

static enum hrtimer_restart forget_again(struct hrtimer *timer)
{
	forget_breakpoints();
	if (!READ_ONCE(switching))
		pause *= 2;
	if (pause > LAST_PAUSE)
		return HRTIMER_NORESTART;
	hrtimer_forward_now(timer, ns_to_ktime(pause));
	return HRTIMER_RESTART;
}

/* `key_mutex` held. */
static void begin_switch(void)
{
	if (!alias)
		return;
	hrtimer_cancel(&again);
	pause = FIRST_PAUSE;
	WRITE_ONCE(switching, true);
	hrtimer_start(&again, ns_to_ktime(pause), HRTIMER_MODE_REL);
}

static void end_switch(void)
{
	if (!alias)
		return;
	forget_breakpoints();
	WRITE_ONCE(switching, false);
}

static void switch_key(bool on)
{
	begin_switch();
	if (on)
		static_branch_enable(&morsel_observed_key);
	else
		static_branch_disable(&morsel_observed_key);
	end_switch();
}

int morsel_observe_start(void)
{
	struct jump_entry *entry = THIS_MODULE->jump_entries, *const end = entry + THIS_MODULE->num_jump_entries;
	unsigned long first = ULONG_MAX, last = 0;

	if (!in_tcg())
		return 0;
	for (; entry < end; entry++)
		if (is_ours(entry)) {
			first = min(first, jump_entry_code(entry) & PAGE_MASK);
			last = max(last, jump_entry_code(entry) & PAGE_MASK);
		}
	if (!last)
		return 0;
	hrtimer_init(&again, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	again.function = forget_again;
	alias_start = first;
	alias = map_text(first, (last - first) / PAGE_SIZE + 1);
	return alias ? 0 : -ENOMEM;
}

/* Nobody observes any more. */
void morsel_observe_stop(void)
{
	mutex_lock(&key_mutex);
	if (alias) {
		hrtimer_cancel(&again);
		vunmap(alias);
		alias = NULL;
	}
	mutex_unlock(&key_mutex);
}

/* Tracepoints want an int. */
int morsel_observe_on(void)
{
	mutex_lock(&key_mutex);
	if (!observers++)
		switch_key(true);
	mutex_unlock(&key_mutex);
	return 0;
}

void morsel_observe_off(void)
{
	mutex_lock(&key_mutex);
	if (!WARN_ON(!observers) && !--observers)
		switch_key(false);
	mutex_unlock(&key_mutex);
}
