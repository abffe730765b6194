// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /dev/morsel: requests that concern no single object. They show physical addresses, name every user's objects and
 * inject faults, so they need CAP_SYS_ADMIN besides the right to open the device; only the version is free.
 */
#include <linux/capability.h>
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "engine/abi/morsel_device.h"
#include "engine/abi/morsel_vcpu.h"
#include "kmod/shim.h"

static long get_version(void __user *argument)
{
	struct morsel_version version;
	int error = morsel_get_request(&version, sizeof(version), argument);

	if (error)
		return error;
	version.size = sizeof(version);
	version.abi_version = MORSEL_ABI_VERSION;
	version.point_count = MORSEL_POINT_COUNT;
	version.journal_version = MORSEL_JOURNAL_VERSION;
	return copy_to_user(argument, &version, sizeof(version)) ? -EFAULT : 0;
}

static bool valid_name(const char *name)
{
	const size_t length = strnlen(name, MORSEL_NAME_BYTES);

	return length && length < MORSEL_NAME_BYTES && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

static long create(void __user *argument)
{
	struct morsel_create request;
	struct file *file;
	int error = morsel_get_request(&request, sizeof(request), argument);
	int fd;

	if (error)
		return error;
	if (request.reserved || !valid_name(request.name))
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = morsel_create_file(request.name, request.bytes, request.root_level);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	request.fd = fd;
	if (copy_to_user(argument, &request, sizeof(request))) {
		put_unused_fd(fd);
		fput(file);	/* the object keeps its name: who lost the reply may open it */
		return -EFAULT;
	}
	fd_install(fd, file);
	return 0;
}

static long get_counters(void __user *argument)
{
	struct morsel_counters counters;
	int error = morsel_get_request(&counters, sizeof(counters), argument);

	if (error)
		return error;
	if (counters.reserved)
		return -EINVAL;
	BUILD_BUG_ON(sizeof(counters) != offsetof(struct morsel_counters, objects) + MORSEL_COUNTERS * sizeof(u64));
	counters.size = sizeof(counters);
#define MORSEL_COUNTER_READ(field, name) counters.field = atomic64_read(&morsel_counters[MORSEL_##name]);
	MORSEL_COUNTER_LIST(MORSEL_COUNTER_READ)
#undef MORSEL_COUNTER_READ
	return copy_to_user(argument, &counters, sizeof(counters)) ? -EFAULT : 0;
}

/*
 * The length of the object's name with its NUL; 0 if it is unlinked, and only still open or mapped. No reference is
 * taken: it could become the last one, and the end of an object needs the mutex that the caller holds. That mutex keeps
 * the inode.
 */
static size_t copy_name(struct inode *inode, char *buffer, u64 room)
{
	struct dentry *dentry;
	size_t length = 0;

	spin_lock(&inode->i_lock);
	hlist_for_each_entry(dentry, &inode->i_dentry, d_u.d_alias) {
		spin_lock(&dentry->d_lock);
		if (!d_unhashed(dentry)) {
			length = dentry->d_name.len + 1;
			if (length <= room)
				memcpy(buffer, dentry->d_name.name, length);
		}
		spin_unlock(&dentry->d_lock);
		if (length)
			break;
	}
	spin_unlock(&inode->i_lock);
	return length;
}

/* Names, one after the other, as many as fit into `room`; returns the bytes of all of them. */
static u64 collect_names(char *buffer, u64 room, u64 *count)
{
	struct morsel_object *object;
	u64 used = 0;

	mutex_lock(&morsel_objects_mutex);
	list_for_each_entry(object, &morsel_objects, node) {
		const size_t length = copy_name(object->inode, buffer + min(used, room), room - min(used, room));

		used += length;
		*count += length != 0;
	}
	mutex_unlock(&morsel_objects_mutex);
	return used;
}

static long list_objects(void __user *argument)
{
	struct morsel_list request;
	char *buffer;
	u64 room;
	int error = morsel_get_request(&request, sizeof(request), argument);

	if (error)
		return error;
	if (request.reserved)
		return -EINVAL;
	room = min_t(u64, request.names_bytes, 1 << 20);
	buffer = kvzalloc(max_t(u64, room, 1), GFP_KERNEL_ACCOUNT);
	if (!buffer)
		return -ENOMEM;
	request.count = 0;
	request.names_bytes = collect_names(buffer, room, &request.count);
	if (copy_to_user(u64_to_user_ptr(request.names), buffer, min(room, request.names_bytes)) ||
	    copy_to_user(argument, &request, sizeof(request)))
		error = -EFAULT;
	kvfree(buffer);
	return error;
}

static long inject(unsigned int command, void __user *argument)
{
	struct morsel_inject rule;
	int error = morsel_get_request(&rule, sizeof(rule), argument);

	if (!error)
		error = command == MORSEL_IOC_INJECT_ADD ? morsel_inject_add(&rule) : morsel_inject_list(&rule);
	if (error)
		return error;
	return copy_to_user(argument, &rule, sizeof(rule)) ? -EFAULT : 0;
}

static long show_fired(void __user *argument)
{
	struct morsel_fired fired;
	int error = morsel_get_request(&fired, sizeof(fired), argument);

	if (!error)
		error = morsel_inject_fired(&fired);
	if (error)
		return error;
	return copy_to_user(argument, &fired, sizeof(fired)) ? -EFAULT : 0;
}

static long clear_rules(void)
{
	morsel_inject_clear();
	return 0;
}

static long switch_journal(void __user *argument)
{
	struct morsel_journal_switch request;
	int error = morsel_get_request(&request, sizeof(request), argument);

	if (!error)
		error = morsel_journal_switch(&request);
	if (error)
		return error;
	return copy_to_user(argument, &request, sizeof(request)) ? -EFAULT : 0;
}

static long device_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	void __user *user = (void __user *)argument;

	if (command == MORSEL_IOC_VERSION)
		return get_version(user);
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	switch (command) {
	case MORSEL_IOC_CREATE:
		return create(user);
	case MORSEL_IOC_COUNTERS:
		return get_counters(user);
	case MORSEL_IOC_LIST:
		return list_objects(user);
	case MORSEL_IOC_INJECT_ADD:
	case MORSEL_IOC_INJECT_LIST:
		return inject(command, user);
	case MORSEL_IOC_INJECT_FIRED:
		return show_fired(user);
	case MORSEL_IOC_INJECT_CLEAR:
		return argument ? -EINVAL : clear_rules();
	case MORSEL_IOC_JOURNAL:
		return switch_journal(user);
	case MORSEL_IOC_GATE:
	case MORSEL_IOC_GATE_STOP:
	case MORSEL_IOC_GATE_RUN:
	case MORSEL_IOC_GATE_STEP:
	case MORSEL_IOC_GATE_UNTIL:
	case MORSEL_IOC_GATE_ACTORS:
		return morsel_gate_ioctl(file, command, argument);
	case MORSEL_IOC_VCPU_LAB:
		return morsel_vcpu_create_lab(user);
	case MORSEL_IOC_VCPU_STATE:
		return morsel_vcpu_tell_state(user);
	case MORSEL_IOC_DEVICE_LAB:
		return morsel_device_attach_lab(user);
	case MORSEL_IOC_DEVICE_STATE:
		return morsel_device_tell_state(user);
	case MORSEL_IOC_IDLE:
		return argument ? -EINVAL : morsel_wait_until_idle();
	default:
		return -ENOTTY;
	}
}

static int device_release(struct inode *inode, struct file *file)
{
	morsel_gate_release(file);
	return 0;
}

const struct file_operations morsel_device_operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = morsel_gate_poll,
	.release = device_release,
	.llseek = noop_llseek,
};
