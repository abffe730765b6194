// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The PCI devices that the module drives. QEMU's edu device is bound when the module finds it; an NVMe drive only if
 * its driver_override names this driver, since somebody may have his files on it:
 *
 *	echo morsel > /sys/bus/pci/devices/ADDRESS/driver_override
 *	echo ADDRESS > /sys/bus/pci/drivers_probe
 *
 * A device is enabled while it is taken, and only then; unbinding it waits until it is given back.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "kmod/iommu.h"

#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8

LIST_HEAD(morsel_devices);

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(EDU_VENDOR, EDU_DEVICE), .driver_data = MORSEL_DEVICE_EDU },
	{ PCI_DEVICE_DRIVER_OVERRIDE(PCI_ANY_ID, PCI_ANY_ID, PCI_ID_F_VFIO_DRIVER_OVERRIDE),
	  .class = PCI_CLASS_STORAGE_EXPRESS, .class_mask = 0xffffff, .driver_data = MORSEL_DEVICE_NVME },
	{}
};

static int probe(struct pci_dev *pci, const struct pci_device_id *id)
{
	const struct morsel_device_ops *ops = id->driver_data == MORSEL_DEVICE_EDU  ? &morsel_edu_ops :
					      id->driver_data == MORSEL_DEVICE_NVME ? &morsel_nvme_ops :
										      NULL;
	struct morsel_device *device;

	/* Not ours, whatever its driver_override says; or where the IOMMU that we drive is not. */
	if (!ops || pci_domain_nr(pci->bus))
		return -ENODEV;
	device = kzalloc(sizeof(*device), GFP_KERNEL);
	if (!device)
		return -ENOMEM;
	device->pci = pci;
	device->ops = ops;
	mutex_init(&device->running);
	INIT_LIST_HEAD(&device->attached);
	init_waitqueue_head(&device->given_back);
	init_waitqueue_head(&device->interrupted);
	pci_set_drvdata(pci, device);
	pci_clear_master(pci);		/* firmware may have used it */
	mutex_lock(&morsel_devices_mutex);
	list_add_tail(&device->node, &morsel_devices);
	mutex_unlock(&morsel_devices_mutex);
	return 0;
}

static bool leave_list(struct morsel_device *device)
{
	bool left;

	mutex_lock(&morsel_devices_mutex);
	left = !device->taken;
	if (left)
		list_del(&device->node);
	mutex_unlock(&morsel_devices_mutex);
	return left;
}

static void remove(struct pci_dev *pci)
{
	struct morsel_device *device = pci_get_drvdata(pci);

	while (!leave_list(device))	/* who takes it again meanwhile is waited for, too */
		wait_event(device->given_back, !READ_ONCE(device->taken));
	kfree(device);
}

static struct pci_driver driver = {
	.name = "morsel",
	.id_table = ids,
	.probe = probe,
	.remove = remove,
};

int morsel_devices_start(void)
{
	return pci_register_driver(&driver);
}

/* Descriptors of devices hold the module, so none is taken. */
void morsel_devices_stop(void)
{
	pci_unregister_driver(&driver);
}

/* A free device of this kind, by its address or any. */
struct morsel_device *morsel_device_take(unsigned int kind, unsigned int address, const char **reason)
{
	struct morsel_device *device, *found = ERR_PTR(-ENOENT);

	*reason = kind == MORSEL_DEVICE_EDU ? "the module has no edu device" :
					      "the module has no NVMe drive: driver_override must name it";
	mutex_lock(&morsel_devices_mutex);
	list_for_each_entry(device, &morsel_devices, node) {
		if (device->ops->kind != kind ||
		    (address != MORSEL_DEVICE_ANY && pci_dev_id(device->pci) != address))
			continue;
		if (device->taken || device->dead) {
			*reason = device->dead ? "the device has stopped answering: unbind it, and bind it again" :
						 "the device is attached already";
			found = ERR_PTR(device->dead ? -EIO : -EBUSY);
			continue;
		}
		device->taken = true;
		found = device;
		break;
	}
	mutex_unlock(&morsel_devices_mutex);
	return found;
}

void morsel_device_give_back(struct morsel_device *device)
{
	mutex_lock(&morsel_devices_mutex);
	WRITE_ONCE(device->taken, false);
	wake_up_all(&device->given_back);
	mutex_unlock(&morsel_devices_mutex);
}

/*
 * Its registers and its interrupt. Bus mastering is its own driver's to switch on: when it does nothing any more that
 * somebody else has told it. Undone by the next one, also after a failure.
 */
int morsel_device_enable(struct morsel_device *device, irq_handler_t handler)
{
	struct pci_dev *pci = device->pci;
	int error = pci_enable_device_mem(pci);

	device->interrupts = 0;
	if (error)
		return error;
	error = pci_request_region(pci, 0, "morsel");
	if (error)
		goto disable;
	device->registers = pci_ioremap_bar(pci, 0);
	error = -ENOMEM;
	if (!device->registers)
		goto release;
	error = pci_alloc_irq_vectors(pci, 1, 1, PCI_IRQ_MSIX | PCI_IRQ_MSI);
	if (error < 0)
		goto unmap;
	error = request_irq(pci_irq_vector(pci, 0), handler, 0, "morsel", device);
	if (!error)
		return 0;
	pci_free_irq_vectors(pci);
unmap:
	iounmap(device->registers);
	device->registers = NULL;
release:
	pci_release_region(pci, 0);
disable:
	pci_disable_device(pci);
	return error;
}

void morsel_device_disable(struct morsel_device *device)
{
	if (!device->registers)
		return;
	pci_clear_master(device->pci);
	free_irq(pci_irq_vector(device->pci, 0), device);
	pci_free_irq_vectors(device->pci);
	iounmap(device->registers);
	device->registers = NULL;
	pci_release_region(device->pci, 0);
	pci_disable_device(device->pci);
}
