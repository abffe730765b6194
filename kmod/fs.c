// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * morselfs: each object is a regular file, so that any program creates it by open and ftruncate, maps it by path, and
 * destroys it by unlink. There is one superblock for all mounts. As in any file system in memory, the objects last as
 * long as their links and somebody has the file system mounted; a descriptor from MORSEL_IOC_CREATE counts as a mount.
 * Objects have no read(2) and write(2): their contents are reached by mapping. There is one directory, and in it
 * nothing but objects.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs_context.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/statfs.h>

#include "kmod/shim.h"

#define MORSELFS_MAGIC 0x6d727366	/* "mrsf" */

DEFINE_MUTEX(morsel_objects_mutex);
LIST_HEAD(morsel_objects);

static const struct inode_operations directory_operations;

static int setattr(struct user_namespace *ns, struct dentry *dentry, struct iattr *attributes)
{
	struct inode *inode = d_inode(dentry);
	int error = setattr_prepare(ns, dentry, attributes);

	if (error)
		return error;
	if (attributes->ia_valid & ATTR_SIZE) {
		error = morsel_resize(morsel_of(inode), attributes->ia_size);
		if (error)
			return error;
		inode->i_mtime = inode->i_ctime = current_time(inode);
	}
	setattr_copy(ns, inode, attributes);
	return 0;
}

static int getattr(struct user_namespace *ns, const struct path *path, struct kstat *stat, u32 mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);

	generic_fillattr(ns, inode, stat);
	stat->blocks = atomic64_read(&morsel_of(inode)->frames) << (PAGE_SHIFT - 9);
	return 0;
}

static const struct inode_operations file_inode_operations = {
	.setattr = setattr,
	.getattr = getattr,
};

static const struct file_operations file_operations = {
	.owner = THIS_MODULE,
	.mmap = morsel_mmap,
	.get_unmapped_area = morsel_get_unmapped_area,
	.unlocked_ioctl = morsel_file_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = generic_file_llseek,
	.fsync = noop_fsync,
};

static const struct address_space_operations address_space_operations = {
	.dirty_folio = morsel_dirty_folio,
};

static struct inode *new_morsel_inode(struct super_block *sb, const struct inode *directory, umode_t mode)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return ERR_PTR(-ENOMEM);
	inode->i_ino = get_next_ino();
	inode_init_owner(&init_user_ns, inode, directory, mode);
	inode->i_atime = inode->i_mtime = inode->i_ctime = current_time(inode);
	return inode;
}

static struct inode *new_object_inode(struct inode *directory, umode_t mode, u64 bytes, unsigned int root_level)
{
	struct inode *inode = new_morsel_inode(directory->i_sb, directory, S_IFREG | (mode & S_IALLUGO));
	struct morsel_object *object;

	if (IS_ERR(inode))
		return inode;
	inode->i_op = &file_inode_operations;
	inode->i_fop = &file_operations;
	inode->i_mapping->a_ops = &address_space_operations;
	mapping_set_unevictable(inode->i_mapping);
	/* Makes the core ask ->huge_fault, at the PUD first; keeps mlock, khugepaged and migration away. */
	inode->i_flags |= S_DAX;
	object = morsel_object_new(inode, bytes, root_level);
	if (IS_ERR(object)) {
		iput(inode);
		return ERR_CAST(object);
	}
	inode->i_private = object;
	i_size_write(inode, bytes);
	return inode;
}

static int create(struct user_namespace *ns, struct inode *directory, struct dentry *dentry, umode_t mode, bool excl)
{
	struct inode *inode = new_object_inode(directory, mode, 0, MORSEL_PRIMARY_ROOT);

	if (IS_ERR(inode))
		return PTR_ERR(inode);
	d_instantiate(dentry, inode);
	dget(dentry);	/* the link itself holds the object */
	directory->i_mtime = directory->i_ctime = current_time(directory);
	return 0;
}

static int tmpfile(struct user_namespace *ns, struct inode *directory, struct file *file, umode_t mode)
{
	struct inode *inode = new_object_inode(directory, mode, 0, MORSEL_PRIMARY_ROOT);

	if (IS_ERR(inode))
		return PTR_ERR(inode);
	d_tmpfile(file, inode);
	return finish_open_simple(file, 0);
}

/* Names are as long as MORSEL_IOC_CREATE takes them and MORSEL_IOC_INFO tells them. */
static struct dentry *lookup(struct inode *directory, struct dentry *dentry, unsigned int flags)
{
	if (dentry->d_name.len >= MORSEL_NAME_BYTES)
		return ERR_PTR(-ENAMETOOLONG);
	return simple_lookup(directory, dentry, flags);
}

static const struct inode_operations directory_operations = {
	.create = create,
	.tmpfile = tmpfile,
	.lookup = lookup,
	.link = simple_link,
	.unlink = simple_unlink,
	.rename = simple_rename,
};

static void evict(struct inode *inode)
{
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (S_ISREG(inode->i_mode) && morsel_of(inode))
		morsel_object_free(morsel_of(inode));
}

static int statfs(struct dentry *dentry, struct kstatfs *status)
{
	const int error = simple_statfs(dentry, status);

	status->f_namelen = MORSEL_NAME_BYTES - 1;
	return error;
}

static const struct super_operations super_operations = {
	.statfs = statfs,
	.drop_inode = generic_delete_inode,
	.evict_inode = evict,
};

static int fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct inode *root;

	sb->s_maxbytes = 1ll << 39;	/* what a PUD table covers */
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = MORSELFS_MAGIC;
	sb->s_op = &super_operations;
	sb->s_time_gran = 1;
	root = new_morsel_inode(sb, NULL, S_IFDIR | 0755);
	if (IS_ERR(root))
		return PTR_ERR(root);
	root->i_op = &directory_operations;
	root->i_fop = &simple_dir_operations;
	inc_nlink(root);
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static int get_tree(struct fs_context *fc)
{
	return get_tree_single(fc, fill_super);
}

static const struct fs_context_operations context_operations = {
	.get_tree = get_tree,
};

static int init_context(struct fs_context *fc)
{
	fc->ops = &context_operations;
	return 0;
}

struct file_system_type morsel_fs_type = {
	.owner = THIS_MODULE,
	.name = "morselfs",
	.init_fs_context = init_context,
	.kill_sb = kill_litter_super,
};
MODULE_ALIAS_FS("morselfs");

static struct dentry *make_link(struct dentry *root, const char *name, u64 bytes, unsigned int root_level)
{
	struct dentry *dentry;
	struct inode *inode;

	inode_lock(d_inode(root));
	dentry = lookup_one_len(name, root, strlen(name));
	if (IS_ERR(dentry))
		goto unlock;
	if (d_really_is_positive(dentry)) {
		dput(dentry);
		dentry = ERR_PTR(-EEXIST);
		goto unlock;
	}
	inode = new_object_inode(d_inode(root), 0600, bytes, root_level);
	if (IS_ERR(inode)) {
		dput(dentry);
		dentry = ERR_CAST(inode);
		goto unlock;
	}
	d_instantiate(dentry, inode);
	dget(dentry);
unlock:
	inode_unlock(d_inode(root));
	return dentry;
}

static void remove_link(struct dentry *root, struct dentry *dentry)
{
	inode_lock(d_inode(root));
	simple_unlink(d_inode(root), dentry);
	d_drop(dentry);
	inode_unlock(d_inode(root));
}

/* A new object, open for reading and writing. The file's own mount keeps the file system alive. */
struct file *morsel_create_file(const char *name, u64 bytes, unsigned int root_level)
{
	struct vfsmount *mount = vfs_kern_mount(&morsel_fs_type, SB_KERNMOUNT, "morselfs", NULL);
	struct path path;
	struct file *file;

	if (IS_ERR(mount))
		return ERR_CAST(mount);
	path.mnt = mount;
	path.dentry = make_link(mount->mnt_root, name, bytes, root_level);
	if (IS_ERR(path.dentry)) {
		file = ERR_CAST(path.dentry);
	} else {
		file = dentry_open(&path, O_RDWR | O_LARGEFILE, current_cred());
		if (IS_ERR(file))
			remove_link(mount->mnt_root, path.dentry);
		dput(path.dentry);
	}
	mntput(mount);
	return file;
}
