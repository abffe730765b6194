// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The static key of observation: gate, journal, fault injection and tracepoints each switch it on while they are in
 * use. Where nobody does, an access of the engine is a nop away from a plain one.
 */
#include <asm/processor.h>
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

/* Asked once: under a hypervisor each CPUID is an exit. */
static bool in_tcg(void)
{
	static int known = -1;

	if (known < 0)
		known = boot_cpu_has(X86_FEATURE_HYPERVISOR) && hypervisor_cpuid_base("TCGTCGTCGTCG", 0);
	return known;
}

/*
 * A key is switched by way of a breakpoint at each place that asks for it (text_poke_bp()). TCG, before QEMU 8.1, may
 * translate such a place while another CPU writes there, and keep the breakpoint's translation when that has long gone:
 * whoever comes there is caught for ever, because the kernel finds no breakpoint and lets it try again. A write to the
 * place, even of what stands there, throws the translation away. Other keys, as those of the tracepoints, stay as they
 * are.
 */
static void forget_breakpoints(void)
{
	struct jump_entry *const begin = THIS_MODULE->jump_entries, *const end = begin + THIS_MODULE->num_jump_entries;
	unsigned long first = ULONG_MAX, last = 0;
	struct jump_entry *entry;
	u8 *alias;

	if (!in_tcg())
		return;
	for (entry = begin; entry < end; entry++)
		if (is_ours(entry)) {
			first = min(first, jump_entry_code(entry) & PAGE_MASK);
			last = max(last, jump_entry_code(entry) & PAGE_MASK);
		}
	alias = last ? map_text(first, (last - first) / PAGE_SIZE + 1) : NULL;
	if (!alias)
		return;
	for (entry = begin; entry < end; entry++)
		if (is_ours(entry)) {
			u8 *const place = alias + (jump_entry_code(entry) - first);

			WRITE_ONCE(*place, READ_ONCE(*place));
		}
	vunmap(alias);
}

/* Tracepoints want an int. */
int morsel_observe_on(void)
{
	mutex_lock(&key_mutex);
	if (!observers++) {
		static_branch_enable(&morsel_observed_key);
		forget_breakpoints();
	}
	mutex_unlock(&key_mutex);
	return 0;
}

void morsel_observe_off(void)
{
	mutex_lock(&key_mutex);
	if (!WARN_ON(!observers) && !--observers) {
		static_branch_disable(&morsel_observed_key);
		forget_breakpoints();
	}
	mutex_unlock(&key_mutex);
}
