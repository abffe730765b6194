// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The gate: while it is closed, whoever reaches a point waits there, before the access, until the controller lets it go
 * on (engine/abi/morsel_ioctl.h). The wait is killable. It holds the actor's grace section, so that what it looks at
 * stays; whoever waits for a grace period meanwhile says so.
 *
 * An actor is known from its first point under control until its operation ends (morsel_gate_end), by its task. Who may
 * not wait passes, and its record says so; docs/concurrency.md, "No lock is held at a point", lists them.
 */
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/ptrace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kmod/shim.h"

#define MAX_ACTORS 1024
#define MIN_LEASE_MS 100
#define MAX_LEASE_MS 600000

struct morsel_gate_entry {
	struct list_head node;			/* entries, while `listed` */
	struct task_struct *task;
	const struct engine_point_event *event;	/* at a point: what it will do */
	struct morsel_gate_actor shown;		/* all but the words */
	wait_queue_head_t wake;
	bool listed, used, go;			/* used: by its task, now. Neither listed nor used: freed */
};

static DEFINE_MUTEX(controlling);		/* who controls comes and goes */
static unsigned long lease_end;			/* jiffies */
static void lease_is_over(struct work_struct *work);
static DECLARE_DELAYED_WORK(lease_work, lease_is_over);

static DEFINE_SPINLOCK(lock);			/* of all that follows */
static struct file *controller;			/* NULL: nobody controls the gate, it is open */
static struct pid *controlling_thread;		/* that opened it: who waits here cannot let itself go on */
static bool closed;
static LIST_HEAD(entries);
static unsigned int entry_count;
static u64 changes, seen_changes;
static u64 serials;			/* given to whoever waits at a point */
static struct morsel_gate_until condition;
static bool watching;				/* `condition` holds */
static u64 times_met;
static u32 met_by;
static DECLARE_WAIT_QUEUE_HEAD(watchers);	/* the controller's poll() */

static void changed(void)
{
	changes++;
	wake_up_poll(&watchers, EPOLLIN | EPOLLRDNORM);
}

static struct morsel_gate_entry *find_entry(struct task_struct *task)
{
	struct morsel_gate_entry *entry;

	list_for_each_entry(entry, &entries, node)
		if (entry->task == task)
			return entry;
	return NULL;
}

static void unlist(struct morsel_gate_entry *entry)
{
	list_del(&entry->node);
	entry->listed = false;
	entry_count--;
	if (!entry->used)
		kfree(entry);
}

/* The current task's entry, made if there is none, with the lock held; NULL and no lock if it cannot be had. */
static struct morsel_gate_entry *use_entry(void)
{
	struct morsel_gate_entry *entry, *made;

	spin_lock(&lock);
	entry = find_entry(current);
	if (!entry) {
		spin_unlock(&lock);
		made = kzalloc(sizeof(*made), GFP_KERNEL_ACCOUNT);
		if (!made)
			return NULL;
		made->task = current;
		init_waitqueue_head(&made->wake);
		spin_lock(&lock);
		if (!controller || entry_count >= MAX_ACTORS) {
			spin_unlock(&lock);
			kfree(made);
			return NULL;
		}
		made->listed = true;
		list_add_tail(&made->node, &entries);
		entry_count++;
		entry = made;
	}
	entry->used = true;
	return entry;
}

static void leave_entry(struct morsel_gate_entry *entry)
{
	entry->event = NULL;
	entry->used = false;
	entry->shown.state = MORSEL_GATE_RUNNING;
	if (!entry->listed)
		kfree(entry);
	spin_unlock(&lock);
}

static void describe(struct morsel_gate_entry *entry, const struct engine_actor *actor)
{
	struct morsel_gate_actor *shown = &entry->shown;

	shown->id = actor->id;
	shown->kind = actor->kind;
	shown->object_id = actor->object->id;
	shown->pid = task_tgid_nr(current);
	shown->cpu = raw_smp_processor_id();
	shown->flags = actor->inside ? MORSEL_GATE_INSIDE : 0;
	shown->fault_address = actor->fault_address;
	shown->instruction_pointer = actor->fault_address ? instruction_pointer(task_pt_regs(current)) : 0;
	strscpy(shown->name, current->comm, sizeof(shown->name));
}

static bool meets(const struct morsel_gate_entry *entry)
{
	const struct engine_point_event *event = entry->event;

	if (!watching || event->point != condition.point)
		return false;
	if ((condition.actor && condition.actor != entry->shown.id) ||
	    (condition.object_id && condition.object_id != entry->shown.object_id) ||
	    (condition.view != MORSEL_ANY_TREE && condition.view != event->tree))
		return false;
	return !condition.end || (event->offset < condition.end && event->end > condition.start);
}

static void let_go(struct morsel_gate_entry *entry)
{
	if (entry->shown.state == MORSEL_GATE_AT_POINT)
		entry->shown.state = MORSEL_GATE_RUNNING;
	WRITE_ONCE(entry->go, true);
	wake_up(&entry->wake);
}

static void wait_for_go(struct morsel_gate_entry *entry, struct engine_point_event *event)
{
	entry->go = false;
	entry->shown.state = MORSEL_GATE_AT_POINT;
	entry->shown.serial = ++serials;
	changed();
	spin_unlock(&lock);
	if (wait_event_killable(entry->wake, READ_ONCE(entry->go)))
		event->flags |= MORSEL_RECORD_UNGATED;
	spin_lock(&lock);
}

static bool is_hurried(const struct engine_actor *actor)
{
	return actor->kind == MORSEL_ACTOR_RECLAIM && READ_ONCE(actor->object->reclaim.hurried);
}

void morsel_gate_wait(struct engine_actor *actor, struct engine_point_event *event)
{
	struct morsel_gate_entry *entry = NULL;

	if (!READ_ONCE(controller))
		return;
	if (actor->may_wait && !fatal_signal_pending(current) && !is_hurried(actor) &&
	    READ_ONCE(controlling_thread) != task_pid(current))
		entry = use_entry();
	if (!entry) {
		if (READ_ONCE(closed))
			event->flags |= MORSEL_RECORD_UNGATED;
		return;
	}
	describe(entry, actor);
	entry->event = event;
	if (meets(entry) && ++times_met == condition.nth) {
		watching = false;
		closed = true;
		met_by = entry->shown.id;
	}
	if (closed && is_hurried(actor))	/* again, under the lock: see morsel_gate_hurry() */
		event->flags |= MORSEL_RECORD_UNGATED;
	else if (closed)
		wait_for_go(entry, event);
	leave_entry(entry);
}

/* ---- who waits for a grace period (kmod/grace.c) ---- */

/* Lists the current task as one that waits for others. NULL: nobody controls the gate. */
struct morsel_gate_entry *morsel_gate_begin_grace(struct morsel_object *object)
{
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_CALLER);
	struct morsel_gate_entry *entry = READ_ONCE(controller) ? use_entry() : NULL;

	if (!entry)
		return NULL;
	describe(entry, &actor);
	entry->shown.state = MORSEL_GATE_GRACE;
	changed();
	spin_unlock(&lock);
	return entry;
}

void morsel_gate_end_grace(struct morsel_gate_entry *entry)
{
	if (!entry)
		return;
	spin_lock(&lock);
	leave_entry(entry);
}

/* The object ends, and the end waits for what still runs: see morsel_object_free(). */
void morsel_gate_hurry(struct morsel_object *object)
{
	struct morsel_gate_entry *entry;

	WRITE_ONCE(object->reclaim.hurried, true);
	spin_lock(&lock);
	list_for_each_entry(entry, &entries, node)
		if (entry->shown.kind == MORSEL_ACTOR_RECLAIM && entry->shown.object_id == object->id)
			let_go(entry);
	spin_unlock(&lock);
}

void morsel_gate_finish(void)
{
	struct morsel_gate_entry *entry;

	spin_lock(&lock);
	entry = find_entry(current);
	if (entry) {
		unlist(entry);
		changed();
	}
	spin_unlock(&lock);
}

/* ---- the controller ---- */

static void let_all_go(void)
{
	struct morsel_gate_entry *entry;

	closed = false;
	list_for_each_entry(entry, &entries, node)
		let_go(entry);
}

/* `controlling` held. */
static void give_up(void)
{
	struct morsel_gate_entry *entry, *next;

	if (!controller)
		return;
	spin_lock(&lock);
	let_all_go();
	WRITE_ONCE(controller, NULL);
	put_pid(controlling_thread);
	WRITE_ONCE(controlling_thread, NULL);
	watching = false;
	list_for_each_entry_safe(entry, next, &entries, node)
		unlist(entry);
	changed();
	wake_up_poll(&watchers, EPOLLHUP);
	spin_unlock(&lock);
	morsel_observe_off();
}

static void lease_is_over(struct work_struct *work)
{
	mutex_lock(&controlling);
	if (time_after_eq(jiffies, lease_end))
		give_up();
	mutex_unlock(&controlling);
}

void morsel_gate_release(struct file *file)
{
	mutex_lock(&controlling);
	if (controller == file)
		give_up();
	mutex_unlock(&controlling);
}

/* At unload: nobody has the device open. */
void morsel_gate_stop(void)
{
	cancel_delayed_work_sync(&lease_work);
}

static long control(struct file *file, void __user *argument)
{
	struct morsel_gate request;
	int error = morsel_get_request(&request, sizeof(request), argument);

	if (error)
		return error;
	if (request.lease_ms < MIN_LEASE_MS || request.lease_ms > MAX_LEASE_MS)
		return -EINVAL;
	mutex_lock(&controlling);
	if (controller && controller != file) {
		error = -EBUSY;
	} else {
		if (!controller) {
			morsel_observe_on();
			spin_lock(&lock);
			met_by = 0;
			WRITE_ONCE(controlling_thread, get_pid(task_pid(current)));
			WRITE_ONCE(controller, file);
			spin_unlock(&lock);
		}
		lease_end = jiffies + msecs_to_jiffies(request.lease_ms);
		mod_delayed_work(system_wq, &lease_work, msecs_to_jiffies(request.lease_ms));
	}
	mutex_unlock(&controlling);
	return error;
}

/* The lock held, unless it returns an error: the lease may have ended since the request began. */
static int lock_as_controller(struct file *file)
{
	spin_lock(&lock);
	if (controller == file)
		return 0;
	spin_unlock(&lock);
	return -ENOTCONN;
}

static long step(struct file *file, void __user *argument)
{
	struct morsel_gate_step request;
	struct morsel_gate_entry *entry;
	long result = morsel_get_request(&request, sizeof(request), argument);

	if (!result)
		result = lock_as_controller(file);
	if (result)
		return result;
	result = -ESRCH;
	list_for_each_entry(entry, &entries, node) {
		if (entry->shown.id != request.actor)
			continue;
		result = entry->shown.state == MORSEL_GATE_AT_POINT ? 0 : -EBUSY;
		if (!result)
			let_go(entry);
		break;
	}
	spin_unlock(&lock);
	return result;
}

static long until(struct file *file, void __user *argument)
{
	struct morsel_gate_until request;
	int error = morsel_get_request(&request, sizeof(request), argument);

	if (error)
		return error;
	if (request.point >= MORSEL_POINT_COUNT || !request.nth || request.reserved || request.start > request.end)
		return -EINVAL;
	if (request.view > MORSEL_MAX_VIEWS && request.view != MORSEL_ANY_TREE)
		return -EINVAL;
	error = lock_as_controller(file);
	if (error)
		return error;
	condition = request;
	times_met = 0;
	met_by = 0;
	watching = true;
	let_all_go();
	spin_unlock(&lock);
	return 0;
}

static long close_or_open(struct file *file, bool close)
{
	const int error = lock_as_controller(file);

	if (error)
		return error;
	watching = false;
	met_by = 0;
	if (close)
		closed = true;
	else
		let_all_go();
	changed();
	spin_unlock(&lock);
	return 0;
}

/* The words as they are now. The actor's section, or its operation, keeps what `word` points to. */
static void show_words(const struct engine_point_event *event, struct morsel_gate_actor *shown)
{
	const bool counter = event->access == ENGINE_READ_COUNTER || event->access == ENGINE_ADD;

	shown->point = event->point;
	shown->tree = event->tree;
	shown->level = event->level;
	shown->offset = event->offset;
	shown->word = event->before;
	if (event->access != ENGINE_OTHER)
		shown->word = counter ? READ_ONCE(*(const u32 *)event->word) : READ_ONCE(*(const u64 *)event->word);
	shown->desired = event->after;
	if (event->access == ENGINE_READ || event->access == ENGINE_READ_COUNTER)
		shown->desired = shown->word;
	else if (event->access == ENGINE_ADD)
		shown->desired = (u32)(shown->word + event->after);
}

static void collect(struct morsel_gate_actors *request, struct morsel_gate_actor *shown, u64 room)
{
	struct morsel_gate_entry *entry;

	spin_lock(&lock);
	request->closed = closed;
	request->met_by = met_by;
	request->count = 0;
	seen_changes = changes;
	list_for_each_entry(entry, &entries, node) {
		if (request->count < room) {
			shown[request->count] = entry->shown;
			if (entry->shown.state == MORSEL_GATE_AT_POINT)
				show_words(entry->event, &shown[request->count]);
		}
		request->count++;
	}
	spin_unlock(&lock);
}

static long list_actors(void __user *argument)
{
	struct morsel_gate_actors request;
	struct morsel_gate_actor *shown;
	u64 room;
	int error = morsel_get_request(&request, sizeof(request), argument);

	if (error || request.reserved)
		return error ?: -EINVAL;
	room = min_t(u64, request.room, MAX_ACTORS);
	shown = kvcalloc(room + 1, sizeof(*shown), GFP_KERNEL_ACCOUNT);
	if (!shown)
		return -ENOMEM;
	collect(&request, shown, room);
	if (copy_to_user(u64_to_user_ptr(request.actors), shown, min(room, request.count) * sizeof(*shown)) ||
	    copy_to_user(argument, &request, sizeof(request)))
		error = -EFAULT;
	kvfree(shown);
	return error;
}

long morsel_gate_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	void __user *user = (void __user *)argument;

	if (command == MORSEL_IOC_GATE)
		return control(file, user);
	if (READ_ONCE(controller) != file)
		return -ENOTCONN;
	switch (command) {
	case MORSEL_IOC_GATE_STOP:
	case MORSEL_IOC_GATE_RUN:
		return argument ? -EINVAL : close_or_open(file, command == MORSEL_IOC_GATE_STOP);
	case MORSEL_IOC_GATE_STEP:
		return step(file, user);
	case MORSEL_IOC_GATE_UNTIL:
		return until(file, user);
	default:
		return list_actors(user);
	}
}

/*
 * Readable: something has changed since the controller has last listed the actors. Hung up: it does not control, or no
 * more. Urgent: a rule of injection has fired.
 */
__poll_t morsel_gate_poll(struct file *file, poll_table *table)
{
	__poll_t result = morsel_inject_poll(file, table);

	poll_wait(file, &watchers, table);
	spin_lock(&lock);
	if (controller != file)
		result |= EPOLLHUP;
	else if (changes != seen_changes)
		result |= EPOLLIN | EPOLLRDNORM;
	spin_unlock(&lock);
	return result;
}
