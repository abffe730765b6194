// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The life of an object and of its views. An object lives as long as its inode; a view until it is dropped, or its
 * object goes. While a view's number is being taken or given back, its tree is BUSY, because the engine is called
 * without locks.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "kmod/shim.h"

static atomic_t last_object_id;

static void init_tree(struct morsel_object *object, unsigned int number)
{
	struct morsel_tree *tree = &object->trees[number];

	tree->object = object;
	tree->number = number;
	tree->format = MORSEL_FORMAT_AMD64;
	spin_lock_init(&tree->lock);
	INIT_LIST_HEAD(&tree->users);
	INIT_LIST_HEAD(&tree->vcpus);
	INIT_LIST_HEAD(&tree->devices);
	xa_init(&tree->tables[0]);
	xa_init(&tree->tables[1]);
}

struct morsel_object *morsel_object_new(struct inode *inode, u64 bytes, unsigned int root_level)
{
	struct morsel_object *object = kvzalloc(sizeof(*object), GFP_KERNEL_ACCOUNT);
	struct engine_actor actor;
	unsigned int i;
	int error;

	if (!object)
		return ERR_PTR(-ENOMEM);
	object->inode = inode;
	object->id = atomic_inc_return(&last_object_id);
	object->root_level = root_level;
	spin_lock_init(&object->lock);
	mutex_init(&object->attach_mutex);
	init_rwsem(&object->touches);
	for (i = 0; i < ARRAY_SIZE(object->trees); i++)
		init_tree(object, i);
	object->trees[0].state = MORSEL_TREE_LIVE;
	morsel_reclaim_init(object);
	error = init_srcu_struct(&object->grace);
	if (error)
		goto free;
	actor = morsel_actor(object, MORSEL_ACTOR_CALLER);
	actor.may_wait = false;		/* the directory is locked */
	error = morsel_errno(engine_create(&actor, &object->engine, bytes, root_level));
	if (error)
		goto cleanup;
	morsel_count(MORSEL_OBJECTS, 1);
	mutex_lock(&morsel_objects_mutex);
	list_add_tail(&object->node, &morsel_objects);
	mutex_unlock(&morsel_objects_mutex);
	return object;

cleanup:
	cleanup_srcu_struct(&object->grace);
free:
	kvfree(object);
	return ERR_PTR(error);
}

/* The tree with this number, which cannot be dropped until morsel_tree_put(). */
struct morsel_tree *morsel_tree_get(struct morsel_object *object, unsigned int number)
{
	struct morsel_tree *tree;

	if (number > MORSEL_MAX_VIEWS)
		return NULL;
	tree = &object->trees[number];
	spin_lock(&object->lock);
	if (tree->state != MORSEL_TREE_LIVE)
		tree = NULL;
	else
		tree->pins++;
	spin_unlock(&object->lock);
	return tree;
}

void morsel_tree_put(struct morsel_tree *tree)
{
	spin_lock(&tree->object->lock);
	tree->pins--;
	spin_unlock(&tree->object->lock);
}

/* One VMA, or one vCPU on the primary, more or less. A mapped tree cannot be dropped either. */
void morsel_tree_mapped(struct morsel_tree *tree, int vmas)
{
	spin_lock(&tree->object->lock);
	tree->mappings += vmas;
	spin_unlock(&tree->object->lock);
}

static void set_state(struct morsel_tree *tree, enum morsel_tree_state state)
{
	spin_lock(&tree->object->lock);
	tree->state = state;
	spin_unlock(&tree->object->lock);
}

int morsel_view_add(struct morsel_object *object, unsigned int format, unsigned int *number)
{
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_CALLER);
	struct morsel_tree *tree = NULL;
	unsigned int i;
	int error;

	if (format < MORSEL_FORMAT_AMD64 || format > MORSEL_FORMAT_LAST)
		return -EINVAL;
	spin_lock(&object->lock);
	for (i = 1; i <= MORSEL_MAX_VIEWS && !tree; i++)
		if (object->trees[i].state == MORSEL_TREE_FREE)
			tree = &object->trees[i];
	if (tree)
		tree->state = MORSEL_TREE_BUSY;
	spin_unlock(&object->lock);
	if (!tree)
		return -ENOSPC;
	tree->format = format;
	error = morsel_errno(engine_add_view(&actor, &object->engine, &tree->view, format, tree->number));
	set_state(tree, error ? MORSEL_TREE_FREE : MORSEL_TREE_LIVE);
	if (error)
		return error;
	morsel_count(MORSEL_VIEWS, 1);
	*number = tree->number;
	return 0;
}

static void number_is_free(struct morsel_tree *tree)
{
	xa_destroy(&tree->tables[0]);
	xa_destroy(&tree->tables[1]);
	tree->attached = false;
	set_state(tree, MORSEL_TREE_FREE);
	morsel_count(MORSEL_VIEWS, -1);
}

static void dropped_later(struct rcu_head *rcu)
{
	number_is_free(container_of(rcu, struct morsel_tree, dropped));
}

/* A view that a process maps, or that another request is using, is busy: take the mappings away first. */
int morsel_view_drop(struct morsel_object *object, unsigned int number)
{
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_CALLER);
	struct morsel_tree *tree = &object->trees[number];
	int error = 0;

	if (!number || number > MORSEL_MAX_VIEWS)
		return -EINVAL;
	spin_lock(&object->lock);
	if (tree->state != MORSEL_TREE_LIVE)
		error = -ENOENT;
	else if (tree->mappings || tree->pins)
		error = -EBUSY;
	else
		tree->state = MORSEL_TREE_BUSY;
	spin_unlock(&object->lock);
	if (error)
		return error;
	engine_drop_view(&actor, &object->engine, &tree->view);
	/* Operations that found the view on the list may use its number until their sections end. */
	if (!morsel_wait_for_grace(object)) {
		call_srcu(&object->grace, &tree->dropped, dropped_later);
		return -EINTR;
	}
	number_is_free(tree);
	return 0;
}

/*
 * The last reference to the inode is gone: nobody maps the object, nobody has its file open. A rename onto it comes
 * here with the directory locked, and an unmount with the superblock, so nobody waits at the gate for any of it.
 */
void morsel_object_free(struct morsel_object *object)
{
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_CALLER);
	unsigned int i;

	actor.may_wait = false;
	mutex_lock(&morsel_objects_mutex);
	list_del(&object->node);
	mutex_unlock(&morsel_objects_mutex);
	morsel_gate_hurry(object);
	for (i = 1; i < ARRAY_SIZE(object->trees); i++)
		if (object->trees[i].state == MORSEL_TREE_LIVE) {
			engine_drop_view(&actor, &object->engine, &object->trees[i].view);
			number_is_free(&object->trees[i]);
		}
	morsel_reclaim_drain(object);
	engine_destroy(&actor, &object->engine);
	for (i = 0; i < ARRAY_SIZE(object->trees); i++) {
		xa_destroy(&object->trees[i].tables[0]);
		xa_destroy(&object->trees[i].tables[1]);
	}
	cleanup_srcu_struct(&object->grace);
	kvfree(object);
	morsel_count(MORSEL_OBJECTS, -1);
}

/*
 * From now on the tree's tables are emptied instead of unlinked, and the primary's flushes are counted. Everybody who
 * has not seen the mark is out of his section before the first table is attached. The mark stays until the tree goes,
 * because walkers of the stock kernel (get_user_pages_fast, page-table dumps) are not in our grace sections.
 */
int morsel_mark_attached(struct morsel_tree *tree)
{
	struct morsel_object *object = tree->object;
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_CALLER);
	int error = mutex_lock_killable(&object->attach_mutex);

	actor.may_wait = false;		/* mmap_lock */
	if (error)
		return error;
	if (!tree->attached) {
		engine_mark_attached(&actor, &object->engine, morsel_view(tree));
		if (morsel_wait_for_grace(object))
			tree->attached = true;
		else
			error = -EINTR;		/* the next one marks it again, which does no harm */
	}
	mutex_unlock(&object->attach_mutex);
	return error;
}

/*
 * The frame of a page of the primary, held; 0: there is none. A held page does not move, if it was held before its leaf
 * was taken away: the second look says so. One that is moving is put back, as by a fill.
 */
static u64 hold_page(struct engine_actor *actor, struct engine_object *engine, u64 offset)
{
	struct engine_leaf leaf, again;
	unsigned int result;

	for (;;) {
		if (engine_find(actor, engine, NULL, offset, 1, &leaf) == ENGINE_DONE) {
			if (engine_find(actor, engine, NULL, offset, 0, &again) == ENGINE_DONE &&
			    again.frame == leaf.frame)
				return leaf.frame;
			put_page(pfn_to_page(leaf.frame >> PAGE_SHIFT));
		} else if (engine_access(actor, engine, NULL, offset, MORSEL_READ, 0, &result) != ENGINE_DONE) {
			return 0;
		}
		cond_resched();
	}
}

/* What a file shows behind its end, and what comes back when it grows again, is zero. */
static void zero_rest_of_page(struct engine_actor *actor, loff_t size)
{
	u64 frame;

	if (!offset_in_page(size))
		return;
	frame = hold_page(actor, &actor->object->engine, size & PAGE_MASK);
	if (!frame)
		return;
	memset(__va(frame) + offset_in_page(size), 0, PAGE_SIZE - offset_in_page(size));
	put_page(pfn_to_page(frame >> PAGE_SHIFT));
}

/* The engine's size is the one that decides; the inode's follows it. */
int morsel_resize(struct morsel_object *object, loff_t size)
{
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_CALLER);
	const bool shrinks = size < i_size_read(object->inode);
	const u64 bytes = PAGE_ALIGN(size);
	int result;

	actor.may_wait = false;		/* the inode is locked */
	result = engine_resize(&actor, &object->engine, bytes);
	if (result == ENGINE_OUT_OF_RANGE)
		return -EFBIG;
	i_size_write(object->inode, size);
	if (shrinks) {
		unmap_mapping_range(object->inode->i_mapping, bytes, 0, 1);
		zero_rest_of_page(&actor, size);
	}
	return morsel_errno(result);
}
