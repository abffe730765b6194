/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the module's C files share: objects, their trees, and the processes that map them.
 *
 * Locks, in this order: mmap_lock > attach_mutex > object->lock; context->lock > page-table locks. Within tree->lock
 * nothing is taken; it is taken by who holds morsel_devices_mutex (kmod/iommu.h), too.
 *
 * Held when the engine is called: what docs/concurrency.md lists under "No lock is held at a point"; for
 * engine_describe(), which only looks, any. A flush takes the locks of kmod/iommu.h, for which nobody waits who holds
 * one of the others but those.
 */
#ifndef MORSEL_KMOD_SHIM_H
#define MORSEL_KMOD_SHIM_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/interval_tree.h>
#include <linux/jump_label.h>
#include <linux/kref.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "engine/abi/engine_abi.h"
#include "engine/abi/morsel_counters.h"
#include "engine/abi/morsel_ioctl.h"
#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"
#include "kmod/compat.h"

#define MORSEL_PRIMARY_ROOT MORSEL_ROOT_PUD	/* of objects made by open(2) */
#define MORSEL_ANY_TREE 0xffffffffu
#define MORSEL_MAX_REFUSALS 16	/* by hardware, in a row, of an access that the engine says is allowed */

/* What the module holds: MORSEL_OBJECTS and so on. */
enum morsel_counter {
#define MORSEL_COUNTER_NUMBER(field, name) MORSEL_##name,
	MORSEL_COUNTER_LIST(MORSEL_COUNTER_NUMBER)
#undef MORSEL_COUNTER_NUMBER
	MORSEL_COUNTERS
};
extern atomic64_t morsel_counters[MORSEL_COUNTERS];

static inline void morsel_count(enum morsel_counter which, s64 n)
{
	atomic64_add(n, &morsel_counters[which]);
}

enum morsel_tree_state { MORSEL_TREE_FREE, MORSEL_TREE_BUSY, MORSEL_TREE_LIVE };

/* The primary, or a view. Views' trees are part of the object, so that a number always names valid memory. */
struct morsel_tree {
	struct morsel_object *object;
	unsigned int number;
	unsigned int format;		/* enum morsel_format */
	enum morsel_tree_state state;	/* object->lock */
	unsigned int mappings;		/* VMAs of this tree, vCPUs on the primary; object->lock */
	unsigned int pins;		/* requests and faults that use it right now; object->lock */
	bool attached;			/* marked in the engine: attach_mutex. Sticky until the tree goes */
	struct engine_view view;
	struct rcu_head dropped;	/* of a view that was dropped by somebody who was killed meanwhile */
	struct xarray tables[2];	/* pinned tables by slot number, at levels 0 and 1 */
	spinlock_t lock;
	struct list_head users;		/* struct morsel_user: whose CPUs may cache this tree */
	struct list_head vcpus;		/* struct morsel_vcpu: the same */
	struct list_head devices;	/* struct morsel_device: the same, of an IOMMU */
};

/* Tables and frames on their way out: one batch waits for its grace period, the next one gathers. */
struct morsel_reclaim {
	spinlock_t lock;
	struct engine_retired gathering;
	struct engine_retired waiting;
	bool busy;
	u64 sent, freed;		/* batches */
	wait_queue_head_t settled;	/* one more is freed */
	struct rcu_head rcu;
	struct work_struct work;
	void *kept_frames;		/* of an object whose invalidations were dropped on purpose */
	bool hurried;			/* the object ends: it does not wait at the gate any more */
};

struct morsel_object {
	struct inode *inode;
	unsigned int id;
	unsigned int root_level;
	struct list_head node;		/* morsel_objects */
	struct engine_object engine;
	struct srcu_struct grace;
	atomic64_t token;
	atomic64_t tables;
	atomic64_t frames;
	bool mapped_by_pages;		/* some page stands in a table of the kernel's own. Sticky */
	bool faulty;			/* an access was dropped by injection: frames are kept to the end. Sticky */
	spinlock_t lock;
	struct mutex attach_mutex;
	struct rw_semaphore touches;	/* held for reading while the engine's walker accesses memory */
	struct morsel_reclaim reclaim;
	struct morsel_tree trees[1 + MORSEL_MAX_VIEWS];
};

/* A process (mm) with mappings of ours: its notifier and its attachments. */
struct morsel_context {
	struct mmu_notifier notifier;
	struct kref references;
	spinlock_t lock;
	struct rb_root_cached attachments;
	unsigned int invalidations;	/* under way, within [start, end) */
	unsigned long start, end;
	wait_queue_head_t idle;
	bool dead;			/* the mm is going: nothing may be attached any more */
};

/* A process as a walker of one tree. One reference for each VMA and each attachment. */
struct morsel_user {
	struct morsel_context *context;
	struct morsel_tree *tree;
	struct list_head node;		/* tree->users */
	struct kref references;
	unsigned int granularity;	/* highest level of an entry that is attached: 0 none, 1 PMD, 2 PUD */
};

DECLARE_STATIC_KEY_FALSE(morsel_observed_key);	/* observe.c */

static inline struct morsel_object *morsel_of(const struct inode *inode)
{
	return inode->i_private;
}
static inline bool morsel_is_view(const struct morsel_tree *tree)
{
	return tree->number != 0;
}
/* Whether a CPU here walks tables of this format for a process. */
static inline bool morsel_cpu_format(unsigned int format)
{
	return format == MORSEL_FORMAT_AMD64 || format == MORSEL_FORMAT_AMD64_L5;
}
/* As the engine takes it: NULL for the primary. */
static inline struct engine_view *morsel_view(struct morsel_tree *tree)
{
	return morsel_is_view(tree) ? &tree->view : NULL;
}
static inline struct engine_actor morsel_actor(struct morsel_object *object, enum morsel_actor_kind kind)
{
	return (struct engine_actor){
		.object = object, .kind = kind, .id = task_pid_nr(current), .may_wait = true,
	};
}
/* Accesses of the engine's walker that began before: see kernel_begin_touch(). */
static inline void morsel_wait_for_touches(struct morsel_object *object)
{
	down_write(&object->touches);
	up_write(&object->touches);
}

/* module.c */
extern unsigned int morsel_granularity;
int morsel_errno(int engine_error);

/* fs.c */
extern struct file_system_type morsel_fs_type;
extern struct mutex morsel_objects_mutex;
extern struct list_head morsel_objects;
struct file *morsel_create_file(const char *name, u64 bytes, unsigned int root_level);

/* object.c */
struct morsel_object *morsel_object_new(struct inode *inode, u64 bytes, unsigned int root_level);
void morsel_object_free(struct morsel_object *object);
struct morsel_tree *morsel_tree_get(struct morsel_object *object, unsigned int number);
void morsel_tree_put(struct morsel_tree *tree);
void morsel_tree_mapped(struct morsel_tree *tree, int vmas);
int morsel_view_add(struct morsel_object *object, unsigned int format, unsigned int *number);
int morsel_view_drop(struct morsel_object *object, unsigned int number);
int morsel_mark_attached(struct morsel_tree *tree);
int morsel_resize(struct morsel_object *object, loff_t size);

/* tables.c, reclaim.c */
struct morsel_object *morsel_table_owner(void *entry);
void morsel_reclaim_init(struct morsel_object *object);
void morsel_reclaim_drain(struct morsel_object *object);
int morsel_settle(struct morsel_object *object);
int morsel_reclaim_start(void);
void morsel_reclaim_stop(void);
void morsel_frame_put(struct morsel_object *object, struct page *page, unsigned int pages);
bool morsel_owns_frame(struct morsel_object *object, u64 frame, unsigned int level);
bool morsel_dirty_folio(struct address_space *mapping, struct folio *folio);

/* attach.c */
struct morsel_user *morsel_user_get(struct mm_struct *mm, struct morsel_tree *tree);
void morsel_user_ref(struct morsel_user *user);
void morsel_user_put(struct morsel_user *user);
vm_fault_t morsel_attach(struct morsel_user *user, struct vm_fault *vmf, unsigned int level, u64 table);
void morsel_detach(struct morsel_context *context, unsigned long start, unsigned long end);
void morsel_context_ref(struct morsel_context *context);
void morsel_context_put(struct morsel_context *context);
int morsel_wait_until_idle(void);
void morsel_contexts_stop(void);
bool morsel_invalidating(struct morsel_context *context, unsigned long address);

/* map.c, fault.c */
extern const struct vm_operations_struct morsel_vm_ops;
int morsel_mmap(struct file *file, struct vm_area_struct *vma);
unsigned long morsel_get_unmapped_area(struct file *file, unsigned long address, unsigned long length,
				       unsigned long pgoff, unsigned long flags);
struct morsel_tree *morsel_mapped_tree(struct vm_area_struct *vma);
bool morsel_register(struct vm_area_struct *vma);
vm_fault_t morsel_fault(struct vm_fault *vmf);
vm_fault_t morsel_huge_fault(struct vm_fault *vmf, enum page_entry_size size);
vm_fault_t morsel_mkwrite(struct vm_fault *vmf);

/* ioctl.c, device.c */
extern const struct file_operations morsel_device_operations;
long morsel_file_ioctl(struct file *file, unsigned int command, unsigned long argument);
int morsel_get_request(void *request, size_t size, const void __user *from);

/* observe.c; both may sleep */
int morsel_observe_start(void);
void morsel_observe_stop(void);
int morsel_observe_on(void);
void morsel_observe_off(void);

/* inject.c */
int morsel_inject_add(struct morsel_inject *rule);
int morsel_inject_list(struct morsel_inject *rule);
int morsel_inject_fired(struct morsel_fired *fired);
void morsel_inject_clear(void);
struct poll_table_struct;
__poll_t morsel_inject_poll(struct file *file, struct poll_table_struct *table);

/* later.c */
bool morsel_do_again(struct engine_actor *actor, const struct engine_point_event *event, unsigned int until);
void morsel_passed(struct engine_actor *actor, unsigned int point);
bool morsel_is_table(const struct engine_actor *actor, const struct engine_point_event *event);

/* gate.c */
long morsel_gate_ioctl(struct file *file, unsigned int command, unsigned long argument);
__poll_t morsel_gate_poll(struct file *file, struct poll_table_struct *table);
void morsel_gate_release(struct file *file);
void morsel_gate_stop(void);
void morsel_gate_wait(struct engine_actor *actor, struct engine_point_event *event);
void morsel_gate_finish(void);
struct morsel_gate_entry *morsel_gate_begin_grace(struct morsel_object *object);
void morsel_gate_end_grace(struct morsel_gate_entry *entry);
void morsel_gate_hurry(struct morsel_object *object);

/* grace.c */
bool morsel_wait_for_grace(struct morsel_object *object);

/* At the end of what a task does with objects: it is no actor any more. */
static inline void morsel_gate_end(void)
{
	if (static_branch_unlikely(&morsel_observed_key))
		morsel_gate_finish();
}

/* lab.c */
void *morsel_own_pages(unsigned int pages, gfp_t gfp);
void morsel_own_pages_free(void *own, unsigned int pages);
struct page *morsel_lab_new(const char **reason);
void morsel_lab_free(struct page *lab);
int morsel_lab_map(struct page *lab, struct vm_area_struct *vma);
int morsel_give_file(struct file *file, s32 *fd, const void *reply, size_t size, void __user *argument);
int morsel_access_result(struct morsel_access *request, u32 result, u32 outcome, u64 value);

/* vcpu.c, vcpu_run.c: kmod/vcpu.h */
long morsel_vcpu_create(struct file *file, void __user *argument);
long morsel_vcpu_create_lab(void __user *argument);
long morsel_vcpu_tell_state(void __user *argument);
bool morsel_vcpu_access(struct file *file, struct morsel_tree *tree, struct morsel_access *request, int *error);
void morsel_vcpus_flush(struct morsel_tree *tree);
bool morsel_vcpus_pause(bool pause);

/* iommu.c, iommu_pci.c: kmod/iommu.h */
long morsel_device_attach(struct file *file, void __user *argument);
long morsel_device_attach_lab(void __user *argument);
long morsel_device_tell_state(void __user *argument);
bool morsel_device_access(struct file *file, struct morsel_tree *tree, struct morsel_access *request, int *error);
void morsel_devices_flush(struct morsel_tree *tree, u64 start, u64 end);
bool morsel_devices_pause(bool pause);
int morsel_devices_start(void);
void morsel_devices_stop(void);

/* sleep.c */
int morsel_sleep_start(void);
void morsel_sleep_stop(void);

/* journal.c */
int morsel_journal_switch(struct morsel_journal_switch *request);
void morsel_journal_end(struct engine_actor *actor, const struct engine_point_event *event);
void morsel_journal_stop(void);

#endif /* MORSEL_KMOD_SHIM_H */
