// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Suspend and hibernation: the CPUs would come back without their virtualisation, the IOMMU without its tables. So they
 * are refused while there is a vCPU or an attached device, and from their beginning to their end there is none.
 */
#include <linux/notifier.h>
#include <linux/suspend.h>

#include "kmod/shim.h"

static int prepare(void)
{
	if (!morsel_vcpus_pause(true)) {
		pr_warn("morsel: no sleep while there are virtual CPUs: end the programs that have them open\n");
		return notifier_from_errno(-EBUSY);
	}
	if (!morsel_devices_pause(true)) {
		pr_warn("morsel: no sleep while devices are attached: end the programs that have them open\n");
		morsel_vcpus_pause(false);
		return notifier_from_errno(-EBUSY);
	}
	return NOTIFY_OK;
}

static int power_event(struct notifier_block *block, unsigned long event, void *unused)
{
	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		return prepare();
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		morsel_vcpus_pause(false);
		morsel_devices_pause(false);
		return NOTIFY_OK;
	default:
		return NOTIFY_DONE;
	}
}

static struct notifier_block power_events = {
	.notifier_call = power_event,
};

int morsel_sleep_start(void)
{
	return register_pm_notifier(&power_events);
}

void morsel_sleep_stop(void)
{
	unregister_pm_notifier(&power_events);
}
