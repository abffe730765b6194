// SPDX-License-Identifier: GPL-2.0-or-later
/* morselfs as a file system: what it has works as everywhere, and what it has not is refused with a usual errno. */
#define _GNU_SOURCE
#include "kmod/tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)
#define RIGHTS (MORSEL_READ | MORSEL_WRITE)

/* As MORSEL_IOC_LIST has them, each followed by a blank. */
static const char *names(void)
{
	static char text[4096];
	struct morsel_list list = { .size = sizeof(list), .names = (uintptr_t)text, .names_bytes = sizeof(text) };
	int device = open_device();

	CHECK_EQ(ioctl(device, MORSEL_IOC_LIST, &list), 0);
	CHECK(list.names_bytes < sizeof(text));
	for (size_t i = 0; i < list.names_bytes; i++)
		if (!text[i])
			text[i] = ' ';
	text[list.names_bytes] = 0;
	close(device);
	return text;
}

static struct stat stat_of(const char *path)
{
	struct stat status;

	CHECK_EQ(stat(path, &status), 0);
	return status;
}

static void an_object_may_have_several_names(void)
{
	int fd = open_object("first", MIB(2)), other;

	map(fd, MIB(2), RW)[PAGE] = 7;
	CHECK_EQ(link("/morsel/first", "/morsel/second"), 0);
	CHECK_EQ(stat_of("/morsel/second").st_nlink, 2);
	CHECK_EQ(stat_of("/morsel/second").st_ino, stat_of("/morsel/first").st_ino);
	CHECK_ERRNO(link("/morsel/first", "/morsel/second"), EEXIST);
	CHECK_ERRNO(link("/morsel/none", "/morsel/third"), ENOENT);
	CHECK_ERRNO(link("/morsel/first", "/tmp/elsewhere"), EXDEV);
	CHECK_EQ(unlink("/morsel/first"), 0);
	CHECK(!strcmp(names(), "second "));
	CHECK_EQ(counters().objects, 1);
	other = open_object("second", 0);
	CHECK_EQ(info_of(other).object_id, info_of(fd).object_id);
	CHECK(!strcmp(info_of(other).name, "second"));
	CHECK_EQ(map(other, MIB(2), RW)[PAGE], 7);
}

static void objects_are_renamed_replaced_and_exchanged(void)
{
	int small = open_object("small", PAGE), large = open_object("large", MIB(2));

	CHECK_EQ(rename("/morsel/small", "/morsel/renamed"), 0);
	CHECK(!strcmp(info_of(small).name, "renamed"));
	CHECK_ERRNO(rename("/morsel/small", "/morsel/again"), ENOENT);
	CHECK_ERRNO(renameat2(AT_FDCWD, "/morsel/renamed", AT_FDCWD, "/morsel/large", RENAME_NOREPLACE), EEXIST);
	CHECK_ERRNO(renameat2(AT_FDCWD, "/morsel/renamed", AT_FDCWD, "/morsel/white", RENAME_WHITEOUT), EINVAL);
	CHECK_ERRNO(rename("/morsel/renamed", "/tmp/elsewhere"), EXDEV);
	CHECK_EQ(renameat2(AT_FDCWD, "/morsel/renamed", AT_FDCWD, "/morsel/large", RENAME_EXCHANGE), 0);
	CHECK_EQ(stat_of("/morsel/renamed").st_size, MIB(2));
	CHECK_EQ(stat_of("/morsel/large").st_size, PAGE);
	/* What is replaced lives on while it is open, without a name. */
	CHECK_EQ(rename("/morsel/large", "/morsel/renamed"), 0);
	CHECK(!strcmp(names(), "renamed "));
	CHECK_EQ(counters().objects, 2);
	CHECK_EQ(change(large, MORSEL_IOC_POPULATE, 0, MIB(2), RIGHTS, 0, NULL), 0);
	close(large);
	CHECK_EQ(counters().objects, 1);
}

static void an_object_may_have_no_name(void)
{
	int fd = open("/morsel", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), kept, found;
	char path[64];

	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, MIB(2)), 0);
	map(fd, MIB(2), RW)[0] = 5;
	CHECK(!strcmp(names(), ""));
	CHECK_EQ(counters().objects, 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_EQ(linkat(AT_FDCWD, path, AT_FDCWD, "/morsel/named", AT_SYMLINK_FOLLOW), 0);
	CHECK(!strcmp(names(), "named "));
	found = open_object("named", 0);
	CHECK_EQ(info_of(found).object_id, info_of(fd).object_id);
	CHECK_EQ(map(found, MIB(2), RW)[0], 5);
	kept = open("/morsel", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	CHECK(kept >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", kept);
	CHECK_ERRNO(linkat(AT_FDCWD, path, AT_FDCWD, "/morsel/never", AT_SYMLINK_FOLLOW), ENOENT);
	close(kept);
	CHECK_EQ(counters().objects, 1);
}

/* As CREATE takes it, and INFO tells it. */
static void a_name_has_63_characters_at_most(void)
{
	char longest[] = "/morsel/0123456789012345678901234567890123456789012345678901234567890123";
	struct statfs status;
	int fd;

	CHECK_ERRNO(open(longest, O_RDWR | O_CREAT | O_CLOEXEC, 0600), ENAMETOOLONG);
	open_object("short", PAGE);
	CHECK_ERRNO(link("/morsel/short", longest), ENAMETOOLONG);
	CHECK_ERRNO(rename("/morsel/short", longest), ENAMETOOLONG);
	longest[strlen(longest) - 1] = 0;
	CHECK_EQ(strlen(longest), strlen("/morsel/") + MORSEL_NAME_BYTES - 1);
	fd = open(longest, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK(!strcmp(info_of(fd).name, longest + strlen("/morsel/")));
	CHECK_EQ(statfs("/morsel", &status), 0);
	CHECK_EQ(status.f_namelen, MORSEL_NAME_BYTES - 1);
}

static void there_are_only_objects(void)
{
	CHECK_ERRNO(mkdir("/morsel/directory", 0700), EPERM);
	CHECK_ERRNO(symlink("target", "/morsel/symlink"), EPERM);
	CHECK_ERRNO(mkfifo("/morsel/fifo", 0600), EPERM);
	CHECK_ERRNO(mknod("/morsel/device", S_IFCHR | 0600, 0x103), EPERM);
	CHECK_ERRNO(mknod("/morsel/socket", S_IFSOCK | 0600, 0), EPERM);
	CHECK(!strcmp(names(), ""));
	CHECK_EQ(mknod("/morsel/regular", S_IFREG | 0600, 0), 0);	/* a file: an object */
	CHECK(!strcmp(names(), "regular "));
	CHECK_ERRNO(rmdir("/morsel/regular"), ENOTDIR);
	CHECK_ERRNO(unlink("/morsel/none"), ENOENT);
	CHECK_ERRNO(open("/morsel/regular", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), EEXIST);
	CHECK_ERRNO(open("/morsel/regular", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ENOTDIR);
	CHECK_ERRNO(open("/morsel", O_RDWR | O_CLOEXEC), EISDIR);
}

/* Contents are reached by mapping; attributes beside those of every file are not kept. */
static void files_are_mapped_only(void)
{
	int fd = open_object("mapped", MIB(2)), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char bytes[8] = "";

	CHECK_ERRNO(read(fd, bytes, sizeof(bytes)), EINVAL);
	CHECK_ERRNO(write(fd, bytes, sizeof(bytes)), EINVAL);
	CHECK_ERRNO(pread(fd, bytes, sizeof(bytes), 0), EINVAL);
	CHECK_ERRNO(sendfile(null, fd, NULL, PAGE), EINVAL);
	CHECK_ERRNO(copy_file_range(fd, NULL, null, NULL, PAGE, 0), EINVAL);
	CHECK_ERRNO(open("/morsel/mapped", O_RDWR | O_DIRECT | O_CLOEXEC), EINVAL);
	CHECK_ERRNO(fallocate(fd, 0, 0, MIB(2)), EOPNOTSUPP);
	CHECK_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EOPNOTSUPP);
	CHECK_ERRNO(setxattr("/morsel/mapped", "user.note", "x", 1, 0), EOPNOTSUPP);
	CHECK_ERRNO(setxattr("/morsel/mapped", "trusted.note", "x", 1, 0), EOPNOTSUPP);
	CHECK_ERRNO(getxattr("/morsel/mapped", "user.note", bytes, sizeof(bytes)), EOPNOTSUPP);
	CHECK_EQ(listxattr("/morsel/mapped", bytes, sizeof(bytes)), 0);
	CHECK_ERRNO(ftruncate(fd, (off_t)GIB(512) + 1), EFBIG);
	CHECK_EQ(fsync(fd), 0);
	CHECK_EQ(info_of(fd).bytes, MIB(2));
}

static void attributes_are_kept(void)
{
	const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000, .tv_nsec = 5 } };
	int fd = open_object("attributes", MIB(2));
	struct stat status;

	CHECK_EQ(fchmod(fd, 0640), 0);
	CHECK_EQ(fchown(fd, 5, 6), 0);
	CHECK_EQ(futimens(fd, times), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, 3 * PAGE, RIGHTS, 0, NULL), 0);
	CHECK_EQ(fstat(fd, &status), 0);
	CHECK_EQ(status.st_mode, S_IFREG | 0640);
	CHECK_EQ(status.st_uid, 5);
	CHECK_EQ(status.st_gid, 6);
	CHECK_EQ(status.st_mtim.tv_sec, 2000);
	CHECK_EQ(status.st_mtim.tv_nsec, 5);
	CHECK_EQ(status.st_blocks, 3 * 8);
	close(open("/morsel/attributes", O_RDWR | O_TRUNC | O_CLOEXEC));
	CHECK_EQ(info_of(fd).bytes, 0);
	settle(fd);
	CHECK_EQ(info_of(fd).frames, 0);
}

static void all_mounts_show_the_same_objects(void)
{
	CHECK_EQ(mkdir("/tmp/morsel", 0700), 0);
	CHECK_ERRNO(mount("morselfs", "/tmp/morsel", "morselfs", 0, "size=1G"), EINVAL);
	CHECK_EQ(mount("morselfs", "/tmp/morsel", "morselfs", 0, NULL), 0);
	open_object("shared", PAGE);
	CHECK_EQ(stat_of("/tmp/morsel/shared").st_ino, stat_of("/morsel/shared").st_ino);
	CHECK_EQ(mount(NULL, "/tmp/morsel", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	CHECK_ERRNO(open("/tmp/morsel/shared", O_RDWR | O_CLOEXEC), EROFS);
	CHECK_ERRNO(unlink("/tmp/morsel/shared"), EROFS);
	CHECK_EQ(umount("/tmp/morsel"), 0);
	CHECK_EQ(rmdir("/tmp/morsel"), 0);
	CHECK_EQ(access("/morsel/shared", F_OK), 0);
}

const struct test fs_tests[] = {
	{ "an_object_may_have_several_names", an_object_may_have_several_names },
	{ "objects_are_renamed_replaced_and_exchanged", objects_are_renamed_replaced_and_exchanged },
	{ "an_object_may_have_no_name", an_object_may_have_no_name },
	{ "a_name_has_63_characters_at_most", a_name_has_63_characters_at_most },
	{ "there_are_only_objects", there_are_only_objects },
	{ "files_are_mapped_only", files_are_mapped_only },
	{ "attributes_are_kept", attributes_are_kept },
	{ "all_mounts_show_the_same_objects", all_mounts_show_the_same_objects },
	{ NULL, NULL },
};
