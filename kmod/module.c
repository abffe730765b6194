// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * morsel.ko: multi-target virtual-memory objects. Loading and unloading, parameters, counters.
 *
 * Parameters:
 *   granularity=4k|2m|1g   the largest slot of a process that later mappings attach with one store (1g). With 4k
 *                          nothing is attached: the primary is mapped page by page, views cannot be mapped.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "kmod/shim.h"

atomic64_t morsel_counters[MORSEL_COUNTERS];
unsigned int morsel_granularity = 2;

static const char *const granularities[] = { "4k", "2m", "1g" };

static int set_granularity(const char *value, const struct kernel_param *parameter)
{
	int found = sysfs_match_string(granularities, value);

	if (found < 0)
		return found;
	WRITE_ONCE(morsel_granularity, found);
	return 0;
}

static int get_granularity(char *buffer, const struct kernel_param *parameter)
{
	return sysfs_emit(buffer, "%s\n", granularities[READ_ONCE(morsel_granularity)]);
}

static const struct kernel_param_ops granularity_operations = {
	.set = set_granularity,
	.get = get_granularity,
};
module_param_cb(granularity, &granularity_operations, NULL, 0644);
MODULE_PARM_DESC(granularity, "largest slot that mappings attach: 4k, 2m or 1g");

int morsel_errno(int engine_error)
{
	switch (engine_error) {
	case ENGINE_DONE:
		return 0;
	case ENGINE_NO_MEMORY:
		return -ENOMEM;
	case ENGINE_OUT_OF_RANGE:
		return -ERANGE;
	case ENGINE_NEEDS_POPULATE:
		return -ENXIO;
	case ENGINE_ACCESS_DENIED:
		return -EACCES;
	case ENGINE_BUSY:
		return -EBUSY;
	case ENGINE_EXISTS:
		return -EEXIST;
	case ENGINE_NOT_FOUND:
		return -ENOENT;
	case ENGINE_CORRUPT:
		return -EIO;
	case ENGINE_TOO_MANY:
		return -ENOSPC;
	case ENGINE_FROZEN:
		return -EROFS;
	case ENGINE_INTERRUPTED:
		return -EINTR;
	default:
		return -EINVAL;
	}
}

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "morsel",
	.fops = &morsel_device_operations,
	.mode = 0600,
};

static int __init morsel_init(void)
{
	int error = morsel_observe_start();

	if (error)
		return error;
	error = morsel_reclaim_start();
	if (error)
		goto observe;
	error = register_filesystem(&morsel_fs_type);
	if (error)
		goto reclaim;
	error = morsel_devices_start();
	if (error)
		goto filesystem;
	error = morsel_sleep_start();
	if (error)
		goto devices;
	error = misc_register(&device);
	if (error)
		goto sleep;
	return 0;

sleep:
	morsel_sleep_stop();
devices:
	morsel_devices_stop();
filesystem:
	unregister_filesystem(&morsel_fs_type);
reclaim:
	morsel_reclaim_stop();
observe:
	morsel_observe_stop();
	return error;
}

static void expect_nothing_held(void)
{
	static const enum morsel_counter held[] = {
		MORSEL_OBJECTS, MORSEL_VIEWS, MORSEL_TABLES, MORSEL_FRAMES, MORSEL_ATTACHMENTS, MORSEL_CONTEXTS,
		MORSEL_OWN_PAGES,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(held); i++)
		WARN_ON(atomic64_read(&morsel_counters[held[i]]));
}

/* Mounts, open files and mappings hold the module, so all objects are gone. Callbacks may still be on their way. */
static void __exit morsel_exit(void)
{
	misc_deregister(&device);
	morsel_sleep_stop();
	morsel_devices_stop();
	unregister_filesystem(&morsel_fs_type);
	morsel_inject_clear();
	morsel_gate_stop();
	morsel_journal_stop();
	morsel_contexts_stop();
	rcu_barrier();
	morsel_reclaim_stop();
	morsel_observe_stop();
	expect_nothing_held();
}

module_init(morsel_init);
module_exit(morsel_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Morselscope: multi-target virtual-memory objects");
