// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests on an object's file (engine/abi/morsel_ioctl.h). Everything that comes from user space is checked here: the
 * structures' sizes, reserved fields and flags; ranges and rights are checked by the engine.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "engine/abi/morsel_device.h"
#include "engine/abi/morsel_vcpu.h"
#include "kmod/shim.h"

/* Reads a size-prefixed structure: exactly ours, or a longer one of a later version whose surplus is zero. */
int morsel_get_request(void *request, size_t size, const void __user *from)
{
	u32 claimed;

	if (get_user(claimed, (const u32 __user *)from))
		return -EFAULT;
	if (claimed < size)
		return -EINVAL;
	if (claimed > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(request, size, from, claimed);
}

static int put_reply(void __user *to, const void *reply, size_t size)
{
	return copy_to_user(to, reply, size) ? -EFAULT : 0;
}

/* Pages of the range that stand in tables of the kernel's own go too. */
static void zap_single_pages(struct morsel_object *object, u64 start, u64 end)
{
	smp_mb();	/* the change, then the flag: see kernel_leaf_changed() */
	if (READ_ONCE(object->mapped_by_pages))
		unmap_mapping_range(object->inode->i_mapping, start, end - start, 1);
}

static int apply(struct morsel_object *object, unsigned int command, const struct morsel_range *range,
		 engine_u64 *pages)
{
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_CALLER);
	struct engine_object *engine = &object->engine;

	switch (command) {
	case MORSEL_IOC_POPULATE:
		return engine_populate(&actor, engine, range->start, range->end, range->rights, range->leaf_level,
				       pages);
	case MORSEL_IOC_UNMAP:
		return engine_unmap(&actor, engine, range->start, range->end, pages);
	case MORSEL_IOC_PROTECT:
		return engine_protect(&actor, engine, range->start, range->end, range->rights, pages);
	case MORSEL_IOC_SPLIT:
		return engine_split(&actor, engine, range->start, range->end);
	case MORSEL_IOC_MERGE:
		return engine_merge(&actor, engine, range->start, range->end, pages);
	default:
		/* Pages that stand in tables of the kernel's own would stay where they are. */
		zap_single_pages(object, range->start, range->end);
		return engine_migrate(&actor, engine, range->start, range->end, pages);
	}
}

static int check_range(unsigned int command, const struct morsel_range *range)
{
	const bool sets_rights = command == MORSEL_IOC_POPULATE || command == MORSEL_IOC_PROTECT;
	const bool merges = command == MORSEL_IOC_MERGE;

	if (range->reserved || range->start > range->end)
		return -EINVAL;
	if (!sets_rights && range->rights)
		return -EINVAL;
	if (command != MORSEL_IOC_POPULATE && range->leaf_level != (merges ? 1 : 0))
		return -EINVAL;
	return 0;
}

static long change_range(struct morsel_object *object, unsigned int command, void __user *argument)
{
	struct morsel_range range;
	engine_u64 pages = 0;
	int error = morsel_get_request(&range, sizeof(range), argument);

	if (!error)
		error = check_range(command, &range);
	if (error)
		return error;
	error = apply(object, command, &range, &pages);
	/* Also after a failure: a part may have been changed. */
	if ((command == MORSEL_IOC_UNMAP || command == MORSEL_IOC_PROTECT) && error != ENGINE_OUT_OF_RANGE &&
	    error != ENGINE_UNALIGNED && error != ENGINE_INVALID)
		zap_single_pages(object, range.start, range.end);
	if (error)
		return morsel_errno(error);
	range.changed_pages = pages;
	return put_reply(argument, &range, sizeof(range));
}

/* Entries in the kernel's own tables tell the dirty log when they go (morsel_dirty_folio), and come back by a fault. */
static int harvest_into(struct morsel_object *object, const struct morsel_harvest *request, engine_u64 *accessed,
			engine_u64 *dirty, size_t bytes)
{
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_CALLER);
	int error;

	zap_single_pages(object, request->start, request->end);
	error = engine_harvest(&actor, &object->engine, request->start, request->end, accessed, dirty);
	if (error)
		return morsel_errno(error);
	if (copy_to_user(u64_to_user_ptr(request->accessed), accessed, bytes) ||
	    copy_to_user(u64_to_user_ptr(request->dirty), dirty, bytes))
		return -EFAULT;
	return 0;
}

static long harvest(struct morsel_object *object, void __user *argument)
{
	struct morsel_harvest request;
	engine_u64 *bits;
	size_t words;
	int error = morsel_get_request(&request, sizeof(request), argument);

	if (error)
		return error;
	if (request.reserved || request.start >= request.end || request.end - request.start > MORSEL_HARVEST_BYTES)
		return -EINVAL;
	words = DIV_ROUND_UP((request.end - request.start) >> PAGE_SHIFT, 64);
	bits = kvcalloc(2 * words, sizeof(*bits), GFP_KERNEL_ACCOUNT);
	if (!bits)
		return -ENOMEM;
	error = harvest_into(object, &request, bits, bits + words, words * sizeof(*bits));
	kvfree(bits);
	return error;
}

static long ranges(struct morsel_object *object, void __user *argument)
{
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_CALLER);
	struct morsel_ranges request;
	struct morsel_run *runs;
	engine_u64 room, count, next;
	int error = morsel_get_request(&request, sizeof(request), argument);

	if (error)
		return error;
	if (request.kind > MORSEL_RANGES_DIRTY || !request.room)
		return -EINVAL;
	room = min_t(u64, request.room, MORSEL_RANGES_ROOM);
	runs = kvcalloc(room, sizeof(*runs), GFP_KERNEL_ACCOUNT);
	if (!runs)
		return -ENOMEM;
	error = morsel_errno(engine_ranges(&actor, &object->engine, request.start, request.end,
					   request.kind == MORSEL_RANGES_DIRTY, runs, room, &count, &next));
	if (!error && copy_to_user(u64_to_user_ptr(request.runs), runs, count * sizeof(*runs)))
		error = -EFAULT;
	kvfree(runs);
	if (error)
		return error;
	request.count = count;
	request.next = next;
	return put_reply(argument, &request, sizeof(request));
}

static long add_view(struct morsel_object *object, void __user *argument)
{
	struct morsel_view_add request;
	unsigned int number;
	int error = morsel_get_request(&request, sizeof(request), argument);

	if (error)
		return error;
	if (request.reserved)
		return -EINVAL;
	error = morsel_view_add(object, request.format, &number);
	if (error)
		return error;
	request.view = number;
	error = put_reply(argument, &request, sizeof(request));
	if (error)
		morsel_view_drop(object, number);
	return error;
}

static long drop_view(struct morsel_object *object, void __user *argument)
{
	struct morsel_view_drop request;
	int error = morsel_get_request(&request, sizeof(request), argument);

	return error ? error : morsel_view_drop(object, request.view);
}

static int check_access(struct file *file, const struct morsel_access *request)
{
	const u32 rights = request->rights;

	if (rights != MORSEL_READ && rights != MORSEL_WRITE && rights != MORSEL_EXEC)
		return -EINVAL;
	if (request->flags & ~(MORSEL_ACCESS_POPULATE | MORSEL_ACCESS_TOUCH | MORSEL_ACCESS_VCPU))
		return -EINVAL;
	if ((request->flags & MORSEL_ACCESS_VCPU) && !(request->flags & MORSEL_ACCESS_TOUCH))
		return -EINVAL;
	if ((request->flags & MORSEL_ACCESS_TOUCH) && !IS_ALIGNED(request->offset, sizeof(u64)))
		return -EINVAL;
	if (request->view > MORSEL_MAX_VIEWS)
		return -EINVAL;
	if ((rights == MORSEL_WRITE || (request->flags & MORSEL_ACCESS_POPULATE)) && !(file->f_mode & FMODE_WRITE))
		return -EBADF;
	return 0;
}

/* Between the fill and the touch somebody may take the page away again: then the access starts over. */
static int do_access(struct morsel_object *object, struct morsel_tree *tree, struct morsel_access *request)
{
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_CALLER);
	struct engine_view *view = morsel_view(tree);
	const int populate = request->flags & MORSEL_ACCESS_POPULATE;
	unsigned int result = MORSEL_ACCESS_HIT;
	unsigned int first = MORSEL_ACCESS_HIT;
	engine_u64 value = request->value;
	int error;

	for (;;) {
		error = engine_access(&actor, &object->engine, view, request->offset, request->rights, populate,
				      &result);
		if (error)
			break;
		first = max(first, result);
		if (result != MORSEL_ACCESS_HIT)
			morsel_count(MORSEL_FILLS, 1);
		if (!(request->flags & MORSEL_ACCESS_TOUCH))
			break;
		error = engine_touch(&actor, &object->engine, view, request->offset, request->rights, &value);
		if (error != ENGINE_NEEDS_POPULATE && error != ENGINE_ACCESS_DENIED)
			break;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	request->value = value;
	request->result = error == ENGINE_ACCESS_DENIED ? MORSEL_ACCESS_DENIED : first;
	request->walker = MORSEL_WALKER_ENGINE;
	return error == ENGINE_ACCESS_DENIED ? 0 : morsel_errno(error);
}

static long access(struct file *file, struct morsel_object *object, void __user *argument)
{
	struct morsel_access request;
	struct morsel_tree *tree;
	int error = morsel_get_request(&request, sizeof(request), argument);

	if (!error)
		error = check_access(file, &request);
	if (error)
		return error;
	tree = morsel_tree_get(object, request.view);
	if (!tree)
		return -ENOENT;
	if (!(request.flags & MORSEL_ACCESS_TOUCH) || (!morsel_vcpu_access(file, tree, &request, &error) &&
						       !morsel_device_access(file, tree, &request, &error)))
		error = do_access(object, tree, &request);
	morsel_tree_put(tree);
	if (error && error != -ENXIO)	/* who walked is told of a hole, too */
		return error;
	return put_reply(argument, &request, sizeof(request)) ?: error;
}

/* Physical addresses are shown to administrators only, as in /proc/pid/pagemap. */
static void describe_trees(struct morsel_object *object, struct morsel_info *info)
{
	const bool show = capable(CAP_SYS_ADMIN);
	struct engine_tree_info tree;
	unsigned int i;

	engine_describe(&object->engine, NULL, &tree);
	info->root_pa = show ? tree.root : 0;
	info->root_level = tree.root_level;
	spin_lock(&object->lock);
	info->attached = object->trees[0].mappings;
	for (i = 1; i <= MORSEL_MAX_VIEWS; i++) {
		struct morsel_view_info *view = &info->views[info->view_count];

		if (object->trees[i].state != MORSEL_TREE_LIVE)
			continue;
		engine_describe(&object->engine, &object->trees[i].view, &tree);
		view->view = i;
		view->format = tree.format;
		view->root_pa = show ? tree.root : 0;
		view->root_level = tree.root_level;
		view->attached = object->trees[i].mappings;
		info->view_count++;
	}
	spin_unlock(&object->lock);
}

static long describe(struct file *file, struct morsel_object *object, void __user *argument)
{
	struct morsel_info info;
	struct name_snapshot name;
	int error = morsel_get_request(&info, sizeof(info), argument);

	if (error)
		return error;
	if (info.reserved)
		return -EINVAL;
	memset(&info, 0, sizeof(info));
	info.size = sizeof(info);
	info.object_id = object->id;
	info.bytes = i_size_read(object->inode);
	info.tables = atomic64_read(&object->tables);
	info.frames = atomic64_read(&object->frames);
	describe_trees(object, &info);
	take_dentry_name_snapshot(&name, file->f_path.dentry);
	strscpy(info.name, name.name.name, sizeof(info.name));
	release_dentry_name_snapshot(&name);
	return put_reply(argument, &info, sizeof(info));
}

/* Which tree later mmap() calls of this open file map. */
static long map_view(struct file *file, struct morsel_object *object, void __user *argument)
{
	struct morsel_map_view request;
	struct morsel_tree *tree;
	int error = morsel_get_request(&request, sizeof(request), argument);

	if (error)
		return error;
	tree = morsel_tree_get(object, request.view);
	if (!tree)
		return -ENOENT;
	if (!morsel_cpu_format(tree->format))
		error = -EINVAL;
	else
		WRITE_ONCE(file->private_data, (void *)(unsigned long)request.view);
	morsel_tree_put(tree);
	return error;
}

static bool changes_object(unsigned int command)
{
	switch (command) {
	case MORSEL_IOC_POPULATE:
	case MORSEL_IOC_UNMAP:
	case MORSEL_IOC_PROTECT:
	case MORSEL_IOC_SPLIT:
	case MORSEL_IOC_MERGE:
	case MORSEL_IOC_MIGRATE:
	case MORSEL_IOC_HARVEST:
	case MORSEL_IOC_VIEW_ADD:
	case MORSEL_IOC_VIEW_DROP:
	case MORSEL_IOC_VCPU:
	case MORSEL_IOC_DEVICE:
		return true;
	default:
		return false;
	}
}

static long dispatch(struct file *file, unsigned int command, unsigned long argument)
{
	struct morsel_object *object = morsel_of(file_inode(file));
	void __user *user = (void __user *)argument;

	if (changes_object(command) && !(file->f_mode & FMODE_WRITE))
		return -EBADF;
	switch (command) {
	case MORSEL_IOC_INFO:
		return describe(file, object, user);
	case MORSEL_IOC_POPULATE:
	case MORSEL_IOC_UNMAP:
	case MORSEL_IOC_PROTECT:
	case MORSEL_IOC_SPLIT:
	case MORSEL_IOC_MERGE:
	case MORSEL_IOC_MIGRATE:
		return change_range(object, command, user);
	case MORSEL_IOC_HARVEST:
		return harvest(object, user);
	case MORSEL_IOC_RANGES:
		return ranges(object, user);
	case MORSEL_IOC_VIEW_ADD:
		return add_view(object, user);
	case MORSEL_IOC_VIEW_DROP:
		return drop_view(object, user);
	case MORSEL_IOC_ACCESS:
		return access(file, object, user);
	case MORSEL_IOC_MAP_VIEW:
		return map_view(file, object, user);
	case MORSEL_IOC_VCPU:
		return morsel_vcpu_create(file, user);
	case MORSEL_IOC_DEVICE:
		return morsel_device_attach(file, user);
	case MORSEL_IOC_SETTLE:
		return argument ? -EINVAL : morsel_settle(object);
	default:
		return -ENOTTY;
	}
}

long morsel_file_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	const long result = dispatch(file, command, argument);

	morsel_gate_end();
	return result;
}
