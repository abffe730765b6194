// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The life of devices on views, the requests for them (engine/abi/morsel_device.h), and how a flush reaches them.
 *
 * A device has the object at MORSEL_DEVICE_BASE of its addresses, and pages of its own below, which are in no view:
 * hardware gets a root of ours, whose second entry is a copy of the first one of the view's root (no object has more),
 * and whose first leads to the device's own pages. The copy is renewed before each transfer and in each flush, as if
 * the IOMMU had cached the root's entry.
 *
 *	flush                                   transfer
 *	(the tables were changed)
 *	renew the copy; invalidate, and wait    renew the copy
 *	if the device keeps translations:       the device walks the tables, or uses what the IOMMU has cached
 *	wait for its transfer
 */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "kmod/iommu.h"

#define ROOT_SHIFT 39			/* of an entry in a root of four levels */
#define OBJECT_ENTRY (MORSEL_DEVICE_BASE >> ROOT_SHIFT)
#define NOBODYS_DOMAIN 0		/* no device of ours has it */

DEFINE_MUTEX(morsel_devices_mutex);
DEFINE_MUTEX(morsel_transfers_mutex);
const struct morsel_iommu_ops *const morsel_iommu = &morsel_vtd_ops;
static unsigned int users;		/* morsel_devices_mutex */
static bool paused;			/* the machine is about to sleep; morsel_devices_mutex */

/* Bus mastering goes off, so that nobody waits for what does not come any more, until the driver is bound anew. */
void morsel_device_dead(struct morsel_device *device, const char *what)
{
	pci_clear_master(device->pci);
	WRITE_ONCE(device->dead, true);
	pr_err("morsel: %s: %s: it is taken off the bus\n", pci_name(device->pci), what);
}

/* morsel_devices_mutex held. */
int morsel_device_invalidate(struct morsel_device *device, u64 start, u64 end)
{
	const int error = morsel_iommu->invalidate(device->domain, MORSEL_DEVICE_BASE + start,
						   MORSEL_DEVICE_BASE + end);

	if (error && !device->dead)
		morsel_device_dead(device, "the IOMMU does not answer");
	return error;
}

/* morsel_devices_mutex held. Returns whether there was something to renew: then all of the domain is forgotten. */
bool morsel_device_refresh(struct morsel_device *device)
{
	const u64 entry = READ_ONCE(*device->view_root);

	if (device->stage[OBJECT_ENTRY] == entry)
		return false;
	WRITE_ONCE(device->stage[OBJECT_ENTRY], entry);
	morsel_device_invalidate(device, 0, MORSEL_DEVICE_SPAN);
	return true;
}

void morsel_devices_flush(struct morsel_tree *tree, u64 start, u64 end)
{
	struct morsel_device *device;
	bool keeps = false;

	spin_lock(&tree->lock);		/* whoever is not on the list yet will see the tables as they are now */
	if (list_empty(&tree->devices)) {
		spin_unlock(&tree->lock);
		return;
	}
	spin_unlock(&tree->lock);
	mutex_lock(&morsel_devices_mutex);
	list_for_each_entry(device, &tree->devices, attached) {
		if (!morsel_device_refresh(device))
			morsel_device_invalidate(device, start, end);
		keeps |= device->ops->keeps_translations;
	}
	mutex_unlock(&morsel_devices_mutex);
	if (keeps) {
		mutex_lock(&morsel_transfers_mutex);
		mutex_unlock(&morsel_transfers_mutex);
	}
}

/* ---- attaching ---- */

static u64 *stage_table(const struct morsel_device *device, enum morsel_device_stage which)
{
	return device->stage + which * PTRS_PER_PTE;
}

static int make_memory(struct morsel_device *device)
{
	unsigned int i;

	device->stage = morsel_own_pages(MORSEL_DEVICE_STAGE_PAGES, GFP_KERNEL_ACCOUNT);
	device->own = morsel_own_pages(MORSEL_DEVICE_OWN_PAGES, GFP_KERNEL_ACCOUNT);
	if (!device->stage || !device->own)
		return -ENOMEM;
	for (i = MORSEL_DEVICE_ROOT; i < MORSEL_DEVICE_LEVEL_0; i++)
		*stage_table(device, i) = __pa(stage_table(device, i + 1)) | morsel_iommu->table_bits;
	for (i = 0; i < MORSEL_DEVICE_OWN_PAGES; i++)
		stage_table(device, MORSEL_DEVICE_LEVEL_0)[morsel_own_address(i) >> PAGE_SHIFT] =
			__pa(morsel_own_page(device, i)) | morsel_iommu->leaf_bits;
	return 0;
}

static void free_memory(struct morsel_device *device)
{
	morsel_own_pages_free(device->stage, MORSEL_DEVICE_STAGE_PAGES);
	morsel_own_pages_free(device->own, MORSEL_DEVICE_OWN_PAGES);
	morsel_lab_free(device->lab);
	device->stage = device->own = NULL;
	device->lab = NULL;
}

static int make_lab(struct morsel_device *device, const char **reason)
{
	device->lab = morsel_lab_new(reason);
	if (!device->lab)
		return -ENOMEM;
	device->view_root = page_address(device->lab);
	return 0;
}

static void join_tree(struct morsel_device *device, struct file *file, struct morsel_tree *tree)
{
	struct engine_tree_info info;

	engine_describe(&tree->object->engine, &tree->view, &info);
	device->view_root = kernel_words(info.root);
	device->file = get_file(file);
	device->tree = morsel_tree_get(tree->object, tree->number);
	spin_lock(&tree->lock);
	list_add_tail(&device->attached, &tree->devices);
	spin_unlock(&tree->lock);
}

static void leave_tree(struct morsel_device *device)
{
	if (!device->tree)
		return;
	spin_lock(&device->tree->lock);
	list_del_init(&device->attached);
	spin_unlock(&device->tree->lock);
}

/* morsel_devices_mutex held, as in the next one. */
static void disconnect(struct morsel_device *device)
{
	leave_tree(device);
	morsel_iommu->detach(device);
	if (!--users)
		morsel_iommu->switch_off();
}

static int connect(struct morsel_device *device, struct file *file, struct morsel_tree *tree, const char **reason)
{
	int error;

	if (paused) {
		*reason = "the machine is about to sleep";
		return -EBUSY;
	}
	error = users ? 0 : morsel_iommu->switch_on(reason);
	if (error)
		return error;
	users++;
	error = morsel_iommu->attach(device, reason);
	if (!error && tree)
		join_tree(device, file, tree);
	if (error && !--users)
		morsel_iommu->switch_off();
	return error;
}

/* As morsel_vcpus_pause(), because sleep takes the IOMMU's state and the devices' away. */
bool morsel_devices_pause(bool pause)
{
	bool idle;

	mutex_lock(&morsel_devices_mutex);
	idle = !users;
	paused = pause && idle;
	mutex_unlock(&morsel_devices_mutex);
	return idle || !pause;
}

/* The last step, after which nothing of the object is held any more. */
static void let_go(struct morsel_device *device)
{
	struct morsel_tree *tree = device->tree;
	struct file *file = device->file;

	device->tree = NULL;
	device->file = NULL;
	free_memory(device);
	morsel_device_give_back(device);
	if (tree) {
		morsel_tree_put(tree);
		fput(file);
	}
}

/*
 * A device on a view that the caller has pinned, or, without one, a lab. `reason` says why there is none. The view and
 * the device's own memory are in place before bus mastering is switched on.
 */
static struct morsel_device *attach(unsigned int kind, unsigned int address, struct file *file,
				    struct morsel_tree *tree, const char **reason)
{
	struct morsel_device *device = morsel_device_take(kind, address, reason);
	int error;

	if (IS_ERR(device))
		return device;
	*reason = "there is not enough memory";
	error = make_memory(device);
	if (!error && !tree)
		error = make_lab(device, reason);
	if (error)
		goto free;
	mutex_lock(&morsel_devices_mutex);
	error = connect(device, file, tree, reason);
	if (!error)
		morsel_device_refresh(device);
	mutex_unlock(&morsel_devices_mutex);
	if (error)
		goto free;
	*reason = "the device does not start";
	error = device->dead ? -EIO : device->ops->start(device);
	/* A flush may have found meanwhile that the IOMMU does not answer: off the bus again. */
	if (!error && !READ_ONCE(device->dead))
		return device;
	device->ops->stop(device);
	if (!error)
		error = -EIO;
	mutex_lock(&morsel_devices_mutex);
	disconnect(device);
	mutex_unlock(&morsel_devices_mutex);
free:
	let_go(device);
	return ERR_PTR(error);
}

/* Nobody does a transfer. Bus mastering is off before its tables go. */
static void detach(struct morsel_device *device)
{
	device->ops->stop(device);
	mutex_lock(&morsel_devices_mutex);
	disconnect(device);
	mutex_unlock(&morsel_devices_mutex);
	let_go(device);
}

/* ---- an attached device's descriptor ---- */

static int check_dma(const struct morsel_device *device, const struct morsel_dma *dma)
{
	if (dma->operation != MORSEL_READ && dma->operation != MORSEL_WRITE)
		return -EINVAL;
	if (dma->flags & ~(MORSEL_DMA_POPULATE | MORSEL_DMA_NO_FILL | MORSEL_DMA_FLUSH) || dma->reserved)
		return -EINVAL;
	if (!dma->bytes || dma->bytes > MORSEL_DMA_BYTES || dma->offset > MORSEL_DEVICE_SPAN - dma->bytes)
		return -EINVAL;
	return device->ops->check(device, dma);
}

static long do_dma(struct morsel_device *device, void __user *user)
{
	struct morsel_dma dma;
	int error = morsel_get_request(&dma, sizeof(dma), user);

	if (!error)
		error = check_dma(device, &dma);
	if (!error)
		error = morsel_dma_run(device, &dma);
	morsel_gate_end();
	if (error)
		return error;
	return copy_to_user(user, &dma, sizeof(dma)) ? -EFAULT : 0;
}

static long invalidate(struct morsel_device *device, void __user *user)
{
	struct morsel_device_invalidate request;
	int error = morsel_get_request(&request, sizeof(request), user);

	if (error)
		return error;
	if (!device->lab || request.other_domain > 1 || !PAGE_ALIGNED(request.offset) ||
	    request.offset >= MORSEL_DEVICE_SPAN)
		return -EINVAL;
	mutex_lock(&morsel_devices_mutex);
	error = morsel_iommu->invalidate(request.other_domain ? NOBODYS_DOMAIN : device->domain,
					 MORSEL_DEVICE_BASE + request.offset,
					 MORSEL_DEVICE_BASE + request.offset + PAGE_SIZE);
	mutex_unlock(&morsel_devices_mutex);
	return error;
}

static long device_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	switch (command) {
	case MORSEL_IOC_DMA:
		return do_dma(file->private_data, (void __user *)argument);
	case MORSEL_IOC_DEVICE_INVALIDATE:
		return invalidate(file->private_data, (void __user *)argument);
	default:
		return -ENOTTY;
	}
}

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct morsel_device *device = file->private_data;

	return morsel_lab_map(device->lab, vma);
}

static int device_release(struct inode *inode, struct file *file)
{
	detach(file->private_data);
	return 0;
}

static const struct file_operations device_operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = device_mmap,
	.release = device_release,
	.llseek = noop_llseek,
};

/* Takes the attached device over. */
static int give_descriptor(struct morsel_device *device, struct morsel_device_attach *request, void __user *argument)
{
	struct file *file = anon_inode_getfile("[morsel-device]", &device_operations, device, O_RDWR | O_CLOEXEC);

	if (IS_ERR(file)) {
		detach(device);
		return PTR_ERR(file);
	}
	request->device = pci_dev_id(device->pci);
	request->walker = morsel_iommu->walker;
	request->caching_mode = morsel_iommu->caches_non_present();
	request->lab_pa = device->lab ? page_to_phys(device->lab) : 0;
	request->block_bytes = device->block_bytes;
	request->blocks = device->blocks;
	return morsel_give_file(file, &request->fd, request, sizeof(*request), argument);
}

static long attach_for(struct morsel_device_attach *request, unsigned int format, struct file *file,
		       struct morsel_tree *tree, void __user *argument)
{
	const char *reason = "no IOMMU that the module can drive walks this format";
	struct morsel_device *device = ERR_PTR(-EOPNOTSUPP);

	if (request->kind != MORSEL_DEVICE_EDU && request->kind != MORSEL_DEVICE_NVME)
		return -EINVAL;
	if (format == morsel_iommu->format)
		device = attach(request->kind, request->device, file, tree, &reason);
	if (!IS_ERR(device))
		return give_descriptor(device, request, argument);
	strscpy(request->reason, reason, sizeof(request->reason));
	return copy_to_user(argument, request, sizeof(*request)) ? -EFAULT : PTR_ERR(device);
}

long morsel_device_attach(struct file *file, void __user *argument)
{
	struct morsel_device_attach request;
	struct morsel_tree *tree;
	long error = morsel_get_request(&request, sizeof(request), argument);

	if (error)
		return error;
	if (request.format)
		return -EINVAL;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	tree = morsel_tree_get(morsel_of(file_inode(file)), request.view);
	if (!tree)
		return -ENOENT;
	error = attach_for(&request, morsel_is_view(tree) ? tree->format : 0, file, tree, argument);
	morsel_tree_put(tree);
	return error;
}

long morsel_device_attach_lab(void __user *argument)
{
	struct morsel_device_attach request;
	long error = morsel_get_request(&request, sizeof(request), argument);

	if (error)
		return error;
	return request.view ? -EINVAL : attach_for(&request, request.format, NULL, NULL, argument);
}

long morsel_device_tell_state(void __user *argument)
{
	struct morsel_device_state state;
	int error = morsel_get_request(&state, sizeof(state), argument);

	if (error)
		return error;
	state.size = sizeof(state);
	mutex_lock(&morsel_devices_mutex);
	state.attached = users;
	mutex_unlock(&morsel_devices_mutex);
	return copy_to_user(argument, &state, sizeof(state)) ? -EFAULT : 0;
}

/* ---- one access through a view ---- */

/* False: there is no device for it right now, or none does that: the engine's own walker has to do it. */
bool morsel_device_access(struct file *file, struct morsel_tree *tree, struct morsel_access *request, int *error)
{
	struct morsel_dma dma = {
		.operation = request->rights,
		.offset = request->offset,
		.bytes = sizeof(u64),
		.value = request->value,
		.flags = request->flags & MORSEL_ACCESS_POPULATE ? MORSEL_DMA_POPULATE : 0,
	};
	struct morsel_device *device;
	const char *reason;

	if (!morsel_is_view(tree) || tree->format != morsel_iommu->format || request->rights == MORSEL_EXEC ||
	    request->offset >= MORSEL_DEVICE_SPAN || !capable(CAP_SYS_ADMIN))
		return false;
	device = attach(MORSEL_DEVICE_EDU, MORSEL_DEVICE_ANY, file, tree, &reason);
	if (IS_ERR(device))
		return false;
	request->walker = morsel_iommu->walker;
	*error = morsel_dma_run(device, &dma);
	if (!*error)
		*error = morsel_access_result(request, dma.result, dma.outcome, dma.value);
	detach(device);
	return true;
}
