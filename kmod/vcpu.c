// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The life of virtual CPUs, and the requests for them (engine/abi/morsel_vcpu.h).
 *
 * The CPUs' virtualisation is on while there is a vCPU, and only then, so that other hypervisors get their turn: an
 * access through a view makes one for itself and gives it back.
 */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kmod/vcpu.h"

static const struct morsel_vcpu_ops *const kinds[] = { &morsel_svm_ops, &morsel_vmx_ops };
static unsigned int users[ARRAY_SIZE(kinds)];
static bool paused;			/* the machine is about to sleep */
static DEFINE_MUTEX(switching);		/* of both, and of what they switch */
static atomic64_t last_id;
static atomic_t vcpus;

static int kind_of(unsigned int format)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (format < BITS_PER_TYPE(kinds[i]->formats) && (kinds[i]->formats & BIT(format)))
			return i;
	return -EOPNOTSUPP;
}

static int switch_on(unsigned int kind, unsigned int format, const char **reason)
{
	int error;

	mutex_lock(&switching);
	error = paused ? -EBUSY : kinds[kind]->check(format, reason);
	if (paused)
		*reason = "the machine is about to sleep";
	if (!error && !users[kind])
		error = kinds[kind]->switch_on(reason);
	if (!error)
		users[kind]++;
	mutex_unlock(&switching);
	return error;
}

static void switch_off(unsigned int kind)
{
	mutex_lock(&switching);
	if (!--users[kind])
		kinds[kind]->switch_off();
	mutex_unlock(&switching);
}

/*
 * One CPU, for the operations of a kind of hardware: `switch_on` gets a page for the CPU's own use, and keeps it if it
 * succeeds. Interrupts are off: another hypervisor switches virtualisation on by one.
 */
int morsel_vcpu_online(int (*switch_on)(void *own))
{
	void *own = morsel_own_pages(1, GFP_KERNEL);
	unsigned long flags;
	int error;

	if (!own)
		return -ENOMEM;
	local_irq_save(flags);
	error = switch_on(own);
	local_irq_restore(flags);
	if (error)
		morsel_own_pages_free(own, 1);
	return error;
}

/*
 * Before the machine sleeps, which takes the CPUs' virtualisation away. False: there are vCPUs. Else there will be
 * none until it is called again with false.
 */
bool morsel_vcpus_pause(bool pause)
{
	unsigned int i;
	bool idle = true;

	mutex_lock(&switching);
	for (i = 0; i < ARRAY_SIZE(users); i++)
		idle &= !users[i];
	paused = pause && idle;
	mutex_unlock(&switching);
	return idle || !pause;
}

/* Its memory, and what hardware needs; on no view yet. */
static struct morsel_vcpu *make(unsigned int format, const char **reason)
{
	const int kind = kind_of(format);
	struct morsel_vcpu *vcpu;
	int error;

	if (kind < 0) {
		*reason = "no hardware that the module can drive walks this format";
		return ERR_PTR(kind);
	}
	*reason = "there is not enough memory";
	error = switch_on(kind, format, reason);
	if (error)
		return ERR_PTR(error);
	vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	error = -ENOMEM;
	if (!vcpu)
		goto off;
	vcpu->ops = kinds[kind];
	vcpu->format = format;
	vcpu->id = atomic64_inc_return(&last_id);
	mutex_init(&vcpu->running);
	INIT_LIST_HEAD(&vcpu->node);
	atomic_set(&vcpu->cpu, -1);
	error = morsel_guest_create(vcpu);
	if (error)
		goto free;
	error = vcpu->ops->create(vcpu);
	if (error)
		goto guest;
	atomic_inc(&vcpus);
	return vcpu;

guest:
	morsel_guest_destroy(vcpu);
free:
	kfree(vcpu);
off:
	switch_off(kind);
	return ERR_PTR(error);
}

/* The format that hardware has to walk: a view's own; for the primary one that has the same entries. */
static unsigned int format_to_walk(const struct morsel_tree *tree)
{
	unsigned int format;

	if (morsel_is_view(tree))
		return tree->format;
	for (format = 0; format < BITS_PER_TYPE(kinds[0]->formats); format++)
		if (kind_of(format) >= 0 && engine_walks_primary(format))
			return format;
	return 0;
}

static void use_view(struct morsel_vcpu *vcpu, struct morsel_tree *tree)
{
	struct engine_tree_info info;

	engine_describe(&tree->object->engine, &tree->view, &info);
	vcpu->view_root = kernel_words(info.root);
}

/* No view: the guest walks the primary's own tables, as a process does that has them attached (kmod/attach.c). */
static int attach_primary(struct morsel_vcpu *vcpu, struct morsel_tree *tree)
{
	struct morsel_object *object = tree->object;
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_VCPU);
	engine_u64 root;
	int error = morsel_mark_attached(tree);

	if (!error)
		error = morsel_errno(engine_ensure_table(&actor, &object->engine, NULL, 0, object->root_level, &root));
	if (error)
		return error;
	morsel_guest_attach(vcpu, root, object->root_level);
	morsel_tree_mapped(tree, 1);
	morsel_count(MORSEL_ATTACHMENTS, 1);
	morsel_count(MORSEL_ATTACHED, 1);
	return 0;
}

/* Nothing walks it any more. What the CPUs have cached goes before another vCPU enters guest mode there. */
static void detach_primary(struct morsel_tree *tree)
{
	morsel_tree_mapped(tree, -1);
	morsel_count(MORSEL_ATTACHMENTS, -1);
	morsel_count(MORSEL_DETACHED, 1);
}

/* A vCPU on a view that the caller has pinned, or on the primary. `reason` says why there is none. */
struct morsel_vcpu *morsel_vcpu_new(struct file *file, struct morsel_tree *tree, const char **reason)
{
	struct morsel_vcpu *vcpu = make(format_to_walk(tree), reason);
	int error = 0;

	if (IS_ERR(vcpu))
		return vcpu;
	if (morsel_is_view(tree))
		use_view(vcpu, tree);
	else
		error = attach_primary(vcpu, tree);
	if (error) {
		morsel_vcpu_free(vcpu);
		*reason = "the primary could not be attached";
		return ERR_PTR(error);
	}
	vcpu->file = get_file(file);
	vcpu->tree = morsel_tree_get(tree->object, tree->number);
	spin_lock(&tree->lock);
	list_add_tail(&vcpu->node, &tree->vcpus);
	spin_unlock(&tree->lock);
	return vcpu;
}

/* Nobody runs it. */
void morsel_vcpu_free(struct morsel_vcpu *vcpu)
{
	if (vcpu->tree) {
		spin_lock(&vcpu->tree->lock);
		list_del(&vcpu->node);
		spin_unlock(&vcpu->tree->lock);
		if (!morsel_is_view(vcpu->tree))
			detach_primary(vcpu->tree);
		morsel_tree_put(vcpu->tree);
		fput(vcpu->file);
	}
	vcpu->ops->destroy(vcpu);
	morsel_guest_destroy(vcpu);
	morsel_lab_free(vcpu->lab);
	switch_off(kind_of(vcpu->format));
	kfree(vcpu);
	atomic_dec(&vcpus);
}

static struct morsel_vcpu *new_lab(unsigned int format, const char **reason)
{
	struct morsel_vcpu *vcpu = make(format, reason);

	if (IS_ERR(vcpu))
		return vcpu;
	vcpu->lab = morsel_lab_new(reason);
	if (!vcpu->lab) {
		morsel_vcpu_free(vcpu);
		return ERR_PTR(-ENOMEM);
	}
	vcpu->view_root = page_address(vcpu->lab);
	return vcpu;
}

/* ---- a vCPU's descriptor ---- */

static int check_run(const struct morsel_vcpu_run *run)
{
	const bool own_code = run->program == MORSEL_VCPU_RUN_CODE;

	if (run->program < MORSEL_VCPU_READ || run->program > MORSEL_VCPU_RUN_CODE)
		return -EINVAL;
	if (run->flags & ~(MORSEL_VCPU_POPULATE | MORSEL_VCPU_NO_FILL | MORSEL_VCPU_FLUSH |
			   MORSEL_VCPU_USER))
		return -EINVAL;
	if (run->code_bytes > MORSEL_VCPU_CODE_BYTES || !own_code != !run->code_bytes)
		return -EINVAL;
	if (own_code)
		return capable(CAP_SYS_ADMIN) ? 0 : -EPERM;
	if (run->offset >= MORSEL_VCPU_CODE)
		return -EINVAL;
	return run->program == MORSEL_VCPU_EXEC || IS_ALIGNED(run->offset, sizeof(u64)) ? 0 : -EINVAL;
}

static long vcpu_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct morsel_vcpu *vcpu = file->private_data;
	void __user *user = (void __user *)argument;
	struct morsel_vcpu_run run;
	int error;

	if (command != MORSEL_IOC_VCPU_RUN)
		return -ENOTTY;
	error = morsel_get_request(&run, sizeof(run), user);
	if (!error)
		error = check_run(&run);
	if (!error)
		error = morsel_vcpu_run(vcpu, &run);
	morsel_gate_end();
	if (error)
		return error;
	return copy_to_user(user, &run, sizeof(run)) ? -EFAULT : 0;
}

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct morsel_vcpu *vcpu = file->private_data;

	return morsel_lab_map(vcpu->lab, vma);
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	morsel_vcpu_free(file->private_data);
	return 0;
}

static const struct file_operations vcpu_operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
	.llseek = noop_llseek,
};

/* Takes the vCPU over. */
static int give_descriptor(struct morsel_vcpu *vcpu, struct morsel_vcpu_create *request, void __user *argument)
{
	struct file *file = anon_inode_getfile("[morsel-vcpu]", &vcpu_operations, vcpu, O_RDWR | O_CLOEXEC);

	if (IS_ERR(file)) {
		morsel_vcpu_free(vcpu);
		return PTR_ERR(file);
	}
	request->walker = vcpu->ops->walker;
	request->ending = vcpu->ops->ending;
	request->lab_pa = vcpu->lab ? page_to_phys(vcpu->lab) : 0;
	return morsel_give_file(file, &request->fd, request, sizeof(*request), argument);
}

static int refuse(struct morsel_vcpu_create *request, void __user *argument, int error, const char *reason)
{
	strscpy(request->reason, reason, sizeof(request->reason));
	return copy_to_user(argument, request, sizeof(*request)) ? -EFAULT : error;
}

long morsel_vcpu_create(struct file *file, void __user *argument)
{
	struct morsel_vcpu_create request;
	const char *reason = "";
	struct morsel_vcpu *vcpu;
	struct morsel_tree *tree;
	int error = morsel_get_request(&request, sizeof(request), argument);

	if (error)
		return error;
	if (request.format || request.ending)
		return -EINVAL;
	tree = morsel_tree_get(morsel_of(file_inode(file)), request.view);
	if (!tree)
		return -ENOENT;
	vcpu = morsel_vcpu_new(file, tree, &reason);
	morsel_tree_put(tree);
	if (IS_ERR(vcpu))
		return refuse(&request, argument, PTR_ERR(vcpu), reason);
	return give_descriptor(vcpu, &request, argument);
}

long morsel_vcpu_create_lab(void __user *argument)
{
	struct morsel_vcpu_create request;
	const char *reason = "";
	struct morsel_vcpu *vcpu;
	int error = morsel_get_request(&request, sizeof(request), argument);

	if (error)
		return error;
	if (request.view || request.ending)
		return -EINVAL;
	vcpu = new_lab(request.format, &reason);
	if (IS_ERR(vcpu))
		return refuse(&request, argument, PTR_ERR(vcpu), reason);
	return give_descriptor(vcpu, &request, argument);
}

long morsel_vcpu_tell_state(void __user *argument)
{
	struct morsel_vcpu_state state;
	int error = morsel_get_request(&state, sizeof(state), argument);

	if (error)
		return error;
	state.size = sizeof(state);
	state.vcpus = atomic_read(&vcpus);
	return copy_to_user(argument, &state, sizeof(state)) ? -EFAULT : 0;
}

/* ---- one access through a view ---- */

/* False: the engine's own walker has to do it. There is no hardware for it, or the primary would be attached. */
bool morsel_vcpu_access(struct file *file, struct morsel_tree *tree, struct morsel_access *request, int *error)
{
	struct morsel_vcpu_run run = {
		.program = request->rights == MORSEL_READ ? MORSEL_VCPU_READ :
			   request->rights == MORSEL_WRITE ? MORSEL_VCPU_WRITE : MORSEL_VCPU_EXEC,
		.offset = request->offset,
		.value = request->value,
		.flags = request->flags & MORSEL_ACCESS_POPULATE ? MORSEL_VCPU_POPULATE : 0,
	};
	const bool must = request->flags & MORSEL_ACCESS_VCPU;
	const char *reason;
	struct morsel_vcpu *vcpu;

	if ((!must && !morsel_is_view(tree)) || request->offset >= MORSEL_VCPU_CODE)
		return false;
	vcpu = morsel_vcpu_new(file, tree, &reason);
	if (IS_ERR(vcpu)) {
		*error = PTR_ERR(vcpu);
		return must;
	}
	request->walker = vcpu->ops->walker;
	*error = morsel_vcpu_run(vcpu, &run);
	if (!*error)
		*error = morsel_access_result(request, run.result, run.outcome, run.value);
	morsel_vcpu_free(vcpu);
	return true;
}
